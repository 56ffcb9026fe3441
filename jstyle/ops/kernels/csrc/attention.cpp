// What both directions of attention share: the checked inputs, and logits from products.
#include "attention.h"

#include <cmath>
#include <limits>

namespace jstyle::attention {
namespace {

void require(bool holds, const Call& call, const char* what) {
    if (!holds) throw std::invalid_argument(std::string(call.name) + ": " + what);
}

KeySet key_set(const Call& call, int slot, const Tensor* bias, float shift) {
    const Tensor &q = call.in(0), &k = call.in(slot), &v = call.in(slot + 1);
    require(k.rank == 4 && v.rank == 4, call, "keys and values are (batch, keys, heads, head_dim)");
    require(k.type == q.type && v.type == q.type, call, "queries, keys and values are of one type");
    require(k.dim(0) == q.dim(0) || k.dim(0) == 1, call, "keys are of the queries' batch, or of batch 1");
    require(k.dim(2) == q.dim(2) && k.dim(3) == q.dim(3), call, "queries and keys have the same heads");
    for (int axis = 0; axis < 4; ++axis) require(k.dim(axis) == v.dim(axis), call, "keys and values are of one shape");
    return {k, v, bias, shift, slot};
}

void check_bias(const Call& call, const Tensor& bias, int64_t keys) {
    const Tensor& q = call.in(0);
    const int64_t full[] = {q.dim(0), q.dim(2), q.dim(1), keys};
    require(bias.rank == 4 && bias.type == JSTYLE_F32, call, "the bias is fp32 of rank 4");
    for (int axis = 0; axis < 4; ++axis)
        require(bias.dim(axis) == 1 || bias.dim(axis) == full[axis], call,
                "the bias broadcasts to (batch, heads, queries, keys)");
}

}  // namespace

Problem::Problem(const Call& call) {
    require(call.n_inputs >= 6, call, "takes q, k, v, bias, shared_k, shared_v");
    q = call.in(0);
    require(q.rank == 4, call, "queries are (batch, queries, heads, head_dim)");
    require(q.type == JSTYLE_F32 || q.type == JSTYLE_BF16, call, "queries are fp32 or bf16");
    batch = q.dim(0), queries = q.dim(1), heads = q.dim(2), head_dim = q.dim(3);
    scale = static_cast<float>(call.attribute("scale"));
    const bool biased = call.in(3).present();
    sets.push_back(key_set(call, 1, biased ? &call.in(3) : nullptr, 0.0f));
    if (biased) check_bias(call, call.in(3), sets[0].keys());
    if (call.in(4).present()) sets.push_back(key_set(call, 4, nullptr, static_cast<float>(call.attribute("shift"))));
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
