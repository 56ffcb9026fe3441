// Scaled dot-product attention of heads that lie inside the tokens, (batch, tokens, heads, head_dim), to one or two
// sets of keys and values. Queries and keys are taken in blocks with an online softmax (FlashAttention-2,
// arXiv 2307.08691): a queries x keys matrix never exists.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernel.h"
#include "simd.h"

namespace jstyle::attention {

constexpr int kQueryBlock = 96;
constexpr int kKeyBlock = 256;
constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.69314718f;

inline int64_t blocks_of(int64_t count, int64_t size) { return (count + size - 1) / size; }
inline int64_t round_up(int64_t count, int64_t size) { return blocks_of(count, size) * size; }

// One set of keys and values. Its logits are scale q k^T + bias + shift.
struct KeySet {
    Tensor k, v;             // (batch or 1, keys, heads, head_dim)
    const Tensor* bias;      // broadcasts to (batch, heads, queries, keys), or null
    float shift;
    int slot;                // of k among the inputs; v's is the next

    int64_t keys() const { return k.dim(1); }
    int64_t batches() const { return k.dim(0); }
    int64_t blocks() const { return blocks_of(keys(), kKeyBlock); }
    // Where the set of one batch row lies among the sets of all (batch, head).
    int64_t index(int64_t row, int64_t head) const { return (batches() == 1 ? 0 : row) * k.dim(2) + head; }
};

// The inputs of a call.
struct Problem {
    Tensor q;  // (batch, queries, heads, head_dim)
    int64_t batch, queries, heads, head_dim;
    float scale;
    std::vector<KeySet> sets;

    explicit Problem(const Call& call);
    int64_t keys() const;
    int64_t token_stride() const { return heads * head_dim; }
    // The offset of a token's head in q, out and their gradients.
    int64_t at(int64_t row, int64_t token, int64_t head) const {
        return ((row * queries + token) * heads + head) * head_dim;
    }
};

// Memory for vectors, not initialised. What is given back is kept, up to a bound, for the next call: fresh pages
// would cost a small call as much as its arithmetic.
void* take_memory(size_t bytes);
void give_memory(void* memory, size_t bytes);

template <class T>
class Buffer {
   public:
    Buffer() = default;
    explicit Buffer(int64_t count) : data_(static_cast<T*>(take_memory(count * sizeof(T))), {count * sizeof(T)}) {}
    T* data() const { return data_.get(); }
    T* operator+(int64_t offset) const { return data_.get() + offset; }

   private:
    struct Give {
        size_t bytes = 0;
        void operator()(T* p) const { give_memory(p, bytes); }
    };
    std::unique_ptr<T, Give> data_;
};

// 2^x for x <= 127 to 2 units in the last place; exactly 0 for x <= -127, so that a masked key has no weight at all.
// NaN stays NaN: the comparison in max keeps its second argument then.
inline Vec exp2(Vec x) {
    const Vec clamped = max(splat(-127.0f), x);
    const Vec shifted = clamped + 12582912.0f;  // 1.5 * 2^23 leaves the rounded integer in the low bits
    const Vec r = clamped - (shifted - 12582912.0f);
    Vec y = splat(1.326472721e-3f);
    y = y * r + 9.671512813e-3f;
    y = y * r + 5.550733745e-2f;
    y = y * r + 2.402224208e-1f;
    y = y * r + 6.931469776e-1f;
    y = y * r + 1.0f;
    return reinterpret_cast<Vec>(reinterpret_cast<IntVec>(y) + (reinterpret_cast<IntVec>(shifted) << 23));
}

// Turns a block of q k^T, its rows kKeyBlock apart, into logits in units of log 2, in place; columns past the keys
// become -infinity up to a whole vector.
class Logits {
   public:
    Logits(const Problem& problem, const KeySet& set, int64_t row, int64_t head);
    // query is the first row's token, first_key the first column's.
    void finish(float* block, int64_t query, int64_t rows, int64_t first_key, int64_t keys) const;
    // What is left to multiply by: finish leaves it to the exponential where there is nothing to add.
    float factor() const { return plain_ ? factor_ : 1.0f; }

   private:
    void add(float* row, const float* bias, int64_t keys) const;

    bool plain_;
    float factor_, shift_;
    const float* bias_ = nullptr;
    int64_t query_stride_ = 0, key_stride_ = 0;
};

}  // namespace jstyle::attention
