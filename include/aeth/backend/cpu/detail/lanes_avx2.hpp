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
inline float reduce_add(F32 a) {
  __m256 const eight = _mm256_add_ps(a.low, a.high);
  __m128 const four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 const two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
