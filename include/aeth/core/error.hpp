/// The errors that aeth throws. Each message says what happened, where, why, and what to do about it.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "aeth/core/text.hpp"

namespace aeth {

/// Process exit codes of the example programs: a script can tell a typing mistake from a bad file from a
/// diverged run.
enum class ExitCode : int {
  ok = 0,
  failure = 1,            ///< anything not listed below
  usage = 2,              ///< a command line or option that makes no sense
  data = 3,               ///< input text, tokenizer or data set
  numeric = 4,            ///< loss or gradients not finite
  interrupted_saved = 5,  ///< stopped by a signal, state saved
  storage = 6,            ///< a file that cannot be read or written, or a full disk
  config = 7,             ///< a model configuration, or a checkpoint of another one
};

/// Base of every exception of the library.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, std::string const& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// Two extents that must agree do not.
struct ShapeError : Error {
  explicit ShapeError(std::string const& message) : Error(ExitCode::failure, message) {}
};

/// An option outside its range, or options that contradict one another.
struct UsageError : Error {
  explicit UsageError(std::string const& message) : Error(ExitCode::usage, message) {}
};

/// A model configuration that breaks a rule, or a file made by another configuration.
struct ConfigError : Error {
  explicit ConfigError(std::string const& message) : Error(ExitCode::config, message) {}
};

/// Input text, tokens or a tokenizer that cannot be used.
struct DataError : Error {
  explicit DataError(std::string const& message) : Error(ExitCode::data, message) {}
};

/// A file that cannot be opened, read, written or understood.
struct IoError : Error {
  explicit IoError(std::string const& message) : Error(ExitCode::storage, message) {}
};

/// Loss or gradients that are not finite.
struct NumericError : Error {
  explicit NumericError(std::string const& message) : Error(ExitCode::numeric, message) {}
};

/// Throws E with the joined parts. Out of the way of the code that checks.
template <class E>
[[noreturn, gnu::cold, gnu::noinline]] void fail(std::initializer_list<TextPart> parts) {
  throw E(join(parts));
}

namespace detail {
/// One type per kind of part, so that most checks of the library share an instantiation of `fail_with`.
inline std::string_view message_part(std::string const& part) {
  return part;
}
inline std::string_view message_part(std::string_view part) {
  return part;
}
inline char const* message_part(char const* part) {
  return part;
}
template <class T>
auto message_part(T part) {
  if constexpr (std::same_as<T, bool> || std::same_as<T, char> || !std::integral<T>)
    return part;
  else if constexpr (std::is_signed_v<T>)
    return std::int64_t{part};
  else
    return std::uint64_t{part};
}

template <class E, class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail_with(Parts... parts) {
  fail<E>({TextPart(parts)...});
}
}  // namespace detail

/// Throws E with the joined parts unless the condition holds; parts are evaluated always, so keep them cheap.
template <class E, class... Parts>
void expect(bool condition, Parts const&... parts) {
  if (!condition) [[unlikely]]
    detail::fail_with<E>(detail::message_part(parts)...);
}

}  // namespace aeth
