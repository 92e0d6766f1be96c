/// Memory on pages of two mebibytes, where the system has them.
#pragma once

#include <cstddef>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace aeth {

inline constexpr std::size_t huge_page = std::size_t{1} << 21;

/// Asks for huge pages in memory that begins at a multiple of huge_page. Advice only: without it the memory is as
/// good, but slower where rows lie far apart or a disk fills it.
inline void advise_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(MADV_HUGEPAGE)
  if (bytes >= huge_page) (void)::madvise(memory, bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
}

}  // namespace aeth
