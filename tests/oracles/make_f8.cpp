// Prints what CUDA's conversions make of the 8-bit formats, as tests/unit/numeric/data/f8.txt has it:
//
//   256 lines  CODE E4M3 E5M2 E8M0        a code, and the float it widens to in each format
//   the rest   MAGNITUDE PLUS MINUS       a float without its sign; the codes of it and of its negative: E4M3, E5M2,
//                                         E8M0 rounded up, E8M0 rounded toward zero, two digits each; saturating
//
// All in hexadecimal, floats by their bits. Needs the headers of CUDA 12.8 or later (the table was made with 13.0) and
// neither nvcc nor a GPU:
//
//   g++ -std=c++20 -isystem /usr/local/cuda/include tests/oracles/make_f8.cpp -o make_f8 && ./make_f8 > f8.txt
//
// Where these headers are found, the test oracles.f8 compares what this program prints with the table.
#include <cuda_fp8.h>

#include <bit>
#include <cstdint>
#include <cstdio>
#include <set>

namespace {

using Bits = std::uint32_t;

Bits bits_of(float value) {
  return std::bit_cast<Bits>(value);
}

Bits e4m3_value(Bits code) {
  return bits_of(__half2float(__nv_cvt_fp8_to_halfraw(static_cast<__nv_fp8_storage_t>(code), __NV_E4M3)));
}
Bits e5m2_value(Bits code) {
  return bits_of(__half2float(__nv_cvt_fp8_to_halfraw(static_cast<__nv_fp8_storage_t>(code), __NV_E5M2)));
}
Bits e8m0_value(Bits code) {
  return Bits{__nv_cvt_e8m0_to_bf16raw(static_cast<__nv_fp8_storage_t>(code)).x} << 16;
}

Bits codes_of(Bits bits) {
  float const value = std::bit_cast<float>(bits);
  return Bits{__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3)} << 24 |
         Bits{__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E5M2)} << 16 |
         Bits{__nv_cvt_float_to_e8m0(value, __NV_SATFINITE, cudaRoundPosInf)} << 8 |
         Bits{__nv_cvt_float_to_e8m0(value, __NV_SATFINITE, cudaRoundZero)};
}

/// Bits of magnitudes, in order.
class Magnitudes {
 public:
  void add(Bits bits) { all_.insert(bits); }
  void add_with_neighbours(Bits bits) {
    for (Bits const b : {bits - 1, bits, bits + 1})
      if (b <= 0x7FFFFFFFu) add(b);
  }
  /// A format's finite values from its code `first` to `last`, and the middles between them.
  template <class Value>
  void add_format(Value value, Bits first, Bits last) {
    for (Bits code = first; code <= last; ++code) {
      add_with_neighbours(value(code));
      if (code != last) add_middle(value(code), value(code + 1));
    }
  }
  void add_middle(Bits low, Bits high) {
    double const sum =
        static_cast<double>(std::bit_cast<float>(low)) + static_cast<double>(std::bit_cast<float>(high));
    add_with_neighbours(bits_of(static_cast<float>(sum / 2)));  // exact: the formats have far fewer bits
  }
  [[nodiscard]] std::set<Bits> const& all() const { return all_; }

 private:
  std::set<Bits> all_;
};

}  // namespace

int main() {
  for (Bits code = 0; code < 256; ++code)
    std::printf("%02X %08X %08X %08X\n", code, e4m3_value(code), e5m2_value(code), e8m0_value(code));

  Magnitudes magnitudes;
  magnitudes.add_format(e4m3_value, 0, 0x7E);
  magnitudes.add_format(e5m2_value, 0, 0x7B);
  magnitudes.add_format(e8m0_value, 0, 0xFE);
  // Beyond the largest codes: half a step, a whole one, two; half a step beyond 2^127, where a whole one is infinity.
  for (float const value : {464.0f, 480.0f, 512.0f, 61440.0f, 65536.0f, 0x1.8p127f})
    magnitudes.add_with_neighbours(bits_of(value));
  // Subnormal floats, each with the lowest bits that rounding could look at.
  for (int bit = 0; bit < 23; ++bit) magnitudes.add_with_neighbours(Bits{1} << bit);
  // The largest float, infinity, the first NaN; the last signalling NaN, the first two quiet ones; the last of all.
  magnitudes.add_with_neighbours(0x7F800000u);
  magnitudes.add_with_neighbours(0x7FC00000u);
  magnitudes.add(0x7FFFFFFFu);

  for (Bits const bits : magnitudes.all())
    std::printf("%08X %08X %08X\n", bits, codes_of(bits), codes_of(bits | 0x80000000u));
}
