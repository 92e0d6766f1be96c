// not self-contained: included by backend/cpu/kernels.hpp once, inside the namespace of the scalar level.
//
// Sixteen lanes as plain loops: the twin of the vector levels on machines without them, and the only level
// for double.

/// Sixteen numbers that every level treats alike: the same operations in the same order give the same bits.
/// max and min return their second operand when either is NaN, as the vector instructions do.
template <class T>
struct Lanes {
  using Scalar = T;
  /// Rows of a matrix-product tile, and vectors in each of them, that registers can hold.
  static constexpr unsigned tile_rows = 2, tile_vectors = 1;
  T v[16];

  static Lanes set(T value) {
    Lanes r;
    for (T& x : r.v) x = value;
    return r;
  }
  static Lanes load(T const* from) {
    Lanes r;
    for (int i = 0; i < 16; ++i) r.v[i] = from[i];
    return r;
  }
  static Lanes load(T const* from, Index n) {
    Lanes r;
    for (int i = 0; i < 16; ++i) r.v[i] = i < n ? from[i] : T(0);
    return r;
  }
  static Lanes load(bf16 const* from) {
    Lanes r;
    for (int i = 0; i < 16; ++i) r.v[i] = static_cast<float>(from[i]);
    return r;
  }
  void store(bf16* to) const {
    for (int i = 0; i < 16; ++i) to[i] = bf16(static_cast<float>(v[i]));
  }
  /// Whatever bits the lanes hold.
  static Lanes load_words(void const* from) {
    Lanes r;
    std::memcpy(r.v, from, sizeof r.v);
    return r;
  }
  void store_words(void* to) const { std::memcpy(to, v, sizeof v); }
  void store(T* to) const {
    for (int i = 0; i < 16; ++i) to[i] = v[i];
  }
  void store(T* to, Index n) const {
    for (int i = 0; i < 16; ++i)
      if (i < n) to[i] = v[i];
  }
  friend Lanes operator+(Lanes a, Lanes b) {
    for (int i = 0; i < 16; ++i) a.v[i] += b.v[i];
    return a;
  }
  friend Lanes operator-(Lanes a, Lanes b) {
    for (int i = 0; i < 16; ++i) a.v[i] -= b.v[i];
    return a;
  }
  friend Lanes operator*(Lanes a, Lanes b) {
    for (int i = 0; i < 16; ++i) a.v[i] *= b.v[i];
    return a;
  }
  friend Lanes operator/(Lanes a, Lanes b) {
    for (int i = 0; i < 16; ++i) a.v[i] /= b.v[i];
    return a;
  }
  /// a · b + c, rounded once. For double, the type of the oracle, bits are no promise and speed is welcome.
  friend Lanes fma(Lanes a, Lanes b, Lanes c) {
    for (int i = 0; i < 16; ++i) {
      if constexpr (sizeof(T) == 8)
        c.v[i] += a.v[i] * b.v[i];
      else
        c.v[i] = std::fma(a.v[i], b.v[i], c.v[i]);
    }
    return c;
  }
  friend Lanes sqrt(Lanes a) {
    for (T& x : a.v) x = std::sqrt(x);
    return a;
  }
  friend Lanes abs(Lanes a) {
    for (T& x : a.v) x = std::fabs(x);
    return a;
  }
  /// Each number without what it has behind the point.
  friend Lanes toward_zero(Lanes a) {
    for (T& x : a.v) x = std::trunc(x);
    return a;
  }
  /// test[i] < bound[i] ? yes[i] : no[i]
  friend Lanes select_less(Lanes test, Lanes bound, Lanes yes, Lanes no) {
    for (int i = 0; i < 16; ++i) no.v[i] = test.v[i] < bound.v[i] ? yes.v[i] : no.v[i];
    return no;
  }
  /// (v1, v0, v3, v2, …)
  friend Lanes swap_pairs(Lanes a) {
    for (int i = 0; i < 16; i += 2) std::swap(a.v[i], a.v[i + 1]);
    return a;
  }
  /// a · 2ⁿ for whole n in [-126, 127]; NaN where both are
  friend Lanes scale_by_power(Lanes a, Lanes n) {
    for (int i = 0; i < 16; ++i) {
      std::int32_t const power = n.v[i] >= T(-126) ? static_cast<std::int32_t>(n.v[i]) : 0;
      a.v[i] *= std::bit_cast<float>((power + 127) << 23);
    }
    return a;
  }
  /// Sum in the fixed tree (i, i+8), (i, i+4), (i, i+2), (i, i+1).
  friend T reduce_add(Lanes a) {
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
    return a.v[0];
  }
};

template <class T>
inline Lanes<T>(max)(Lanes<T> a, Lanes<T> b) {
  for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}

template <class T>
inline Lanes<T>(min)(Lanes<T> a, Lanes<T> b) {
  for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}

