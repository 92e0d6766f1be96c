/// Owning memory: zeroed, aligned to a cache line at least, never resized behind a view's back.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "aeth/core/huge_pages.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/view.hpp"

namespace aeth {

/// Least alignment of a buffer, in bytes: one cache line, which is also one AVX-512 register.
inline constexpr std::size_t buffer_alignment = 64;

/// A fixed number of zero-initialised elements. Large ones lie on huge pages: products walk down columns of weights,
/// whose rows would otherwise each be on a page of their own.
///
/// Moves keep the address, so views into a moved buffer stay
/// valid.
template <class T>
  requires std::is_trivially_copyable_v<T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Index size) : size_(size) {
    if (size > 0) {
      data_ = static_cast<T*>(::operator new(bytes(), alignment()));
      advise_huge_pages(data_, bytes());
      clear();
    }
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() { ::operator delete(data_, alignment()); }

  void clear() noexcept {
    if (data_) std::memset(static_cast<void*>(data_), 0, bytes());
  }

  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] T const* data() const noexcept { return data_; }
  [[nodiscard]] Index size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] VectorView<T> view() noexcept { return {data_, size_}; }
  [[nodiscard]] VectorView<T const> view() const noexcept { return {data_, size_}; }
  T& operator[](Index i) noexcept { return data_[i]; }
  T const& operator[](Index i) const noexcept { return data_[i]; }

 private:
  [[nodiscard]] std::size_t bytes() const noexcept { return to_size(size_) * sizeof(T); }
  [[nodiscard]] std::align_val_t alignment() const noexcept {
    return std::align_val_t{bytes() >= huge_page ? huge_page : buffer_alignment};
  }

  T* data_ = nullptr;
  Index size_ = 0;
};

}  // namespace aeth
