/// Numbers of a run as an event file of TensorBoard: TFRecord frames around Event messages of Protocol Buffers, of which only
/// scalars are written. TensorBoard finds files whose names contain "tfevents".
///
/// source   TensorFlow's core/lib/io/record_writer.h (frames, masked checksums), core/util/event.proto and
///          core/framework/summary.proto (field numbers)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/core/math.hpp"
#include "aeth/train/step_table.hpp"

namespace aeth::train {

namespace detail {

/// CRC-32C (Castagnoli): reflected polynomial 0x82F63B78, as in iSCSI.
[[nodiscard]] constexpr std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t crc = ~std::uint32_t{0};
  for (char const c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0u);
  }
  return ~crc;
}

/// A checksum that is stored beside what it is of.
[[nodiscard]] constexpr std::uint32_t masked_crc32c(std::string_view bytes) noexcept {
  std::uint32_t const crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <class Integer>
void append_little_endian(std::string& out, Integer value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> 8 * i & 0xFF);
}
inline void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}
/// Field of wire type 2: a text or another message.
inline void append_field(std::string& out, unsigned field, std::string_view content) {
  append_varint(out, field << 3 | 2);
  append_varint(out, content.size());
  out += content;
}

/// length, its checksum, content, its checksum
[[nodiscard]] inline std::string framed(std::string_view content) {
  std::string length;
  append_little_endian(length, static_cast<std::uint64_t>(content.size()));
  std::string out = length;
  append_little_endian(out, masked_crc32c(length));
  out += content;
  append_little_endian(out, masked_crc32c(content));
  return out;
}

/// Event{wall_time = 1, step = 2, file_version = 3 or summary = 5}
[[nodiscard]] inline std::string event_message(double seconds, Index step, unsigned field,
                                               std::string_view content) {
  std::string out(1, static_cast<char>(1 << 3 | 1));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &seconds, sizeof bits);
  append_little_endian(out, bits);
  append_varint(out, 2 << 3);
  append_varint(out, static_cast<std::uint64_t>(step));
  append_field(out, field, content);
  return out;
}

}  // namespace detail

/// All columns of a table as scalars; numbers that are missing are left out. The time of a row is `begin` plus its element of
/// `seconds`, if there is one.
///
/// begin   seconds since 1970
[[nodiscard]] inline std::string tensorboard_events(StepTable const& table,
                                                    std::vector<double> const* seconds = nullptr,
                                                    double begin = 0.0) {
  std::string out = detail::framed(detail::event_message(begin, 0, 3, "brain.Event:2"));
  for (std::size_t row = 0; row < table.steps.size(); ++row) {
    std::string summary;
    for (std::size_t i = 0; i < table.names.size(); ++i) {
      double const value = table.columns[i][row];
      if (!(value == value)) continue;
      // Summary{value = 1}, Value{tag = 1, simple_value = 2 of wire type 5}
      std::string entry;
      detail::append_field(entry, 1, table.names[i]);
      entry += static_cast<char>(2 << 3 | 5);
      float const narrow = static_cast<float>(value);
      std::uint32_t bits = 0;
      std::memcpy(&bits, &narrow, sizeof bits);
      detail::append_little_endian(entry, bits);
      detail::append_field(summary, 1, entry);
    }
    if (summary.empty()) continue;
    double const time = begin + (seconds && row < seconds->size() ? (*seconds)[row] : 0.0);
    out += detail::framed(detail::event_message(time, static_cast<Index>(table.steps[row]), 5, summary));
  }
  return out;
}

}  // namespace aeth::train
