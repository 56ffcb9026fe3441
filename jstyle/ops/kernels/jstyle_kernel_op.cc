#include "jstyle_kernel_op.h"

#include "csrc/kernel.h"
#include "ops/op_register.h"
#include "var.h"

namespace jittor {

static auto make_kernel = get_op_info("jstyle_kernel")
    .get_constructor<vector<VarPtr>, string&&, string&&, string&&, vector<Var*>&&, DataMap&&>();

static constexpr int most_outputs = 16;
static constexpr int most_words = 1000;

static JstyleTensor describe(Var* var) {
    JstyleTensor tensor = {};
    auto type = var->dtype();
    tensor.data = var->mem_ptr;
    tensor.type = type == ns_float32 ? JSTYLE_F32 : type == ns_bfloat16 ? JSTYLE_BF16 : JSTYLE_OTHER;
    tensor.rank = var->shape.size();
    for (int i = 0; i < tensor.rank && i < 8; i++) tensor.shape[i] = var->shape[i];
    return tensor;
}

// The tensors of slots, those without a '1' absent; find gives the next one.
template <class Find>
static vector<JstyleTensor> describe_slots(const string& slots, Find find) {
    vector<JstyleTensor> tensors(slots.size());
    int next = 0;
    for (size_t i = 0; i < slots.size(); i++)
        if (slots[i] == '1') tensors[i] = describe(find(next++));
    return tensors;
}

struct Numbers {
    vector<const char*> names;
    vector<double> values;

    explicit Numbers(const DataMap& attributes) {
        for (auto& item : attributes) {
            names.push_back(item.first.c_str());
            values.push_back(item.second);
        }
    }
};

JstyleKernelOp::JstyleKernelOp(string&& kernel_, string&& slots_, string&& wanted_, vector<Var*>&& filled, DataMap&& attributes_)
    : kernel(move(kernel_)), slots(move(slots_)), wanted(move(wanted_)), attributes(move(attributes_)) {
    flags.set(NodeFlags::_cpu);
    flags.set(NodeFlags::_grads);
    set_type(OpType::other);
    auto in = describe_slots(slots, [&](int i) { return filled[i]; });
    JstyleTensor out[most_outputs] = {};
    for (size_t i = 0; i < wanted.size() && i < most_outputs; i++) out[i].type = wanted[i] == '1' ? JSTYLE_OTHER : JSTYLE_ABSENT;
    Numbers numbers(attributes);
    char message[most_words];
    int count = jstyle_infer(kernel.c_str(), in.data(), in.size(), out, most_outputs, numbers.names.data(),
                             numbers.values.data(), numbers.names.size(), message, sizeof(message));
    if (count < 0) throw std::invalid_argument(message);
    if (wanted.empty()) wanted = string(count, '1');
    for (int i = 0; i < count; i++) {
        if (wanted[i] != '1') continue;
        NanoVector shape;
        for (int axis = 0; axis < out[i].rank; axis++) shape.push_back(out[i].shape[axis]);
        create_output(shape, out[i].type == JSTYLE_BF16 ? ns_bfloat16 : ns_float32);
    }
}

void JstyleKernelOp::run() {
    auto in = describe_slots(slots, [&](int i) { return input(i); });
    auto out = describe_slots(wanted, [&](int i) { return output(i); });
    Numbers numbers(attributes);
    char message[most_words];
    int failed = jstyle_run(kernel.c_str(), in.data(), in.size(), out.data(), out.size(), numbers.names.data(),
                            numbers.values.data(), numbers.names.size(), message, sizeof(message));
    if (failed) LOGf << message;
}

// The gradient of kernel K is kernel K_backward: its input slots are K's inputs, K's outputs and the gradients of
// the outputs, its output slots K's inputs. One operator computes one gradient, so that those nobody asks for are
// never run; with the attribute "joint" one operator computes all, where they share most of the work.
void JstyleKernelOp::grads(Var** douts, VarPtr* dins) {
    string back_slots = slots + string(outputs().size(), '1');
    vector<Var*> filled;
    for (Var* var : inputs()) filled.push_back(var);
    for (Var* var : outputs()) filled.push_back(var);
    int count = 0;
    for (size_t i = 0; i < outputs().size(); i++) {
        back_slots += douts[i] ? '1' : '0';
        if (douts[i]) { filled.push_back(douts[i]); count++; }
    }
    if (!count) return;
    bool joint = attributes.count("joint");
    vector<vector<int>> groups;
    for (size_t i = 0; i < inputs().size(); i++) {
        if (input(i)->is_stop_grad() || !input(i)->dtype().is_float()) continue;
        if (!joint || groups.empty()) groups.emplace_back();
        groups.back().push_back(i);
    }
    for (auto& group : groups) {
        string back_wanted;
        int next = 0;
        size_t member = 0;
        for (char filled_slot : slots) {
            bool want = filled_slot == '1' && member < group.size() && group[member] == next;
            if (filled_slot == '1') next++;
            if (want) member++;
            back_wanted += want ? '1' : '0';
        }
        auto gradients = make_kernel(kernel + "_backward", string(back_slots), move(back_wanted), vector<Var*>(filled), DataMap(attributes));
        for (size_t i = 0; i < group.size(); i++) dins[group[i]] = move(gradients[i]);
    }
}

}  // namespace jittor
