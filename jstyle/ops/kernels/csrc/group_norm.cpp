// Group normalisation (arXiv 1803.08494), with the time embedding's addition before and SiLU after it.
#include "group_norm.h"

namespace jstyle {
namespace {

template <bool Silu, class T>
void normalise(const GroupNorm& norm, const T* x, T* y) {
    const Affine affine(norm, group_moments(norm, x), norm.weight.data(), norm.bias.data());
    norm.for_pieces([&](int64_t, int64_t sample, int64_t offset, int64_t rows) {
        const int64_t channels = norm.channels, first = sample * norm.padded;
        const float *centres = &affine.centre[first], *scales = &affine.scale[first], *offsets = &affine.offset[first];
        const T* from = x + offset;
        T* to = y + offset;
        for (int64_t row = 0; row < rows; ++row)
            for_vectors(channels, [=](int64_t c, auto part) {
                const int64_t i = row * channels + c;
                const Vec z = (part.get(from + i) - load(centres + c)) * load(scales + c) + load(offsets + c);
                part.put(to + i, Silu ? z * sigmoid(z) : z);
            });
    });
}

void group_norm(const Call& call) {
    const Tensor &x = call.in(0), &y = call.out(0);
    const GroupNorm norm(call);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        norm.silu ? normalise<true>(norm, data<const T>(x), data<T>(y))
                  : normalise<false>(norm, data<const T>(x), data<T>(y));
    });
}

const Register registered("group_norm", group_norm);

}  // namespace
}  // namespace jstyle
