/// The header of a safetensors file: JSON that is checked while it is parsed, so that damage costs neither
/// time nor memory beyond the header's own size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "aeth/io/safetensors_error.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// Longest header in bytes; the format's own limit.
inline constexpr std::uint64_t max_safetensors_header = 100'000'000;
/// Most tensors of a file: ten times those of DeepSeek-V3's 671 billion parameters.
inline constexpr std::size_t max_safetensors_tensors = 1'000'000;
/// Most extents of a tensor, and longest name in bytes.
inline constexpr std::size_t max_safetensors_rank = 32, max_safetensors_name = 4096;

}  // namespace aeth::io

namespace aeth::io::detail {

inline constexpr std::string_view damaged = "; the file is damaged or incomplete, copy or write it again";

/// A tensor with the place of its bytes behind the header.
struct HeaderTensor {
  std::string name;
  DType dtype = DType::f32;
  TensorShape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Takes the parser's events and keeps tensors and notes; throws at the first event out of place.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view file) : file_(file) {}

  [[nodiscard]] std::vector<HeaderTensor>& tensors() noexcept { return tensors_; }
  [[nodiscard]] Metadata& metadata() noexcept { return metadata_; }

  template <class... Parts>
  [[noreturn]] void fail(SafetensorsFault fault, Parts const&... parts) const {
    throw SafetensorsError(fault, text(file_, ": ", name_of(fault), ": ", parts..., damaged));
  }

  // The interface that nlohmann::json::sax_parse wants.
  bool null() { unexpected("null"); }
  bool boolean(bool) { unexpected("true or false"); }
  bool number_integer(std::int64_t value) { unexpected(text("the negative number ", value)); }
  bool number_float(double, std::string const& spelled) {
    unexpected(text("the number ", in_quotes(spelled), ", not a whole number below 2^64"));
  }
  bool binary(std::vector<std::uint8_t>&) { unexpected("binary data"); }

  bool number_unsigned(std::uint64_t value) {
    if (!in_list_) unexpected(text("the number ", value));
    if (field_ == shape) {
      auto& extents = tensors_.back().shape;
      if (extents.size() == max_safetensors_rank)
        fail(SafetensorsFault::over_limit, where(), " has more than ", max_safetensors_rank, " extents");
      if (value > static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()))
        fail(SafetensorsFault::overflow, where(), " has an extent of ", value, ", more than 2^63 - 1");
      extents.push_back(value);
    } else {
      if (offsets_ == 2) fail(SafetensorsFault::bad_entry, where(), " has more than two data_offsets");
      (offsets_++ == 0 ? tensors_.back().begin : tensors_.back().end) = value;
    }
    return true;
  }

  bool string(std::string& value) {
    if (level_ == Level::metadata) {
      if (!metadata_.emplace(note_, std::move(value)).second)
        fail(SafetensorsFault::duplicate, "__metadata__ has the key ", in_quotes(note_), " twice");
      return true;
    }
    if (level_ != Level::tensor || in_list_ || field_ != dtype)
      unexpected(text("the text ", in_quotes(value)));
    auto const type = find_dtype(value);
    if (!type)
      fail(SafetensorsFault::unknown_dtype, where(), " has the element type ", in_quotes(value),
           ", which the format does not have");
    tensors_.back().dtype = *type;
    return true;
  }

  bool start_object(std::size_t) {
    if (level_ == Level::outside) {
      level_ = Level::root;
    } else if (level_ == Level::root) {
      level_ = next_is_metadata_ ? Level::metadata : Level::tensor;
      seen_ = 0;
      offsets_ = 0;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& name) {
    if (level_ == Level::metadata) {
      note_ = std::move(name);
      check_length(note_);
      return true;
    }
    if (level_ == Level::root) {
      check_length(name);
      next_is_metadata_ = name == "__metadata__";
      if (next_is_metadata_) {
        if (has_metadata_) fail(SafetensorsFault::duplicate, "the key __metadata__ is there twice");
        has_metadata_ = true;
      } else {
        if (tensors_.size() == max_safetensors_tensors)
          fail(SafetensorsFault::over_limit, "the header has more than ", max_safetensors_tensors,
               " tensors");
        tensors_.emplace_back().name = std::move(name);
      }
      return true;
    }
    field_ = name == "dtype" ? dtype : name == "shape" ? shape : name == "data_offsets" ? data_offsets : none;
    if (field_ == none) fail(SafetensorsFault::bad_entry, where(), " has the unknown key ", in_quotes(name));
    if ((seen_ & field_) != 0) fail(SafetensorsFault::duplicate, where(), " has the key ", name, " twice");
    seen_ |= field_;
    return true;
  }

  bool end_object() {
    if (level_ == Level::tensor) {
      if (seen_ != (dtype | shape | data_offsets))
        fail(SafetensorsFault::bad_entry, where(), " lacks ",
             (seen_ & dtype) == 0   ? "dtype"
             : (seen_ & shape) == 0 ? "shape"
                                    : "data_offsets");
      if (offsets_ != 2)
        fail(SafetensorsFault::bad_entry, where(), " has ", offsets_, " data_offsets, not 2");
    }
    level_ = level_ == Level::root ? Level::outside : Level::root;
    return true;
  }

  bool start_array(std::size_t) {
    if (level_ != Level::tensor || in_list_ || (field_ != shape && field_ != data_offsets))
      unexpected("a list");
    in_list_ = true;
    return true;
  }
  bool end_array() {
    in_list_ = false;
    return true;
  }

  template <class Exception>
  bool parse_error(std::size_t position, std::string const&, Exception const&) {
    fail(SafetensorsFault::bad_json, "the header is not JSON (or not UTF-8) at byte ", 7 + position,
         " of the file");
  }

 private:
  enum class Level { outside, root, metadata, tensor };
  enum Field : unsigned { none = 0, dtype = 1, shape = 2, data_offsets = 4 };

  [[nodiscard]] std::string where() const { return "tensor " + in_quotes(tensors_.back().name); }

  [[noreturn]] void unexpected(std::string const& what) const {
    switch (level_) {
      case Level::outside:
        fail(SafetensorsFault::bad_json, "the header begins with ", what, ", not with an object");
      case Level::root:
        if (!next_is_metadata_) fail(SafetensorsFault::bad_entry, where(), " is ", what, ", not an object");
        fail(SafetensorsFault::bad_entry, "__metadata__ is ", what, ", not an object");
      case Level::metadata:
        fail(SafetensorsFault::bad_entry, "__metadata__ ", in_quotes(note_), " is ", what, ", not text");
      default:
        fail(SafetensorsFault::bad_entry, where(), " has ", what, " in its ",
             field_ == dtype   ? "dtype"
             : field_ == shape ? "shape"
                               : "data_offsets");
    }
  }

  void check_length(std::string_view name) const {
    if (name.size() > max_safetensors_name)
      fail(SafetensorsFault::over_limit, "the name ", in_quotes(name), " has ", name.size(),
           " bytes, the limit is ", max_safetensors_name);
  }

  std::string_view file_;
  std::vector<HeaderTensor> tensors_;
  Metadata metadata_;
  Level level_ = Level::outside;
  Field field_ = none;
  unsigned seen_ = 0;  // fields of this tensor
  int offsets_ = 0;
  bool in_list_ = false;
  bool has_metadata_ = false;
  bool next_is_metadata_ = false;
  std::string note_;
};

}  // namespace aeth::io::detail
