// Layer normalisation over the last axis (arXiv 1607.06450) and its gradients.
#include "moments.h"

namespace jstyle {
namespace {

// Four sums side by side, so that the additions do not wait for each other.
struct FourSums {
    Vec sums[4] = {};

    float total() const { return sum((sums[0] + sums[1]) + (sums[2] + sums[3])); }
};

// Call f(i, part, k) for every vector of n elements, k going round the four sums.
template <class F>
[[gnu::always_inline]] inline void for_vectors_in_turn(int64_t n, F f) {
    int64_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes)
        for (int k = 0; k < 4; ++k) f(i + k * kLanes, WholeVector{}, k);
    for_vectors(n - i, [&](int64_t j, auto part) { f(i + j, part, 0); });
}

// What turns a row into its normalised form.
struct RowNorm {
    float mean, inverse, rest;  // rest makes up for the rounding of the mean

    Vec operator()(Vec x) const { return (x - mean) * inverse - rest; }
};

template <class T>
RowNorm row_norm(const T* x, int64_t n, float eps) {
    const float share = 1.0f / n;
    FourSums sums, apart, square;
    for_vectors_in_turn(n, [&](int64_t i, auto part, int k) { sums.sums[k] += part.get(x + i); });
    const float mean = sums.total() * share;
    for_vectors_in_turn(n, [&](int64_t i, auto part, int k) {
        const Vec d = part.only(part.get(x + i) - mean);
        apart.sums[k] += d;
        square.sums[k] += d * d;
    });
    const float correction = apart.total() * share;
    const float inverse = 1 / std::sqrt(square.total() * share - correction * correction + eps);
    return {mean, inverse, correction * inverse};
}

struct LayerNorm {
    int64_t rows, channels, padded;
    float eps;
    std::vector<float> weight, bias;

    // Inputs 0 x (..., channels), 1 weight, 2 bias; attribute eps.
    explicit LayerNorm(const Call& call)
        : rows(call.in(0).count(0, -1)),
          channels(call.in(0).dim(-1)),
          padded(padded_length(channels)),
          eps(static_cast<float>(call.attribute("eps"))),
          weight(padded_floats(call.in(1), 1, channels)),
          bias(padded_floats(call.in(2), 1, channels)) {}
};

template <class T>
void normalise(const LayerNorm& norm, const T* x, T* y) {
    const float *weight = norm.weight.data(), *bias = norm.bias.data();
    for_blocks(norm.rows, rows_of_block(norm.channels), [=, &norm](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row) {
            const T* from = x + row * norm.channels;
            T* to = y + row * norm.channels;
            const RowNorm n = row_norm(from, norm.channels, norm.eps);
            for_vectors(norm.channels, [=](int64_t c, auto part) {
                part.put(to + c, n(part.get(from + c)) * load(weight + c) + load(bias + c));
            });
        }
    });
}

void layer_norm(const Call& call) {
    const Tensor &x = call.in(0), &y = call.out(0);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        normalise(LayerNorm(call), data<const T>(x), data<T>(y));
    });
}

// dx = (dn - mean(dn) - n mean(dn n)) / deviation, where dn = dy weight; sums (2, padded) += dy n, dy.
template <class T>
void differentiate_row(const LayerNorm& norm, const T* x, const T* dy, T* dx, float* sums) {
    const int64_t channels = norm.channels;
    const float* weight = norm.weight.data();
    float *dweight = sums, *dbias = sums + norm.padded;
    const RowNorm n_of = row_norm(x, channels, norm.eps);
    FourSums dn_sum, dnn_sum;
    for_vectors_in_turn(channels, [&](int64_t c, auto part, int k) {
        const Vec g = part.get(dy + c), n = n_of(part.get(x + c)), dn = g * load(weight + c);
        dn_sum.sums[k] += dn;
        dnn_sum.sums[k] += dn * n;
        store(dweight + c, load(dweight + c) + g * n);
        store(dbias + c, load(dbias + c) + g);
    });
    if (!dx) return;
    const float mean = dn_sum.total() / channels, mean_n = dnn_sum.total() / channels;
    for_vectors(channels, [=](int64_t c, auto part) {
        const Vec n = n_of(part.get(x + c)), dn = part.get(dy + c) * load(weight + c);
        part.put(dx + c, (dn - mean - n * mean_n) * n_of.inverse);
    });
}

void add_blocks(const Tensor& out, const float* sums, int64_t blocks, int64_t stride, int64_t channels) {
    if (!out.present()) return;
    std::vector<double> total(channels);
    for (int64_t block = 0; block < blocks; ++block)
        for (int64_t c = 0; c < channels; ++c) total[c] += sums[block * stride + c];
    write_floats(out, total);
}

template <class T>
void differentiate(const Call& call, const LayerNorm& norm) {
    const T *x = data<const T>(call.in(0)), *dy = data<const T>(call.in(4));
    T* dx = data<T>(call.out(0));
    const int64_t block = std::clamp<int64_t>(rows_of_block(norm.channels), 16, 256);
    const int64_t blocks = (norm.rows + block - 1) / block, stride = 2 * norm.padded;
    std::vector<float> sums(blocks * stride);
    for_blocks(norm.rows, block, [&](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row) {
            const int64_t start = row * norm.channels;
            differentiate_row(norm, x + start, dy + start, dx ? dx + start : nullptr, &sums[first / block * stride]);
        }
    });
    add_blocks(call.out(1), sums.data(), blocks, stride, norm.channels);
    add_blocks(call.out(2), sums.data() + norm.padded, blocks, stride, norm.channels);
}

// x, weight, bias, y, dy -> dx, dweight, dbias
void layer_norm_backward(const Call& call) {
    const Tensor& x = call.in(0);
    if (x.count() == 0) return clear_outputs(call);
    with_type(x, [&](auto type) { differentiate<decltype(type)>(call, LayerNorm(call)); });
}

const Register registered[] = {
    {"layer_norm", layer_norm},
    {"layer_norm_backward", layer_norm_backward},
};

}  // namespace
}  // namespace jstyle
