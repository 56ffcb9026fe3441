// Sums of outer products, a^T b: the gradients of weights. Both matrices are read as they lie, row after row.
#pragma once

#include "product.h"

namespace jstyle {

// out (R, kPanel) += the sum over k of a[k][0..R) times b[k], of which V vectors count; part(p, v) reads one.
template <int R, int V, class Part>
[[gnu::always_inline]] inline void outer_sums(const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                                              int64_t depth, float* out, const Part& part) {
    Vec sums[R][V];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) sums[r][v] = load(out + r * kPanel + v * kLanes);
    for (int64_t k = 0; k < depth; ++k, a += a_stride, b += b_stride) {
        Vec right[V];
        for (int v = 0; v < V; ++v) right[v] = part(b + v * kLanes, v);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) sums[r][v] += a[r] * right[v];
    }
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) store(out + r * kPanel + v * kLanes, sums[r][v]);
}

// The same for the first n columns of b; out beyond them may change up to a whole vector.
template <int R>
void outer_tile(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t n, int64_t depth,
                float* out) {
    const auto whole = [](const float* p, int) { return load(p); };
    const auto cut = [n](const float* p, int v) { return load_part(p, std::min<int64_t>(kLanes, n - v * kLanes)); };
    if (n >= kPanel) return outer_sums<R, 2>(a, a_stride, b, b_stride, depth, out, whole);
    if (n > kLanes) return outer_sums<R, 2>(a, a_stride, b, b_stride, depth, out, cut);
    if (n == kLanes) return outer_sums<R, 1>(a, a_stride, b, b_stride, depth, out, whole);
    outer_sums<R, 1>(a, a_stride, b, b_stride, depth, out, cut);
}

using OuterTile = void (*)(const float*, int64_t, const float*, int64_t, int64_t, int64_t, float*);

template <int... R>
constexpr std::array<OuterTile, sizeof...(R)> outer_tiles(std::integer_sequence<int, R...>) {
    return {outer_tile<R + 1>...};
}

// sums (rows, kPanel) += a[k][0..rows) times b[k][0..n), over k < depth.
inline void add_outer(const float* a, int64_t a_stride, int64_t rows, const float* b, int64_t b_stride, int64_t n,
                      int64_t depth, float* sums) {
    static constexpr auto table = outer_tiles(std::make_integer_sequence<int, kTileRows>());
    const int step = even_tile(rows);
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t count = std::min<int64_t>(step, rows - row);
        table[count - 1](a + row, a_stride, b, b_stride, n, depth, sums + row * kPanel);
    }
}

// out (rows, columns) is cut into pieces of this many rows and kPanel columns; each is summed by one thread.
constexpr int64_t kOuterRows = 4 * kTileRows;

// Call sum(first_row, rows, first_column, columns, sums) for every piece of out (rows, columns), which adds to
// sums (rows, kPanel), zeros at first; then write them.
template <class Sum>
void sum_pieces(int64_t rows, int64_t columns, float* out, const Sum& sum) {
    const int64_t panels = (columns + kPanel - 1) / kPanel, blocks = (rows + kOuterRows - 1) / kOuterRows;
    const int64_t height = (rows + blocks - 1) / blocks;
#pragma omp parallel for schedule(dynamic)
    for (int64_t piece = 0; piece < panels * blocks; ++piece) {
        alignas(64) float sums[kOuterRows * kPanel] = {};
        const int64_t row = piece / panels * height, column = piece % panels * kPanel;
        const int64_t n = std::min(height, rows - row), m = std::min<int64_t>(kPanel, columns - column);
        sum(row, n, column, m, sums);
        for (int64_t i = 0; i < n; ++i) std::memcpy(out + (row + i) * columns + column, sums + i * kPanel, m * 4);
    }
}

}  // namespace jstyle
