#include "support/eigen_peer.hpp"

#include <Eigen/Core>

namespace bench::eigen {

namespace {
using aeth::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Stride = Eigen::OuterStride<>;

auto view(float const* data, Index rows, Index cols, Index ld) {
  return Eigen::Map<Matrix const, 0, Stride>(data, rows, cols, Stride(ld));
}
auto view(float* data, Index rows, Index cols, Index ld) {
  return Eigen::Map<Matrix, 0, Stride>(data, rows, cols, Stride(ld));
}
}  // namespace

void product_transposed(Index m, Index n, Index k, float const* a, Index lda, float const* b, Index ldb,
                        float* c, Index ldc) {
  view(c, m, n, ldc).noalias() = view(a, m, k, lda) * view(b, n, k, ldb).transpose();
}

void product(Index m, Index n, Index k, float const* a, Index lda, float const* b, Index ldb, float* c,
             Index ldc) {
  view(c, m, n, ldc).noalias() = view(a, m, k, lda) * view(b, k, n, ldb);
}

void add_transposed_product(Index m, Index n, Index k, float const* a, Index lda, float const* b, Index ldb,
                            float* c, Index ldc) {
  view(c, m, n, ldc).noalias() += view(a, k, m, lda).transpose() * view(b, k, n, ldb);
}

}  // namespace bench::eigen
