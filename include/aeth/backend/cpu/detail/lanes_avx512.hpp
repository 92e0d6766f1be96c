// not self-contained: included by backend/cpu/kernels.hpp once, inside the namespace and target region of
// AVX-512.

inline __mmask16 lane_mask(Index n) {
  return static_cast<__mmask16>(n >= 16 ? 0xFFFFu : n <= 0 ? 0u : (1u << static_cast<unsigned>(n)) - 1u);
}

// g++ 12 warns of an uninitialised operand inside the unmasked forms of some intrinsics (GCC bug 105593); the
// masked forms compile to the same instructions. To be removed once g++ 12 is no longer supported.
inline constexpr __mmask16 all_lanes = 0xFFFF;

/// Sixteen floats in one register; see lanes_scalar.hpp for the meaning of each operation.
struct F32 {
  using Scalar = float;
  static constexpr unsigned tile_rows = 6, tile_vectors = 4;
  __m512 v;

  static F32 set(float value) { return {_mm512_set1_ps(value)}; }
  static F32 load(float const* from) { return {_mm512_loadu_ps(from)}; }
  static F32 load(float const* from, Index n) { return {_mm512_maskz_loadu_ps(lane_mask(n), from)}; }
  static F32 load(bf16 const* from) {
    __m512i const wide =
        _mm512_maskz_cvtepu16_epi32(all_lanes, _mm256_loadu_si256(reinterpret_cast<__m256i const*>(from)));
    return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(all_lanes, wide, 16))};
  }
  static F32 load_words(void const* from) { return {_mm512_loadu_ps(from)}; }
  /// bf16(float) in the upper half of each lane; the lower one is not cleared.
  [[nodiscard]] __m512i narrowed() const {
    __m512i const word = _mm512_castps_si512(v);
    __m512i const odd = _mm512_and_epi32(_mm512_maskz_srli_epi32(all_lanes, word, 16), _mm512_set1_epi32(1));
    __m512i const rounded = _mm512_add_epi32(word, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    return _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), word,
                                _mm512_set1_epi32(0x400000));
  }
  void store(bf16* to) const {
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to),
        _mm512_maskz_cvtepi32_epi16(all_lanes, _mm512_maskz_srli_epi32(all_lanes, narrowed(), 16)));
  }
  void store_words(void* to) const { _mm512_storeu_ps(to, v); }
  void store(float* to) const { _mm512_storeu_ps(to, v); }
  void store(float* to, Index n) const { _mm512_mask_storeu_ps(to, lane_mask(n), v); }
};

