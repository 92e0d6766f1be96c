/// Non-owning views of rows of numbers: what every operation takes and returns.
#pragma once

#include <type_traits>

#include "aeth/core/math.hpp"

namespace aeth {

/// A contiguous run of `size` elements. Trivially copyable; converts from T to T const.
template <class T>
struct VectorView {
  T* data = nullptr;
  Index size = 0;

  constexpr VectorView() = default;
  constexpr VectorView(T* first, Index count) : data(first), size(count) {}
  constexpr operator VectorView<T const>() const requires(!std::is_const_v<T>) { return {data, size}; }

  constexpr T& operator[](Index i) const { return data[i]; }
  constexpr VectorView slice(Index first, Index count) const { return {data + first, count}; }
  constexpr T* begin() const { return data; }
  constexpr T* end() const { return data + size; }
};

/// A row-major matrix whose rows are `stride` elements apart (stride >= cols). Trivially copyable; converts
/// from T to T const and never from one element type to another, so a BF16 tensor cannot slip into an FP32
/// role.
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;

  constexpr MatrixView() = default;
  constexpr MatrixView(T* first, Index row_count, Index col_count)
      : data(first), rows(row_count), cols(col_count), stride(col_count) {}
  constexpr MatrixView(T* first, Index row_count, Index col_count, Index row_stride)
      : data(first), rows(row_count), cols(col_count), stride(row_stride) {}
  constexpr operator MatrixView<T const>() const requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride};
  }

  constexpr T* row(Index i) const { return data + i * stride; }
  constexpr T& operator()(Index i, Index j) const { return data[i * stride + j]; }
  constexpr MatrixView row_slice(Index first, Index count) const {
    return {data + first * stride, count, cols, stride};
  }
  constexpr MatrixView col_slice(Index first, Index count) const {
    return {data + first, rows, count, stride};
  }
};

/// The read-only view, where a template argument is deduced and the implicit conversion is out of reach.
template <class T>
[[nodiscard]] constexpr MatrixView<T const> as_const(MatrixView<T> m) {
  return m;
}

}  // namespace aeth
