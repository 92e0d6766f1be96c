// not self-contained: included by backend/cpu/kernels.hpp once, inside the namespace and target region of
// AVX2.

inline __m256i lane_mask(Index n) {
  int const count = static_cast<int>(n < 0 ? 0 : n > 8 ? 8 : n);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256 scale_half(__m256 a, __m256 n) {
  __m256i const exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(a, _mm256_castsi256_ps(exponent));
}

inline __m256 widened(bf16 const* from) {
  __m128i const narrow = _mm_loadu_si128(reinterpret_cast<__m128i const*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}
/// The bits of bf16(float) in the upper half of each lane; the lower one is not cleared.
inline __m256i narrowed(__m256 v) {
  __m256i const word = _mm256_castps_si256(v);
  __m256i const odd = _mm256_and_si256(_mm256_srli_epi32(word, 16), _mm256_set1_epi32(1));
  __m256i const rounded = _mm256_add_epi32(word, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  __m256i const quiet = _mm256_or_si256(word, _mm256_set1_epi32(0x400000));
  __m256i const nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, quiet, nan);
}

/// Sixteen floats in two registers; see lanes_scalar.hpp for the meaning of each operation.
struct F32 {
  using Scalar = float;
  static constexpr unsigned tile_rows = 6, tile_vectors = 1;
  __m256 low, high;

  static F32 set(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  static F32 load(float const* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static F32 load(float const* from, Index n) {
    return {_mm256_maskload_ps(from, lane_mask(n)), _mm256_maskload_ps(from + 8, lane_mask(n - 8))};
  }
  static F32 load(bf16 const* from) { return {widened(from), widened(from + 8)}; }
  static F32 load_words(void const* from) { return load(static_cast<float const*>(from)); }
  void store_words(void* to) const { store(static_cast<float*>(to)); }
  void store(bf16* to) const {
    __m256i const both =
        _mm256_packus_epi32(_mm256_srli_epi32(narrowed(low), 16), _mm256_srli_epi32(narrowed(high), 16));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(both, 0xD8));
  }
  void store(float* to) const {
    _mm256_storeu_ps(to, low);
    _mm256_storeu_ps(to + 8, high);
  }
  void store(float* to, Index n) const {
    _mm256_maskstore_ps(to, lane_mask(n), low);
    _mm256_maskstore_ps(to + 8, lane_mask(n - 8), high);
  }
};

inline F32 operator+(F32 a, F32 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline F32 operator-(F32 a, F32 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline F32 operator*(F32 a, F32 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline F32 operator/(F32 a, F32 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline F32 fma(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline F32(max)(F32 a, F32 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline F32(min)(F32 a, F32 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline F32 sqrt(F32 a) {
  return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)};
}
inline F32 abs(F32 a) {
  __m256 const sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
inline F32 toward_zero(F32 a) {
  return {_mm256_round_ps(a.low, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC),
          _mm256_round_ps(a.high, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
}
inline F32 select_less(F32 test, F32 bound, F32 yes, F32 no) {
  return {_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(test.low, bound.low, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(test.high, bound.high, _CMP_LT_OQ))};
}
inline F32 swap_pairs(F32 a) {
  return {_mm256_permute_ps(a.low, 0xB1), _mm256_permute_ps(a.high, 0xB1)};
}
inline F32 scale_by_power(F32 a, F32 n) {
  return {scale_half(a.low, n.low), scale_half(a.high, n.high)};
}
inline F32 max_magnitude(F32 a, F32 b) {
  return {_mm256_castsi256_ps(_mm256_max_epu32(_mm256_castps_si256(a.low), _mm256_castps_si256(b.low))),
          _mm256_castsi256_ps(_mm256_max_epu32(_mm256_castps_si256(a.high), _mm256_castps_si256(b.high)))};
}
inline float reduce_max_magnitude(F32 a) {
  __m256i const eight = _mm256_max_epu32(_mm256_castps_si256(a.low), _mm256_castps_si256(a.high));
  __m128i const four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  __m128i const two = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epu32(two, _mm_shuffle_epi32(two, 0xB1))));
}
inline void store_exact_half(F32 a, bf16* to) {
  __m256i const both = _mm256_packus_epi32(_mm256_srli_epi32(_mm256_castps_si256(a.low), 16),
                                           _mm256_srli_epi32(_mm256_castps_si256(a.high), 16));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(both, 0xD8));
}
inline void store_exact(F32 first, F32 second, bf16* to) {
  store_exact_half(first, to);
  store_exact_half(second, to + 16);
}
template <int D>
inline void exchange_half(__m256& a, __m256& b) {
  __m256 const left = a;
  if constexpr (D == 4) {
    a = _mm256_permute2f128_ps(left, b, 0x20);
    b = _mm256_permute2f128_ps(left, b, 0x31);
  } else if constexpr (D == 2) {
    a = _mm256_shuffle_ps(left, b, 0x44);
    b = _mm256_shuffle_ps(left, b, 0xEE);
  } else {
    a = _mm256_blend_ps(left, _mm256_moveldup_ps(b), 0xAA);
    b = _mm256_blend_ps(_mm256_movehdup_ps(left), b, 0xAA);
  }
}
template <int D>
inline void exchange(F32& a, F32& b) {
  if constexpr (D == 8) {
    __m256 const high = a.high;
    a.high = b.low;
    b.low = high;
  } else {
    exchange_half<D>(a.low, b.low);
    exchange_half<D>(a.high, b.high);
  }
}
inline float reduce_add(F32 a) {
  __m256 const eight = _mm256_add_ps(a.low, a.high);
  __m128 const four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 const two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

inline void interleave_half(__m256i low, __m256i high, bf16* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_blend_epi16(low, high, 0xAA));
}
/// Sixteen pairs (low, high), rounded to BF16.
inline void interleave(F32 low, F32 high, bf16* to) {
  interleave_half(_mm256_srli_epi32(narrowed(low.low), 16), narrowed(high.low), to);
  interleave_half(_mm256_srli_epi32(narrowed(low.high), 16), narrowed(high.high), to + 16);
}
inline void interleave(bf16 const* low, bf16 const* high, bf16* to) {
  for (int half = 0; half < 16; half += 8)
    interleave_half(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(low + half))),
                    _mm256_castps_si256(widened(high + half)), to + 2 * half);
}

inline F32 power_of_two_below(F32 a) {
  __m256 const exponent = _mm256_castsi256_ps(_mm256_set1_epi32(0x7F800000));
  return {_mm256_and_ps(a.low, exponent), _mm256_and_ps(a.high, exponent)};
}

inline void store_half_codes(__m256 a, e4m3* to) {
  __m256i const word = _mm256_castps_si256(a), size = _mm256_and_si256(word, _mm256_set1_epi32(0x7FFFFFFF));
  // As in e4m3's constructor: below 2^-6 codes count units of 2^-9.
  __m256i const tiny = _mm256_sub_epi32(
      _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(size), _mm256_set1_ps(16384.0f))),
      _mm256_set1_epi32(0x46800000));
  __m256i const large = _mm256_min_epu32(
      _mm256_sub_epi32(_mm256_srli_epi32(size, 20), _mm256_set1_epi32(120 << 3)), _mm256_set1_epi32(0x7F));
  __m256i const is_tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x3C800000), size);
  __m256i const sign = _mm256_and_si256(_mm256_srli_epi32(word, 24), _mm256_set1_epi32(0x80));
  __m256i const code = _mm256_or_si256(_mm256_blendv_epi8(large, tiny, is_tiny), sign);
  __m128i const words = _mm_packus_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}
inline void store_codes(F32 a, e4m3* to) {
  store_half_codes(a.low, to);
  store_half_codes(a.high, to + 8);
}
/// Sixteen words that hold a code in both bytes, as BF16.
inline __m256i widened_words(__m256i twice) {
  // The eight subnormal magnitudes as BF16, lower and upper bytes.
  __m256i const lower = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 0, -128, -64, 0, 0x20, 0x40, 0x60, 0, 0, 0, 0, 0, 0, 0, 0));
  __m256i const upper = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 0x3B, 0x3B, 0x3B, 0x3C, 0x3C, 0x3C, 0x3C, 0, 0, 0, 0, 0, 0, 0, 0));
  __m256i const size = _mm256_and_si256(twice, _mm256_set1_epi16(0x7F));
  __m256i const normal = _mm256_add_epi16(_mm256_slli_epi16(size, 4), _mm256_set1_epi16(120 << 7));
  __m256i const subnormal = _mm256_or_si256(_mm256_shuffle_epi8(lower, size),
                                            _mm256_slli_epi16(_mm256_shuffle_epi8(upper, size), 8));
  __m256i const is_tiny = _mm256_cmpgt_epi16(_mm256_set1_epi16(8), size);
  __m256i const sign = _mm256_and_si256(twice, _mm256_set1_epi16(-0x8000));
  return _mm256_or_si256(_mm256_blendv_epi8(normal, subnormal, is_tiny), sign);
}
inline void widen_codes(e4m3 const* from, bf16* to) {
  for (Index half = 0; half < 32; half += 16) {
    __m256i const code = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(from + 2 * half));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + half),
                        widened_words(_mm256_unpacklo_epi8(code, code)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32 + half),
                        widened_words(_mm256_unpackhi_epi8(code, code)));
  }
}

