// What the gradients of linear maps and convolutions share.
#pragma once

#include "kernel.h"
#include "product.h"

namespace jstyle {

// out (columns) = the sum over the rows of x (rows, columns).
inline void sum_rows(const float* x, int64_t rows, int64_t columns, float* out) {
#pragma omp parallel for
    for (int64_t first = 0; first < columns; first += kLanes) {
        const int64_t n = std::min<int64_t>(kLanes, columns - first);
        Vec total = {};
        for (int64_t r = 0; r < rows; ++r) {
            const float* from = x + r * columns + first;
            total += n == kLanes ? load(from) : load_part(from, n);
        }
        store_part(out + first, total, n);
    }
}

}  // namespace jstyle
