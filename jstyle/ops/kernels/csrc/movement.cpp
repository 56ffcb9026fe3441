// Copies into another shape, order or type.
#include "loops.h"
#include "transpose.h"

namespace jstyle {
namespace {

// x -> y of the other or the same type, rounding to nearest, ties to even.
void cast(const Call& call) { copy_elements(call.in(0), call.out(0)); }

// x, y, dy -> dx
void cast_backward(const Call& call) { copy_elements(call.in(2), call.out(0)); }

// The last axis of two tensors and of both together, in bytes.
struct Halves {
    int64_t rows, a, b;

    explicit Halves(const Call& call)
        : rows(call.in(0).count(0, -1)),
          a(call.in(0).dim(-1) * element_size(call.in(0))),
          b(call.in(1).dim(-1) * element_size(call.in(1))) {}

    // Call f(whole, part of a, part of b) with where each row starts.
    template <class F>
    void for_rows(const Tensor& whole, const Tensor& first, const Tensor& second, F f) const {
        const auto at = [](const Tensor& t, int64_t offset) { return t.present() ? data<char>(t) + offset : nullptr; };
        for_blocks(rows, rows_of_block((a + b) / 4), [&](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row)
                f(at(whole, row * (a + b)), at(first, row * a), at(second, row * b));
        });
    }
};

// a (..., c1), b (..., c2) -> y (..., c1 + c2)
void concat_channels(const Call& call) {
    const Tensor &a = call.in(0), &b = call.in(1), &y = call.out(0);
    const Halves halves(call);
    halves.for_rows(y, a, b, [=](char* whole, const char* first, const char* second) {
        std::memcpy(whole, first, halves.a);
        std::memcpy(whole + halves.a, second, halves.b);
    });
}

// a, b, y, dy -> da, db
void concat_channels_backward(const Call& call) {
    const Tensor &dy = call.in(3), &da = call.out(0), &db = call.out(1);
    const Halves halves(call);
    halves.for_rows(dy, da, db, [=](const char* whole, char* first, char* second) {
        if (first) std::memcpy(first, whole, halves.a);
        if (second) std::memcpy(second, whole + halves.a, halves.b);
    });
}

// A map (batch, height, width, channels).
struct Map {
    char* data;
    int64_t height, width, pixel;  // bytes of a pixel

    explicit Map(const Tensor& t)
        : data(static_cast<char*>(t.data)), height(t.dim(1)), width(t.dim(2)), pixel(t.dim(3) * element_size(t)) {}
    char* at(int64_t b, int64_t i, int64_t j) const { return data + ((b * height + i) * width + j) * pixel; }
};

// x (batch, h, w, c) -> y (batch, H, W, c): doubled by repetition, then cropped.
void upsample_nearest(const Call& call) {
    const Tensor &x = call.in(0), &y = call.out(0);
    const Map from(x), to(y);
    for_blocks(x.dim(0) * from.height, rows_of_block(from.width * x.dim(3)), [=](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row) {
            const int64_t b = row / from.height, i = row % from.height;
            for (int64_t k = 2 * i; k < std::min(2 * i + 2, to.height); ++k)
                for (int64_t j = 0; j < to.width; ++j)
                    std::memcpy(to.at(b, k, j), from.at(b, i, j / 2), from.pixel);
        }
    });
}

// x, y, dy -> dx: the sum over the up to four copies.
void upsample_nearest_backward(const Call& call) {
    const Tensor &dy = call.in(2), &dx = call.out(0);
    const Map from(dy), to(dx);
    const int64_t channels = dx.dim(3);
    with_type(dy, [&](auto type) {
        using T = decltype(type);
        for_blocks(dx.dim(0) * to.height * to.width, rows_of_block(4 * channels), [=](int64_t first, int64_t last) {
            for (int64_t pixel = first; pixel < last; ++pixel) {
                const int64_t j = pixel % to.width, row = pixel / to.width, i = row % to.height, b = row / to.height;
                const int64_t bottom = std::min(2 * i + 2, from.height), right = std::min(2 * j + 2, from.width);
                for_vectors(channels, [=](int64_t c, auto part) {
                    Vec sum{};
                    for (int64_t k = 2 * i; k < bottom; ++k)
                        for (int64_t l = 2 * j; l < right; ++l)
                            sum += part.get(reinterpret_cast<const T*>(from.at(b, k, l)) + c);
                    part.put(reinterpret_cast<T*>(to.at(b, i, j)) + c, sum);
                });
            }
        });
    });
}

void transpose_batch(const Tensor& from, const Tensor& to, int64_t batch, int64_t rows, int64_t columns) {
    with_type(from, [&](auto in) {
        with_type(to, [&](auto out) {
            transpose_matrices(data<const decltype(in)>(from), data<decltype(out)>(to), batch, rows, columns);
        });
    });
}

// (batch, c, h, w) -> (batch, h, w, c)
void to_last(const Tensor& x, const Tensor& y) {
    transpose_batch(x, y, x.dim(0), x.dim(1), x.count(2));
}

// (batch, h, w, c) -> (batch, c, h, w)
void to_first(const Tensor& x, const Tensor& y) {
    transpose_batch(x, y, x.dim(0), x.count(1, 3), x.dim(3));
}

// x -> y
template <void (*Move)(const Tensor&, const Tensor&)>
void move(const Call& call) {
    Move(call.in(0), call.out(0));
}

// x, y, dy -> dx
template <void (*Back)(const Tensor&, const Tensor&)>
void move_backward(const Call& call) {
    Back(call.in(2), call.out(0));
}

const Register registered[] = {
    {"cast", cast},
    {"cast_backward", cast_backward},
    {"concat_channels", concat_channels},
    {"concat_channels_backward", concat_channels_backward},
    {"upsample_nearest", upsample_nearest},
    {"upsample_nearest_backward", upsample_nearest_backward},
    {"channels_last", move<to_last>},
    {"channels_last_backward", move_backward<to_first>},
    {"channels_first", move<to_first>},
    {"channels_first_backward", move_backward<to_last>},
};

}  // namespace
}  // namespace jstyle
