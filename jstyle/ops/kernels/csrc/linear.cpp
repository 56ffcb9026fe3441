// Linear maps y = x W^T + b (+ residual), and the same map followed by GEGLU.
//
// x is (..., in), weight (out, in) with or without the two axes of a 1x1 convolution, bias (out).
#include "finish.h"
#include "gelu.h"
#include "gradients.h"
#include "outer.h"

namespace jstyle {
namespace {

template <class T>
Product<T> product_with(const T* x, int64_t rows, const T* weight, int64_t columns, int64_t depth) {
    Product<T> product{rows, columns, 1, depth};
    product.locate = [=](int64_t first, int n, const T** pointers) {
        for (int i = 0; i < n; ++i) pointers[i] = x + (first + i) * depth;
    };
    product.pack = [=](int64_t first, int n, int sheet, PanelType<T>* panel) {
        pack_transposed(weight + (sheet * columns + first) * depth, depth, n, depth, panel);
    };
    return product;
}

template <class T>
void linear_of(const Call& call) {
    const Tensor &x = call.in(0), &weight = call.in(1);
    const int64_t depth = x.dim(-1), columns = weight.dim(0);
    const Finish<T> finish{call.in(2), call.in(3), static_cast<T*>(call.out(0).data), columns};
    auto product = product_with(static_cast<const T*>(x.data), x.count(0, -1), static_cast<const T*>(weight.data),
                                columns, depth);
    product.expect = [&](int64_t row, int rows, int64_t column) { finish.expect(row, rows, column); };
    product.finish = [&](int64_t row, int rows, int64_t column, int n, const float* sums) {
        for (int i = 0; i < rows; ++i) finish.row(row + i, column, n, sums + i * kPanel);
    };
    multiply(product);
}

// The weight's first half of rows gives the values, the second the gates (arXiv 2002.05202).
template <class T>
void linear_geglu_of(const Call& call) {
    const Tensor &x = call.in(0), &weight = call.in(1), none{};
    const int64_t depth = x.dim(-1), columns = weight.dim(0) / 2;
    const Finish<T> finish{none, none, static_cast<T*>(call.out(0).data), columns};
    const Finish<T> bias{call.in(2), none, nullptr, columns};
    auto product = product_with(static_cast<const T*>(x.data), x.count(0, -1), static_cast<const T*>(weight.data),
                                columns, depth);
    product.expect = [&](int64_t row, int rows, int64_t column) { finish.expect(row, rows, column); };
    product.sheets = 2;
    product.finish = [&](int64_t row, int rows, int64_t column, int n, const float* sums) {
        for (int64_t j = 0; j < n; j += kLanes) {
            const Vec value_bias = bias.bias_at(column + j, n - j);
            const Vec gate_bias = bias.bias_at(columns + column + j, n - j);
            for (int i = 0; i < rows; ++i) {
                const Vec value = load(sums + i * kPanel + j) + value_bias;
                const Vec gate = load(sums + (rows + i) * kPanel + j) + gate_bias;
                finish.vector(row + i, column + j, n - j, value * gelu(gate));
            }
        }
    };
    multiply(product);
}

void linear(const Call& call) { call.in(0).is_bf16() ? linear_of<uint16_t>(call) : linear_of<float>(call); }
void linear_geglu(const Call& call) {
    call.in(0).is_bf16() ? linear_geglu_of<uint16_t>(call) : linear_geglu_of<float>(call);
}

// dx = dy W
void input_gradient(const Tensor& dy, const Tensor& weight, Tensor& dx) {
    const Tensor none{};
    const int64_t columns = dx.dim(-1), depth = dy.dim(-1);
    const Finish<float> finish{none, none, dx.f32(), columns};
    auto product = product_with(dy.f32(), dy.count(0, -1), weight.f32(), columns, depth);
    product.pack = [&](int64_t first, int n, int, float* panel) {
        pack_rows(weight.f32() + first, columns, n, depth, panel);
    };
    product.finish = [&](int64_t row, int rows, int64_t column, int n, const float* sums) {
        for (int i = 0; i < rows; ++i) finish.row(row + i, column, n, sums + i * kPanel);
    };
    multiply(product);
}

// dW = dy^T x
void weight_gradient(const Tensor& dy, const Tensor& x, Tensor& dw) {
    const int64_t rows = x.count(0, -1), inputs = x.dim(-1), outputs = dy.dim(-1), most = 1024;
    sum_pieces(outputs, inputs, dw.f32(), [&](int64_t row, int64_t n, int64_t column, int64_t m, float* sums) {
        for (int64_t k = 0; k < rows; k += most)  // what the next tile of rows reads again stays in the cache
            add_outer(dy.f32() + k * outputs + row, outputs, n, x.f32() + k * inputs + column, inputs, m,
                      std::min(most, rows - k), sums);
    });
}

void linear_backward(const Call& call) {
    const Tensor &x = call.in(0), &weight = call.in(1), &dy = call.in(5);
    if (call.out(0).present()) input_gradient(dy, weight, call.out(0));
    if (call.out(1).present()) weight_gradient(dy, x, call.out(1));
    if (call.out(2).present()) sum_rows(dy.f32(), dy.count(0, -1), dy.dim(-1), call.out(2).f32());
    if (call.out(3).present()) copy_elements(dy, call.out(3));
}

// slots: x, weight, bias?, residual? -> y; backward adds y, dy
const Register registered[] = {
    {"linear", linear},
    {"linear_geglu", linear_geglu},
    {"linear_backward", linear_backward},
};

}  // namespace
}  // namespace jstyle
