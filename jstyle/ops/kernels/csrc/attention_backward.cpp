// The gradient of attention, from the logits' log-sum-exp (FlashAttention-2, arXiv 2307.08691, algorithm 2):
//   P = exp(S - lse), dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(dO O)), dQ = scale dS K, dK = scale dS^T Q.
//
// A task owns a range of queries of one head: dQ is its own, and it sums its share of dK and dV. The shares are added
// in a fixed order, so that the result does not depend on the threads.
#include <omp.h>

#include <cmath>
#include <optional>
#include <utility>

#include "attention_packing.h"

namespace jstyle::attention {
namespace {

// Enough tasks to keep many threads busy, unless their shares of dK and dV would take more numbers than this.
constexpr int64_t kTasks = 16;
constexpr int64_t kMostShares = int64_t(1) << 25;

// What one thread needs for a block of queries against a block of keys.
template <class T>
struct Workspace {
    explicit Workspace(int64_t head_dim)
        : q_rows(kQueryBlock * depth_of<T>(head_dim)),
          dout_rows(kQueryBlock * depth_of<T>(head_dim)),
          q_columns(depth_of<T>(kQueryBlock) * lanes_of(head_dim)),
          dout_columns(depth_of<T>(kQueryBlock) * lanes_of(head_dim)),
          logits(kQueryBlock * kKeyBlock),
          dweights(kQueryBlock * kKeyBlock),
          pairs(kPack<T> == 2 ? 3 * kQueryBlock / 2 * kKeyBlock : 0),
          dq(kQueryBlock * lanes_of(head_dim)),
          offsets(kQueryBlock),
          deltas(kQueryBlock) {}

    Buffer<Unit<T>> q_rows, dout_rows;        // left sides, rows x depth_of(head_dim)
    Buffer<Unit<T>> q_columns, dout_columns;  // right sides, depth_of(rows) x lanes_of(head_dim)
    Buffer<float> logits, dweights;           // S and dP, rows x kKeyBlock
    Buffer<Unit<T>> pairs;                    // P, dS by pairs of rows and dS by pairs of keys
    Buffer<float> dq;                         // rows x lanes_of(head_dim)
    Buffer<float> offsets, deltas;            // lse in units of log 2, rowsum(dO O)

    // Without pairs P takes the place of S, and dS the place of dP.
    Left<Unit<T>> weights_transposed() const { return left(kWeights, logits, true); }
    Left<Unit<T>> dlogits_transposed() const { return left(kDlogits, dweights, true); }
    Left<Unit<T>> dlogits() const { return left(kDlogitsByKeys, dweights, false); }

    // Stores P and dS of one vector of keys, for kPack rows from row on.
    void keep(int64_t row, int64_t column, const Vec* weights, const Vec* gradients) const {
        if constexpr (kPack<T> == 2) {
            const int64_t across = row / 2 * kKeyBlock + column;
            store_pairs(paired(kWeights) + across, weights[0], weights[1]);
            store_pairs(paired(kDlogits) + across, gradients[0], gradients[1]);
            for (int p = 0; p < 2; ++p)
                store_units(paired(kDlogitsByKeys) + (row + p) * kKeyBlock / 2, column, gradients[p]);
        } else {
            store(logits + row * kKeyBlock + column, weights[0]);
            store(dweights + row * kKeyBlock + column, gradients[0]);
        }
    }

   private:
    enum Paired { kWeights, kDlogits, kDlogitsByKeys };

    Unit<T>* paired(Paired which) const { return pairs + which * (kQueryBlock / 2) * kKeyBlock; }

    Left<Unit<T>> left(Paired which, const Buffer<float>& floats, bool transposed) const {
        if constexpr (kPack<T> == 2)
            return {paired(which), transposed ? kKeyBlock : kKeyBlock / 2, transposed};
        else
            return {floats.data(), kKeyBlock, transposed};
    }
};

template <class T>
float inner_product(const T* a, const T* b, int64_t count) {
    Vec products{};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) products = products + load(a + i) * load(b + i);
    if (i < count) products = products + load_part(a + i, count - i) * load_part(b + i, count - i);
    return sum(products);
}

// A block of queries of one head.
struct Queries {
    int64_t row, head, first;
    int rows;
};

template <class T>
class Backward {
   public:
    Backward(const Call& call, const Problem& problem)
        : problem_(problem),
          call_(call),
          lanes_(lanes_of(problem.head_dim)),
          depth_(static_cast<int>(depth_of<T>(problem.head_dim))),
          blocks_(blocks_of(problem.queries, kQueryBlock)),
          wants_dq_(call.out(0).present()) {
        for (const KeySet& set : problem.sets) plan(set);
        split();
    }

