// Runs a fuzz target without a fuzzer: over seeds, and over mutations of them that are the same on every machine.
//
//   aeth_fuzz_replay TARGET FOLDER COUNT    every file of the folder, then COUNT mutations of them
//   aeth_fuzz_replay TARGET FILE            one input, such as one that failed
//
// With a folder, the input at work is in the file failed_TARGET of the current folder, whatever ends the program; it is
// removed when all went well. An input that takes longer than 20 seconds counts as a hang.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/random.hpp"
#include "aeth/core/text.hpp"
#include "aeth/io/file.hpp"
#include "fuzz/target.hpp"

namespace {

using aeth::expect;
using aeth::text;

constexpr std::size_t longest_input = 1 << 16;
constexpr unsigned seconds_per_input = 20;

/// What parsers of JSON, text and lengths stumble over.
constexpr std::string_view fragments[] = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          "\"",
                                          ":",
                                          ",",
                                          "\n",
                                          "\r\n",
                                          " ",
                                          "\\",
                                          "{}",
                                          "[]",
                                          "null",
                                          "true",
                                          "text",
                                          "\\ud800",
                                          "0",
                                          "-1",
                                          "1.5",
                                          "1e999",
                                          "255",
                                          "65536",
                                          "2147483648",
                                          "9223372036854775808",
                                          "18446744073709551616",
                                          "\xFF",
                                          "\xC3",
                                          "\xED\xA0\x80",
                                          "\xF4\x90\x80\x80",
                                          "\xEF\xBB\xBF",
                                          "\xE6\xBC\xA2",
                                          std::string_view("\0", 1)};

/// Mutations of seeds: one change each, or up to five in every other one. A single one leaves more inputs good enough to
/// be accepted.
class Mutator {
 public:
  explicit Mutator(std::vector<std::string> const& seeds) : seeds_(seeds) {}

  [[nodiscard]] std::string operator()(std::uint64_t number) {
    random_ = aeth::Random(1, aeth::RandomUse::test, number);
    std::string input = pick(seeds_);
    bool const single = below(2) == 0;  // drawn in this order, whatever the compiler
    std::size_t const more = below(5);
    for (std::size_t changes = single ? 1 : 1 + more; changes > 0; --changes) change(input);
    input.resize((std::min)(input.size(), longest_input));
    return input;
  }

 private:
  [[nodiscard]] std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_.below(n)); }
  template <class List>
  [[nodiscard]] auto pick(List const& list) -> decltype(list[0]) {
    return list[below(std::size(list))];
  }
  [[nodiscard]] std::size_t place(std::string_view input) { return below(input.size() + 1); }
  [[nodiscard]] std::string_view part(std::string_view input) {
    std::size_t const begin = place(input);
    return input.substr(begin, 1 + below(32));
  }

  void change(std::string& input) {
    std::size_t const at = place(input);
    switch (below(8)) {
      case 0:  // a bit
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        return;
      case 1:  // a byte
        if (at < input.size()) input[at] = static_cast<char>(below(256));
        return;
      case 2:
        input.insert(at, pick(fragments));
        return;
      case 3: {  // overwritten, so that lengths stay
        std::string_view const fragment = pick(fragments);
        input.replace(at, fragment.size(), fragment);
        return;
      }
      case 4:
        input.erase(at, 1 + below(16));
        return;
      case 5:  // from elsewhere in it
        input.insert(at, std::string(part(input)));
        return;
      case 6:  // from another seed
        input.insert(at, part(pick(seeds_)));
        return;
      default:  // cut, or a part many times: nesting and lengths
        if (below(4) == 0) {
          input.resize(at);
          return;
        }
        std::string const repeated(part(input).substr(0, 1 + below(4)));
        for (std::size_t times = below(200); times > 0; --times) input.insert(at, repeated);
        return;
    }
  }

  std::vector<std::string> const& seeds_;
  aeth::Random random_{1, aeth::RandomUse::test};
};

