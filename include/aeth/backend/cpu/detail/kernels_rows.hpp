// not self-contained: included by backend/cpu/kernels.hpp once per SIMD level, inside that level's namespace.
//
// Row-wise kernels. Every multiply that feeds an add is an explicit fma: left to the compiler's flags, the
// choice of contracting them would change bits.

/// Calls body(i, n) for i = 0, 16, …; n = 16 but for the last, shorter step.
template <class Body>
inline void for_lanes(Index size, Body const& body) {
  Index i = 0;
  for (; i + 16 <= size; i += 16) body(i, Index{16});
  if (i < size) body(i, size - i);
}

template <class L>
inline L load_lanes(typename L::Scalar const* from, Index n) {
  return n == 16 ? L::load(from) : L::load(from, n);
}
template <class L>
inline void store_lanes(L value, typename L::Scalar* to, Index n) {
  if (n == 16)
    value.store(to);
  else
    value.store(to, n);
}
template <class L>
inline L load_lanes(bf16 const* from, Index n) {
  if (n == 16) return L::load(from);
  float wide[16] = {};
  for (Index i = 0; i < n; ++i) wide[i] = static_cast<float>(from[i]);
  return L::load(wide);
}
template <class L>
inline void store_lanes(L value, bf16* to, Index n) {
  if (n == 16) return value.store(to);
  float wide[16];
  value.store(wide);
  for (Index i = 0; i < n; ++i) to[i] = bf16(wide[i]);
}

template <int D, class L>
inline void exchange_all(L (&x)[16]) {
  AETH_UNROLL
  for (int i = 0; i < 16; ++i)
    if ((i & D) == 0) exchange<D>(x[i], x[i + D]);
}
template <class L>
inline void transpose_block(L (&x)[16]) {
  exchange_all<8>(x);
  exchange_all<4>(x);
  exchange_all<2>(x);
  exchange_all<1>(x);
}

/// to[j · to_stride + i] = from[i · from_stride + j] for i < rows, j < columns. Rows of `to` are written in whole
/// vectors of 16, with zeros after the last element.
template <class L, class X, class T = typename L::Scalar>
inline void transpose(T* to, Index to_stride, X const* from, Index from_stride, Index rows, Index columns) {
  for (Index i = 0; i < rows; i += 16)
    for (Index j = 0; j < columns; j += 16) {
      Index const height = (aeth::min)(Index{16}, rows - i), width = (aeth::min)(Index{16}, columns - j);
      X const* block = from + i * from_stride + j;
      Index stride = from_stride;
      X edge[16][16];
      if (height < 16 || width < 16) {
        for (Index r = 0; r < 16; ++r)
          for (Index c = 0; c < 16; ++c)
            edge[r][c] = r < height && c < width ? block[r * from_stride + c] : X();
        block = edge[0];
        stride = 16;
      }
      L x[16];
      for (Index r = 0; r < 16; ++r) x[r] = L::load(block + r * stride);
      transpose_block(x);
      for (Index c = 0; c < width; ++c) x[c].store(to + (j + c) * to_stride + i);
    }
}

/// to[2i], to[2i+1] = low[i], high[i] for i < size, rounded to BF16; anything up to whole vectors of sixteen pairs. A
/// null row stands for `pad`s.
template <class L, class X>
inline void store_pairs(X const* low, X const* high, Index size, bf16* to, bf16 pad) {
  Index i = 0;
  if constexpr (std::is_same_v<X, bf16>)
    if (low && high)
      for (; i + 16 <= size; i += 16) interleave(low + i, high + i, to + 2 * i);
  L const fill = L::set(static_cast<float>(pad));
  for (; i < size; i += 16) {
    Index const n = (aeth::min)(Index{16}, size - i);
    interleave(low ? load_lanes<L>(low + i, n) : fill, high ? load_lanes<L>(high + i, n) : fill, to + 2 * i);
  }
}

/// to[(j / 2 · to_stride + i) · 2 + j mod 2] = from[i · from_stride + j], rounded to BF16, for i < rows, j < columns.
/// Rows of pairs are written in whole vectors of 16, with zeros after the last element, as at an odd end of j.
template <class L, class X>
inline void transpose_pairs(bf16* to, Index to_stride, X const* from, Index from_stride, Index rows,
                            Index columns) {
  for (Index i = 0; i < rows; i += 16)
    for (Index j = 0; j < columns; j += 32) {
      alignas(64) bf16 lines[16][32] = {};
      for (Index r = 0; r < 16 && r < rows - i; ++r)
        for_lanes((aeth::min)(Index{32}, columns - j), [&](Index at, Index n) {
          store_lanes<L>(load_lanes<L>(from + (i + r) * from_stride + j + at, n), lines[r] + at, n);
        });
      L x[16];
      AETH_UNROLL
      for (int r = 0; r < 16; ++r) x[r] = L::load_words(lines[r]);
      transpose_block(x);
      Index const pairs = ceil_div(columns - j, Index{2});
      AETH_UNROLL
      for (int c = 0; c < 16; ++c)
        if (c < pairs) x[c].store_words(to + ((j / 2 + c) * to_stride + i) * 2);
    }
}

