// Attention: softmax(scale q k^T + bias) v, block by block of queries and keys.
#include <omp.h>

#include <cmath>
#include <limits>

#include "attention_packing.h"

namespace jstyle::attention {
namespace {

// Below any logit that counts; logits are relative to it where all are -infinity.
constexpr float kLowest = -1e30f;
// The sums keep their scale until a logit exceeds it by this many powers of two.
constexpr float kSlack = 8.0f;

// The running softmax of a block of queries.
template <class T>
struct State {
    explicit State(int64_t head_dim)
        : queries(kQueryBlock * depth_of<T>(head_dim)),
          logits(kQueryBlock * kKeyBlock),
          weights(kPack<T> == 2 ? kQueryBlock * depth_of<T>(kKeyBlock) : 0),
          sums(kQueryBlock * lanes_of(head_dim)),
          totals(kQueryBlock * kLanes),
          largest(kQueryBlock) {}

    Buffer<Unit<T>> queries;  // rows x depth_of(head_dim)
    Buffer<float> logits;     // rows x kKeyBlock
    Buffer<Unit<T>> weights;  // the same in pairs; without pairs they replace the logits
    Buffer<float> sums;       // rows x lanes_of(head_dim): weights times values
    Buffer<float> totals;     // rows x kLanes: the weights' sum, lane by lane
    Buffer<float> largest;    // rows: what the logits are relative to

    Unit<T>* weights_row(int64_t row) const {
        if constexpr (kPack<T> == 2)
            return weights + row * depth_of<T>(kKeyBlock);
        else
            return logits + row * kKeyBlock;
    }
};

Vec largest_of(const float* row, int64_t vectors) {
    Vec most = load(row);
    for (int64_t i = 1; i < vectors; ++i) most = max(most, load(row + i * kLanes));
    return most;
}

// Make logits relative to a new largest one.
void rescale(float* sums, int64_t lanes, float* totals, float change) {
    const Vec factor = exp2(splat(change));
    for (int64_t i = 0; i < lanes; i += kLanes) store(sums + i, load(sums + i) * factor);
    store(totals, load(totals) * factor);
}

// Weights of one row, 2^(factor logit - offset), and their sum.
template <class U>
Vec weigh(const float* logits, int64_t vectors, float factor, float offset, U* weights) {
    Vec total{};
    for (int64_t i = 0; i < vectors; ++i) {
        const Vec weight = exp2(load(logits + i * kLanes) * factor - offset);
        total = total + weight;
        store_units(weights, i * kLanes, weight);
    }
    return total;
}

template <class T>
class Forward {
   public:
    Forward(const Call& call, const Problem& problem)
        : problem_(problem), out_(call.out(0)), lse_(call.out(1)) {
        for (const KeySet& set : problem.sets) {
            keys_.emplace_back(set.k, PackedHeads<T>::kTransposed);
            values_.emplace_back(set.v, PackedHeads<T>::kColumns);
        }
    }

    void run() const {
        const int64_t per_head = blocks_of(problem_.queries, kQueryBlock);
        const int64_t tasks = problem_.batch * problem_.heads * per_head;
        std::vector<State<T>> states;
        for (int i = 0; i < omp_get_max_threads(); ++i) states.emplace_back(problem_.head_dim);
#pragma omp parallel for schedule(dynamic)
        for (int64_t i = 0; i < tasks; ++i) {
            const int64_t head = i / per_head % problem_.heads, row = i / per_head / problem_.heads;
            attend(row, head, i % per_head * kQueryBlock, states[omp_get_thread_num()]);
        }
    }

   private:
    // One block of queries, which begins at a token, of one head.
    void attend(int64_t row, int64_t head, int64_t first, const State<T>& state) const {
        const int rows = static_cast<int>(std::min<int64_t>(kQueryBlock, problem_.queries - first));
        const T* q = static_cast<const T*>(problem_.q.data) + problem_.at(row, first, head);
        pack_rows(q, problem_.token_stride(), rows, problem_.head_dim, state.queries.data());
        bool begun = false;
        for (size_t s = 0; s < problem_.sets.size(); ++s) {
            const Logits logits(problem_, problem_.sets[s], row, head);
            const int64_t index = problem_.sets[s].index(row, head);
            for (int64_t block = 0; block < problem_.sets[s].blocks(); ++block, begun = true)
                add_block(s, index, block, logits, first, rows, state, begun);
        }
        for (int r = 0; r < rows; ++r) write(state, r, row, head, first + r);
    }

    // One block of queries against one block of keys. The first block met sets what the later ones add to.
    void add_block(size_t s, int64_t index, int64_t block, const Logits& logits, int64_t query, int rows,
                   const State<T>& state, bool begun) const {
        const int64_t first = block * kKeyBlock, lanes = lanes_of(problem_.head_dim);
        const int64_t keys = std::min<int64_t>(kKeyBlock, problem_.sets[s].keys() - first);
        const int depth = static_cast<int>(depth_of<T>(problem_.head_dim));
        const int vectors = static_cast<int>(lanes_of(keys) / kLanes);
        multiply<Unit<T>>({state.queries.data(), depth}, rows, keys_[s].block(index, block), depth, vectors,
                          state.logits.data(), kKeyBlock, false);
        logits.finish(state.logits.data(), query, rows, first, keys);
        for (int r = 0; r < rows; ++r) soften(state, r, vectors, logits.factor(), begun);
        multiply<Unit<T>>({state.weights_row(0), depth_of<T>(kKeyBlock)}, rows, values_[s].block(index, block),
                          static_cast<int>(depth_of<T>(keys)), static_cast<int>(lanes / kLanes), state.sums.data(),
                          lanes, begun);
    }

    // The online softmax of one row of logits.
    void soften(const State<T>& state, int64_t row, int64_t vectors, float factor, bool begun) const {
        const int64_t lanes = lanes_of(problem_.head_dim);
        float* logits = state.logits + row * kKeyBlock;
        float* totals = state.totals + row * kLanes;
        float& offset = *(state.largest + row);
        const float most = std::max(kLowest, jstyle::largest(largest_of(logits, vectors)) * factor);
        if (!begun) {
            store(totals, Vec{});
            offset = most;
        } else if (most > offset + kSlack) {
            rescale(state.sums + row * lanes, lanes, totals, offset - most);
            offset = most;
        }
        store(totals, load(totals) + weigh(logits, vectors, factor, offset, state.weights_row(row)));
    }

    // A row's sums over its weights. A row without any weight is zero.
    void write(const State<T>& state, int64_t r, int64_t row, int64_t head, int64_t query) const {
        const float weight = sum(load(state.totals + r * kLanes));
        store_head(state.sums + r * lanes_of(problem_.head_dim), weight > 0 ? 1 / weight : 0.0f, problem_.head_dim,
                   static_cast<T*>(out_.data) + problem_.at(row, query, head));
        if (lse_.present())
            lse_.f32()[(row * problem_.heads + head) * problem_.queries + query] =
                kLn2 * *(state.largest + r) + std::log(weight);
    }

    const Problem& problem_;
    const Tensor &out_, &lse_;
    std::vector<PackedHeads<T>> keys_, values_;
};

void run(const Call& call) {
    const Problem problem(call);
    if (problem.keys() == 0) {
        clear(call.out(0));
        if (call.out(1).present())
            std::fill_n(call.out(1).f32(), call.out(1).count(), -std::numeric_limits<float>::infinity());
        return;
    }
    if (problem.q.is_bf16())
        Forward<uint16_t>(call, problem).run();
    else
        Forward<float>(call, problem).run();
}

const Register registration("attention", run);

}  // namespace
}  // namespace jstyle::attention