/// Runs inputs and counts; keeps the one at work in a file if that is named.
class Runner {
 public:
  Runner(aeth::fuzz::Registered const& target, std::string path) : target_(target), path_(std::move(path)) {
    if (path_.empty()) return;
    file_ = std::fopen(path_.c_str(), "wb");
    expect<aeth::IoError>(file_ != nullptr, "cannot write '", path_,
                          "'; run in a folder that can be written");
  }
  Runner(Runner const&) = delete;
  Runner& operator=(Runner const&) = delete;
  ~Runner() {
    if (file_ != nullptr) std::fclose(file_);
  }

  void operator()(std::string_view input) {
    if (file_ != nullptr) keep(input);
    ::alarm(seconds_per_input);
    // A copy of exactly its size, so that the sanitizers see a read past its end.
    std::vector<char> const bytes(input.begin(), input.end());
    bool const accepted = target_.run({bytes.empty() ? "" : bytes.data(), bytes.size()});
    ::alarm(0);
    ++(accepted ? accepted_ : refused_);
  }

  void done() {
    if (file_ != nullptr) std::filesystem::remove(path_);
  }
  [[nodiscard]] std::size_t accepted() const noexcept { return accepted_; }
  [[nodiscard]] std::size_t refused() const noexcept { return refused_; }

 private:
  void keep(std::string_view input) {
    bool const kept = std::fseek(file_, 0, SEEK_SET) == 0 && ::ftruncate(::fileno(file_), 0) == 0 &&
                      std::fwrite(input.data(), 1, input.size(), file_) == input.size() &&
                      std::fflush(file_) == 0;
    expect<aeth::IoError>(kept, "cannot write '", path_, "'; free some space");
  }

  aeth::fuzz::Registered const& target_;
  std::string path_;
  std::FILE* file_ = nullptr;
  std::size_t accepted_ = 0, refused_ = 0;
};

std::vector<std::string> read_seeds(std::string const& path) {
  if (!aeth::io::is_folder(path)) return {aeth::io::read_file(path)};
  std::vector<std::string> paths, seeds;
  for (auto const& entry : std::filesystem::directory_iterator(path)) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  for (std::string const& file : paths) seeds.push_back(aeth::io::read_file(file));
  expect<aeth::UsageError>(!seeds.empty(), "'", path, "' has no seeds");
  return seeds;
}

aeth::fuzz::Registered const& find_target(std::string_view name) {
  std::string known;
  for (auto const* target = aeth::fuzz::Registered::first(); target != nullptr; target = target->next) {
    if (name == target->name) return *target;
    known += text(' ', target->name);
  }
  throw aeth::UsageError(text("no target '", name, "'; there are", known));
}

int replay(std::string_view name, std::string const& path, std::uint64_t mutations) {
  bool const folder = aeth::io::is_folder(path);
  auto const seeds = read_seeds(path);
  std::string const at_work = folder ? text("failed_", name) : std::string();
  Runner run(find_target(name), at_work);
  try {
    for (std::string const& seed : seeds) run(seed);
    Mutator mutated(seeds);
    for (std::uint64_t number = 0; number < mutations; ++number) run(mutated(number));
  } catch (std::exception const& error) {
    std::cerr << name << ": the input in " << (folder ? at_work : path)
              << " makes it throw what is not documented: " << error.what() << '\n';
    return 1;
  }
  run.done();
  std::cout << name << ": " << seeds.size() << " seeds, " << mutations << " mutations, " << run.accepted()
            << " accepted, " << run.refused() << " refused\n";
  // Seeds that are all refused would leave what a target checks of accepted inputs untried.
  bool const enough = !folder || run.accepted() >= 10;
  if (!enough)
    std::cerr << name << ": fewer than 10 inputs were accepted; add good seeds to " << path << '\n';
  return enough ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: aeth_fuzz_replay TARGET FOLDER COUNT, or aeth_fuzz_replay TARGET FILE\n";
    return 2;
  }
  try {
    return replay(argv[1], argv[2], argc == 4 ? std::strtoull(argv[3], nullptr, 10) : 0);
  } catch (std::exception const& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 2;
  }
}
