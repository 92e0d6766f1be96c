// not self-contained: included by backend/cpu/kernels.hpp once, inside the namespace and target region of
// AVX-512 with its BF16 instructions. Only products of BF16 operands are compiled for this level.

using avx512::copy_rows;
using avx512::for_lanes;
using avx512::load_lanes;
using avx512::store_lanes;
using avx512::store_pairs;

/// Products of BF16 pairs by the instruction that is made for them.
struct PairProduct {
  using Sum = avx512::F32;
  static constexpr Index step = 2;
  static constexpr unsigned rows = 6, vectors = 4;
  static __m512i left(bf16 const* a) {
    int pair;
    std::memcpy(&pair, a, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
  static __m512i right(bf16 const* b) { return _mm512_loadu_si512(b); }
  static __m512i right(e4m3 const* b) { return avx512::widened_codes(b); }
  static avx512::F32 add(__m512i a, __m512i b, avx512::F32 sum) {
    return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b))};
  }
};
