// Newton-Schulz iteration against singular values and against loops in double.
#include "aeth/optim/newton_schulz.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "aeth/backend/cpu.hpp"
#include "support/catch.hpp"
#include "support/simd_levels.hpp"
#include "support/tensor.hpp"

using namespace aeth;
using test::random_tensor, test::Tensor;

namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
Matrix as_matrix(Tensor<T> const& x) {
  Matrix m(x.rows, x.cols);
  for (Index i = 0; i < x.rows * x.cols; ++i) m.data()[i] = static_cast<double>(x.values[to_size(i)]);
  return m;
}

template <class T>
Tensor<T> orthogonalized(Tensor<T> x, int threads = 2, SimdLevel level = best_simd_level()) {
  Cpu cpu(threads, level);
  Arena scratch;
  optim::orthogonalize(cpu, x.view(), scratch);
  return x;
}

/// The definition in double, product by product, in the shape X·Xᵀ whatever the extents.
Matrix by_definition(Matrix x) {
  x /= x.norm() + 1e-7;
  for (int step = 0; step < 5; ++step) {
    Matrix const gram = x * x.transpose();
    Matrix const next = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram * gram) * x;
    x = next;
  }
  return x;
}

double polynomial(double s) {
  for (int step = 0; step < 5; ++step) s = 3.4445 * s - 4.7750 * s * s * s + 2.0315 * std::pow(s, 5);
  return s;
}

struct Shape {
  Index rows, cols;
};
// Wide, tall, square, thin; not multiples of 16.
constexpr Shape shapes[] = {{48, 200}, {200, 48}, {64, 64}, {1, 33}, {33, 1}, {17, 130}, {131, 18}, {1, 1}};

}  // namespace

TEST_CASE("Newton-Schulz iteration drives singular values to about 1 and keeps singular vectors") {
  for (Shape const shape : shapes) {
    INFO(shape.rows << " x " << shape.cols);
    auto const g = random_tensor<float>(shape.rows, shape.cols, 1, 3.0);
    Matrix const before = as_matrix(g), after = as_matrix(orthogonalized(g));
    Eigen::JacobiSVD<Eigen::MatrixXd> const svd(before, Eigen::ComputeThinU | Eigen::ComputeThinV);
    Eigen::MatrixXd const core = svd.matrixU().transpose() * after * svd.matrixV();
    for (Index i = 0; i < core.rows(); ++i) {
      double const s = svd.singularValues()(i) / (before.norm() + 1e-7);
      CHECK(core(i, i) == Approx(polynomial(s)).margin(2e-5));
      if (s > 2e-3) CHECK((core(i, i) > 0.68 && core(i, i) < 1.14));
    }
    Eigen::MatrixXd const rest = core - Eigen::MatrixXd(core.diagonal().asDiagonal());
    CHECK(rest.cwiseAbs().maxCoeff() < 2e-5);
  }
}

TEMPLATE_TEST_CASE("Newton-Schulz iteration agrees with its definition in double", "", float, double) {
  using T = TestType;
  for (Shape const shape : shapes) {
    INFO(shape.rows << " x " << shape.cols);
    auto const g = random_tensor<T>(shape.rows, shape.cols, 2);
    double const error = (as_matrix(orthogonalized(g)) - by_definition(as_matrix(g))).cwiseAbs().maxCoeff();
    // A step rounds numbers of size 1 a few times and multiplies an earlier error by p' at most, 3.4445 near 0.
    CHECK(error < 500 * static_cast<double>(std::numeric_limits<T>::epsilon()));
  }
}

TEST_CASE("Newton-Schulz iteration leaves the same bits on all levels, threads and with a used arena") {
  for (Shape const shape : {Shape{35, 150}, Shape{150, 35}, Shape{65, 65}}) {
    auto const g = random_tensor<float>(shape.rows, shape.cols, 3);
    auto const wanted = orthogonalized(g, 1);
    for (SimdLevel const level : test::simd_levels())
      for (int const threads : {1, 2, 3})
        CHECK(test::same_bits(orthogonalized(g, threads, level).values, wanted.values));
    Cpu cpu(2);
    Arena scratch;
    for (int use = 0; use < 2; ++use) {
      auto x = g;
      optim::orthogonalize(cpu, x.view(), scratch);
      CHECK(test::same_bits(x.values, wanted.values));
    }
  }
}

TEST_CASE("Newton-Schulz iteration of zero is zero, of any finite matrix finite") {
  for (Shape const shape : shapes) {
    Tensor<float> zero = random_tensor<float>(shape.rows, shape.cols, 4, 0.0);
    for (float const x : orthogonalized(zero).values) CHECK(x == 0.0f);
    for (double const scale : {1e-30, 1e-8, 1e18, 1e37}) {
      auto const x = orthogonalized(random_tensor<float>(shape.rows, shape.cols, 5, scale));
      CHECK(std::all_of(x.values.begin(), x.values.end(), [](float v) { return std::fabs(v) < 1.2f; }));
    }
  }
  // The direction is the same whatever the size, up to the largest numbers; below ε it fades.
  auto const g = random_tensor<float>(20, 30, 8);
  auto huge = g;
  for (float& x : huge.values) x *= 0x1p120f;
  CHECK((as_matrix(orthogonalized(huge)) - as_matrix(orthogonalized(g))).cwiseAbs().maxCoeff() < 1e-4);
  Matrix rank_one = Matrix::Ones(20, 30);
  Tensor<float> ones = random_tensor<float>(20, 30, 6, 0.0, 1.0);
  CHECK((as_matrix(orthogonalized(ones)) - by_definition(rank_one)).cwiseAbs().maxCoeff() < 1e-4);
}

TEST_CASE("Newton-Schulz iteration refuses rows with gaps") {
  auto x = random_tensor<float>(4, 8, 7);
  Cpu cpu(1);
  Arena scratch;
  CHECK_THROWS_WITH(optim::orthogonalize(cpu, MatrixView<float>(x.data(), 4, 7, 8), scratch),
                    "orthogonalize: rows of 7 elements lie 8 apart; copy the matrix first");
}
