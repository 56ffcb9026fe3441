#include "jstyle_kernel_op.h"

#include "csrc/kernel.h"
#include "ops/op_register.h"
#include "var.h"

namespace jittor {

static auto make_kernel = get_op_info("jstyle_kernel")
    .get_constructor<vector<VarPtr>, string&&, string&&, string&&, vector<Var*>&&, vector<NanoVector>&&, vector<NanoString>&&, DataMap&&>();

JstyleKernelOp::JstyleKernelOp(string&& kernel, string&& slots, string&& wanted, vector<Var*>&& filled, vector<NanoVector>&& shapes, vector<NanoString>&& dtypes, DataMap&& attributes)
    : kernel(move(kernel)), slots(move(slots)), wanted(move(wanted)), attributes(move(attributes)) {
    flags.set(NodeFlags::_cpu);
    flags.set(NodeFlags::_grads);
    set_type(OpType::other);
    for (size_t i = 0; i < shapes.size(); i++) create_output(shapes[i], dtypes[i]);
}

static JstyleTensor describe(Var* var) {
    JstyleTensor tensor = {};
    if (!var) return tensor;
    tensor.data = var->mem_ptr;
    tensor.type = var->dtype() == ns_bfloat16 ? JSTYLE_BF16 : var->dtype() == ns_int32 ? JSTYLE_I32 : JSTYLE_F32;
    tensor.rank = var->shape.size();
    for (int i = 0; i < tensor.rank; i++) tensor.shape[i] = var->shape[i];
    return tensor;
}

void JstyleKernelOp::run() {
    vector<JstyleTensor> in, out;
    int next = 0;
    for (char filled : slots) in.push_back(describe(filled == '1' ? input(next++) : nullptr));
    next = 0;
    for (char computed : wanted) out.push_back(describe(computed == '1' ? output(next++) : nullptr));
    vector<const char*> names;
    vector<double> values;
    for (auto& item : attributes) {
        names.push_back(item.first.c_str());
        values.push_back(item.second);
    }
    char message[400];
    int failed = jstyle_run(kernel.c_str(), in.data(), in.size(), out.data(), out.size(), names.data(), values.data(),
                            names.size(), message, sizeof(message));
    if (failed) LOGf << "kernel" << kernel << message;
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
        vector<NanoVector> shapes;
        vector<NanoString> dtypes;
        int next = 0;
        size_t member = 0;
        for (char filled_slot : slots) {
            bool want = filled_slot == '1' && member < group.size() && group[member] == next;
            if (filled_slot == '1') next++;
            back_wanted += want ? '1' : '0';
            if (!want) continue;
            Var* var = input(group[member++]);
            shapes.push_back(var->shape);
            dtypes.push_back(var->dtype());
        }
        auto gradients = make_kernel(kernel + "_backward", string(back_slots), move(back_wanted), vector<Var*>(filled), move(shapes), move(dtypes), DataMap(attributes));
        for (size_t i = 0; i < group.size(); i++) dins[group[i]] = move(gradients[i]);
    }
}

}  // namespace jittor
