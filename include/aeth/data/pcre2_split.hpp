/// Cuts text by the patterns of any pre-tokenizer. Needs PCRE2 10.40 or newer (CMake target aeth::pcre2).
///
///   Tokenizer const tokenizer = load_tokenizer_json("tokenizer.json", pcre2_splitter);
///
/// source   the meaning of the steps: the `tokenizers` library; PCRE2: https://pcre2project.github.io
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>
#include <time.h>

#include "aeth/core/error.hpp"
#include "aeth/data/detail/excerpt.hpp"
#include "aeth/data/detail/pcre2_pattern.hpp"
#include "aeth/data/splitter.hpp"
#include "aeth/data/unicode.hpp"

namespace aeth::data {
namespace detail {

struct FreePcre2 {
  void operator()(pcre2_code_8* code) const noexcept { pcre2_code_free_8(code); }
  void operator()(pcre2_match_data_8* data) const noexcept { pcre2_match_data_free_8(data); }
  void operator()(pcre2_compile_context_8* context) const noexcept { pcre2_compile_context_free_8(context); }
  void operator()(pcre2_match_context_8* context) const noexcept { pcre2_match_context_free_8(context); }
};

/// Where matching puts what it finds, and what it may take: so many steps per match that known patterns pass over runs
/// of any length, and for all matches of a text some hundred times the time that known patterns need. A pattern that
/// scans the same run again and again would take forever otherwise.
class Pcre2Match {
 public:
  explicit Pcre2Match(std::size_t text_size)
      : found_(pcre2_match_data_create_8(1, nullptr)),
        context_(pcre2_match_context_create_8(nullptr)),
        deadline_(seconds_now() + 2.0 + 20e-6 * static_cast<double>(text_size)) {
    if (!found_ || !context_) throw std::bad_alloc();
    std::size_t const steps = 10'000'000 + 8 * text_size;
    pcre2_set_match_limit_8(context_.get(),
                            static_cast<std::uint32_t>((std::min)(steps, std::size_t{UINT32_MAX})));
  }

  [[nodiscard]] pcre2_match_data_8* found() const noexcept { return found_.get(); }
  [[nodiscard]] pcre2_match_context_8* context() const noexcept { return context_.get(); }
  [[nodiscard]] std::size_t begin() const noexcept { return pcre2_get_ovector_pointer_8(found())[0]; }
  [[nodiscard]] std::size_t end() const noexcept { return pcre2_get_ovector_pointer_8(found())[1]; }

  /// Counts a match; whether the time is over. The clock is asked now and then only.
  [[nodiscard]] bool is_late() noexcept { return ++matches_ % 64 == 0 && seconds_now() > deadline_; }

 private:
  /// Of the processor in this thread, so that a busy or sleeping machine changes nothing.
  [[nodiscard]] static double seconds_now() noexcept {
    ::timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }

  std::unique_ptr<pcre2_match_data_8, FreePcre2> found_;
  std::unique_ptr<pcre2_match_context_8, FreePcre2> context_;
  double deadline_;
  std::uint64_t matches_ = 0;
};

[[nodiscard]] inline std::string pcre2_message(int error) {
  unsigned char buffer[256] = {};
  pcre2_get_error_message_8(error, buffer, sizeof buffer);
  return reinterpret_cast<char const*>(buffer);
}

/// One compiled pattern.
class Pcre2Regex {
 public:
  /// Errors: DataError if PCRE2 cannot read the pattern or it may match an empty text.
  explicit Pcre2Regex(std::string_view pattern) : pattern_(pattern) {
    std::string const spelled = Pcre2Pattern(pattern_).spell();
    std::unique_ptr<pcre2_compile_context_8, FreePcre2> const context(
        pcre2_compile_context_create_8(nullptr));
    if (!context) throw std::bad_alloc();
    pcre2_set_newline_8(context.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    std::size_t where = 0;
    // $ stands before every line end, as in Ruby.
    code_.reset(pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(spelled.data()), spelled.size(),
                                PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                                &where, context.get()));
    expect<DataError>(code_ != nullptr, "pattern ", Excerpt{pattern_}, ": PCRE2 cannot read it (",
                      pcre2_message(error), "); is it a regular expression?");
    std::uint32_t matches_empty = 0;
    pcre2_pattern_info_8(code_.get(), PCRE2_INFO_MATCHEMPTY, &matches_empty);
    expect<DataError>(matches_empty == 0, "pattern ", Excerpt{pattern_},
                      ": it matches an empty text; this is not supported");
    pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE);  // where there is no JIT, matching is slower
  }

