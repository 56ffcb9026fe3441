// Convolutions of channels-last maps: x (batch, height, width, in), weight (out, in, kernel_h, kernel_w).
#include "finish.h"
#include "gradients.h"
#include "winograd_gradient.h"

namespace jstyle {
namespace {

MapShape map_shape(const Tensor& x) { return {x.dim(0), x.dim(1), x.dim(2), x.dim(3)}; }

struct Geometry {
    MapShape in, out;
    int64_t kernel_h, kernel_w, stride, padding;  // padding at the top and left; the output's size implies the rest

    Geometry(const Call& call, const Tensor& output)
        : in(map_shape(call.in(0))),
          out(map_shape(output)),
          kernel_h(call.in(1).dim(2)),
          kernel_w(call.in(1).dim(3)),
          stride(static_cast<int64_t>(call.attribute("stride"))),
          padding(static_cast<int64_t>(call.attribute("padding"))) {}

    int64_t taps() const { return kernel_h * kernel_w; }

    // Transforming pays from about a vector of channels on.
    bool suits_winograd() const {
        return kernel_h == 3 && kernel_w == 3 && stride == 1 && padding <= 2 && in.channels >= 16;
    }

    // The input pixel that an output pixel sees through a tap, or -1 in the padding.
    int64_t source(int64_t pixel, int64_t tap) const {
        const int64_t x = pixel % out.width, y = pixel / out.width % out.height, image = pixel / out.width / out.height;
        const int64_t from_y = y * stride - padding + tap / kernel_w, from_x = x * stride - padding + tap % kernel_w;
        const bool inside = from_y >= 0 && from_y < in.height && from_x >= 0 && from_x < in.width;
        return inside ? (image * in.height + from_y) * in.width + from_x : -1;
    }

    // The output pixel that sees an input pixel through a tap, or -1 where none does.
    int64_t target(int64_t pixel, int64_t tap) const {
        const int64_t x = pixel % in.width, y = pixel / in.width % in.height, image = pixel / in.width / in.height;
        const int64_t to_y = y + padding - tap / kernel_w, to_x = x + padding - tap % kernel_w;
        const bool inside = to_y >= 0 && to_x >= 0 && to_y % stride == 0 && to_x % stride == 0 &&
                            to_y / stride < out.height && to_x / stride < out.width;
        return inside ? (image * out.height + to_y / stride) * out.width + to_x / stride : -1;
    }
};

template <class T>
Scratch<T> zeros(int64_t n) {
    Scratch<T> row(n);
    std::fill_n(row.get(), n, T(0));
    return row;
}

// The product whose row `pixel` is made of the pieces x[see(pixel, tap)], each `depth` long.
template <class T, class See>
void multiply_seen(int64_t pixels, int64_t columns, int64_t taps, int64_t depth, const T* x, const See& see,
                   const std::function<void(int64_t, int, float*)>& weights, const Finish<T>& finish) {
    const Scratch<T> nothing = zeros<T>(depth);
    Product<T> product{pixels, columns, taps, depth};
    product.locate = [&](int64_t first, int n, const T** pointers) {
        for (int64_t tap = 0; tap < taps; ++tap)
            for (int i = 0; i < n; ++i) {
                const int64_t seen = see(first + i, tap);
                pointers[tap * n + i] = seen < 0 ? nothing.get() : x + seen * depth;
            }
    };
    product.pack = [&](int64_t first, int n, int, PanelType<T>* panel) {
        const Scratch<float> wide(taps * depth * kPanel);
        weights(first, n, wide.get());
        for (int64_t tap = 0; tap < taps; ++tap)
            narrow_panel(wide.get() + tap * depth * kPanel, depth, panel + tap * panel_size<T>(depth));
    };
    product.finish = [&](int64_t row, int rows, int64_t column, int n, const float* sums) {
        for (int i = 0; i < rows; ++i) finish.row(row + i, column, n, sums + i * kPanel);
    };
    multiply(product);
}

// taps (m, 9, kPanel) of the weight as it is stored
template <class T>
auto stored_taps(const T* weight, int64_t in_channels) {
    return [=](int64_t first_out, int64_t n, int64_t first_in, int64_t m, float* taps) {
        pack_transposed(weight + (first_out * in_channels + first_in) * 9, in_channels * 9, n, m * 9, taps);
    };
}

template <class T>
void conv2d_of(const Call& call) {
    const Geometry shape(call, call.out(0));
    const T *x = static_cast<const T*>(call.in(0).data), *weight = static_cast<const T*>(call.in(1).data);
    const Finish<T> finish{call.in(2), call.in(3), static_cast<T*>(call.out(0).data), shape.out.channels};
    if (shape.suits_winograd())
        return convolve_3x3(x, shape.in, shape.out, shape.padding, stored_taps(weight, shape.in.channels), finish);
    const int64_t taps = shape.taps(), depth = shape.in.channels;
    const auto weights = [&](int64_t first, int n, float* panel) {  // (taps, depth, kPanel)
        for (int64_t half = 0; half < kPanel; half += kLanes)
            pack_columns(weight + (first + half) * depth * taps, depth * taps, n - half, depth * taps,
                         [&](int64_t k) { return panel + (k % taps * depth + k / taps) * kPanel + half; });
    };
    const int64_t pixels = shape.out.batch * shape.out.height * shape.out.width;
    const auto see = [&](int64_t pixel, int64_t tap) { return shape.source(pixel, tap); };
    multiply_seen<T>(pixels, shape.out.channels, taps, depth, x, see, weights, finish);
}

void conv2d(const Call& call) { call.in(0).is_bf16() ? conv2d_of<uint16_t>(call) : conv2d_of<float>(call); }

// dx: the correlation of dy with the flipped weight
void input_gradient(const Geometry& shape, const Tensor& dy, const Tensor& weight, Tensor& dx) {
    const Tensor none{};
    const Finish<float> finish{none, none, dx.f32(), shape.in.channels};
    const int64_t taps = shape.taps(), inputs = shape.in.channels, outputs = shape.out.channels;
    const auto gather = [&](int64_t out, int64_t first, int64_t n, int64_t tap, float* to) {
        for (int64_t j = 0; j < kPanel; ++j) to[j] = j < n ? weight.f32()[(out * inputs + first + j) * taps + tap] : 0;
    };
    if (shape.suits_winograd() && outputs >= 16) {
        const auto flipped = [&](int64_t first, int64_t n, int64_t first_out, int64_t m, float* panel) {
            for (int64_t o = 0; o < m; ++o)
                for (int64_t tap = 0; tap < 9; ++tap) gather(first_out + o, first, n, 8 - tap, panel + (o * 9 + tap) * kPanel);
        };
        return convolve_3x3(dy.f32(), shape.out, shape.in, 2 - shape.padding, flipped, finish);
    }
    const auto weights = [&](int64_t first, int n, float* panel) {  // (taps, outputs, kPanel)
        for (int64_t tap = 0; tap < taps; ++tap)
            for (int64_t o = 0; o < outputs; ++o) gather(o, first, n, tap, panel + (tap * outputs + o) * kPanel);
    };
    const int64_t pixels = shape.in.batch * shape.in.height * shape.in.width;
    const auto see = [&](int64_t pixel, int64_t tap) { return shape.target(pixel, tap); };
    multiply_seen<float>(pixels, inputs, taps, outputs, dy.f32(), see, weights, finish);
}

// The output pixels (first to last - 1 of a row) that see the input through a horizontal tap.
struct Span {
    int64_t first, last;