inline F32 operator+(F32 a, F32 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline F32 operator-(F32 a, F32 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline F32 operator*(F32 a, F32 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline F32 operator/(F32 a, F32 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline F32 fma(F32 a, F32 b, F32 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline F32(max)(F32 a, F32 b) {
  return {_mm512_maskz_max_ps(all_lanes, a.v, b.v)};
}
inline F32(min)(F32 a, F32 b) {
  return {_mm512_maskz_min_ps(all_lanes, a.v, b.v)};
}
inline F32 sqrt(F32 a) {
  return {_mm512_maskz_sqrt_ps(all_lanes, a.v)};
}
inline F32 abs(F32 a) {
  return {_mm512_maskz_andnot_ps(all_lanes, _mm512_set1_ps(-0.0f), a.v)};
}
// Without optimisation g++ 12 has a macro for it that converts the mask to a signed type. To be removed with the above.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
inline F32 toward_zero(F32 a) {
  return {_mm512_maskz_roundscale_ps(all_lanes, a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
}
#pragma GCC diagnostic pop
inline F32 select_less(F32 test, F32 bound, F32 yes, F32 no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(test.v, bound.v, _CMP_LT_OQ), no.v, yes.v)};
}
inline F32 swap_pairs(F32 a) {
  return {_mm512_maskz_permute_ps(all_lanes, a.v, 0xB1)};
}
inline F32 scale_by_power(F32 a, F32 n) {
  __m512i const exponent = _mm512_maskz_slli_epi32(
      all_lanes, _mm512_add_epi32(_mm512_maskz_cvttps_epi32(all_lanes, n.v), _mm512_set1_epi32(127)), 23);
  return {_mm512_mul_ps(a.v, _mm512_castsi512_ps(exponent))};
}
inline F32 max_magnitude(F32 a, F32 b) {
  return {_mm512_castsi512_ps(
      _mm512_maskz_max_epu32(all_lanes, _mm512_castps_si512(a.v), _mm512_castps_si512(b.v)))};
}
inline float reduce_max_magnitude(F32 a) {
  __m512i const all = _mm512_castps_si512(a.v);
  __m256i const eight = _mm256_max_epu32(_mm512_maskz_extracti32x8_epi32(0xFF, all, 0),
                                         _mm512_maskz_extracti32x8_epi32(0xFF, all, 1));
  __m128i const four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  __m128i const two = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epu32(two, _mm_shuffle_epi32(two, 0xB1))));
}
/// The upper halves of the words of two registers.
struct UpperHalves {
  std::uint16_t word[32];
};
inline constexpr UpperHalves upper_halves() {
  UpperHalves from{};
  for (unsigned i = 0; i < 32; ++i) from.word[i] = static_cast<std::uint16_t>(2 * i + 1);
  return from;
}
inline void store_exact(F32 first, F32 second, bf16* to) {
  static constexpr UpperHalves from = upper_halves();
  _mm512_storeu_si512(
      to, _mm512_maskz_permutex2var_epi16(0xFFFFFFFF, _mm512_castps_si512(first.v),
                                          _mm512_loadu_si512(from.word), _mm512_castps_si512(second.v)));
}
/// Lanes of two registers, those of the second from 16 on.
struct LaneIndices {
  int lane[16];
};
template <int D>
inline constexpr LaneIndices exchanged(bool second) {
  LaneIndices from{};
  for (int i = 0; i < 16; ++i)
    from.lane[i] = (i & D) == 0 ? (second ? i + D : i) : (second ? i + 16 : i + 16 - D);
  return from;
}
template <int D>
inline void exchange(F32& a, F32& b) {
  static constexpr LaneIndices first = exchanged<D>(false), second = exchanged<D>(true);
  __m512 const left = _mm512_maskz_permutex2var_ps(all_lanes, a.v, _mm512_loadu_si512(first.lane), b.v);
  b.v = _mm512_maskz_permutex2var_ps(all_lanes, a.v, _mm512_loadu_si512(second.lane), b.v);
  a.v = left;
}
inline float reduce_add(F32 a) {
  __m256 const eight =
      _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, a.v, 0), _mm512_maskz_extractf32x8_ps(0xFF, a.v, 1));
  __m128 const four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 const two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/// Sixteen pairs (low, high), rounded to BF16.
inline void interleave(F32 low, F32 high, bf16* to) {
  __m512i const upper = _mm512_and_epi32(high.narrowed(), _mm512_set1_epi32(-0x10000));
  _mm512_storeu_si512(to, _mm512_or_epi32(_mm512_maskz_srli_epi32(all_lanes, low.narrowed(), 16), upper));
}
inline void interleave(bf16 const* low, bf16 const* high, bf16* to) {
  __m512i const first =
      _mm512_maskz_cvtepu16_epi32(all_lanes, _mm256_loadu_si256(reinterpret_cast<__m256i const*>(low)));
  __m512i const second =
      _mm512_maskz_cvtepu16_epi32(all_lanes, _mm256_loadu_si256(reinterpret_cast<__m256i const*>(high)));
  _mm512_storeu_si512(to, _mm512_or_epi32(first, _mm512_maskz_slli_epi32(all_lanes, second, 16)));
}

inline F32 power_of_two_below(F32 a) {
  return {_mm512_maskz_and_ps(all_lanes, a.v, _mm512_castsi512_ps(_mm512_set1_epi32(0x7F800000)))};
}

inline void store_codes(F32 a, e4m3* to) {
  __m512i const word = _mm512_castps_si512(a.v), size = _mm512_and_epi32(word, _mm512_set1_epi32(0x7FFFFFFF));
  // As in e4m3's constructor: below 2^-6 codes count units of 2^-9.
  __m512i const tiny = _mm512_sub_epi32(
      _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(size), _mm512_set1_ps(16384.0f))),
      _mm512_set1_epi32(0x46800000));
  __m512i const large = _mm512_maskz_min_epu32(
      all_lanes, _mm512_sub_epi32(_mm512_maskz_srli_epi32(all_lanes, size, 20), _mm512_set1_epi32(120 << 3)),
      _mm512_set1_epi32(0x7F));
  __mmask16 const is_tiny = _mm512_cmp_epi32_mask(size, _mm512_set1_epi32(0x3C800000), _MM_CMPINT_LT);
  __m512i const sign =
      _mm512_and_epi32(_mm512_maskz_srli_epi32(all_lanes, word, 24), _mm512_set1_epi32(0x80));
  __m512i const code = _mm512_or_epi32(_mm512_mask_blend_epi32(is_tiny, large, tiny), sign);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(all_lanes, code));
}
/// Thirty-two words that hold a code in both bytes, as BF16.
inline __m512i widened_words(__m512i twice) {
  // The eight subnormal magnitudes as BF16.
  static constexpr std::uint16_t subnormals[32] = {0, 0x3B00, 0x3B80, 0x3BC0, 0x3C00, 0x3C20, 0x3C40, 0x3C60};
  constexpr __mmask32 all = 0xFFFFFFFF;
  __m512i const size = _mm512_and_si512(twice, _mm512_set1_epi16(0x7F));
  __m512i const normal = _mm512_add_epi16(_mm512_maskz_slli_epi16(all, size, 4), _mm512_set1_epi16(120 << 7));
  __mmask32 const is_tiny = _mm512_cmp_epi16_mask(size, _mm512_set1_epi16(8), _MM_CMPINT_LT);
  __m512i const value = _mm512_mask_permutexvar_epi16(normal, is_tiny, size, _mm512_loadu_si512(subnormals));
  return _mm512_or_si512(value, _mm512_and_si512(twice, _mm512_set1_epi16(-0x8000)));
}
inline void widened_codes(e4m3 const* from, __m512i (&to)[2]) {
  __m512i const code = _mm512_loadu_si512(from);
  constexpr __mmask64 all = ~__mmask64{0};
  to[0] = widened_words(_mm512_maskz_unpacklo_epi8(all, code, code));
  to[1] = widened_words(_mm512_maskz_unpackhi_epi8(all, code, code));
}
inline void widen_codes(e4m3 const* from, bf16* to) {
  __m512i wide[2];
  widened_codes(from, wide);
  _mm512_storeu_si512(to, wide[0]);
  _mm512_storeu_si512(to + 32, wide[1]);
}

