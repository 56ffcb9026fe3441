// What happens to a product's sums on their way to memory.
#pragma once

#include "kernel.h"
#include "product.h"

namespace jstyle {

template <class T>
inline Vec load_some(const T* p, int64_t n) {
    return n >= kLanes ? load(p) : load_part(p, n);
}
template <class T>
inline void store_some(T* p, Vec x, int64_t n) {
    if (n >= kLanes)
        store(p, x);
    else
        store_part(p, x, n);
}

// bias (columns) in fp32 or T, and a residual of the output's shape, either of which may be absent.
template <class T>
struct Finish {
    const Tensor& bias;
    const Tensor& residual;
    T* out;
    int64_t width;  // columns of the output

    Vec bias_at(int64_t column, int64_t n) const {
        if (!bias.present()) return Vec{};
        return bias.is_bf16() ? load_some(bias.bf16() + column, n) : load_some(bias.f32() + column, n);
    }

    // Up to kLanes columns of one row of the output.
    void vector(int64_t row, int64_t column, int64_t n, Vec sums) const {
        const int64_t at = row * width + column;
        sums += bias_at(column, n);
        if (residual.present()) sums += load_some(static_cast<const T*>(residual.data) + at, n);
        store_some(out + at, sums, n);
    }

    // Rows this far apart are unknown to the processor's own prefetching.
    void expect(int64_t first, int rows, int64_t column) const {
        const int64_t bytes = std::min<int64_t>(kPanel, width - column) * int64_t(sizeof(T));
        for (int i = 0; i < rows; ++i)
            for (int64_t line = 0; line < bytes; line += 64) {
                const int64_t at = ((first + i) * width + column) * int64_t(sizeof(T)) + line;
                __builtin_prefetch(reinterpret_cast<const char*>(out) + at, 1);
                if (residual.present()) __builtin_prefetch(static_cast<const char*>(residual.data) + at);
            }
    }

    void row(int64_t row, int64_t column, int64_t n, const float* sums) const {
        for (int64_t j = 0; j < n; j += kLanes) vector(row, column + j, n - j, load(sums + j));
    }
};

}  // namespace jstyle
