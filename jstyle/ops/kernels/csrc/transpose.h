// Transposes: of a square of vectors in registers, and of whole matrices in cache-sized blocks.
#pragma once

#include "loops.h"

namespace jstyle {

// Interleave the square's upper and lower half log2(lanes) times: that transposes it.
[[gnu::always_inline]] inline void transpose_square(Vec (&x)[kLanes]) {
    IntVec front, back;
    for (int i = 0; i < kLanes; ++i) {
        front[i] = i / 2 + i % 2 * kLanes;
        back[i] = front[i] + kLanes / 2;
    }
    for (int size = 1; size < kLanes; size *= 2) {
        Vec y[kLanes];
        for (int i = 0; i < kLanes / 2; ++i) {
            y[2 * i] = __builtin_shuffle(x[i], x[i + kLanes / 2], front);
            y[2 * i + 1] = __builtin_shuffle(x[i], x[i + kLanes / 2], back);
        }
        for (int i = 0; i < kLanes; ++i) x[i] = y[i];
    }
}

// Neighbouring squares share cache lines, so a few of them go together.
constexpr int64_t kSide = 4 * kLanes;

// The first height x width elements of in (rows, columns) to their places in its transpose, out.
template <class In, class Out>
void transpose_block(const In* in, Out* out, int64_t rows, int64_t columns, int64_t height, int64_t width) {
    for (int64_t i = 0; i < height; i += kLanes)
        for (int64_t j = 0; j < width; j += kLanes) {
            const int64_t tall = std::min<int64_t>(kLanes, height - i), wide = std::min<int64_t>(kLanes, width - j);
            if (tall == kLanes && wide == kLanes) {
                Vec square[kLanes];
                for (int k = 0; k < kLanes; ++k) square[k] = load(in + (i + k) * columns + j);
                transpose_square(square);
                for (int k = 0; k < kLanes; ++k) store(out + (j + k) * rows + i, square[k]);
                continue;
            }
            for (int64_t l = 0; l < wide; ++l)
                for (int64_t k = 0; k < tall; ++k)
                    from_float(out + (j + l) * rows + i + k, to_float(in[(i + k) * columns + j + l]));
        }
}

// Each of batch matrices (rows, columns) transposed.
template <class In, class Out>
void transpose_matrices(const In* in, Out* out, int64_t batch, int64_t rows, int64_t columns) {
    const int64_t down = (rows + kSide - 1) / kSide, across = (columns + kSide - 1) / kSide;
    const int64_t size = std::min(rows, kSide) * std::min(columns, kSide);
    for_blocks(batch * down * across, rows_of_block(size), [=](int64_t first, int64_t last) {
        for (int64_t block = first; block < last; ++block) {
            const int64_t b = block / (down * across);
            const int64_t i = block / across % down * kSide, j = block % across * kSide;
            const int64_t matrix = b * rows * columns;
            transpose_block(in + matrix + i * columns + j, out + matrix + j * rows + i, rows, columns,
                            std::min(kSide, rows - i), std::min(kSide, columns - j));
        }
    });
}

}  // namespace jstyle
