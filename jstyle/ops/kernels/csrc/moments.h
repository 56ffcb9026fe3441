// Mean and variance of parts, and how they are merged (Chan, Golub, LeVeque, 1979): a large mean costs no digits.
#pragma once

#include "loops.h"

namespace jstyle {

struct Moments {
    double count, mean, squares;  // squares: the sum of squared deviations from the mean
};

// The moments of n parts together, `stride` apart.
inline Moments merge(const Moments* parts, int64_t n, int64_t stride) {
    Moments all{};
    for (int64_t i = 0; i < n; ++i) {
        all.count += parts[i * stride].count;
        all.mean += parts[i * stride].count * parts[i * stride].mean;
    }
    all.mean /= all.count;
    for (int64_t i = 0; i < n; ++i) {
        const Moments& part = parts[i * stride];
        const double apart = part.mean - all.mean;
        all.squares += part.squares + part.count * apart * apart;
    }
    return all;
}

// n up to whole vectors.
inline int64_t padded_length(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// Rows of n numbers as floats, each row followed by zeros up to whole vectors.
inline std::vector<float> padded_floats(const Tensor& tensor, int64_t rows, int64_t n) {
    const int64_t padded = padded_length(n);
    std::vector<float> out(rows * padded);
    with_type(tensor, [&](auto type) {
        const auto* numbers = data<const decltype(type)>(tensor);
        for (int64_t row = 0; row < rows; ++row)
            for (int64_t i = 0; i < n; ++i) out[row * padded + i] = to_float(numbers[row * n + i]);
    });
    return out;
}

inline void write_floats(const Tensor& out, const std::vector<double>& numbers) {
    with_type(out, [&](auto type) {
        auto* to = data<decltype(type)>(out);
        for (size_t i = 0; i < numbers.size(); ++i) from_float(to + i, static_cast<float>(numbers[i]));
    });
}

}  // namespace jstyle
