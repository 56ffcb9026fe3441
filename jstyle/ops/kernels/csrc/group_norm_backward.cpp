// The gradients of group normalisation. With
//   n = (x + shift - mean) / deviation,  z = n * weight + bias,  y = z or silu(z),  dz = the loss's gradient by z
// they are
//   dbias = sum dz,  dweight = sum dz n,  dx = (dz weight - mean(dz weight) - n mean(dz weight n)) / deviation,
//   dshift = sum dx over positions.
#include "group_norm.h"

namespace jstyle {
namespace {

// What turns a sample's x and dy into n and dz: numbers per channel.
struct Sample {
    const float *centre, *scale, *offset, *weight, *bias;

    Sample(const GroupNorm& norm, const Affine& affine, int64_t sample)
        : centre(&affine.centre[sample * norm.padded]),
          scale(&affine.scale[sample * norm.padded]),
          offset(&affine.offset[sample * norm.padded]),
          weight(norm.weight.data()),
          bias(norm.bias.data()) {}

    Vec n(int64_t c, Vec x) const { return (x - load(centre + c)) * load(scale + c) + load(offset + c); }

    template <bool Silu>
    Vec dz(int64_t c, Vec n, Vec dy) const {
        if (!Silu) return dy;
        const Vec z = n * load(weight + c) + load(bias + c), s = sigmoid(z);
        return dy * (s + z * s * (1.0f - s));
    }
};

// Sums over positions: (batch, channels) each.
struct Sums {
    std::vector<double> dz, dzn, n;
};

// sums (3, padded) of one piece: dz, dz * n, n.
template <bool Silu, class T>
void sum_piece(const GroupNorm& norm, Sample sample, const T* x, const T* dy, int64_t rows, float* sums) {
    const int64_t channels = norm.channels;
    float *dz_sums = sums, *dzn_sums = dz_sums + norm.padded, *n_sums = dzn_sums + norm.padded;
    by_fours(rows, [=](int64_t row, auto many) {
        for_vectors(channels, [=](int64_t c, auto part) {
            Vec dz_sum = load(dz_sums + c), dzn_sum = load(dzn_sums + c), n_sum = load(n_sums + c);
            for (int k = 0; k < many; ++k) {
                const int64_t i = (row + k) * channels + c;
                const Vec n = sample.n(c, part.get(x + i)), dz = sample.dz<Silu>(c, n, part.get(dy + i));
                dz_sum += dz;
                dzn_sum += dz * n;
                n_sum += n;
            }
            store(dz_sums + c, dz_sum), store(dzn_sums + c, dzn_sum), store(n_sums + c, n_sum);
        });
    });
}

template <bool Silu, class T>
Sums sum_positions(const GroupNorm& norm, const Affine& affine, const T* x, const T* dy) {
    const int64_t stride = 3 * norm.padded, count = norm.batch * norm.channels;
    std::vector<float> parts(norm.batch * norm.pieces * stride);
    norm.for_pieces([&](int64_t piece, int64_t sample, int64_t start, int64_t rows) {
        sum_piece<Silu>(norm, {norm, affine, sample}, x + start, dy + start, rows, &parts[piece * stride]);
    });
    Sums sums{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
    for_blocks(count, 64, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            const float* part = &parts[i / norm.channels * norm.pieces * stride + i % norm.channels];
            for (int64_t piece = 0; piece < norm.pieces; ++piece, part += stride) {
                sums.dz[i] += part[0];
                sums.dzn[i] += part[norm.padded];
                sums.n[i] += part[2 * norm.padded];
            }
        }
    });
    return sums;
}

// dx = dz * by_dz - n * by_n - offset, (batch, padded) each, and its sum over positions, (batch, channels).
struct InputGradient {
    std::vector<float> by_dz, by_n, offset;
    std::vector<double> sum;

