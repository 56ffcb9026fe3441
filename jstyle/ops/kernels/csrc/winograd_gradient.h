// The gradient of 3x3 weights by Winograd's minimal filtering: the transposes of the forward pass's transformations
// around 36 products, each summed over all tiles. A quarter of the definition's multiplications, as forward.
#pragma once

#include "outer.h"
#include "winograd.h"

namespace jstyle {
namespace winograd {

// A y for one column of four
[[gnu::always_inline]] inline void output_transposed(const Vec* y, int stride, Vec* out, int out_stride) {
    const Vec y0 = y[0], y1 = y[stride], y2 = y[2 * stride], y3 = y[3 * stride];
    const Vec even_a = y0 + kA2 * y2, odd_a = kA * (y1 + kA2 * y3);
    const Vec even_b = y0 + kB2 * y2, odd_b = kB * (y1 + kB2 * y3);
    out[0] = y0;
    out[out_stride] = even_a + odd_a;
    out[2 * out_stride] = even_a - odd_a;
    out[3 * out_stride] = even_b + odd_b;
    out[4 * out_stride] = even_b - odd_b;
    out[5 * out_stride] = y3;
}

// G^T u for one column of six
[[gnu::always_inline]] inline void weight_transposed(const Vec* u, int stride, Vec* out, int out_stride) {
    constexpr float at_zero = 1 / (kA2 * kB2), at_a = 1 / (2 * kA2 * (kA2 - kB2)), at_b = 1 / (2 * kB2 * (kB2 - kA2));
    const Vec sum_a = at_a * (u[stride] + u[2 * stride]), difference_a = at_a * (u[stride] - u[2 * stride]);
    const Vec sum_b = at_b * (u[3 * stride] + u[4 * stride]), difference_b = at_b * (u[3 * stride] - u[4 * stride]);
    out[0] = at_zero * u[0] + sum_a + sum_b;
    out[out_stride] = kA * difference_a + kB * difference_b;
    out[2 * out_stride] = kA2 * sum_a + kB2 * sum_b + u[5 * stride];
}

// to (36, stride): one tile's output gradients, transformed
inline void transform_gradient(const float* dy, const Grid& grid, int64_t tile, const float* zeros, float* to,
                               int64_t stride) {
    const float* from[kOut * kOut];
    const MapShape& map = grid.out;
    for (int i = 0; i < kOut * kOut; ++i) {
        const int64_t y = grid.top(tile) + i / kOut, x = grid.left(tile) + i % kOut;
        const bool inside = y < map.height && x < map.width;
        from[i] = inside ? dy + ((grid.image(tile) * map.height + y) * map.width + x) * map.channels : zeros;
    }
    for (int64_t c = 0; c < map.channels; c += kLanes) {
        const int64_t n = map.channels - c;
        Vec y[kOut * kOut], columns[kIn * kOut], m[kPoints];
        for (int i = 0; i < kOut * kOut; ++i) y[i] = n >= kLanes ? load(from[i] + c) : load_part(from[i] + c, n);
        for (int x = 0; x < kOut; ++x) output_transposed(y + x, kOut, columns + x, kOut);
        for (int row = 0; row < kIn; ++row) output_transposed(columns + row * kOut, 1, m + row * kIn, 1);
        for (int i = 0; i < kPoints; ++i) store(to + i * stride + c, m[i]);
    }
}

// to (9, rows, columns) from the sums (36, rows, columns) at the points
inline void transform_sums(const float* sums, int64_t size, float* to) {
    for_blocks(size, kBlock / kPoints, [=](int64_t first, int64_t last) {
        for_vectors(last - first, [=](int64_t at, auto part) {
            Vec u[kPoints], columns[3 * kIn], g[9];
            for (int i = 0; i < kPoints; ++i) u[i] = part.get(sums + i * size + first + at);
            for (int x = 0; x < kIn; ++x) weight_transposed(u + x, kIn, columns + x, kIn);
            for (int row = 0; row < 3; ++row) weight_transposed(columns + row * kIn, 1, g + row * 3, 1);
            for (int t = 0; t < 9; ++t) part.put(to + t * size + first + at, g[t]);
        });
    });
}

}  // namespace winograd

// dw (out, in, 3, 3) of a 3x3 convolution of x (in) whose output's gradient is dy (out).
inline void winograd_weight_gradient(const float* x, const MapShape& in, const float* dy, const MapShape& out,
                                     int64_t padding, float* dw) {
    using namespace winograd;
    const Grid grid(out);
    const auto whole_vectors = [](int64_t channels) { return (channels + kLanes - 1) / kLanes * kLanes; };
    const int64_t in_stride = whole_vectors(in.channels) + kLanes, out_stride = whole_vectors(out.channels) + kLanes;
    const int64_t fitting = kGroupBytes / int64_t(kPoints * (in_stride + out_stride) * sizeof(float));
    const int64_t group = std::min(grid.tiles(), std::max<int64_t>(fitting, 32));
    const int64_t in_points = group * in_stride + kPad, out_points = group * out_stride + kPad;
    const int64_t panels = (in.channels + kPanel - 1) / kPanel, size = out.channels * panels * kPanel;
    Scratch<float> inputs(kPoints * in_points), gradients(kPoints * out_points), sums(kPoints * size);
    Scratch<float> zeros(std::max(in.channels, out.channels));
    std::fill_n(zeros.get(), std::max(in.channels, out.channels), 0.0f);
    std::fill_n(sums.get(), kPoints * size, 0.0f);
#pragma omp parallel
    for (int64_t begin = 0; begin < grid.tiles(); begin += group) {
        const int64_t tiles = std::min(group, grid.tiles() - begin);
#pragma omp for
        for (int64_t tile = 0; tile < tiles; ++tile) {
            transform_input(x, in, grid, begin + tile, padding, zeros.get(), inputs.get() + tile * in_stride, in_points);
            transform_gradient(dy, grid, begin + tile, zeros.get(), gradients.get() + tile * out_stride, out_points);
        }
#pragma omp for schedule(dynamic)
        for (int64_t job = 0; job < kPoints * panels; ++job) {
            const int64_t point = job / panels, column = job % panels * kPanel;
            add_outer(gradients.get() + point * out_points, out_stride, out.channels,
                      inputs.get() + point * in_points + column, in_stride,
                      std::min<int64_t>(kPanel, whole_vectors(in.channels - column)), tiles,
                      sums.get() + point * size + job % panels * out.channels * kPanel);
        }
    }
    Scratch<float> taps(9 * size);
    transform_sums(sums.get(), size, taps.get());
#pragma omp parallel for
    for (int64_t o = 0; o < out.channels; ++o)
        for (int64_t c = 0; c < in.channels; ++c)
            for (int64_t t = 0; t < 9; ++t)
                dw[(o * in.channels + c) * 9 + t] =
                    taps.get()[t * size + (c / kPanel * out.channels + o) * kPanel + c % kPanel];
}

}  // namespace jstyle