    Span(const Geometry& shape, int64_t tap_x) {
        const int64_t offset = shape.padding - tap_x;  // output x sees input x * stride - offset
        first = offset > 0 ? (offset + shape.stride - 1) / shape.stride : 0;
        last = std::min(shape.out.width, (shape.in.width - 1 + offset) / shape.stride + 1);
    }
};

// The gradient at one tap: gradients (rows, columns) of outputs and inputs, or the other way round where `swapped`.
void tap_gradient(const Geometry& shape, const float* dy, const float* x, int64_t tap, bool swapped, float* to) {
    const int64_t inputs = shape.in.channels, outputs = shape.out.channels;
    const Span span(shape, tap % shape.kernel_w);
    const auto sum = [&](int64_t row, int64_t rows, int64_t column, int64_t columns, float* sums) {
        for (int64_t line = 0; line < shape.out.batch * shape.out.height; ++line) {
            const int64_t pixel = line * shape.out.width + span.first, seen = shape.source(pixel, tap);
            if (seen < 0 || span.last <= span.first) continue;
            const float *a = dy + pixel * outputs, *b = x + seen * inputs;
            const int64_t a_stride = outputs, b_stride = shape.stride * inputs;
            if (swapped)
                add_outer(b + row, b_stride, rows, a + column, a_stride, columns, span.last - span.first, sums);
            else
                add_outer(a + row, a_stride, rows, b + column, b_stride, columns, span.last - span.first, sums);
        }
    };
    swapped ? sum_pieces(inputs, outputs, to, sum) : sum_pieces(outputs, inputs, to, sum);
}

void weight_gradient(const Geometry& shape, const Tensor& dy, const Tensor& x, Tensor& dw) {
    const int64_t outputs = shape.out.channels, inputs = shape.in.channels, taps = shape.taps();
    if (shape.suits_winograd() && outputs >= 16)
        return winograd_weight_gradient(x.f32(), shape.in, dy.f32(), shape.out, shape.padding, dw.f32());
    const bool swapped = inputs < outputs;  // the columns fill whole vectors
    const Scratch<float> gradients(taps * outputs * inputs);
    for (int64_t tap = 0; tap < taps; ++tap)
        tap_gradient(shape, dy.f32(), x.f32(), tap, swapped, gradients.get() + tap * outputs * inputs);
#pragma omp parallel for
    for (int64_t o = 0; o < outputs; ++o)
        for (int64_t c = 0; c < inputs; ++c)
            for (int64_t tap = 0; tap < taps; ++tap)
                dw.f32()[(o * inputs + c) * taps + tap] =
                    gradients.get()[tap * outputs * inputs + (swapped ? c * outputs + o : o * inputs + c)];
}

void conv2d_backward(const Call& call) {
    const Tensor &x = call.in(0), &weight = call.in(1), &dy = call.in(5);
    const Geometry shape(call, dy);
    if (call.out(0).present()) input_gradient(shape, dy, weight, call.out(0));
    if (call.out(1).present()) weight_gradient(shape, dy, x, call.out(1));
    if (call.out(2).present()) sum_rows(dy.f32(), dy.count(0, -1), dy.dim(-1), call.out(2).f32());
    if (call.out(3).present()) copy_elements(dy, call.out(3));
}

// slots: x, weight, bias?, residual? -> y; attributes stride, padding; backward adds y, dy
const Register registered[] = {{"conv2d", conv2d}, {"conv2d_backward", conv2d_backward}};

}  // namespace
}  // namespace jstyle
