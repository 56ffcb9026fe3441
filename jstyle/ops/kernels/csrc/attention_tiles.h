// Products of small matrices whose right side is packed in panels a few vectors wide.
//
// A unit is what one lane multiplies: a float, or a pair of bfloat16 that lie one after the other in depth.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <type_traits>

#include "attention.h"

namespace jstyle::attention {

#if defined(__AVX512BF16__)
constexpr bool kMultipliesPairs = true;
#else
constexpr bool kMultipliesPairs = false;
#endif

using Pair = uint32_t;

// What elements of type T are packed into. Without products of bfloat16 they are widened.
template <class T>
using Unit = std::conditional_t<std::is_same_v<T, uint16_t> && kMultipliesPairs, Pair, float>;
template <class T>
constexpr int kPack = std::is_same_v<Unit<T>, Pair> ? 2 : 1;

// The registers of a tile: kTileRows x kPanel sums, kPanel of the right side and one of the left.
constexpr int kTileRows = 6;
constexpr int kPanel = kLanes == 16 ? 4 : 2;
// The depth after which a panel would no longer stay in the first-level cache.
constexpr int kDepth = 128;

inline void multiply_add(Vec& sum, float left, const float* right) { sum = sum + splat(left) * load(right); }
#if defined(__AVX512BF16__)
inline void multiply_add(Vec& sum, Pair left, const Pair* right) {
    const __m512i a = _mm512_set1_epi32(static_cast<int>(left)), b = _mm512_loadu_si512(right);
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}
#endif

// The left side of a product: rows x depth, or its transpose as it lies in memory.
template <class U>
struct Left {
    const U* data;
    int64_t stride;
    bool transposed = false;
};

// c (rows x vectors) = or += left (rows x depth) right (depth x vectors). What is added is summed by itself first:
// long sums then lose fewer digits.
template <class U, int kRows, int kVectors, bool kTransposed>
void tile(const U* a, int64_t a_stride, const U* b, int depth, float* c, int64_t c_stride, bool add) {
    Vec sums[kRows][kVectors] = {};
    for (int t = 0; t < depth; ++t, b += kVectors * kLanes) {
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
            const U left = kTransposed ? a[t * a_stride + r] : a[r * a_stride + t];
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) multiply_add(sums[r][v], left, b + v * kLanes);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
            float* out = c + r * c_stride + v * kLanes;
            store(out, add ? load(out) + sums[r][v] : sums[r][v]);
        }
}

template <class U>
using Tile = void (*)(const U*, int64_t, const U*, int, float*, int64_t, bool);

template <class U, bool kTransposed, int kVectors>
Tile<U> tile_of_rows(int rows) {
    static_assert(kTileRows == 6, "one entry for each count of rows");
    static constexpr Tile<U> tiles[] = {tile<U, 1, kVectors, kTransposed>, tile<U, 2, kVectors, kTransposed>,
                                        tile<U, 3, kVectors, kTransposed>, tile<U, 4, kVectors, kTransposed>,
                                        tile<U, 5, kVectors, kTransposed>, tile<U, 6, kVectors, kTransposed>};
    return tiles[rows - 1];
}

template <class U, bool kTransposed>
Tile<U> tile_of(int rows, int vectors) {
    if constexpr (kPanel == 4) {
        if (vectors == 4) return tile_of_rows<U, kTransposed, 4>(rows);
        if (vectors == 3) return tile_of_rows<U, kTransposed, 3>(rows);
    }
    return vectors == 2 ? tile_of_rows<U, kTransposed, 2>(rows) : tile_of_rows<U, kTransposed, 1>(rows);
}

// How many vectors wide the panel that begins at a vector is: panels of one matrix are nearly alike.
inline int panel_width(int first, int vectors) {
    const int left = vectors - first, panels = (left + kPanel - 1) / kPanel;
    return (left + panels - 1) / panels;
}

// One panel's product.
template <class U, bool kTransposed>
void multiply_panel(Left<U> a, int rows, const U* panel, int width, int depth, float* c, int64_t c_stride, bool add) {
    for (int t = 0; t == 0 || t < depth; t += kDepth) {  // of depth 0, too: the sums are zeros
        const int part = std::min(kDepth, depth - t);
        for (int r = 0; r < rows; r += kTileRows) {
            const int tile_rows = std::min(kTileRows, rows - r);
            const U* left = a.data + (kTransposed ? t * a.stride + r : r * a.stride + t);
            tile_of<U, kTransposed>(tile_rows, width)(left, a.stride, panel + int64_t(t) * width * kLanes, part,
                                                      c + r * c_stride, c_stride, add || t > 0);
        }
    }
}

// c = or += left right, where right is depth units x vectors, packed. c_stride is at least the vectors' lanes.
template <class U>
void multiply(Left<U> a, int rows, const U* right, int depth, int vectors, float* c, int64_t c_stride, bool add) {
    for (int first = 0, width; first < vectors; first += width) {
        width = panel_width(first, vectors);
        const U* panel = right + int64_t(first) * kLanes * depth;
        float* out = c + first * kLanes;
        if (a.transposed)
            multiply_panel<U, true>(a, rows, panel, width, depth, out, c_stride, add);
        else
            multiply_panel<U, false>(a, rows, panel, width, depth, out, c_stride, add);
    }
}

// Rounded to bfloat16, to nearest.
inline HalfVec rounded(Vec x) {
#if defined(__AVX512BF16__)
    return reinterpret_cast<HalfVec>(_mm512_cvtneps_pbh(x));
#else
    return narrow(x);
#endif
}

// Units from a vector of numbers that follow each other in depth, from index on.
inline void store_units(float* units, int64_t index, Vec x) { store(units + index, x); }
inline void store_units(Pair* units, int64_t index, Vec x) {
    const HalfVec halves = rounded(x);
    std::memcpy(reinterpret_cast<uint16_t*>(units) + index, &halves, sizeof halves);
}

// One unit a lane, from two rows that follow each other in depth.
inline void store_pairs(Pair* units, Vec low, Vec high) {
    const UintVec pairs = __builtin_convertvector(rounded(low), UintVec) |
                          __builtin_convertvector(rounded(high), UintVec) << 16;
    std::memcpy(units, &pairs, sizeof pairs);
}

}  // namespace jstyle::attention
