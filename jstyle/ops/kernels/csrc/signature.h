// What a kernel takes and gives, as signatures.inc says it, and whether a call is that.
//
// Nothing here looks at the numbers in a tensor: a call can be checked before there is memory for them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kernel.h"

namespace jstyle {

constexpr int kMostNames = 24;

// A sum of products of lengths, such as 2*h-1.
struct Term {
    int64_t factor = 1;
    std::vector<int> names;
};
using Sum = std::vector<Term>;

struct Axis {
    int plain = -1;            // the name, where the axis is nothing else
    int name = -1;             // what the length is called besides
    std::vector<Sum> choices;  // what it may be
};

struct Shape {
    std::vector<Axis> axes;
    int middle = -1;   // how many axes come before `...`, or -1
    bool any = false;  // *

    bool takes(int rank) const {
        const int count = static_cast<int>(axes.size());
        return any || (middle < 0 ? rank == count : rank >= count);
    }
};

struct Slot {
    static constexpr int kAny = -1, kF32 = -2;  // other types are numbers of names

    std::string name, pattern;  // the pattern as it is written, for messages
    bool optional = false, constant = false, many = false;
    std::string with;  // the slot that it goes with
    int type = kAny;
    int like = -1;  // the input whose type and shape it has
    std::vector<Shape> shapes;
};

struct Number {
    std::string name;
    bool optional = false, whole = false;
    int64_t least = 0;
    int length = -1, type = -1;  // the names that it stands for
};

struct Signature {
    std::string kernel;
    std::vector<Slot> inputs, outputs;
    std::vector<Number> numbers;
    std::vector<std::string> lengths, types;
    bool f32_only = false;

    int find_input(const std::string& name) const;
};

// The text of signatures.inc, and the signatures of the gradients. Throws std::logic_error where it is not well formed.
std::map<std::string, Signature, std::less<>> read_signatures();

// Throws std::invalid_argument, in words, unless the call is what the signature says; all of it before anything is read.
void check(const Signature& signature, const Call& call);

// Write the type and shape of every output, given the inputs and numbers; data stays null. Of a gradient's outputs those
// are wanted that are present. Throws as check does.
void infer(const Signature& signature, const Call& call);

}  // namespace jstyle
