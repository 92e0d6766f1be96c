/// Matrix products by Eigen, what a program would use if it had no kernels of its own. Compiled for the
/// machine at hand, so that Eigen has its widest vectors.
#pragma once

#include "aeth/core/math.hpp"

namespace bench::eigen {

/// C[m,n] = A[m,k] · B[n,k]ᵀ, row-major with rows `ld` apart: a linear layer.
void product_transposed(aeth::Index m, aeth::Index n, aeth::Index k, float const* a, aeth::Index lda,
                        float const* b, aeth::Index ldb, float* c, aeth::Index ldc);
/// C[m,n] = A[m,k] · B[k,n]: the gradient of its input.
void product(aeth::Index m, aeth::Index n, aeth::Index k, float const* a, aeth::Index lda, float const* b,
             aeth::Index ldb, float* c, aeth::Index ldc);
/// C[m,n] += A[k,m]ᵀ · B[k,n]: the gradient of its weight.
void add_transposed_product(aeth::Index m, aeth::Index n, aeth::Index k, float const* a, aeth::Index lda,
                            float const* b, aeth::Index ldb, float* c, aeth::Index ldc);

}  // namespace bench::eigen