/// The larger of two magnitudes, whose sign bits are clear, as whole numbers: what is not finite is larger than all that is.
inline Lanes<float> max_magnitude(Lanes<float> a, Lanes<float> b) {
  for (int i = 0; i < 16; ++i)
    if (std::bit_cast<std::uint32_t>(a.v[i]) < std::bit_cast<std::uint32_t>(b.v[i])) a.v[i] = b.v[i];
  return a;
}
/// The largest of all lanes in that sense.
inline float reduce_max_magnitude(Lanes<float> a) {
  std::uint32_t most = 0;
  for (float const x : a.v) most = (aeth::max)(most, std::bit_cast<std::uint32_t>(x));
  return std::bit_cast<float>(most);
}
/// Thirty-two numbers, each of which BF16 has or is a quiet NaN.
inline void store_exact(Lanes<float> first, Lanes<float> second, bf16* to) {
  first.store(to);
  second.store(to + 16);
}

/// Swaps lane i + D of a with lane i of b for every i without bit D.
template <int D, class T>
inline void exchange(Lanes<T>& a, Lanes<T>& b) {
  for (int i = 0; i < 16; ++i)
    if ((i & D) == 0) std::swap(a.v[i + D], b.v[i]);
}

using F32 = Lanes<float>;

/// Sixteen pairs (low, high), rounded to BF16.
inline void interleave(F32 low, F32 high, bf16* to) {
  for (int i = 0; i < 16; ++i) {
    to[2 * i] = bf16(low.v[i]);
    to[2 * i + 1] = bf16(high.v[i]);
  }
}
inline void interleave(bf16 const* low, bf16 const* high, bf16* to) {
  for (int i = 0; i < 16; ++i) {
    to[2 * i] = low[i];
    to[2 * i + 1] = high[i];
  }
}

/// The powers of two of each lane: 2^e where |a| is in [2^e, 2^(e+1)); 0 for subnormal numbers.
inline F32 power_of_two_below(F32 a) {
  for (float& x : a.v) x = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0x7F800000u);
  return a;
}

/// Codes of sixteen numbers that E4M3 has.
inline void store_codes(F32 a, e4m3* to) {
  for (int i = 0; i < 16; ++i) to[i] = e4m3(a.v[i]);
}
/// One group of codes of a packed panel (see f8_group), none of them NaN, as BF16 in the order of a BF16 panel.
inline void widen_codes(e4m3 const* from, bf16* to) {
  for (Index i = 0; i < f8_group; ++i) to[i] = bf16(static_cast<float>(from[f8_place(i)]));
}

/// x, or a zero of its sign if it is subnormal.
inline float flushed(float x) {
  return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x;
}
/// a · b + c, rounded once, with subnormal operands and results counting as zero. Whether a result is subnormal is
/// decided after rounding to 24 bits, however small the number: one that rounds up to 2^-126 only with the spacing
/// of subnormal numbers is. The product is exact in double.
inline float flushing_fma(float a, float b, float c) {
  a = flushed(a);
  b = flushed(b);
  c = flushed(c);
  float const sum = flushed(std::fma(a, b, c));
  if (std::fabs(sum) != 0x1p-126f) return sum;
  double const x = static_cast<double>(a) * static_cast<double>(b), y = static_cast<double>(c), total = x + y;
  double const part = total - x, lost = (x - (total - part)) + (y - part);
  constexpr double least = 0x1p-126 - 0x1p-151;
  double const size = std::fabs(total), error = total < 0 ? -lost : lost;
  return size < least || (size == least && error < 0) ? std::copysign(0.0f, sum) : sum;
}

/// The definition of a promotion, see detail/kernels_f8.hpp, on machines that have no FlushSubnormals too.
inline F32 promoted(F32 part, F32 a, F32 b, F32 sum) {
  for (int i = 0; i < 16; ++i)
    sum.v[i] = flushing_fma(part.v[i], flushing_fma(a.v[i], b.v[i], 0.0f), sum.v[i]);
  return sum;
}

/// Products of BF16 pairs: the definition of what the dot-product instruction computes.
struct PairProduct {
  using Sum = F32;
  using Left = bf16;
  static constexpr Index step = 2;
  static constexpr unsigned rows = 2, vectors = 1;
  struct Pairs {
    F32 even, odd;
  };
  static Pairs left(bf16 const* a) {
    return {F32::set(static_cast<float>(a[0])), F32::set(static_cast<float>(a[1]))};
  }
  static Pairs right(bf16 const* b) {
    Pairs r;
    for (int i = 0; i < 16; ++i) {
      r.even.v[i] = static_cast<float>(b[2 * i]);
      r.odd.v[i] = static_cast<float>(b[2 * i + 1]);
    }
    return r;
  }
  /// The pairs of 32 columns in two vectors.
  static void right(e4m3 const* b, Pairs (&pairs)[2]) {
    bf16 wide[f8_group];
    widen_codes(b, wide);
    pairs[0] = right(wide);
    pairs[1] = right(wide + 32);
  }
  static F32 add(Pairs const& a, Pairs const& b, F32 sum) {
    for (int i = 0; i < 16; ++i)
      sum.v[i] = flushing_fma(a.even.v[i], b.even.v[i], flushing_fma(a.odd.v[i], b.odd.v[i], sum.v[i]));
    return sum;
  }
};
