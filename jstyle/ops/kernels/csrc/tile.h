// The micro-kernel under every product: a few rows times one packed panel of columns, sums kept in registers.
#pragma once

#include <array>
#include <utility>

#include "simd.h"

namespace jstyle {

constexpr int kPanel = 2 * kLanes;                  // columns of a panel
constexpr int kTileRows = kLanes == 16 ? 14 : 6;    // the most rows whose sums fit the registers beside a panel's row

// What a panel holds for operands of type T. A panel for fp32 is (depth, kPanel). Where the processor multiplies
// bf16 pairs, a panel for bf16 is (ceil(depth / 2), kPanel, 2); elsewhere it is widened to fp32.
template <class T>
struct PanelOf {
    using type = float;
    static constexpr int pair = 1;
};
#if defined(__AVX512BF16__)
template <>
struct PanelOf<uint16_t> {
    using type = uint16_t;
    static constexpr int pair = 2;
};
#endif
template <class T>
using PanelType = typename PanelOf<T>::type;

// Elements of one segment's part of a panel.
template <class T>
constexpr int64_t panel_size(int64_t depth) {
    constexpr int pair = PanelOf<T>::pair;
    return (depth + pair - 1) / pair * pair * kPanel;
}

template <int R>
using Sums = Vec[R][2];

template <int R, class T>
[[gnu::always_inline]] inline void accumulate(Sums<R>& sums, const T* const (&row)[R], int64_t depth,
                                              const float* panel) {
    for (int64_t k = 0; k < depth; ++k) {
        const Vec left = load(panel + k * kPanel), right = load(panel + k * kPanel + kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const float a = to_float(row[r][k]);
            sums[r][0] += a * left;
            sums[r][1] += a * right;
        }
    }
}

#if defined(__AVX512BF16__)
[[gnu::always_inline]] inline Vec pair_product(Vec sum, uint32_t a, __m512i b) {
    return reinterpret_cast<Vec>(
        _mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(_mm512_set1_epi32(a)),
                         reinterpret_cast<__m512bh>(b)));
}

template <int R>
[[gnu::always_inline]] inline void accumulate(Sums<R>& sums, const uint16_t* const (&row)[R], int64_t depth,
                                              const uint16_t* panel) {
    const auto step = [&](int64_t k, auto pair_at) {
        const __m512i left = _mm512_loadu_si512(panel + k * kPanel);
        const __m512i right = _mm512_loadu_si512(panel + k * kPanel + 2 * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const uint32_t a = pair_at(row[r] + k);
            sums[r][0] = pair_product(sums[r][0], a, left);
            sums[r][1] = pair_product(sums[r][1], a, right);
        }
    };
    const auto whole = [](const uint16_t* p) {
        uint32_t pair;
        std::memcpy(&pair, p, 4);
        return pair;
    };
    int64_t k = 0;
    for (; k + 1 < depth; k += 2) step(k, whole);
    if (k < depth) step(k, [](const uint16_t* p) { return uint32_t(*p); });
}
#endif

// out (R, kPanel) = (what it was, if `add`) + the sum over segments s of rows[s * R + r][0..depth) times the
// panel's part s.
template <int R, class T>
void tile(const T* const* rows, int64_t segments, int64_t depth, const PanelType<T>* panel, float* out, bool add) {
    Sums<R> sums = {};
    if (add)
        for (int r = 0; r < R; ++r) {
            sums[r][0] = load(out + r * kPanel);
            sums[r][1] = load(out + r * kPanel + kLanes);
        }
    for (int64_t s = 0; s < segments; ++s) {
        const T* row[R];
        for (int r = 0; r < R; ++r) row[r] = rows[s * R + r];
        accumulate<R>(sums, row, depth, panel + s * panel_size<T>(depth));
    }
    for (int r = 0; r < R; ++r) {
        store(out + r * kPanel, sums[r][0]);
        store(out + r * kPanel + kLanes, sums[r][1]);
    }
}

template <class T>
using Tile = void (*)(const T* const*, int64_t, int64_t, const PanelType<T>*, float*, bool);

template <class T, int... R>
constexpr std::array<Tile<T>, sizeof...(R)> tiles(std::integer_sequence<int, R...>) {
    return {tile<R + 1, T>...};
}

// tile<rows> for a number of rows known at run time only.
template <class T>
inline void run_tile(int rows, const T* const* pointers, int64_t segments, int64_t depth, const PanelType<T>* panel,
                     float* out, bool add = false) {
    static constexpr auto table = tiles<T>(std::make_integer_sequence<int, kTileRows>());
    table[rows - 1](pointers, segments, depth, panel, out, add);
}

// How many rows each of the fewest, evenly filled tiles takes of `rows`.
inline int even_tile(int64_t rows) {
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    return tiles ? static_cast<int>((rows + tiles - 1) / tiles) : 1;
}

}  // namespace jstyle
