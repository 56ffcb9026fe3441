// What both directions of attention share: the inputs, and logits from products.
#include "attention.h"

#include <cmath>
#include <limits>

namespace jstyle::attention {

Problem::Problem(const Call& call) {
    q = call.in(0);
    batch = q.dim(0), queries = q.dim(1), heads = q.dim(2), head_dim = q.dim(3);
    scale = static_cast<float>(call.attribute("scale"));
    const bool biased = call.in(3).present();
    sets.push_back({call.in(1), call.in(2), biased ? &call.in(3) : nullptr, 0.0f, 1});
    if (call.in(4).present())
        sets.push_back({call.in(4), call.in(5), nullptr, static_cast<float>(call.attribute("shift")), 4});
}

int64_t Problem::keys() const {
    int64_t count = 0;
    for (const KeySet& set : sets) count += set.keys();
    return count;
}

Logits::Logits(const Problem& problem, const KeySet& set, int64_t row, int64_t head)
    : plain_(!set.bias && set.shift == 0.0f && problem.scale > 0.0f),
      factor_(problem.scale * kLog2E),
      shift_(set.shift * kLog2E) {
    if (!set.bias) return;
    const Tensor& bias = *set.bias;
    key_stride_ = bias.dim(3) == 1 ? 0 : 1;
    query_stride_ = bias.dim(2) == 1 ? 0 : bias.dim(3);
    const int64_t head_index = bias.dim(1) == 1 ? 0 : head;
    const int64_t row_index = bias.dim(0) == 1 ? 0 : row;
    bias_ = bias.f32() + (row_index * bias.dim(1) + head_index) * bias.dim(2) * bias.dim(3);
}

void Logits::finish(float* block, int64_t query, int64_t rows, int64_t first_key, int64_t keys) const {
    const int64_t lanes = round_up(keys, kLanes);
    for (int64_t r = 0; r < rows && (!plain_ || keys < lanes); ++r) {
        float* row = block + r * kKeyBlock;
        if (!plain_) add(row, bias_ ? bias_ + (query + r) * query_stride_ + first_key * key_stride_ : nullptr, keys);
        for (int64_t i = keys; i < lanes; ++i) row[i] = -std::numeric_limits<float>::infinity();
    }
}

void Logits::add(float* row, const float* bias, int64_t keys) const {
    for (int64_t i = 0; i < keys; i += kLanes) {
        Vec added = splat(shift_);
        if (bias && key_stride_ == 0) added = added + *bias * kLog2E;
        if (bias && key_stride_ == 1)
            added = added + kLog2E * (i + kLanes <= keys ? load(bias + i) : load_part(bias + i, keys - i));
        store(row + i, load(row + i) * factor_ + added);
    }
}

}  // namespace jstyle::attention