    void run() {
        std::vector<Workspace<T>> workspaces;
        for (int i = 0; i < omp_get_max_threads(); ++i) workspaces.emplace_back(problem_.head_dim);
        const int64_t tasks = problem_.batch * problem_.heads * ranges_;
#pragma omp parallel for schedule(dynamic)
        for (int64_t task = 0; task < tasks; ++task) {
            const int64_t range = task % ranges_, head = task / ranges_ % problem_.heads;
            differentiate(task, task / ranges_ / problem_.heads, head, range, workspaces[omp_get_thread_num()]);
        }
        for (const Set& set : sets_) {
            if (set.dk >= 0) gather(set.keys, call_.out(set.keys.slot), set.dk, problem_.scale);
            if (set.dv >= 0) gather(set.keys, call_.out(set.keys.slot + 1), set.dv, 1.0f);
        }
    }

   private:
    // A set of keys, packed as its products need it. dk and dv are where its sums lie in a task's share, or -1.
    struct Set {
        const KeySet& keys;
        int64_t dk = -1, dv = -1;
        std::optional<PackedHeads<T>> k_transposed, v_transposed, k_columns;
        bool wants_dlogits() const { return v_transposed.has_value(); }
    };

    void plan(const KeySet& keys) {
        Set set{keys};
        const int64_t sums = keys.keys() * lanes_;
        if (call_.out(keys.slot).present()) set.dk = std::exchange(share_, share_ + sums);
        if (call_.out(keys.slot + 1).present()) set.dv = std::exchange(share_, share_ + sums);
        if (!wants_dq_ && set.dk < 0 && set.dv < 0) return;
        set.k_transposed.emplace(keys.k, PackedHeads<T>::kTransposed);
        if (wants_dq_ || set.dk >= 0) set.v_transposed.emplace(keys.v, PackedHeads<T>::kTransposed);
        if (wants_dq_) set.k_columns.emplace(keys.k, PackedHeads<T>::kColumns);
        wants_dk_ = wants_dk_ || set.dk >= 0;
        wants_dv_ = wants_dv_ || set.dv >= 0;
        wants_dlogits_ = wants_dlogits_ || set.wants_dlogits();
        sets_.push_back(std::move(set));
    }

    // Divides the queries of a head into ranges of whole blocks, whatever the number of threads.
    void split() {
        const int64_t heads = std::max<int64_t>(1, problem_.batch * problem_.heads);
        const int64_t most = share_ ? std::max<int64_t>(1, kMostShares / (heads * share_)) : kTasks;
        per_range_ = blocks_of(blocks_, std::min(most, blocks_of(kTasks, heads)));
        ranges_ = blocks_of(blocks_, per_range_);
        shares_ = Buffer<float>(heads * ranges_ * share_);
    }

    void differentiate(int64_t task, int64_t row, int64_t head, int64_t range, const Workspace<T>& work) const {
        float* share = shares_ + task * share_;
        const int64_t stop = std::min(blocks_, (range + 1) * per_range_);
        for (int64_t block = range * per_range_; block < stop; ++block) {
            const int64_t first = block * kQueryBlock;
            const int rows = static_cast<int>(std::min<int64_t>(kQueryBlock, problem_.queries - first));
            const Queries queries{row, head, first, rows};
            prepare(queries, work);
            for (const Set& set : sets_) {
                const Logits logits(problem_, set.keys, row, head);
                for (int64_t k = 0; k < set.keys.blocks(); ++k)
                    add_block(queries, set, logits, k, work, share, block > range * per_range_);
            }
            if (wants_dq_) write_dq(queries, work);
        }
    }

    const T* at(int slot, const Queries& queries, int64_t r) const {
        return static_cast<const T*>(call_.in(slot).data) + problem_.at(queries.row, queries.first + r, queries.head);
    }

    // Packs a block of queries and of the output's gradient.
    void prepare(const Queries& queries, const Workspace<T>& work) const {
        const int64_t stride = problem_.token_stride(), dim = problem_.head_dim;
        const T *q = at(0, queries, 0), *dout = at(8, queries, 0);
        pack_rows(q, stride, queries.rows, dim, work.q_rows.data());
        if (wants_dk_) pack_columns(q, stride, queries.rows, dim, work.q_columns.data());
        if (wants_dv_) pack_columns(dout, stride, queries.rows, dim, work.dout_columns.data());
        if (wants_dq_) std::fill_n(work.dq.data(), queries.rows * lanes_, 0.0f);
        const float* lse = call_.in(7).f32() + (queries.row * problem_.heads + queries.head) * problem_.queries;
        for (int r = 0; r < queries.rows; ++r) {
            const float offset = lse[queries.first + r] * kLog2E;
            work.offsets.data()[r] = std::isfinite(offset) ? offset : 0.0f;  // -infinity: no key has any weight
        }
        if (!wants_dlogits_) return;
        pack_rows(dout, stride, queries.rows, dim, work.dout_rows.data());
        for (int r = 0; r < queries.rows; ++r)
            work.deltas.data()[r] = inner_product(at(6, queries, r), at(8, queries, r), dim);
    }

