// Packing matrices into panels for the micro-kernel.
#pragma once

#include "tile.h"
#include "transpose.h"

namespace jstyle {

// Each of `n` rows (stride apart) gives one column: element (row, k) goes to place(k) + row, for k < depth. place(k)
// has room for kLanes elements; those past n become zero.
template <class T, class Place>
inline void pack_columns(const T* rows, int64_t stride, int64_t n, int64_t depth, Place place) {
    int64_t k = 0;
    for (; k + kLanes <= depth; k += kLanes) {
        Vec block[kLanes];
        for (int r = 0; r < kLanes; ++r) block[r] = r < n ? load(rows + r * stride + k) : Vec{};
        transpose_square(block);
        for (int i = 0; i < kLanes; ++i) store(place(k + i), block[i]);
    }
    for (; k < depth; ++k) {
        float* to = place(k);
        for (int r = 0; r < kLanes; ++r) to[r] = r < n ? to_float(rows[r * stride + k]) : 0.0f;
    }
}

// Panel column j is row j of `rows`: the panel of a weight (columns, depth) under x W^T. n <= kPanel.
template <class T>
inline void pack_transposed(const T* rows, int64_t stride, int64_t n, int64_t depth, float* panel) {
    for (int half = 0; half < 2; ++half) {
        const int64_t first = half * kLanes;
        pack_columns(rows + first * stride, stride, n - first, depth,
                     [&](int64_t k) { return panel + k * kPanel + first; });
    }
}

#if defined(__AVX512BF16__)
// The same for pairs: a pair is 32 bits, and moves like a float.
inline void pack_transposed(const uint16_t* rows, int64_t stride, int64_t n, int64_t depth, uint16_t* panel) {
    const int64_t pairs = depth / 2;
    for (int half = 0; half < 2; ++half) {
        const int64_t first = half * kLanes, count = n - first;
        int64_t k = 0;
        for (; k + kLanes <= pairs; k += kLanes) {
            Vec block[kLanes];
            for (int r = 0; r < kLanes; ++r)
                block[r] = r < count ? load(reinterpret_cast<const float*>(rows + (first + r) * stride + 2 * k)) : Vec{};
            transpose_square(block);
            for (int i = 0; i < kLanes; ++i) store(reinterpret_cast<float*>(panel + 2 * ((k + i) * kPanel + first)), block[i]);
        }
        for (k *= 2; k < depth + depth % 2; ++k)
            for (int r = 0; r < kLanes; ++r)
                panel[k / 2 * 2 * kPanel + 2 * (first + r) + k % 2] =
                    r < count && k < depth ? rows[(first + r) * stride + k] : uint16_t(0);
    }
}
#endif

// Panel row k is row k of `rows`, n <= kPanel elements of it: the panel of a matrix (depth, columns).
inline void pack_rows(const float* rows, int64_t stride, int64_t n, int64_t depth, float* panel) {
    for (int64_t k = 0; k < depth; ++k) {
        std::memcpy(panel + k * kPanel, rows + k * stride, n * sizeof(float));
        for (int64_t j = n; j < kPanel; ++j) panel[k * kPanel + j] = 0.0f;
    }
}

// A panel row from kPanel sums in fp32 at (depth, kPanel), narrowed and paired where the micro-kernel wants it so.
inline void narrow_panel(const float* from, int64_t depth, float* panel) {
    std::memcpy(panel, from, depth * kPanel * sizeof(float));
}
inline void narrow_panel(const float* from, int64_t depth, uint16_t* panel) {
    for (int64_t k = 0; k < depth + depth % 2; ++k)
        for (int j = 0; j < kPanel; ++j)
            from_float(panel + k / 2 * 2 * kPanel + 2 * j + k % 2, k < depth ? from[k * kPanel + j] : 0.0f);
}

}  // namespace jstyle
