/// What a Tokenizer asks of an engine that cuts text into words: the seam behind which PCRE2 stands.
#pragma once

#include <memory>
#include <string_view>

#include "aeth/data/split_step.hpp"

namespace aeth::data {

/// Where words go: a reference to something callable with a std::string_view, which must outlive it.
class WordSink {
 public:
  template <class Take>
  explicit WordSink(Take& take) noexcept
      : take_(&take),
        call_([](void* take_it, std::string_view word) { (*static_cast<Take*>(take_it))(word); }) {}

  void operator()(std::string_view word) const { call_(take_, word); }

 private:
  void* take_;
  void (*call_)(void*, std::string_view);
};

/// Cuts text into words. Immutable; safe to share between threads.
class Splitter {
 public:
  Splitter() = default;
  Splitter(Splitter const&) = delete;
  Splitter& operator=(Splitter const&) = delete;
  virtual ~Splitter() = default;

  /// Gives each word in order to `emit`; none is empty, and each is valid during that call only.
  virtual void split(std::string_view text, WordSink emit) const = 0;
};

/// Makes the engine for a pre-tokenizer. Errors: DataError if it cannot do what the steps ask.
using MakeSplitter = std::shared_ptr<Splitter const> (*)(PreTokenizer const&);

}  // namespace aeth::data
