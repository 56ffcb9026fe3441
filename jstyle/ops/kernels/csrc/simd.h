// Vectors of the processor's width, by the compiler's vector extensions: arithmetic is written with + * - /,
// and one source serves AVX2 and AVX-512.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <cmath>
#include <cstdint>
#include <cstring>

namespace jstyle {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t UintVec __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalfVec __attribute__((vector_size(kLanes * 2)));
typedef float UnalignedVec __attribute__((vector_size(kLanes * 4), aligned(2), may_alias));  // pairs of bfloat16, too
typedef uint16_t UnalignedHalfVec __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));

inline Vec splat(float x) { return x - Vec{}; }
inline Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
inline void store(float* p, Vec x) { *reinterpret_cast<UnalignedVec*>(p) = x; }

// bfloat16 is the upper half of a float; storing rounds to nearest, ties to even.
inline Vec widen(HalfVec x) { return reinterpret_cast<Vec>(__builtin_convertvector(x, UintVec) << 16); }
inline HalfVec narrow(Vec x) {
#if defined(__AVX512BF16__)
    return reinterpret_cast<HalfVec>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(x)));
#endif
    const UintVec bits = reinterpret_cast<UintVec>(x);
    return __builtin_convertvector((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, HalfVec);
}
inline Vec load(const uint16_t* p) { return widen(*reinterpret_cast<const UnalignedHalfVec*>(p)); }
inline void store(uint16_t* p, Vec x) { *reinterpret_cast<UnalignedHalfVec*>(p) = narrow(x); }

inline float to_float(float x) { return x; }
inline float to_float(uint16_t x) {
    uint32_t bits = static_cast<uint32_t>(x) << 16;
    float out;
    std::memcpy(&out, &bits, 4);
    return out;
}
inline void from_float(float* p, float x) { *p = x; }
inline void from_float(uint16_t* p, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    *p = static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// The first n < kLanes elements; the other lanes are zero.
template <class T>
inline Vec load_part(const T* p, int64_t n) {
    T whole[kLanes] = {};
    std::memcpy(whole, p, n * sizeof(T));
    return load(whole);
}
template <class T>
inline void store_part(T* p, Vec x, int64_t n) {
    T whole[kLanes];
    store(whole, x);
    std::memcpy(p, whole, n * sizeof(T));
}

inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec min(Vec a, Vec b) { return a < b ? a : b; }

// 0, 1, 2, ...
inline IntVec lane_numbers() {
    IntVec lane;
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) lane[i] = i;
    return lane;
}

// All lanes combined by halves, so that the steps do not wait for each other.
template <class Combine>
inline float fold(Vec x, Combine combine) {
#pragma GCC unroll 4
    for (int half = kLanes / 2; half > 0; half /= 2) x = combine(x, __builtin_shuffle(x, lane_numbers() ^ half));
    return x[0];
}
inline float sum(Vec x) {
    return fold(x, [](Vec a, Vec b) { return a + b; });
}
inline float largest(Vec x) {
    return fold(x, [](Vec a, Vec b) { return max(a, b); });
}

// e^x to 2 units in the last place (Cephes' expf); below the smallest normal number exactly 0.
inline Vec exp(Vec x) {
    const Vec clamped = min(max(x, splat(-87.3f)), splat(88.3f));
    const Vec shifted = clamped * 1.44269504f + 12582912.0f;  // 1.5 * 2^23 leaves the rounded integer in the low bits
    const Vec n = shifted - 12582912.0f;
    const Vec r = clamped - n * 0.693359375f - n * -2.12194440e-4f;
    Vec y = splat(1.9875691500e-4f);
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1.0f;
    const IntVec scaled = reinterpret_cast<IntVec>(y) + (reinterpret_cast<IntVec>(shifted) << 23);
    return x < -87.3f ? Vec{} : reinterpret_cast<Vec>(scaled);
}

inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

}  // namespace jstyle
