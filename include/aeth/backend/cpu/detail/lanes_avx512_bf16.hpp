// not self-contained: included by backend/cpu/kernels.hpp once, inside the namespace and target region of
// AVX-512 with its BF16 instructions. Only products of BF16 operands are compiled for this level.

using avx512::copy_rows;
using avx512::for_lanes;
using avx512::load_lanes;
using avx512::store_lanes;
using avx512::store_pairs;

/// BF16 of each code without its sign, upper and lower bytes.
struct CodeBytes {
  std::uint8_t upper[128], lower[128];
};
inline constexpr CodeBytes code_bytes() {
  CodeBytes bytes{};
  for (unsigned c = 0; c < 128; ++c) {
    e4m3 code;
    code.bits = static_cast<std::uint8_t>(c);
    std::uint16_t const wide = bf16(static_cast<float>(code)).bits;
    bytes.upper[c] = static_cast<std::uint8_t>(wide >> 8);
    bytes.lower[c] = static_cast<std::uint8_t>(wide & 0xFF);
  }
  return bytes;
}

/// Both bytes of each number from a table, as AVX-512 VBMI can.
inline void widened_codes(e4m3 const* from, __m512i (&to)[2]) {
  static constexpr CodeBytes table = code_bytes();
  constexpr __mmask64 all = ~__mmask64{0};
  __m512i const code = _mm512_loadu_si512(from);
  __m512i const lower = _mm512_maskz_permutex2var_epi8(all, _mm512_loadu_si512(table.lower), code,
                                                       _mm512_loadu_si512(table.lower + 64));
  __m512i const size = _mm512_maskz_permutex2var_epi8(all, _mm512_loadu_si512(table.upper), code,
                                                      _mm512_loadu_si512(table.upper + 64));
  // size | code & 0x80
  __m512i const upper = _mm512_ternarylogic_epi32(size, code, _mm512_set1_epi8(-0x80), 0xF8);
  to[0] = _mm512_maskz_unpacklo_epi8(all, lower, upper);
  to[1] = _mm512_maskz_unpackhi_epi8(all, lower, upper);
}
inline void widen_codes(e4m3 const* from, bf16* to) {
  __m512i wide[2];
  widened_codes(from, wide);
  _mm512_storeu_si512(to, wide[0]);
  _mm512_storeu_si512(to + 32, wide[1]);
}

/// Products of BF16 pairs by the instruction that is made for them.
struct PairProduct {
  using Sum = avx512::F32;
  using Left = bf16;
  static constexpr Index step = 2;
  static constexpr unsigned rows = 6, vectors = 4;
  static __m512i left(bf16 const* a) {
    int pair;
    std::memcpy(&pair, a, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
  static __m512i right(bf16 const* b) { return _mm512_loadu_si512(b); }
  static void right(e4m3 const* b, __m512i (&pairs)[2]) { widened_codes(b, pairs); }
  static avx512::F32 add(__m512i a, __m512i b, avx512::F32 sum) {
    return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b))};
  }
};
