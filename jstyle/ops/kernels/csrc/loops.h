// Loops of the kernels that are bound by memory: over element types, over blocks on all threads, over vectors.
#pragma once

#include <algorithm>
#include <vector>

#include "kernel.h"
#include "simd.h"

namespace jstyle {

constexpr int64_t kBlock = 16384;  // elements that are worth a thread's while and stay in its cache

template <class T>
T* data(const Tensor& tensor) {
    return static_cast<T*>(tensor.data);
}

inline int64_t element_size(const Tensor& tensor) { return tensor.is_bf16() ? 2 : 4; }
inline int64_t bytes(const Tensor& tensor) { return tensor.count() * element_size(tensor); }

// Call f with a value of the tensor's element type: float or the bits of a bfloat16.
template <class F>
void with_type(const Tensor& tensor, F f) {
    tensor.is_bf16() ? f(uint16_t{}) : f(float{});
}

// Call f(first, last) for every block of [0, count), on all threads. The blocks do not depend on how many those are.
template <class F>
void for_blocks(int64_t count, int64_t block, F f) {
    const int64_t blocks = (count + block - 1) / block;
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t i = 0; i < blocks; ++i) f(i * block, std::min(count, (i + 1) * block));
}

// As many rows of this length as make a block, at least one.
inline int64_t rows_of_block(int64_t length) { return std::max<int64_t>(1, kBlock / std::max<int64_t>(1, length)); }

struct WholeVector {
    template <class T>
    Vec get(const T* p) const {
        return load(p);
    }
    template <class T>
    void put(T* p, Vec x) const {
        store(p, x);
    }
    Vec only(Vec x) const { return x; }
};

struct PartOfVector {
    int64_t n;

    template <class T>
    Vec get(const T* p) const {
        return load_part(p, n);
    }
    template <class T>
    void put(T* p, Vec x) const {
        store_part(p, x, n);
    }
    // With zeros in the lanes of the elements that do not exist.
    Vec only(Vec x) const { return lane_numbers() < static_cast<int32_t>(n) ? x : Vec{}; }
};

// Call f(i, part) for every vector of n elements; part.get and part.put touch only those that exist.
template <class F>
[[gnu::always_inline]] inline void for_vectors(int64_t n, F f) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) f(i, WholeVector{});
    if (i < n) f(i, PartOfVector{n - i});
}

// out[i] = f(in[i]...)
template <class T, class F, class... In>
void map_elements(int64_t n, F f, T* out, const In*... in) {
    for_blocks(n, kBlock, [=](int64_t first, int64_t last) {
        for_vectors(last - first, [=](int64_t i, auto part) {
            part.put(out + first + i, f(part.get(in + first + i)...));
        });
    });
}

// Zeros, where the output is wanted at all.
inline void clear(const Tensor& tensor) {
    if (tensor.present()) std::memset(tensor.data, 0, bytes(tensor));
}
inline void clear_outputs(const Call& call) { std::for_each(call.outputs, call.outputs + call.n_outputs, clear); }

// The same numbers, in the other type where the types differ.
inline void copy_elements(const Tensor& from, const Tensor& to) {
    with_type(from, [&](auto a) {
        with_type(to, [&](auto b) {
            map_elements(from.count(), [](Vec x) { return x; }, data<decltype(b)>(to), data<const decltype(a)>(from));
        });
    });
}

}  // namespace jstyle
