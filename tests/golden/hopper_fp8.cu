// What a Hopper tensor core adds in FP8: prints the results of wgmma instructions as bits, one line each. Its output on an
// H100 is data/hopper_fp8.txt.
//
//   nvcc -std=c++17 -gencode=arch=compute_90a,code=sm_90a hopper_fp8.cu -o /tmp/hopper_fp8
//   /tmp/hopper_fp8 > /tmp/hopper_fp8.txt && cmp /tmp/hopper_fp8.txt data/hopper_fp8.txt
//
// A number as argument multiplies the products: AETH_HOPPER_FP8=FILE has the test compare such a longer output.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "hopper_fp8_inputs.hpp"

namespace {

void expect(cudaError_t status, char const* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
  std::exit(1);
}

template <class T>
T* on_device(std::vector<T> const& from) {
  T* to = nullptr;
  expect(cudaMalloc(&to, from.size() * sizeof(T)), "cudaMalloc");
  expect(cudaMemcpy(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  return to;
}

/// A matrix in shared memory whose rows of 32 bytes lie in blocks of 8 rows and 16 bytes, two for each 8 rows.
__device__ std::uint64_t descriptor(void const* matrix) {
  std::uint64_t const address = __cvta_generic_to_shared(matrix), next_columns = 128, next_rows = 256;
  return ((address & 0x3FFFFu) >> 4) | (next_columns >> 4) << 16 | (next_rows >> 4) << 32;
}
__device__ int place(int row, int step) {
  return (row / 8 * 2 + step / 16) * 128 + row % 8 * 16 + step % 16;
}

/// Block by block c [64, 8] += a [64, depth] · b [8, depth]ᵀ, one instruction for each 32 steps.
__global__ void add_products(std::uint8_t const* a, std::uint8_t const* b, float* c, int depth) {
  using namespace hopper;
  __shared__ alignas(128) std::uint8_t left[rows * steps];
  __shared__ alignas(128) std::uint8_t right[columns * steps];
  int const thread = static_cast<int>(threadIdx.x);
  a += std::size_t{blockIdx.x} * rows * depth;
  b += std::size_t{blockIdx.x} * columns * depth;
  c += blockIdx.x * rows * columns + (thread / 32 * 16 + thread % 32 / 4) * columns + thread % 4 * 2;
  float x0 = c[0], x1 = c[1], x2 = c[8 * columns], x3 = c[8 * columns + 1];
  for (int k = 0; k < depth; k += steps) {
    for (int i = thread; i < rows * steps; i += 128)
      left[place(i / steps, i % steps)] = a[i / steps * depth + k + i % steps];
    for (int i = thread; i < columns * steps; i += 128)
      right[place(i / steps, i % steps)] = b[i / steps * depth + k + i % steps];
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    // One statement: the sums are not there before the wait ends.
    asm volatile(
        "wgmma.fence.sync.aligned;\n"
        "wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 {%0, %1, %2, %3}, %4, %5, 1, 1, 1;\n"
        "wgmma.commit_group.sync.aligned;\n"
        "wgmma.wait_group.sync.aligned 0;\n"
        : "+f"(x0), "+f"(x1), "+f"(x2), "+f"(x3)
        : "l"(descriptor(left)), "l"(descriptor(right))
        : "memory");
    __syncthreads();
  }
  c[0] = x0;
  c[1] = x1;
  c[8 * columns] = x2;
  c[8 * columns + 1] = x3;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace hopper;
  int const times = argc > 1 ? std::atoi(argv[1]) : 1;
  if (times < 1) {
    std::fprintf(stderr, "usage: hopper_fp8 [TIMES], a whole number above 0\n");
    return 2;
  }
  for (Family const& family : families) {
    std::size_t const blocks = static_cast<std::size_t>(family.blocks * times),
                      depth = static_cast<std::size_t>(family.depth);
    std::vector<std::uint8_t> a(blocks * rows * depth), b(blocks * columns * depth);
    std::vector<float> c(blocks * rows * columns);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = code(family.kind, i, 0);
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = code(family.kind, i, 1);
    for (std::size_t i = 0; i < c.size(); ++i) c[i] = before(family.kind, i);
    float* const result = on_device(c);
    add_products<<<static_cast<unsigned>(blocks), 128>>>(on_device(a), on_device(b), result, family.depth);
    expect(cudaGetLastError(), "add_products");
    expect(cudaMemcpy(c.data(), result, c.size() * sizeof(float), cudaMemcpyDeviceToHost), "add_products");
    for (float const x : c) {
      std::uint32_t bits;
      std::memcpy(&bits, &x, sizeof bits);
      std::printf("%08x\n", static_cast<unsigned>(bits));
    }
  }
}