/// to[i, j] = from[i, j], widened or rounded.
template <class L, class Y, class X>
inline void copy_rows(Y* to, Index to_stride, X const* from, Index from_stride, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r, to += to_stride, from += from_stride)
    if constexpr (std::is_same_v<X, Y>)
      std::memcpy(to, from, to_size(columns) * sizeof(X));
    else
      for_lanes(columns, [=](Index j, Index n) { store_lanes<L>(load_lanes<L>(from + j, n), to + j, n); });
}

/// e^x. Relative error below 2^-22; 0 below -87.3; NaN stays NaN.
///
/// source   range reduction by ln 2 in two parts and a degree-6 polynomial, coefficients as in Cephes `expf`
template <class L>
inline L exponential(L x) {
  using T = typename L::Scalar;
  if constexpr (sizeof(T) == 8) {
    for (T& value : x.v) value = std::exp(value);
    return x;
  } else {
    L const low = L::set(-87.33654f);
    L const magic = L::set(12582912.0f);  // 1.5 · 2^23: adding it rounds to a whole number
    L const clamped = (max)(low, (min)(L::set(88.37626f), x));
    L const n = fma(clamped, L::set(1.44269504088896341f), magic) - magic;
    L const r = fma(n, L::set(2.12194440e-4f), fma(n, L::set(-0.693359375f), clamped));
    L p = L::set(1.9875691500e-4f);
    p = fma(p, r, L::set(1.3981999507e-3f));
    p = fma(p, r, L::set(8.3334519073e-3f));
    p = fma(p, r, L::set(4.1665795894e-2f));
    p = fma(p, r, L::set(1.6666665459e-1f));
    p = fma(p, r, L::set(5.0000001201e-1f));
    p = fma(p, r * r, r) + L::set(1.0f);
    return select_less(x, low, L::set(0.0f), scale_by_power(p, n));
  }
}

/// 1 / (1 + e^-x), without overflow on either side.
template <class L>
inline L sigmoid(L x) {
  using T = typename L::Scalar;
  L const zero = L::set(T(0)), one = L::set(T(1));
  L const e = exponential(zero - abs(x));
  return select_less(x, zero, e, one) / (one + e);
}

/// y += x
template <class L, class X, class T = typename L::Scalar>
inline void add(T* y, X const* x, Index size) {
  for_lanes(size, [=](Index i, Index n) {
    store_lanes<L>(load_lanes<L>(y + i, n) + load_lanes<L>(x + i, n), y + i, n);
  });
}

/// y += a · x
template <class L, class X, class T = typename L::Scalar>
inline void add_scaled(T* y, T a, X const* x, Index size) {
  for_lanes(size, [=](Index i, Index n) {
    store_lanes<L>(fma(L::set(a), load_lanes<L>(x + i, n), load_lanes<L>(y + i, n)), y + i, n);
  });
}

/// y = a · x
template <class L, class Y, class X, class T = typename L::Scalar>
inline void scale(Y* y, T a, X const* x, Index size) {
  for_lanes(size, [=](Index i, Index n) { store_lanes<L>(L::set(a) * load_lanes<L>(x + i, n), y + i, n); });
}

/// Σ x · y over 16 lanes and the fixed tree.
template <class L, class X, class Y, class T = typename L::Scalar>
inline T dot(X const* x, Y const* y, Index size) {
  L sum = L::set(T(0));
  for_lanes(size,
            [&](Index i, Index n) { sum = fma(load_lanes<L>(x + i, n), load_lanes<L>(y + i, n), sum); });
  return reduce_add(sum);
}

/// y = x · gain / rms(x); returns 1 / rms(x) = 1 / sqrt(mean(x²) + eps).
template <class L, class Y, class X, class T = typename L::Scalar>
inline T rms_norm(Y* y, X const* x, T const* gain, Index size, T eps) {
  T const inverse = T(1) / std::sqrt(dot<L>(x, x, size) / static_cast<T>(size) + eps);
  for_lanes(size, [=](Index i, Index n) {
    store_lanes<L>(load_lanes<L>(x + i, n) * L::set(inverse) * load_lanes<L>(gain + i, n), y + i, n);
  });
  return inverse;
}