/// Products of BF16 pairs without an instruction for them: for use where subnormal numbers count as zero.
struct PairProduct {
  using Sum = F32;
  using Left = float;
  static constexpr Index step = 2;
  static constexpr unsigned rows = 6, vectors = 2;
  struct Pairs {
    __m512 even, odd;
  };
  static Pairs split(__m512i pairs) {
    return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(all_lanes, pairs, 16)),
            _mm512_castsi512_ps(_mm512_and_epi32(pairs, _mm512_set1_epi32(-0x10000)))};
  }
  static Pairs left(bf16 const* a) {
    int pair;
    std::memcpy(&pair, a, sizeof pair);
    return split(_mm512_set1_epi32(pair));
  }
  /// The same of numbers that are widened already: two loads, where splitting takes the place of multiply-adds.
  static Pairs left(float const* a) { return {_mm512_set1_ps(a[0]), _mm512_set1_ps(a[1])}; }
  static Pairs right(bf16 const* b) { return split(_mm512_loadu_si512(b)); }
  static void right(e4m3 const* b, Pairs (&pairs)[2]) {
    __m512i wide[2];
    widened_codes(b, wide);
    pairs[0] = split(wide[0]);
    pairs[1] = split(wide[1]);
  }
  static F32 add(Pairs a, Pairs b, F32 sum) {
    return {_mm512_fmadd_ps(a.even, b.even, _mm512_fmadd_ps(a.odd, b.odd, sum.v))};
  }
};
