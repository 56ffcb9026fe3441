// 3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (arXiv 1509.09308): 36 products for a
// 4x4 piece of the output where the definition takes 144.
//
// The interpolation points are 0, +-3/4, +-3/2 and infinity: exact in binary, and half the rounding error of the
// usual 0, +-1, +-2. Arithmetic is fp32 whatever the maps are stored in.
#pragma once

#include "product.h"

namespace jstyle {

struct MapShape {
    int64_t batch, height, width, channels;
};

namespace winograd {

constexpr int kOut = 4, kIn = 6, kPoints = kIn * kIn;
constexpr float kA = 0.75f, kB = 1.5f, kA2 = kA * kA, kB2 = kB * kB;
constexpr int64_t kPad = 48;           // keeps parallel streams out of each other's cache sets
constexpr int64_t kDepth = 112;        // channels whose transformed weights stay in the second-level cache
constexpr int64_t kTaskTiles = 128;    // tiles multiplied with them
constexpr int64_t kGroupBytes = 12 << 20;  // transformed inputs that stay in the last-level cache

// B^T d for one column of six; stride between the elements of d and of out
[[gnu::always_inline]] inline void input_transform(const Vec* d, Vec* out, int stride) {
    const Vec d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride], d4 = d[4 * stride], d5 = d[5 * stride];
    const Vec even_a = d4 - kB2 * d2, odd_a = kA * (d3 - kB2 * d1);
    const Vec even_b = d4 - kA2 * d2, odd_b = kB * (d3 - kA2 * d1);
    out[0] = kA2 * kB2 * d0 - (kA2 + kB2) * d2 + d4;
    out[stride] = even_a + odd_a;
    out[2 * stride] = even_a - odd_a;
    out[3 * stride] = even_b + odd_b;
    out[4 * stride] = even_b - odd_b;
    out[5 * stride] = kA2 * kB2 * d1 - (kA2 + kB2) * d3 + d5;
}

// G g for one column of three
[[gnu::always_inline]] inline void weight_transform(const Vec* g, int stride, Vec* out, int out_stride) {
    constexpr float at_zero = 1 / (kA2 * kB2), at_a = 1 / (2 * kA2 * (kA2 - kB2)), at_b = 1 / (2 * kB2 * (kB2 - kA2));
    const Vec g0 = g[0], g1 = g[stride], g2 = g[2 * stride];
    const Vec even_a = (g0 + kA2 * g2) * at_a, odd_a = g1 * (kA * at_a);
    const Vec even_b = (g0 + kB2 * g2) * at_b, odd_b = g1 * (kB * at_b);
    out[0] = g0 * at_zero;
    out[out_stride] = even_a + odd_a;
    out[2 * out_stride] = even_a - odd_a;
    out[3 * out_stride] = even_b + odd_b;
    out[4 * out_stride] = even_b - odd_b;
    out[5 * out_stride] = g2;
}

// A^T m for one column of six
[[gnu::always_inline]] inline void output_transform(const Vec* m, int stride, Vec* out, int out_stride) {
    const Vec sum_a = m[stride] + m[2 * stride], difference_a = m[stride] - m[2 * stride];
    const Vec sum_b = m[3 * stride] + m[4 * stride], difference_b = m[3 * stride] - m[4 * stride];
    out[0] = m[0] + sum_a + sum_b;
    out[out_stride] = kA * difference_a + kB * difference_b;
    out[2 * out_stride] = kA2 * sum_a + kB2 * sum_b;
    out[3 * out_stride] = (kA2 * kA) * difference_a + (kB2 * kB) * difference_b + m[5 * stride];
}

// The tiles of a map of outputs: numbered row by row, image after image.
struct Grid {
    MapShape out;
    int64_t down, across;

