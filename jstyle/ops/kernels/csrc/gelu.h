// The exact GELU, x * Phi(x) (arXiv 1606.08415), and its derivative, of vectors.
#pragma once

#include "simd.h"

namespace jstyle {

inline Vec magnitude(Vec x) { return x < 0.0f ? -x : x; }

// Q(t) = 1 - Phi(t) = erfc(t / sqrt 2) / 2 of t >= 0. Its logarithm is close to a parabola, so e to a polynomial of
// degree 8 does, without a division. The polynomial is the one whose largest error on [0, 6] is least, 2.4e-8 in
// max(t, 1/2) * Q(t) before rounding; beyond 6 it only falls, so Q goes on to 0.
inline Vec normal_tail(Vec t) {
    Vec log_q = splat(-8.652077e-07f);
    log_q = log_q * t + 1.41908895e-05f;
    log_q = log_q * t - 6.727437e-05f;
    log_q = log_q * t - 2.4252648e-04f;
    log_q = log_q * t + 5.086007e-03f;
    log_q = log_q * t - 3.6516562e-02f;
    log_q = log_q * t - 3.1825724e-01f;
    log_q = log_q * t - 7.9789025e-01f;
    log_q = log_q * t - 6.9314706e-01f;
    return exp(log_q);
}

// From the tail of |x|, not from erf: no digits are lost where x is negative.
inline Vec gelu(Vec x) {
    const Vec t = magnitude(x);
    return max(x, Vec{}) - t * normal_tail(t);
}

// Phi(x) + x * phi(x).
inline Vec gelu_derivative(Vec x) {
    const Vec q = normal_tail(magnitude(x));
    const Vec density = exp(x * x * -0.5f) * 0.3989422804f;
    return (x < 0.0f ? q : 1.0f - q) + x * density;
}

}  // namespace jstyle