    InputGradient(const GroupNorm& norm, const std::vector<Moments>& moments, const Sums& sums)
        : by_dz(norm.batch * norm.padded), by_n(by_dz.size()), offset(by_dz.size()), sum(norm.batch * norm.channels) {
        for (int64_t group = 0; group < norm.batch * norm.groups; ++group) add_group(norm, moments[group], sums, group);
    }

    void add_group(const GroupNorm& norm, const Moments& moments, const Sums& sums, int64_t group) {
        const int64_t sample = group / norm.groups, first = group % norm.groups * norm.group_size();
        const double inverse = inverse_deviation(norm, moments);
        double mean = 0, mean_n = 0;
        for (int64_t c = first; c < first + norm.group_size(); ++c) {
            mean += norm.weight[c] * sums.dz[sample * norm.channels + c] / moments.count;
            mean_n += norm.weight[c] * sums.dzn[sample * norm.channels + c] / moments.count;
        }
        for (int64_t c = first; c < first + norm.group_size(); ++c) {
            const int64_t i = sample * norm.channels + c, p = sample * norm.padded + c;
            by_dz[p] = static_cast<float>(inverse * norm.weight[c]);
            by_n[p] = static_cast<float>(inverse * mean_n);
            offset[p] = static_cast<float>(inverse * mean);
            sum[i] = inverse * (norm.weight[c] * sums.dz[i] - norm.positions * mean - sums.n[i] * mean_n);
        }
    }
};

template <bool Silu, class T>
void write_input_gradient(const GroupNorm& norm, const Affine& affine, const InputGradient& factors, const T* x,
                          const T* dy, T* dx) {
    norm.for_pieces([&](int64_t, int64_t number, int64_t start, int64_t rows) {
        const Sample sample(norm, affine, number);
        const int64_t channels = norm.channels, first = number * norm.padded;
        const float *by_dz = &factors.by_dz[first], *by_n = &factors.by_n[first], *offset = &factors.offset[first];
        for (int64_t row = 0; row < rows; ++row)
            for_vectors(channels, [=](int64_t c, auto part) {
                const int64_t i = start + row * channels + c;
                const Vec n = sample.n(c, part.get(x + i)), dz = sample.dz<Silu>(c, n, part.get(dy + i));
                part.put(dx + i, dz * load(by_dz + c) - n * load(by_n + c) - load(offset + c));
            });
    });
}

// out[c] = the sum over samples
void write_channels(const Tensor& out, const std::vector<double>& sums, int64_t channels) {
    if (!out.present()) return;
    std::vector<double> total(channels);
    for (size_t i = 0; i < sums.size(); ++i) total[i % channels] += sums[i];
    write_floats(out, total);
}

template <bool Silu, class T>
void differentiate(const Call& call, const GroupNorm& norm) {
    const T *x = data<const T>(call.in(0)), *dy = data<const T>(call.in(5));
    const std::vector<Moments> moments = group_moments(norm, x);
    const std::vector<float> ones(norm.padded, 1.0f), zeros(norm.padded);
    const Affine affine(norm, moments, ones.data(), zeros.data());
    const Sums sums = sum_positions<Silu>(norm, affine, x, dy);
    write_channels(call.out(1), sums.dzn, norm.channels);
    write_channels(call.out(2), sums.dz, norm.channels);
    if (!call.out(0).present() && !call.out(3).present()) return;
    const InputGradient factors(norm, moments, sums);
    if (call.out(3).present()) write_floats(call.out(3), factors.sum);
    if (call.out(0).present()) write_input_gradient<Silu>(norm, affine, factors, x, dy, data<T>(call.out(0)));
}

// x, weight, bias, shift, y, dy -> dx, dweight, dbias, dshift
void group_norm_backward(const Call& call) {
    const Tensor& x = call.in(0);
    if (x.count() == 0) return clear_outputs(call);
    const GroupNorm norm(call);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        norm.silu ? differentiate<true, T>(call, norm) : differentiate<false, T>(call, norm);
    });
}

const Register registered("group_norm_backward", group_norm_backward);

}  // namespace
}  // namespace jstyle