/// Products of BF16 pairs without an instruction for them: for use where subnormal numbers count as zero.
struct PairProduct {
  using Sum = F32;
  using Left = float;
  static constexpr Index step = 2;
  static constexpr unsigned rows = 4, vectors = 1;
  struct Half {
    __m256 even, odd;
  };
  struct Pairs {
    Half low, high;
  };
  static Half split(__m256i pairs) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-0x10000)))};
  }
  static Half left(bf16 const* a) {
    int pair;
    std::memcpy(&pair, a, sizeof pair);
    return split(_mm256_set1_epi32(pair));
  }
  /// The same of numbers that are widened already: two loads, where splitting takes the place of multiply-adds.
  static Half left(float const* a) { return {_mm256_broadcast_ss(a), _mm256_broadcast_ss(a + 1)}; }
  static Pairs right(bf16 const* b) {
    auto const* const from = reinterpret_cast<__m256i const*>(b);
    return {split(_mm256_loadu_si256(from)), split(_mm256_loadu_si256(from + 1))};
  }
  static void right(e4m3 const* b, Pairs (&pairs)[2]) {
    bf16 wide[f8_group];
    widen_codes(b, wide);
    pairs[0] = right(wide);
    pairs[1] = right(wide + 32);
  }
  static F32 add(Half a, Pairs b, F32 sum) {
    return {_mm256_fmadd_ps(a.even, b.low.even, _mm256_fmadd_ps(a.odd, b.low.odd, sum.low)),
            _mm256_fmadd_ps(a.even, b.high.even, _mm256_fmadd_ps(a.odd, b.high.odd, sum.high))};
  }
};
