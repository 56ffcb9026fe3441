// What a training step does to the parameters: AdamW, the norms that gradients are clipped by, the running average.
#include "loops.h"

namespace jstyle {
namespace {

inline Vec square_root(Vec x) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) x[i] = std::sqrt(x[i]);
    return x;
}

// Adam with decoupled weight decay (arXiv 1711.05101, algorithm 2). The corrections are 1 - beta^t; the gradient
// is multiplied by scale first, which is how it is clipped and averaged without a pass of its own.
struct AdamW {
    float scale, beta1, beta2, rest1, rest2, decay, pace, root_correction, eps;

    explicit AdamW(const Call& call)
        : scale(call.attribute("scale")),
          beta1(call.attribute("beta1")),
          beta2(call.attribute("beta2")),
          rest1(1 - call.attribute("beta1")),
          rest2(1 - call.attribute("beta2")),
          decay(call.attribute("lr") * call.attribute("weight_decay")),
          pace(call.attribute("lr") / call.attribute("correction1")),
          root_correction(1 / std::sqrt(call.attribute("correction2"))),
          eps(call.attribute("eps")) {}

    Vec mean(Vec m, Vec g) const { return beta1 * m + rest1 * g; }
    Vec square(Vec v, Vec g) const { return beta2 * v + rest2 * g * g; }
    // Not (1 - decay) p: 1 - decay has lost the digits of a small decay.
    Vec step(Vec p, Vec m, Vec v) const { return p - (decay * p + pace * m / (square_root(v) * root_correction + eps)); }
};

// param, grad, m, v -> param', m', v'; attributes lr, beta1, beta2, eps, weight_decay, correction1, correction2, scale
void adamw(const Call& call) {
    const AdamW rule(call);
    const float *p = call.in(0).f32(), *grad = call.in(1).f32(), *m = call.in(2).f32(), *v = call.in(3).f32();
    float *new_p = call.out(0).f32(), *new_m = call.out(1).f32(), *new_v = call.out(2).f32();
    for_blocks(call.in(0).count(), kBlock, [=](int64_t first, int64_t last) {
        for_vectors(last - first, [=](int64_t offset, auto part) {
            const int64_t i = first + offset;
            const Vec g = rule.scale * part.get(grad + i);
            const Vec mean = rule.mean(part.get(m + i), g), square = rule.square(part.get(v + i), g);
            part.put(new_m + i, mean);
            part.put(new_v + i, square);
            part.put(new_p + i, rule.step(part.get(p + i), mean, square));
        });
    });
}

template <class T>
double sum_of_squares(const T* x, int64_t n) {
    Vec sums[4] = {};  // side by side, so that the additions do not wait for each other
    int64_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes)
        for (int k = 0; k < 4; ++k) {
            const Vec value = load(x + i + k * kLanes);
            sums[k] += value * value;
        }
    for_vectors(n - i, [&](int64_t j, auto part) {
        const Vec value = part.get(x + i + j);
        sums[0] += value * value;
    });
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

float norm(const Tensor& tensor) {
    const int64_t n = tensor.count();
    std::vector<double> sums((n + kBlock - 1) / kBlock);
    with_type(tensor, [&](auto type) {
        const auto* x = data<const decltype(type)>(tensor);
        for_blocks(n, kBlock, [&](int64_t first, int64_t last) {
            sums[first / kBlock] = sum_of_squares(x + first, last - first);
        });
    });
    double total = 0;
    for (double part : sums) total += part;
    return static_cast<float>(std::sqrt(total));
}

// Any number of tensors -> their Euclidean norms (tensors) in fp32.
void norms(const Call& call) {
    for (int i = 0; i < call.n_inputs; ++i) call.out(0).f32()[i] = norm(call.in(i));
}

// average, value -> average + share (value - average); attribute share
void blend(const Call& call) {
    const float share = call.attribute("share");
    map_elements(
        call.in(0).count(), [=](Vec average, Vec value) { return average + share * (value - average); },
        call.out(0).f32(), call.in(0).f32(), call.in(1).f32());
}

const Register registered[] = {
    {"adamw", adamw},
    {"norms", norms},
    {"blend", blend},
};

}  // namespace
}  // namespace jstyle