/// dx (+)= inverse · (dy · gain − x · inverse² · mean(dy · gain · x))
template <class L, class DX, class X, class DY, class T = typename L::Scalar>
inline void rms_norm_backward(DX* dx, DY const* dy, X const* x, T const* gain, T inverse, Index size,
                              bool accumulate) {
  L sum = L::set(T(0));
  for_lanes(size, [&](Index i, Index n) {
    sum = fma(load_lanes<L>(dy + i, n) * load_lanes<L>(gain + i, n), load_lanes<L>(x + i, n), sum);
  });
  T const factor = T(0) - reduce_add(sum) / static_cast<T>(size) * inverse * inverse * inverse;
  for_lanes(size, [=](Index i, Index n) {
    L const direct = load_lanes<L>(dy + i, n) * load_lanes<L>(gain + i, n) * L::set(inverse);
    L const through_rms = fma(load_lanes<L>(x + i, n), L::set(factor), direct);
    store_lanes<L>(accumulate ? load_lanes<L>(dx + i, n) + through_rms : through_rms, dx + i, n);
  });
}

/// d_gain[j] += Σ_t dy[t,j] · x[t,j] · inverse[t] for `columns` columns, rows in order.
template <class L, class X, class DY, class T = typename L::Scalar>
inline void rms_norm_gain(T* d_gain, DY const* dy, Index dy_stride, X const* x, Index x_stride,
                          T const* inverse, Index rows, Index columns) {
  for_lanes(columns, [=](Index j, Index n) {
    L sum = load_lanes<L>(d_gain + j, n);
    for (Index t = 0; t < rows; ++t)
      sum = fma(load_lanes<L>(dy + t * dy_stride + j, n),
                load_lanes<L>(x + t * x_stride + j, n) * L::set(inverse[t]), sum);
    store_lanes<L>(sum, d_gain + j, n);
  });
}

/// Rotates adjacent pairs: y[2i] = x[2i]·cos − x[2i+1]·sin, y[2i+1] = x[2i]·sin + x[2i+1]·cos. y may be x.
/// cosine is (c0, c0, c1, c1, …), sine (−s0, s0, −s1, s1, …); direction −1 rotates back.
template <class L, class Y, class X, class T = typename L::Scalar>
inline void rotate(Y* y, X const* x, T const* cosine, T const* sine, T direction, Index size) {
  for_lanes(size, [=](Index i, Index n) {
    L const value = load_lanes<L>(x + i, n);
    L const across = swap_pairs(value) * (load_lanes<L>(sine + i, n) * L::set(direction));
    store_lanes<L>(fma(value, load_lanes<L>(cosine + i, n), across), y + i, n);
  });
}

/// y = silu(gate) · up, silu(x) = x · sigmoid(x)
template <class L, class Y, class X>
inline void swiglu(Y* y, X const* gate, X const* up, Index size) {
  for_lanes(size, [=](Index i, Index n) {
    L const g = load_lanes<L>(gate + i, n);
    store_lanes<L>(g * sigmoid(g) * load_lanes<L>(up + i, n), y + i, n);
  });
}

/// d_gate = dy · up · s · (1 + g · (1 − s)) and d_up = dy · silu(g), with s = sigmoid(g).
template <class L, class D, class X, class DY>
inline void swiglu_backward(D* d_gate, D* d_up, DY const* dy, X const* gate, X const* up, Index size) {
  using T = typename L::Scalar;
  for_lanes(size, [=](Index i, Index n) {
    L const g = load_lanes<L>(gate + i, n), d = load_lanes<L>(dy + i, n);
    L const s = sigmoid(g), one = L::set(T(1));
    L const slope = s * fma(g, one - s, one);
    L const d_g = d * load_lanes<L>(up + i, n) * slope;
    store_lanes<L>(d * (g * s), d_up + i, n);
    store_lanes<L>(d_g, d_gate + i, n);
  });
}

/// s = sigmoid(z)
template <class L, class T = typename L::Scalar>
inline void sigmoid_row(T* s, T const* z, Index size) {
  for_lanes(size, [=](Index i, Index n) { store_lanes<L>(sigmoid(load_lanes<L>(z + i, n)), s + i, n); });
}

