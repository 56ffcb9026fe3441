// Pointwise nonlinearities, and the sum of two tensors.
#include "gelu.h"
#include "loops.h"

namespace jstyle {
namespace {

Vec silu(Vec x) { return x * sigmoid(x); }
Vec silu_derivative(Vec x) {
    const Vec s = sigmoid(x);
    return s + x * s * (1.0f - s);
}

// The approximation of the GELU that OpenAI's CLIP was trained with.
Vec quick_gelu(Vec x) { return x * sigmoid(1.702f * x); }
Vec quick_gelu_derivative(Vec x) {
    const Vec s = sigmoid(1.702f * x);
    return s + 1.702f * x * s * (1.0f - s);
}

// x -> y
template <Vec (*Function)(Vec)>
void pointwise(const Call& call) {
    const Tensor &x = call.in(0), &y = call.out(0);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        map_elements<T>(x.count(), [](Vec v) { return Function(v); }, data<T>(y), data<const T>(x));
    });
}

// x, y, dy -> dx
template <Vec (*Derivative)(Vec)>
void pointwise_backward(const Call& call) {
    const Tensor &x = call.in(0), &dy = call.in(2), &dx = call.out(0);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        map_elements<T>(x.count(), [](Vec v, Vec g) { return g * Derivative(v); }, data<T>(dx), data<const T>(x),
                        data<const T>(dy));
    });
}

// x (..., 2c) -> y (..., c) = value * gelu(gate) (arXiv 2002.05202), value the first half.
void geglu(const Call& call) {
    const Tensor &x = call.in(0), &y = call.out(0);
    const int64_t rows = y.count(0, -1), c = y.dim(-1);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        for_blocks(rows, rows_of_block(2 * c), [=, &x, &y](int64_t first, int64_t last) {
            for (int64_t row = first; row < last; ++row) {
                const T* value = data<const T>(x) + row * 2 * c;
                T* out = data<T>(y) + row * c;
                for_vectors(c, [=](int64_t i, auto part) {
                    part.put(out + i, part.get(value + i) * gelu(part.get(value + c + i)));
                });
            }
        });
    });
}

// x, y, dy -> dx
void geglu_backward(const Call& call) {
    const Tensor &x = call.in(0), &dy = call.in(2), &dx = call.out(0);
    const int64_t rows = dy.count(0, -1), c = dy.dim(-1);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        for_blocks(rows, rows_of_block(2 * c), [=, &x, &dy, &dx](int64_t first, int64_t last) {
            for (int64_t row = first; row < last; ++row) {
                const T *value = data<const T>(x) + row * 2 * c, *gradient = data<const T>(dy) + row * c;
                T* out = data<T>(dx) + row * 2 * c;
                for_vectors(c, [=](int64_t i, auto part) {
                    const Vec gate = part.get(value + c + i), g = part.get(gradient + i);
                    part.put(out + i, g * gelu(gate));
                    part.put(out + c + i, g * part.get(value + i) * gelu_derivative(gate));
                });
            }
        });
    });
}

// a, b -> a + b
void add(const Call& call) {
    const Tensor &a = call.in(0), &b = call.in(1), &y = call.out(0);
    with_type(a, [&](auto type) {
        using T = decltype(type);
        map_elements<T>(a.count(), [](Vec u, Vec v) { return u + v; }, data<T>(y), data<const T>(a), data<const T>(b));
    });
}

// a, b, y, dy -> da, db
void add_backward(const Call& call) {
    for (int slot : {0, 1})
        if (call.out(slot).present()) copy_elements(call.in(3), call.out(slot));
}

const Register registered[] = {
    {"silu", pointwise<silu>},
    {"silu_backward", pointwise_backward<silu_derivative>},
    {"gelu", pointwise<gelu>},
    {"gelu_backward", pointwise_backward<gelu_derivative>},
    {"quick_gelu", pointwise<quick_gelu>},
    {"quick_gelu_backward", pointwise_backward<quick_gelu_derivative>},
    {"geglu", geglu},
    {"geglu_backward", geglu_backward},
    {"add", add},
    {"add_backward", add_backward},
};

}  // namespace
}  // namespace jstyle
