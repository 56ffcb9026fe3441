// Copies of tokens' heads in the orders the tiles read. Tokens are head_dim numbers each, a stride apart.
#pragma once

#include <algorithm>

#include "attention_tiles.h"
#include "transpose.h"

namespace jstyle::attention {

template <class T>
Unit<T> join(T low, T high) {
    if constexpr (kPack<T> == 2)
        return low | static_cast<Pair>(high) << 16;
    else
        return to_float(low);
}

// The widths of tokens and heads once packed: in units of depth, and in lanes of whole vectors.
template <class T>
int64_t depth_of(int64_t count) {
    return blocks_of(count, kPack<T>);
}
inline int64_t lanes_of(int64_t count) { return round_up(count, kLanes); }

// tokens x head_dim, a left side: rows of depth_of(head_dim) units.
template <class T>
void pack_rows(const T* tokens, int64_t stride, int64_t count, int64_t head_dim, Unit<T>* packed) {
    const int64_t pairs = head_dim / kPack<T>, depth = depth_of<T>(head_dim);
    for (int64_t i = 0; i < count; ++i, tokens += stride, packed += depth) {
        for (int64_t t = 0; t < pairs; ++t) packed[t] = join<T>(tokens[t * kPack<T>], tokens[(t + 1) * kPack<T> - 1]);
        if (pairs < depth) packed[pairs] = join<T>(tokens[head_dim - 1], T{});
    }
}

// kLanes units of one token, which begin at unit t.
template <class T>
Vec load_units(const T* token, int64_t t) {
    if constexpr (kPack<T> == 2)
        return load(reinterpret_cast<const float*>(token) + t);
    else
        return load(token + t);
}

// The transpose of count <= kLanes tokens, zero past them; its rows are a stride apart.
template <class T>
void transpose(const T* tokens, int64_t stride, int64_t count, int64_t head_dim, Unit<T>* packed,
               int64_t packed_stride) {
    const int64_t whole = head_dim / kPack<T>, depth = depth_of<T>(head_dim);
    int64_t t = 0;
    for (; t + kLanes <= whole; t += kLanes) {
        Vec rows[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) rows[i] = i < count ? load_units(tokens + i * stride, t) : Vec{};
        transpose_square(rows);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store(reinterpret_cast<float*>(packed) + (t + i) * packed_stride, rows[i]);
    }
    for (; t < depth; ++t)
        for (int i = 0; i < kLanes; ++i) {
            const T* pair = tokens + i * stride + t * kPack<T>;
            Unit<T>& to = packed[t * packed_stride + i];
            to = i < count ? join<T>(pair[0], t < whole ? pair[kPack<T> - 1] : T{}) : Unit<T>{};
        }
}

// The transpose as a right side: depth_of(head_dim) x lanes_of(count), zero past the tokens.
template <class T>
void pack_transposed(const T* tokens, int64_t stride, int64_t count, int64_t head_dim, Unit<T>* packed) {
    const int64_t depth = depth_of<T>(head_dim);
    const int vectors = static_cast<int>(lanes_of(count) / kLanes);
    for (int first = 0, width; first < vectors; first += width) {
        width = panel_width(first, vectors);
        for (int vector = 0; vector < width; ++vector) {
            const int64_t token = int64_t(first + vector) * kLanes;
            transpose(tokens + token * stride, stride, count - token, head_dim,
                      packed + int64_t(first) * kLanes * depth + vector * kLanes, width * kLanes);
        }
    }
}

// tokens x head_dim as a right side: depth_of(count) x lanes_of(head_dim), zero past both.
template <class T>
void pack_columns(const T* tokens, int64_t stride, int64_t count, int64_t head_dim, Unit<T>* packed) {
    const int64_t depth = depth_of<T>(count);
    const int vectors = static_cast<int>(lanes_of(head_dim) / kLanes);
    for (int first = 0, width; first < vectors; first += width) {
        width = panel_width(first, vectors);
        const int lanes = width * kLanes, used = static_cast<int>(std::min<int64_t>(lanes, head_dim - first * kLanes));
        Unit<T>* to = packed + int64_t(first) * kLanes * depth;
        for (int64_t t = 0; t < depth; ++t, to += lanes) {
            const T* low = tokens + t * kPack<T> * stride + first * kLanes;
            const bool single = kPack<T> == 1 || (t + 1) * kPack<T> > count;
            for (int lane = 0; lane < used; ++lane) to[lane] = join<T>(low[lane], single ? T{} : low[lane + stride]);
            for (int lane = used; lane < lanes; ++lane) to[lane] = Unit<T>{};
        }
    }
}

// One head of one token, from its fp32 sums.
template <class T>
void store_head(const float* sums, float factor, int64_t head_dim, T* out) {
    int64_t i = 0;
    for (; i + kLanes <= head_dim; i += kLanes) store(out + i, load(sums + i) * factor);
    if (i < head_dim) store_part(out + i, load(sums + i) * factor, head_dim - i);
}

// Keys or values of every (batch, head) of a set, packed in blocks of kKeyBlock tokens.
template <class T>
class PackedHeads {
   public:
    enum Form { kTransposed, kColumns };

    PackedHeads(const Tensor& tokens, Form form)
        : head_dim_(tokens.dim(3)),
          block_(form == kTransposed ? kKeyBlock * depth_of<T>(head_dim_)
                                     : depth_of<T>(kKeyBlock) * lanes_of(head_dim_)),
          per_head_(blocks_of(tokens.dim(1), kKeyBlock)),
          units_(tokens.dim(0) * tokens.dim(2) * per_head_ * block_) {
        const int64_t keys = tokens.dim(1), heads = tokens.dim(2), stride = heads * head_dim_;
        const int64_t total = tokens.dim(0) * heads * per_head_;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < total; ++i) {
            const int64_t first = i % per_head_ * kKeyBlock, head = i / per_head_ % heads, row = i / per_head_ / heads;
            const T* from = static_cast<const T*>(tokens.data) + (row * keys + first) * stride + head * head_dim_;
            const auto pack = form == kTransposed ? pack_transposed<T> : pack_columns<T>;
            pack(from, stride, std::min<int64_t>(kKeyBlock, keys - first), head_dim_, units_ + i * block_);
        }
    }

    // index is KeySet::index's.
    const Unit<T>* block(int64_t index, int64_t block) const { return units_ + (index * per_head_ + block) * block_; }

   private:
    int64_t head_dim_, block_, per_head_;
    Buffer<Unit<T>> units_;
};

}  // namespace jstyle::attention