  /// Whether the pattern matches in `text` (valid UTF-8) from byte `from` on; its place is in `match` then.
  /// Errors: DataError if the pattern needs more memory, steps or time than Pcre2Match allows.
  [[nodiscard]] bool find(std::string_view text, std::size_t from, Pcre2Match& match) const {
    expect<DataError>(
        !match.is_late(), "pattern ", Excerpt{pattern_},
        ": it goes over the same characters again and again and would take hours; use shorter texts, "
        "or another tokenizer");
    auto const run = [&](std::uint32_t options) {
      return pcre2_match_8(code_.get(), reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(), from,
                           PCRE2_NO_UTF_CHECK | options, match.found(), match.context());
    };
    int result = run(0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = run(PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) return false;
    expect<DataError>(result >= 0, "pattern ", Excerpt{pattern_}, ": cannot be matched in a text of ",
                      text.size(), " bytes (", pcre2_message(result), "); use shorter texts");
    return true;
  }

 private:
  std::string pattern_;
  std::unique_ptr<pcre2_code_8, FreePcre2> code_;
};

}  // namespace detail

/// The steps of a pre-tokenizer run by PCRE2. Bytes that are not UTF-8 are words of their own, one by one.
///
/// cost     that of the patterns: linear for those of known models
class Pcre2Splitter final : public Splitter {
 public:
  /// Errors: DataError naming the pattern that cannot be used.
  explicit Pcre2Splitter(PreTokenizer const& steps) : prefix_space_(steps.prefix_space) {
    for (SplitStep const& split : steps.splits) add(split);
    splits_ = steps_.size();
    if (steps.gpt2_split) add({std::string(gpt2_split_pattern)});
  }

  void split(std::string_view text, WordSink emit) const override {
    detail::Pcre2Match match(text.size());
    std::size_t valid = 0;
    for (std::size_t at = 0; at < text.size();) {
      Character const c = decode_utf8(text, at);
      if (c.code == invalid_code) {
        if (valid < at) run(0, text.substr(valid, at - valid), match, emit);
        emit(text.substr(at, 1));
        valid = at + 1;
      }
      at += c.length;
    }
    if (valid < text.size()) run(0, text.substr(valid), match, emit);
  }

 private:
  struct Step {
    detail::Pcre2Regex regex;
    SplitBehavior behavior;
    bool invert;
  };

  void add(SplitStep const& split) {
    steps_.push_back({detail::Pcre2Regex(split.pattern), split.behavior, split.invert});
  }

  /// Whether a part joins the piece before it. `matched` and `was_matched` say what these are.
  [[nodiscard]] static bool joins(SplitBehavior behavior, bool matched, bool was_matched) noexcept {
    switch (behavior) {
      case SplitBehavior::merged_with_previous:
        return matched && !was_matched;
      case SplitBehavior::merged_with_next:
        return !matched && was_matched;
      case SplitBehavior::contiguous:
        return matched == was_matched;
      case SplitBehavior::isolated:
      case SplitBehavior::removed:
        break;
    }
    return false;
  }

  /// The steps from number `step` on, on one piece that is not empty.
  void run(std::size_t step, std::string_view piece, detail::Pcre2Match& match, WordSink emit) const {
    if (step == splits_ && prefix_space_ && piece.front() != ' ') {
      std::string const spaced = " " + std::string(piece);
      return cut(step, spaced, match, emit);
    }
    cut(step, piece, match, emit);
  }

  void cut(std::size_t number, std::string_view piece, detail::Pcre2Match& match, WordSink emit) const {
    if (number == steps_.size()) return emit(piece);
    Step const& step = steps_[number];
    std::size_t begin = 0, end = 0;  // of the piece that the next part may join
    bool was_matched = false;
    auto const pass_on = [&] {
      bool const lost = step.behavior == SplitBehavior::removed && was_matched;
      if (begin < end && !lost) run(number + 1, piece.substr(begin, end - begin), match, emit);
      begin = end;
    };
    auto const part = [&](std::size_t part_end, bool matched) {
      if (part_end == end) return;
      matched = matched != step.invert;
      if (!joins(step.behavior, matched, was_matched)) pass_on();
      end = part_end;
      was_matched = matched;
    };
    while (end < piece.size() && step.regex.find(piece, end, match)) {
      std::size_t const match_end = match.end();  // the next steps use `match`, too
      part(match.begin(), false);
      part(match_end, true);
    }
    part(piece.size(), false);
    pass_on();
  }

  std::vector<Step> steps_;
  std::size_t splits_ = 0;  // steps before a space is put in front
  bool prefix_space_;
};

/// What load_tokenizer_json() needs to read files of any pre-tokenizer. Errors: as Pcre2Splitter.
[[nodiscard]] inline std::shared_ptr<Splitter const> pcre2_splitter(PreTokenizer const& steps) {
  return std::make_shared<Pcre2Splitter>(steps);
}

}  // namespace aeth::data