    explicit Grid(const MapShape& shape)
        : out(shape), down((shape.height + kOut - 1) / kOut), across((shape.width + kOut - 1) / kOut) {}
    int64_t tiles() const { return out.batch * down * across; }
    int64_t image(int64_t tile) const { return tile / (down * across); }
    int64_t top(int64_t tile) const { return tile / across % down * kOut; }
    int64_t left(int64_t tile) const { return tile % across * kOut; }
};

// to (36, stride): one tile's transformed input
template <class T>
void transform_input(const T* x, const MapShape& in, const Grid& grid, int64_t tile, int64_t padding, const T* zeros,
                     float* to, int64_t stride) {
    const T* from[kPoints];
    for (int i = 0; i < kPoints; ++i) {
        const int64_t y = grid.top(tile) - padding + i / kIn, left = grid.left(tile) - padding + i % kIn;
        const bool inside = y >= 0 && y < in.height && left >= 0 && left < in.width;
        from[i] = inside ? x + ((grid.image(tile) * in.height + y) * in.width + left) * in.channels : zeros;
    }
    for (int64_t c = 0; c < in.channels; c += kLanes) {
        const int64_t n = in.channels - c;
        Vec d[kPoints];
        for (int i = 0; i < kPoints; ++i) d[i] = n >= kLanes ? load(from[i] + c) : load_part(from[i] + c, n);
        for (int column = 0; column < kIn; ++column) input_transform(d + column, d + column, kIn);
        for (int row = 0; row < kIn; ++row) input_transform(d + row * kIn, d + row * kIn, 1);
        for (int i = 0; i < kPoints; ++i) store(to + i * stride + c, d[i]);
    }
}

// to (36, stride): `depth` rows of kPanel transformed weights at each point, from taps (depth, 9, kPanel)
inline void transform_weights(const float* taps, int64_t depth, float* to, int64_t stride) {
    for (int64_t c = 0; c < depth; ++c)
        for (int half = 0; half < kPanel; half += kLanes) {
            Vec g[9], columns[3 * kIn], u[kPoints];
            for (int t = 0; t < 9; ++t) g[t] = load(taps + (c * 9 + t) * kPanel + half);
            for (int x = 0; x < 3; ++x) weight_transform(g + x, 3, columns + x, 3);
            for (int y = 0; y < kIn; ++y) weight_transform(columns + y * 3, 1, u + y * kIn, 1);
            for (int i = 0; i < kPoints; ++i) store(to + i * stride + c * kPanel + half, u[i]);
        }
}

// One tile's outputs from its sums (36, stride), kPanel columns of which n count; finish(pixel, column, n, values)
template <class Finish>
void transform_output(const float* sums, int64_t stride, const Grid& grid, int64_t tile, int64_t column, int64_t n,
                      const Finish& finish) {
    const int64_t top = grid.top(tile), left = grid.left(tile);
    const int64_t first = (grid.image(tile) * grid.out.height + top) * grid.out.width + left;
    for (int64_t half = 0; half < n; half += kLanes) {
        Vec m[kPoints], columns[kOut * kIn], y[kOut * kOut];
        for (int i = 0; i < kPoints; ++i) m[i] = load(sums + i * stride + half);
        for (int x = 0; x < kIn; ++x) output_transform(m + x, kIn, columns + x, kIn);
        for (int row = 0; row < kOut; ++row) output_transform(columns + row * kIn, 1, y + row * kOut, 1);
        for (int i = 0; i < kOut * kOut; ++i)
            if (top + i / kOut < grid.out.height && left + i % kOut < grid.out.width)
                finish.vector(first + i / kOut * grid.out.width + i % kOut, column + half, n - half, y[i]);
    }
}

// What one thread multiplies with: transformed weights of kDepth channels, and the sums of its tiles.
struct Workspace {
    static constexpr int64_t kWeights = kDepth * kPanel + kPad, kSums = kTaskTiles * kPanel + kPad, kStep = 16;
    Scratch<float> taps{kStep * 9 * kPanel}, weights{kPoints * kWeights}, sums{kPoints * kSums};
};

// sums (36, tiles, kPanel) of the tiles whose transformed inputs begin at `inputs` (tiles, 36, stride)
template <class Fill>
void multiply_points(const float* inputs, int64_t tiles, int64_t stride, int64_t channels, int64_t column, int64_t n,
                     const Fill& fill, Workspace& space) {
    const int step = even_tile(tiles);
    for (int64_t begin = 0; begin < channels; begin += kDepth) {
        const int64_t depth = std::min(kDepth, channels - begin);
        for (int64_t c = 0; c < depth; c += Workspace::kStep) {
            const int64_t count = std::min(Workspace::kStep, depth - c);
            fill(column, n, begin + c, count, space.taps.get());
            transform_weights(space.taps.get(), count, space.weights.get() + c * kPanel, Workspace::kWeights);
        }
        for (int point = 0; point < kPoints; ++point)
            for (int64_t tile = 0; tile < tiles; tile += step) {
                const int rows = static_cast<int>(std::min<int64_t>(step, tiles - tile));
                const float* pointers[kTileRows];
                for (int r = 0; r < rows; ++r) pointers[r] = inputs + ((tile + r) * kPoints + point) * stride + begin;
                run_tile<float>(rows, pointers, 1, depth, space.weights.get() + point * Workspace::kWeights,
                                space.sums.get() + point * Workspace::kSums + tile * kPanel, begin > 0);
            }
    }
}

}  // namespace winograd

// The convolution of x (in) to a map of shape `out`. fill(first_out, n, first_in, m, taps) writes the weights of n
// output and m input channels as (m, 9, kPanel), zeros after n; finish.vector takes the outputs.
template <class T, class Fill, class Finish>
void convolve_3x3(const T* x, const MapShape& in, const MapShape& out, int64_t padding, const Fill& fill,
                  const Finish& finish) {
    using namespace winograd;
    const Grid grid(out);
    const int64_t stride = (in.channels + kLanes - 1) / kLanes * kLanes + kLanes;
    const int64_t fitting = kGroupBytes / int64_t(kPoints * stride * sizeof(float)) / kTaskTiles * kTaskTiles;
    const int64_t group = std::min(grid.tiles(), std::max(fitting, kTaskTiles / 2));
    const int64_t panels = (out.channels + kPanel - 1) / kPanel;
    const int64_t task = std::min(kTaskTiles, group);
    Scratch<float> inputs(group * kPoints * stride);
    Scratch<T> zeros(in.channels);
    std::fill_n(zeros.get(), in.channels, T(0));
#pragma omp parallel
    {
        Workspace space;
        for (int64_t begin = 0; begin < grid.tiles(); begin += group) {
            const int64_t tiles = std::min(group, grid.tiles() - begin), chunks = (tiles + task - 1) / task;
#pragma omp for
            for (int64_t tile = 0; tile < tiles; ++tile)
                transform_input(x, in, grid, begin + tile, padding, zeros.get(),
                                inputs.get() + tile * kPoints * stride, stride);
#pragma omp for schedule(dynamic)
            for (int64_t job = 0; job < panels * chunks; ++job) {
                const int64_t column = job / chunks * kPanel, first = job % chunks * task;
                const int64_t n = std::min<int64_t>(kPanel, out.channels - column), count = std::min(task, tiles - first);
                multiply_points(inputs.get() + first * kPoints * stride, count, stride, in.channels, column, n, fill,
                                space);
                for (int64_t tile = 0; tile < count; ++tile)
                    transform_output(space.sums.get() + tile * kPanel, Workspace::kSums, grid, begin + first + tile,
                                     column, n, finish);
            }
        }
    }
}

}  // namespace jstyle
