// What a kernel is: a function over tensors and named numbers, found by its name.
//
// The library knows nothing of Jittor or Python. Its one entry, jstyle_run, takes plain C.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

extern "C" {

enum JstyleType : int32_t { JSTYLE_F32 = 0, JSTYLE_BF16 = 1, JSTYLE_I32 = 2 };

// A contiguous row-major array. data is null where an optional input is absent or an output not wanted.
struct JstyleTensor {
    void* data;
    int32_t type;
    int32_t rank;
    int64_t shape[8];
};
}

namespace jstyle {

struct Tensor : JstyleTensor {
    bool present() const { return data != nullptr; }
    bool is_bf16() const { return type == JSTYLE_BF16; }
    float* f32() const { return static_cast<float*>(data); }
    uint16_t* bf16() const { return static_cast<uint16_t*>(data); }

    // The length of an axis; negative axes count from the last.
    int64_t dim(int axis) const { return shape[axis < 0 ? axis + rank : axis]; }

    // The product of the axes from first up to, not including, last; last < 0 counts from the end.
    int64_t count(int first = 0, int last = 8) const {
        if (last < 0) last += rank;
        if (last > rank) last = rank;
        int64_t product = 1;
        for (int axis = first; axis < last; ++axis) product *= shape[axis];
        return product;
    }
};

struct Call {
    const char* name;
    const Tensor* inputs;
    int n_inputs;
    Tensor* outputs;
    int n_outputs;
    const char* const* attribute_names;
    const double* attribute_values;
    int n_attributes;

    const Tensor& in(int slot) const { return inputs[slot]; }
    Tensor& out(int slot) const { return outputs[slot]; }

    // A named number. Throws where the caller did not give it.
    double attribute(const char* wanted) const {
        for (int i = 0; i < n_attributes; ++i)
            if (std::string(attribute_names[i]) == wanted) return attribute_values[i];
        throw std::invalid_argument(std::string(name) + ": attribute " + wanted + " is missing");
    }
};

using Run = void (*)(const Call&);

// A file-scope Register object makes a function callable by name.
struct Register {
    Register(const char* name, Run run);
};

}  // namespace jstyle

extern "C" {

// Run a kernel. Returns 0, or 1 after writing what went wrong into message.
int jstyle_run(const char* name, const JstyleTensor* inputs, int n_inputs, JstyleTensor* outputs, int n_outputs,
               const char* const* attribute_names, const double* attribute_values, int n_attributes, char* message,
               int message_size);

// How many threads the kernels use from now on.
void jstyle_set_threads(int threads);
}
