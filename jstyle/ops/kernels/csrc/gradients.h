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

inline void need_f32(const Call& call) {
    for (int i = 0; i < call.n_inputs; ++i)
        if (call.in(i).present() && call.in(i).is_bf16())
            throw std::invalid_argument(std::string(call.name) + ": gradients are computed in fp32 only");
}

}  // namespace jstyle