    // One block of queries against one block of keys: adds to dQ and to the task's dK and dV.
    void add_block(const Queries& queries, const Set& set, const Logits& logits, int64_t block,
                   const Workspace<T>& work, float* share, bool add) const {
        const int64_t index = set.keys.index(queries.row, queries.head), first = block * kKeyBlock;
        const int keys = static_cast<int>(std::min<int64_t>(kKeyBlock, set.keys.keys() - first)), rows = queries.rows;
        const int key_vectors = static_cast<int>(lanes_of(keys) / kLanes), vectors = static_cast<int>(lanes_ / kLanes);
        const int row_depth = static_cast<int>(depth_of<T>(rows)), key_depth = static_cast<int>(depth_of<T>(keys));
        multiply<Unit<T>>({work.q_rows.data(), depth_}, rows, set.k_transposed->block(index, block), depth_,
                          key_vectors, work.logits.data(), kKeyBlock, false);
        logits.finish(work.logits.data(), queries.first, rows, first, keys);
        if (set.wants_dlogits())
            multiply<Unit<T>>({work.dout_rows.data(), depth_}, rows, set.v_transposed->block(index, block), depth_,
                              key_vectors, work.dweights.data(), kKeyBlock, false);
        weigh(work, rows, key_vectors, logits.factor(), set);
        if (set.dv >= 0)
            multiply(work.weights_transposed(), keys, work.dout_columns.data(), row_depth, vectors,
                     share + set.dv + first * lanes_, lanes_, add);
        if (set.dk >= 0)
            multiply(work.dlogits_transposed(), keys, work.q_columns.data(), row_depth, vectors,
                     share + set.dk + first * lanes_, lanes_, add);
        if (wants_dq_)
            multiply(work.dlogits(), rows, set.k_columns->block(index, block), key_depth, vectors, work.dq.data(),
                     lanes_, true);
    }

    // P and dS of a block, from S and dP.
    void weigh(const Workspace<T>& work, int rows, int vectors, float factor, const Set& set) const {
        for (int r = 0; r < rows; r += kPack<T>)
            for (int i = 0; i < vectors; ++i) {
                Vec weights[kPack<T>] = {}, dlogits[kPack<T>] = {};
                for (int p = 0; p < kPack<T> && r + p < rows; ++p) {
                    const int64_t at = int64_t(r + p) * kKeyBlock + i * kLanes;
                    weights[p] = exp2(load(work.logits + at) * factor - *(work.offsets + (r + p)));
                    if (set.wants_dlogits())
                        dlogits[p] = weights[p] * (load(work.dweights + at) - *(work.deltas + (r + p)));
                }
                work.keep(r, i * kLanes, weights, dlogits);
            }
    }

    void write_dq(const Queries& queries, const Workspace<T>& work) const {
        for (int r = 0; r < queries.rows; ++r) {
            T* dq = static_cast<T*>(call_.out(0).data) + problem_.at(queries.row, queries.first + r, queries.head);
            store_head(work.dq + r * lanes_, problem_.scale, problem_.head_dim, dq);
        }
    }

    // Adds up the tasks' shares of a set's dK or dV, which lie at an offset in each.
    void gather(const KeySet& set, const Tensor& out, int64_t offset, float factor) const {
        const int64_t heads = problem_.heads, rows = set.batches() == problem_.batch ? 1 : problem_.batch;
        const int64_t count = rows * ranges_, row_shares = heads * ranges_ * share_;
#pragma omp parallel for schedule(static)
        for (int64_t token = 0; token < set.batches() * set.keys(); ++token)
            for (int64_t head = 0; head < heads; ++head) {
                const int64_t row = token / set.keys(), key = token % set.keys();
                float* sums = shares_ + row * row_shares + head * ranges_ * share_ + offset + key * lanes_;
                for (int64_t i = 1; i < count; ++i) {
                    const float* other = sums + i / ranges_ * row_shares + i % ranges_ * share_;
                    for (int64_t lane = 0; lane < lanes_; lane += kLanes)
                        store(sums + lane, load(sums + lane) + load(other + lane));
                }
                T* to = static_cast<T*>(out.data) + (token * heads + head) * problem_.head_dim;
                store_head(sums, factor, problem_.head_dim, to);
            }
    }

    const Problem& problem_;
    const Call& call_;
    const int64_t lanes_;
    const int depth_;
    const int64_t blocks_;
    const bool wants_dq_;
    bool wants_dk_ = false, wants_dv_ = false, wants_dlogits_ = false;
    int64_t share_ = 0, per_range_ = 0, ranges_ = 0;
    std::vector<Set> sets_;
    Buffer<float> shares_;  // each task's sums of dK and dV, (batch, heads, ranges, share)
};

void run(const Call& call) {
    const Problem problem(call);
    if (!call.in(8).present() || problem.q.count() == 0 || problem.keys() == 0) return clear_outputs(call);
    if (problem.q.is_bf16())
        Backward<uint16_t>(call, problem).run();
    else
        Backward<float>(call, problem).run();
}

const Register registration("attention_backward", run);

}  // namespace
}  // namespace jstyle::attention
