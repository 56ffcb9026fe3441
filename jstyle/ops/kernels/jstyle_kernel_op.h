// The one Jittor operator through which every kernel of the library is called.
#pragma once
#include "op.h"
#include "ops/code_op.h"

namespace jittor {

// slots and wanted hold a '1' for each input slot that is filled and each output slot that is computed, else a '0';
// an empty wanted is all outputs. Their shapes and types are inferred: building it throws where the kernel would refuse.
struct JstyleKernelOp : Op {
    string kernel, slots, wanted;
    DataMap attributes;
    // @attrs(multiple_outputs)
    JstyleKernelOp(string&& kernel, string&& slots, string&& wanted, vector<Var*>&& filled, DataMap&& attributes);
    const char* name() const override { return "jstyle_kernel"; }
    void grads(Var** douts, VarPtr* dins) override;
    void run() override;
};

}  // namespace jittor
