// What a kernel is: a function over tensors and named numbers, found by its name.
//
// The library knows nothing of Jittor or Python. Its one entry, jstyle_run, takes plain C.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

extern "C" {

// JSTYLE_ABSENT is an optional input that is not there, or an output that is not wanted; no kernel takes JSTYLE_OTHER.
enum JstyleType : int32_t { JSTYLE_ABSENT = 0, JSTYLE_F32 = 1, JSTYLE_BF16 = 2, JSTYLE_OTHER = 3 };

// A contiguous row-major array.
struct JstyleTensor {
    void* data;
    int32_t type;
    int32_t rank;
    int64_t shape[8];
};
}

namespace jstyle {

struct Tensor : JstyleTensor {
    bool present() const { return type != JSTYLE_ABSENT; }
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

// A file-scope Register object makes a function callable by the name of its signature. It is called with what the
// signature says, where there is anything to write and, if it gives gradients, anything to start from. Outputs without
// elements are absent then; inputs may be without any.
struct Register {
    Register(const char* name, Run run);
};

}  // namespace jstyle

extern "C" {

// Run a kernel. Returns 0, or 1 after writing what went wrong into message: a call that is not what the kernel's
// signature says is refused before anything is read.
int jstyle_run(const char* name, const JstyleTensor* inputs, int n_inputs, JstyleTensor* outputs, int n_outputs,
               const char* const* attribute_names, const double* attribute_values, int n_attributes, char* message,
               int message_size);

// Write the type and shape of each output of such a call, which needs no memory yet. Of the outputs of a gradient those
// are made whose type is not JSTYLE_ABSENT. Returns how many outputs the kernel has, or -1 as jstyle_run does.
int jstyle_infer(const char* name, const JstyleTensor* inputs, int n_inputs, JstyleTensor* outputs, int most_outputs,
                 const char* const* attribute_names, const double* attribute_values, int n_attributes, char* message,
                 int message_size);

// How many threads the kernels use from now on.
void jstyle_set_threads(int threads);
}
