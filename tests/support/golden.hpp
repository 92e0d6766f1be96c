/// Reads the reference model's weights, outputs and gradients from tests/golden/data.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "aeth/io/safetensors.hpp"

namespace aeth::test {

/// Tensors of a safetensors file as doubles; integers are exact below 2^53.
class TensorFile {
 public:
  explicit TensorFile(std::string const& path) {
    io::SafetensorsFile const file(path);
    for (io::TensorEntry const& tensor : file.tensors()) {
      auto& values = tensors_[tensor.name];
      if (tensor.dtype == io::DType::i64)
        for (std::int64_t const value : io::values_of<std::int64_t>(tensor))
          values.push_back(static_cast<double>(value));
      else
        values = io::values_of<double>(tensor);
      shapes_[tensor.name].assign(tensor.shape.begin(), tensor.shape.end());
    }
  }

  [[nodiscard]] bool has(std::string const& name) const { return tensors_.count(name) != 0; }
  [[nodiscard]] std::vector<double> const& operator[](std::string const& name) const {
    auto const found = tensors_.find(name);
    if (found == tensors_.end()) throw std::runtime_error("no tensor " + name);
    return found->second;
  }
  [[nodiscard]] std::vector<std::size_t> const& shape(std::string const& name) const {
    return shapes_.at(name);
  }
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
