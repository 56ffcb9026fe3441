// The table of kernels and the library's C entries.
#include "kernel.h"

#include <omp.h>

#include <cstdio>
#include <cstring>
#include <exception>

#include "loops.h"
#include "signature.h"

namespace jstyle {
namespace {

struct Kernel {
    Signature signature;
    Run run = nullptr;
};

std::map<std::string, Run>& functions() {
    static std::map<std::string, Run> by_name;
    return by_name;
}

std::map<std::string, Kernel, std::less<>> join_table() {
    std::map<std::string, Kernel, std::less<>> table;
    for (auto& [name, signature] : read_signatures()) table[name].signature = signature;
    for (const auto& [name, run] : functions()) {
        if (!table.count(name)) throw std::logic_error(name + " has no signature");
        table[name].run = run;
    }
    return table;
}

const Kernel& find(const char* name) {
    static const auto table = join_table();
    const auto found = table.find(std::string_view(name));
    if (found == table.end() || !found->second.run)
        throw std::invalid_argument(std::string("no kernel is called ") + name);
    return found->second;
}

bool has_elements(const Tensor& tensor) { return tensor.present() && tensor.count() > 0; }
bool lacks_memory(const Tensor& tensor) { return has_elements(tensor) && !tensor.data; }

void run(const Call& call) {
    const Kernel& kernel = find(call.name);
    check(kernel.signature, call);
    Tensor* const end = call.outputs + call.n_outputs;
    if (std::any_of(call.inputs, call.inputs + call.n_inputs, lacks_memory) || std::any_of(call.outputs, end, lacks_memory))
        throw std::invalid_argument(std::string(call.name) + ": a tensor has no memory");
    for (Tensor* out = call.outputs; out < end; ++out)
        if (!has_elements(*out)) *out = Tensor{};
    if (std::none_of(call.outputs, end, has_elements)) return;
    const auto gives_gradient = [&](const Slot& slot) {
        return slot.like >= 0 && call.in(static_cast<int>(&slot - kernel.signature.inputs.data())).present();
    };
    const auto& slots = kernel.signature.inputs;
    if (kernel.signature.outputs[0].like >= 0 && std::none_of(slots.begin(), slots.end(), gives_gradient))
        return clear_outputs(call);
    kernel.run(call);
}

// 0 or what `act` gives, or `failed` after writing what went wrong.
template <class Act>
int guarded(char* message, int message_size, int failed, const Act& act) {
    try {
        return act();
    } catch (const std::exception& error) {
        std::snprintf(message, message_size, "%s", error.what());
        return failed;
    }
}

}  // namespace

Register::Register(const char* name, Run run) { functions()[name] = run; }

}  // namespace jstyle

using jstyle::Tensor;
static_assert(sizeof(Tensor) == sizeof(JstyleTensor), "a Tensor adds no data");

int jstyle_run(const char* name, const JstyleTensor* inputs, int n_inputs, JstyleTensor* outputs, int n_outputs,
               const char* const* attribute_names, const double* attribute_values, int n_attributes, char* message,
               int message_size) {
    return jstyle::guarded(message, message_size, 1, [&] {
        jstyle::run({name, static_cast<const Tensor*>(inputs), n_inputs, static_cast<Tensor*>(outputs), n_outputs,
                     attribute_names, attribute_values, n_attributes});
        return 0;
    });
}

int jstyle_infer(const char* name, const JstyleTensor* inputs, int n_inputs, JstyleTensor* outputs, int most_outputs,
                 const char* const* attribute_names, const double* attribute_values, int n_attributes, char* message,
                 int message_size) {
    return jstyle::guarded(message, message_size, -1, [&] {
        const jstyle::Signature& signature = jstyle::find(name).signature;
        const int count = static_cast<int>(signature.outputs.size());
        if (count > most_outputs) throw std::logic_error(std::string(name) + " has more outputs than there is room for");
        infer(signature, {name, static_cast<const Tensor*>(inputs), n_inputs, static_cast<Tensor*>(outputs), count,
                          attribute_names, attribute_values, n_attributes});
        return count;
    });
}

void jstyle_set_threads(int threads) { omp_set_num_threads(threads); }
