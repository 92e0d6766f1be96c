/// Reads the reference model's weights, outputs and gradients from tests/golden/data.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace aeth::test {

/// Tensors of a safetensors file as doubles; integers are exact below 2^53.
class TensorFile {
 public:
  explicit TensorFile(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot open " + path);
    std::string const bytes((std::istreambuf_iterator<char>(file)), {});
    std::uint64_t header_size = 0;
    std::memcpy(&header_size, bytes.data(), 8);
    auto const header = nlohmann::json::parse(bytes.substr(8, header_size));
    for (auto const& [name, entry] : header.items()) {
      if (name == "__metadata__") continue;
      char const* const data = bytes.data() + 8 + header_size + entry["data_offsets"][0].get<std::size_t>();
      std::size_t count = 1;
      for (auto const& extent : entry["shape"]) {
        count *= extent.get<std::size_t>();
        shapes_[name].push_back(extent.get<std::size_t>());
      }
      auto& values = tensors_[name];
      values.resize(count);
      for (std::size_t i = 0; i < count; ++i) {
        if (entry["dtype"] == "F32") {
          float value;
          std::memcpy(&value, data + 4 * i, 4);
          values[i] = static_cast<double>(value);
        } else {
          std::int64_t value;
          std::memcpy(&value, data + 8 * i, 8);
          values[i] = static_cast<double>(value);
        }
      }
    }
  }

  [[nodiscard]] bool has(std::string const& name) const { return tensors_.count(name) != 0; }
  [[nodiscard]] std::vector<double> const& operator[](std::string const& name) const {
    auto const found = tensors_.find(name);
    if (found == tensors_.end()) throw std::runtime_error("no tensor " + name);
    return found->second;
  }
  [[nodiscard]] std::vector<std::size_t> const& shape(std::string const& name) const { return shapes_.at(name); }
  [[nodiscard]] std::map<std::string, std::vector<double>> const& all() const { return tensors_; }

 private:
  std::map<std::string, std::vector<double>> tensors_;
  std::map<std::string, std::vector<std::size_t>> shapes_;
};

/// Largest |a − b| over the largest |b|.
template <class T>
double relative_difference(T const* a, std::vector<double> const& b) {
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    double const d = static_cast<double>(a[i]) - b[i];
    difference = d != d ? 1e300 : std::max(difference, d < 0 ? -d : d);
    largest = std::max(largest, b[i] < 0 ? -b[i] : b[i]);
  }
  return largest > 0 ? difference / largest : difference;
}

}  // namespace aeth::test
