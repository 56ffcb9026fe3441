// Statistics of groups of channels over space (arXiv 1803.08494), on all threads even for a single sample.
//
// x is (batch, positions..., channels). It is cut into fixed pieces of positions, so that no sum depends on the number
// of threads; groups need not fill vectors, so sums are kept per channel within a piece and then merged.
#pragma once

#include <type_traits>

#include "moments.h"

namespace jstyle {

struct GroupNorm {
    int64_t batch, positions, channels, groups;
    int64_t rows, pieces;  // positions of a piece, pieces of a sample
    int64_t padded;        // channels up to whole vectors: the length of every array per channel
    bool silu;
    double eps;
    std::vector<float> weight, bias, shift;  // shift (batch, padded) is added to x first; empty where absent

    // Inputs 0 x, 1 weight, 2 bias, 3 shift (batch, channels), optional; attributes groups, eps, silu.
    explicit GroupNorm(const Call& call) {
        const Tensor& x = call.in(0);
        batch = x.dim(0), positions = x.count(1, -1), channels = x.dim(-1);
        groups = static_cast<int64_t>(call.attribute("groups"));
        rows = std::clamp<int64_t>(2 * kBlock / std::max<int64_t>(channels, 1), 16, 256);
        pieces = (positions + rows - 1) / rows;
        padded = padded_length(channels);
        silu = call.attribute("silu") != 0;
        eps = call.attribute("eps");
        weight = padded_floats(call.in(1), 1, channels);
        bias = padded_floats(call.in(2), 1, channels);
        if (call.in(3).present()) shift = padded_floats(call.in(3), batch, channels);
    }

    int64_t group_size() const { return channels / groups; }
    double shift_at(int64_t sample, int64_t channel) const {
        return shift.empty() ? 0.0 : shift[sample * padded + channel];
    }

    // Call f(piece, sample, offset of its first element, rows) for every piece, on all threads.
    template <class F>
    void for_pieces(F f) const {
        for_blocks(batch * pieces, 1, [&](int64_t piece, int64_t) {
            const int64_t sample = piece / pieces, first = piece % pieces * rows;
            f(piece, sample, (sample * positions + first) * channels, std::min(rows, positions - first));
        });
    }
};

// Call f(first, n) for the rows in fours and then one by one; n is a constant, so sums stay in registers meanwhile.
template <class F>
[[gnu::always_inline]] inline void by_fours(int64_t rows, F f) {
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4) f(row, std::integral_constant<int, 4>{});
    for (; row < rows; ++row) f(row, std::integral_constant<int, 1>{});
}

// Close enough to the mean of each channel's group to subtract before squaring. The mean of every eighth row serves:
// where it is far from the mean of all, so are those rows, and the variance is a seventh of that distance squared at
// least.
template <class T>
void find_centre(const GroupNorm& norm, int64_t sample, const T* x, int64_t rows, float* centre) {
    constexpr int64_t step = 8;
    const int64_t size = norm.group_size();
    std::fill_n(centre, norm.padded, 0.0f);
    for (int64_t row = 0; row < rows; row += step)
        for_vectors(norm.channels, [=, &norm](int64_t c, auto part) {
            store(centre + c, load(centre + c) + part.get(x + row * norm.channels + c));
        });
    const double share = 1.0 / static_cast<double>((rows + step - 1) / step);
    for (int64_t first = 0; first < norm.channels; first += size) {
        double mean = 0;
        for (int64_t c = first; c < first + size; ++c) mean += centre[c] * share + norm.shift_at(sample, c);
        mean /= size;
        for (int64_t c = first; c < first + size; ++c) centre[c] = static_cast<float>(mean - norm.shift_at(sample, c));
    }
}

// The moments of one piece's groups, read from memory once.
template <class T>
void piece_moments(const GroupNorm& norm, int64_t sample, const T* x, int64_t rows, Moments* out) {
    std::vector<float> scratch(3 * norm.padded);
    float *centre = scratch.data(), *sums = centre + norm.padded, *squares = sums + norm.padded;
    find_centre(norm, sample, x, rows, centre);
    by_fours(rows, [=, &norm](int64_t row, auto n) {
        for_vectors(norm.channels, [=, &norm](int64_t c, auto part) {
            const Vec middle = load(centre + c);
            Vec sum = load(sums + c), square = load(squares + c);
            for (int k = 0; k < n; ++k) {
                const Vec d = part.get(x + (row + k) * norm.channels + c) - middle;
                sum += d;
                square += d * d;
            }
            store(sums + c, sum);
            store(squares + c, square);
        });
    });
    const double count = static_cast<double>(rows * norm.group_size()), share = 1 / count;
    for (int64_t g = 0; g < norm.groups; ++g) {
        const int64_t first = g * norm.group_size();
        const double middle = centre[first] + norm.shift_at(sample, first);
        double apart = 0, square = 0;
        for (int64_t c = first; c < first + norm.group_size(); ++c) {
            const double off = centre[c] + norm.shift_at(sample, c) - middle;  // by the rounding of centre alone
            apart += sums[c] + rows * off;
            square += squares[c] + off * (2 * sums[c] + rows * off);
        }
        out[g] = {count, middle + apart * share, square - apart * apart * share};
    }
}

// The moments of x + shift, (batch, groups).
template <class T>
std::vector<Moments> group_moments(const GroupNorm& norm, const T* x) {
    std::vector<Moments> parts(norm.batch * norm.pieces * norm.groups), all(norm.batch * norm.groups);
    norm.for_pieces([&](int64_t piece, int64_t sample, int64_t offset, int64_t rows) {
        piece_moments(norm, sample, x + offset, rows, &parts[piece * norm.groups]);
    });
    for (int64_t i = 0; i < norm.batch * norm.groups; ++i) {
        const int64_t sample = i / norm.groups, g = i % norm.groups;
        all[i] = merge(&parts[sample * norm.pieces * norm.groups + g], norm.pieces, norm.groups);
    }
    return all;
}

inline double inverse_deviation(const GroupNorm& norm, const Moments& moments) {
    return 1 / std::sqrt(moments.squares / moments.count + norm.eps);
}

// (x + shift - mean) / deviation * weight + bias = (x - centre) * scale + offset, (batch, padded) each.
// The offset makes up for the rounding of the centre.
struct Affine {
    std::vector<float> centre, scale, offset;

    Affine(const GroupNorm& norm, const std::vector<Moments>& moments, const float* weight, const float* bias)
        : centre(norm.batch * norm.padded), scale(centre.size()), offset(centre.size()) {
        for (int64_t sample = 0; sample < norm.batch; ++sample)
            for (int64_t c = 0; c < norm.channels; ++c) {
                const Moments& group = moments[sample * norm.groups + c / norm.group_size()];
                const double exact = group.mean - norm.shift_at(sample, c);
                const double factor = inverse_deviation(norm, group) * weight[c];
                const int64_t i = sample * norm.padded + c;
                centre[i] = static_cast<float>(exact);
                scale[i] = static_cast<float>(factor);
                offset[i] = static_cast<float>((centre[i] - exact) * factor + bias[c]);
            }
    }
};

}  // namespace jstyle
