/// What readers of one JSON file share: members that must be there, messages with the file's name.
#pragma once

#include <string>
#include <string_view>

#include "aeth/core/error.hpp"
#include "aeth/core/text.hpp"
#include "aeth/io/json.hpp"

namespace aeth::data::detail {

using io::Json;

/// Base of the readers; all messages begin with the name of the file.
class JsonFile {
 public:
  explicit JsonFile(std::string_view name) : name_(name) {}

 protected:
  template <class... Parts>
  void require(bool condition, Parts const&... parts) const {
    if (!condition) throw DataError(text(name_, ": ", parts...));
  }

  /// Errors: as io::parse_json().
  [[nodiscard]] Json parse(std::string_view content) const {
    return io::parse_json<DataError>(content, name_);
  }

  [[nodiscard]] Json const& member(Json const& object, char const* key, char const* where) const {
    require(object.is_object(), where, " is a JSON ", object.type_name(), ", not an object");
    auto const found = object.find(key);
    require(found != object.end(), where, " has no '", key, "'; is this a tokenizer.json?");
    return *found;
  }

  [[nodiscard]] static bool is_null(Json const& object, char const* key) {
    auto const found = object.find(key);
    return found == object.end() || found->is_null();
  }
  /// A member that is true or false; `otherwise` where it is absent or null.
  [[nodiscard]] bool flag(Json const& object, char const* key, bool otherwise) const {
    if (is_null(object, key)) return otherwise;
    Json const& value = object[key];
    require(value.is_boolean(), key, " is a JSON ", value.type_name(), ", neither true nor false");
    return value.get<bool>();
  }
  [[nodiscard]] static std::string type_of(Json const& object) {
    if (!object.is_object()) return object.type_name();
    auto const found = object.find("type");
    return found != object.end() && found->is_string() ? found->get<std::string>().substr(0, 100) : "?";
  }

  std::string name_;
};

}  // namespace aeth::data::detail
