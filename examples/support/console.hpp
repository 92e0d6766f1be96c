/// What the example programs share: exit codes, signals, comparison with compressors.
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/text.hpp"
#include "aeth/data/document.hpp"

namespace console {

/// What a program that works for hours must not die of or be misled by: a reader of its output that is gone (SIGPIPE), a
/// limit on the size of files (SIGXFSZ, which becomes an error), and standard streams that were closed before it began,
/// whose numbers its own files would get.
inline void outlast_its_terminal() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number)
    if (fcntl(number, F_GETFD) < 0) (void)!open("/dev/null", number == STDIN_FILENO ? O_RDONLY : O_WRONLY);
}

/// Runs a program's body; errors become one message on standard error and the exit code of their kind.
template <class Body>
int guarded(Body const& body) {
  try {
    return static_cast<int>(body());
  } catch (aeth::Error const& error) {
    std::cerr << "error: " << error.what() << '\n';
    return static_cast<int>(error.code());
  } catch (std::bad_alloc const&) {
    std::cerr << "error: out of memory; use a smaller batch, sequence length or model\n";
  } catch (std::exception const& error) {
    std::cerr << "error: " << error.what() << '\n';
  }
  return static_cast<int>(aeth::ExitCode::failure);
}

/// Parses the command line; returns whether to go on, else `code` is what to exit with.
inline bool parse(CLI::App& app, int argc, char** argv, int& code) {
  try {
    app.parse(argc, argv);
    return true;
  } catch (CLI::ParseError const& error) {
    code = app.exit(error) == 0 ? 0 : static_cast<int>(aeth::ExitCode::usage);
    return false;
  }
}

inline std::atomic<bool> stop_requested{false};

/// Sets what the signals do that ask a program to end: Ctrl-C, SIGTERM, and a terminal that is closed unless nohup has the
/// program ignore that.
inline void on_end_signals(void (*handler)(int)) {
  std::signal(SIGINT, handler);
  std::signal(SIGTERM, handler);
  if (std::signal(SIGHUP, handler) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
}

/// The first such signal asks the training loop to save and return, the second ends the program.
inline void save_on_signal() {
  on_end_signals([](int signal) {
    if (!stop_requested.exchange(true)) return;
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  });
}

/// After the loop: signals end the program again.
inline void end_on_signal() {
  on_end_signals(SIG_DFL);
}

/// The C++ library headers of the newest compiler on this machine; empty if there are none where compilers
/// put them.
inline std::string cxx_headers() {
  int newest = 0;
  std::error_code error;
  for (auto const& entry : std::filesystem::directory_iterator("/usr/include/c++", error))
    newest = std::max(newest, std::atoi(entry.path().filename().c_str()));
  return newest > 0 ? aeth::text("/usr/include/c++/", newest) : std::string();
}

/// A single text as documents of about 8 KiB that end with a line, so that some can be held back for validation.
inline std::vector<aeth::data::Document> cut_in_parts(std::string_view text) {
  constexpr std::size_t size = 8192;
  std::vector<aeth::data::Document> parts;
  while (!text.empty()) {
    std::size_t const line = text.size() > size ? text.find('\n', size) : text.npos;
    std::size_t const end = line == text.npos ? text.size() : line + 1;
    parts.push_back({aeth::text("part ", parts.size() + 1), std::string(text.substr(0, end))});
    text.remove_prefix(end);
  }
  return parts;
}

/// The text as one word of a shell's command line.
inline std::string shell_quoted(std::string_view text) {
  std::string word = "'";
  for (char const c : text) {
    if (c == '\'')
      word += "'\\''";
    else
      word += c;
  }
  return word + "'";
}

/// Bytes that `command` (reading standard input) makes of a file; 0 if the command is not there.
inline double compressed_size(std::string const& command, std::string const& path) {
  std::string const line = "command -v " + command.substr(0, command.find(' ')) + " >/dev/null && " +
                           command + " < " + shell_quoted(path) + " | wc -c";
  FILE* const pipe = popen(line.c_str(), "r");
  if (!pipe) return 0.0;
  std::array<char, 64> digits{};
  bool const read = std::fgets(digits.data(), static_cast<int>(digits.size()), pipe) != nullptr;
  pclose(pipe);
  return read ? std::atof(digits.data()) : 0.0;
}

}  // namespace console
