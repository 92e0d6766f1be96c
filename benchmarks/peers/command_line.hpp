/// The command lines of the programs beside this file: words first, then `--name value`.
#pragma once

#include <charconv>
#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "aeth/core/math.hpp"
#include "aeth/numeric/precision.hpp"

namespace bench {

class CommandLine {
 public:
  /// errors   std::invalid_argument for an option without a value
  CommandLine(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      std::string const word = argv[i];
      if (!word.starts_with("--")) {
        words_.push_back(word);
      } else {
        if (i + 1 == argc) throw std::invalid_argument(word + " needs a value");
        options_[word.substr(2)] = argv[++i];
      }
    }
  }

  /// errors   std::invalid_argument that names what is missing
  [[nodiscard]] std::string const& word(std::size_t index, char const* meaning) const {
    if (index >= words_.size()) throw std::invalid_argument(std::string(meaning) + " is missing");
    return words_[index];
  }

  [[nodiscard]] std::string option(std::string const& name, std::string const& missing) const {
    auto const found = options_.find(name);
    return found == options_.end() ? missing : found->second;
  }

  /// errors   std::invalid_argument unless the value is a whole number of at least 1
  [[nodiscard]] aeth::Index count(std::string const& name, aeth::Index missing) const {
    auto const found = options_.find(name);
    return found == options_.end() ? missing : to_count(found->second);
  }

  /// Threads to use: --threads, or one per core.
  [[nodiscard]] int threads() const {
    return static_cast<int>(count("threads", aeth::max(std::thread::hardware_concurrency(), 1u)));
  }

  /// errors   std::invalid_argument unless it is a whole number of at least 1
  [[nodiscard]] static aeth::Index to_count(std::string_view text) {
    aeth::Index value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1)
      throw std::invalid_argument('"' + std::string(text) + "\" is no count");
    return value;
  }

 private:
  std::vector<std::string> words_;
  std::map<std::string, std::string> options_;
};

/// Calls body.operator()<P>() with the precision policy of this name.
///
/// errors   std::invalid_argument for a name of none
template <class Body>
void with_precision(std::string const& name, Body const& body) {
  if (name == "fp32") return body.template operator()<aeth::Fp32>();
  if (name == "bf16") return body.template operator()<aeth::Bf16>();
  if (name == "fp8") return body.template operator()<aeth::Fp8>();
  throw std::invalid_argument("there is no precision " + name);
}

/// Calls `body` with the command line. Returns what the program returns: 2 for a wrong command line, 1 for any
/// other failure, with a sentence on standard error.
template <class Body>
int run_program(int argc, char** argv, char const* usage, Body const& body) {
  try {
    body(CommandLine(argc, argv));
    return 0;
  } catch (std::invalid_argument const& error) {
    std::fprintf(stderr, "%s\n%s", error.what(), usage);
    return 2;
  } catch (std::exception const& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace bench
