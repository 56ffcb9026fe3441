// The table of kernels and the library's C entry.
#include "kernel.h"

#include <omp.h>

#include <cstdio>
#include <exception>
#include <map>

namespace jstyle {
namespace {

std::map<std::string, Run>& table() {
    static std::map<std::string, Run> kernels;
    return kernels;
}

}  // namespace

Register::Register(const char* name, Run run) { table()[name] = run; }

}  // namespace jstyle

int jstyle_run(const char* name, const JstyleTensor* inputs, int n_inputs, JstyleTensor* outputs, int n_outputs,
               const char* const* attribute_names, const double* attribute_values, int n_attributes, char* message,
               int message_size) {
    using jstyle::Tensor;
    static_assert(sizeof(Tensor) == sizeof(JstyleTensor), "a Tensor adds no data");
    try {
        auto found = jstyle::table().find(name);
        if (found == jstyle::table().end()) throw std::invalid_argument(std::string("no kernel is called ") + name);
        found->second({name, static_cast<const Tensor*>(inputs), n_inputs, static_cast<Tensor*>(outputs), n_outputs,
                       attribute_names, attribute_values, n_attributes});
        return 0;
    } catch (const std::exception& error) {
        std::snprintf(message, message_size, "%s", error.what());
        return 1;
    }
}

void jstyle_set_threads(int threads) { omp_set_num_threads(threads); }