/// Largest element. A NaN may get lost here; exponential_row then brings it back.
template <class L, class T = typename L::Scalar>
inline T largest(T const* x, Index size) {
  L top = L::set(x[0]);
  Index i = 0;
  for (; i + 16 <= size; i += 16) top = (max)(top, L::load(x + i));
  T lanes[16];
  top.store(lanes);
  for (; i < size; ++i) lanes[0] = lanes[0] > x[i] ? lanes[0] : x[i];
  for (int lane = 1; lane < 16; ++lane) lanes[0] = lanes[0] > lanes[lane] ? lanes[0] : lanes[lane];
  return lanes[0];
}

/// p = e^(scale · s − shift) for the first `size` elements, zeros up to `padded`; returns Σ p, before p is rounded to
/// X, over 16 lanes and the tree. p may be s. A masked tail adds zeros, so it changes no bit.
template <class L, class X, class T = typename L::Scalar>
inline T exponential_row(X* p, T const* s, Index size, Index padded, T scale, T shift) {
  L sum = L::set(T(0));
  L const factor = L::set(scale), offset = L::set(T(0) - shift);
  Index i = 0;
  for (; i + 16 <= size; i += 16) {
    L const e = exponential(fma(factor, L::load(s + i), offset));
    e.store(p + i);
    sum = sum + e;
  }
  if (i < size) {
    T tail[16] = {};
    exponential(fma(factor, L::load(s + i, size - i), offset)).store(tail, size - i);
    L const e = L::load(tail);
    store_lanes<L>(e, p + i, size - i);
    sum = sum + e;
    i = size;
  }
  for (; i < padded; ++i) p[i] = X();
  return reduce_add(sum);
}

/// Largest element of each of 16 columns: s [rows, 16] → top [16]. A NaN may get lost, as in `largest`.
template <class L, class T = typename L::Scalar>
inline void largest_lanes(T* top, T const* s, Index rows) {
  L most = L::load(s);
  for (Index r = 1; r < rows; ++r) most = (max)(most, L::load(s + r * 16));
  most.store(top);
}

/// p = e^(scale · s − shift) in each of 16 columns of s [rows, 16]; sum [16] receives the sums before p is rounded,
/// rows in order. p may be s.
template <class L, class X, class T = typename L::Scalar>
inline void exponential_lanes(X* p, T const* s, Index rows, T scale, T const* shift, T* sum) {
  L total = L::set(T(0));
  L const factor = L::set(scale), offset = L::set(T(0)) - L::load(shift);
  for (Index r = 0; r < rows; ++r) {
    L const e = exponential(fma(factor, L::load(s + r * 16), offset));
    e.store(p + r * 16);
    total = total + e;
  }
  total.store(sum);
}

/// w = p · inverse_sum, a softmax row, and ds = w · (dp − delta) · scale, the gradient of its scores, from the unrounded
/// w. Either may be rounded to X. w may be p, and ds may be dp.
template <class L, class X, class T = typename L::Scalar>
inline void softmax_backward_row(X* w, X* ds, T const* p, T inverse_sum, T const* dp, T delta, T scale,
                                 Index size) {
  for_lanes(size, [=](Index i, Index n) {
    L const weight = load_lanes<L>(p + i, n) * L::set(inverse_sum);
    store_lanes<L>(weight, w + i, n);
    store_lanes<L>(weight * (load_lanes<L>(dp + i, n) - L::set(delta)) * L::set(scale), ds + i, n);
  });
}

/// One AdamW step on a contiguous range: `optim::adamw_element`, sixteen at a time and bit for bit.
template <class L, class M, class T = typename L::Scalar>
inline void adamw(T* weight, T const* gradient, M* first, M* second, Index size, AdamWConstants<T> const& k) {
  for_lanes(size, [=](Index i, Index n) {
    L const g = load_lanes<L>(gradient + i, n) * L::set(k.gradient_scale);
    L const m = fma(L::set(k.beta1), load_lanes<L>(first + i, n), L::set(k.one_minus_beta1) * g);
    L const v = fma(L::set(k.beta2), load_lanes<L>(second + i, n), L::set(k.one_minus_beta2) * g * g);
    L const denominator = fma(sqrt(v), L::set(k.inverse_root_correction2), L::set(k.epsilon));
    L const w = load_lanes<L>(weight + i, n);
    L const decayed = fma(L::set(k.minus_decay), w, w);
    store_lanes<L>(m, first + i, n);
    store_lanes<L>(v, second + i, n);
    store_lanes<L>(fma(L::set(k.minus_step_size), m / denominator, decayed), weight + i, n);
  });
}
