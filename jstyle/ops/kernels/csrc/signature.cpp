// Checks calls against their signatures, in words; infers outputs.
#include "signature.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace jstyle {
namespace {

constexpr int64_t kMostElements = int64_t(1) << 40;  // more than any memory holds; products of lengths stay in range
constexpr double kMostNumber = 1 << 30;

std::string type_name(int type) {
    return type == JSTYLE_F32 ? "float32" : type == JSTYLE_BF16 ? "bfloat16" : "a type that kernels do not take";
}

bool is_float(int type) { return type == JSTYLE_F32 || type == JSTYLE_BF16; }

std::string shape_words(const int64_t* shape, int rank) {
    std::string words = "(";
    for (int axis = 0; axis < rank; ++axis) words += (axis ? ", " : "") + std::to_string(shape[axis]);
    return words + (rank == 1 ? ",)" : ")");
}
std::string shape_words(const Tensor& tensor) { return shape_words(tensor.shape, tensor.rank); }

// What the names stand for, as far as the tensors met so far tell.
class Binding {
public:
    explicit Binding(const Signature& signature) : signature_(signature) {
        std::fill_n(lengths_, signature.lengths.size(), -1);
        std::fill_n(types_, signature.types.size(), 0);
    }

    void bind_inputs(int count) {
        const int at = signature_.find_input("x");  // of the kernels that take any number of tensors
        if (at < 0 || !signature_.inputs[at].many) return;
        for (size_t i = 0; i < signature_.lengths.size(); ++i)
            if (signature_.lengths[i] == "inputs") lengths_[i] = count;
    }
    void bind(const Number& number, int64_t value) {
        if (number.length >= 0) lengths_[number.length] = value;
        if (number.type >= 0 && is_float(static_cast<int>(value))) types_[number.type] = static_cast<int>(value);
    }

    int type_of(const Slot& slot) const {
        return slot.type == Slot::kAny ? 0 : slot.type == Slot::kF32 ? JSTYLE_F32 : types_[slot.type];
    }

    bool fits_type(const Slot& slot, int type) {
        if (!is_float(type)) return false;
        const int wanted = type_of(slot);
        if (slot.type >= 0 && !wanted) types_[slot.type] = type;
        return !wanted || wanted == type;
    }

    bool fits_shape(const Slot& slot, const Tensor& tensor) {
        for (const Shape& shape : slot.shapes)
            if (shape.takes(tensor.rank)) return fits(shape, tensor);
        return false;
    }

    // The type and shape of an output whose names are known. Throws where one is not.
    void make(const Slot& slot, Tensor& out) const {
        const Shape& shape = slot.shapes[0];
        out.type = type_of(slot);
        if (!out.type) missing(signature_.types[slot.type]);
        out.rank = 0;
        for (size_t axis = 0; axis <= shape.axes.size(); ++axis) {
            if (shape.middle == static_cast<int>(axis))
                for (int i = 0; i < middle_rank_; ++i) out.shape[out.rank++] = middle_[i];
            if (axis < shape.axes.size()) out.shape[out.rank++] = length(shape.axes[axis]);
        }
    }

    // ` with in = 128, ...`: what is known of the names of a pattern.
    std::string known(const Slot& slot, int rank) const {
        std::string words;
        std::vector<bool> told(signature_.lengths.size());
        const auto tell = [&](const std::string& name, const std::string& value) {
            words += (words.empty() ? " with " : ", ") + name + " = " + value;
        };
        const auto tell_length = [&](int name) {
            if (name < 0 || told[name] || lengths_[name] < 0) return;
            told[name] = true;
            tell(signature_.lengths[name], std::to_string(lengths_[name]));
        };
        const Shape* shape = &slot.shapes[0];
        for (const Shape& other : slot.shapes)
            if (other.takes(rank)) shape = &other;
        if (shape->middle >= 0 && middle_) tell("...", shape_words(middle_, middle_rank_));
        for (const Axis& axis : shape->axes) {
            tell_length(axis.plain);
            tell_length(axis.name);
            for (const Sum& sum : axis.choices)
                for (const Term& term : sum)
                    for (int name : term.names) tell_length(name);
        }
        return words;
    }

private:
    bool fits(const Shape& shape, const Tensor& tensor) {
        if (shape.any) return true;
        const int count = static_cast<int>(shape.axes.size()), middle = tensor.rank - count;
        for (int axis = 0; axis < count; ++axis) {
            const bool behind = shape.middle >= 0 && axis >= shape.middle;
            if (!fits(shape.axes[axis], tensor.shape[behind ? axis + middle : axis])) return false;
        }
        return shape.middle < 0 || fits_middle(tensor.shape + shape.middle, middle);
    }

    bool fits_middle(const int64_t* lengths, int rank) {
        if (!middle_) {
            middle_ = lengths, middle_rank_ = rank;
            return true;
        }
        return middle_rank_ == rank && std::equal(lengths, lengths + rank, middle_);
    }

    bool fits(const Axis& axis, int64_t length) {
        if (axis.plain >= 0) {
            int64_t& bound = lengths_[axis.plain];
            if (bound < 0) bound = length;
            return bound == length;
        }
        if (axis.name >= 0 && lengths_[axis.name] >= 0 && lengths_[axis.name] != length) return false;
        for (const Sum& sum : axis.choices)
            if (fits(sum, length)) {
                if (axis.name >= 0) lengths_[axis.name] = length;
                return true;
            }
        return false;
    }

    bool fits(const Sum& sum, int64_t length) {
        int64_t total = 0;
        for (const Term& term : sum) {
            int64_t product = term.factor;
            int unknown = -1;
            for (int name : term.names) {
                if (lengths_[name] < 0) unknown = name;
                else product *= lengths_[name];
            }
            if (unknown < 0) {
                total += product;
                continue;
            }
            if (sum.size() > 1 || product <= 0 || length % product) return false;
            lengths_[unknown] = length / product;
            return true;
        }
        return total == length;
    }

    int64_t length(const Axis& axis) const {
        if (axis.plain >= 0 || axis.name >= 0) return need(axis.plain >= 0 ? axis.plain : axis.name);
        int64_t total = 0;
        for (const Term& term : axis.choices[0]) {
            int64_t product = term.factor;
            for (int name : term.names) product *= need(name);
            total += product;
        }
        return total;
    }

    int64_t need(int name) const {
        if (lengths_[name] < 0) missing(signature_.lengths[name]);
        return lengths_[name];
    }

    [[noreturn]] void missing(const std::string& name) const {
        throw std::invalid_argument(signature_.kernel + ": attribute " + name + " is missing");
    }

    const Signature& signature_;
    int64_t lengths_[kMostNames];
    int types_[kMostNames];
    const int64_t* middle_ = nullptr;
    int middle_rank_ = 0;
};

class Check {
public:
    Check(const Signature& signature, const Call& call) : signature_(signature), call_(call), names_(signature) {}

    void inputs() {
        const size_t slots = signature_.inputs.size();
        const bool many = signature_.inputs[0].many;
        if (many ? call_.n_inputs < 1 : call_.n_inputs != static_cast<int>(slots))
            fail("takes " + std::to_string(slots) + " inputs, not " + std::to_string(call_.n_inputs));
        for (const Number& number : signature_.numbers) bind(number);
        names_.bind_inputs(call_.n_inputs);
        for (int i = 0; i < call_.n_inputs; ++i) input(signature_.inputs[many ? 0 : i], i);
    }

    void outputs() {
        need_outputs();
        for (int i = 0; i < call_.n_outputs; ++i) output(signature_.outputs[i], i);
    }

    void make_outputs() {
        need_outputs();
        for (int i = 0; i < call_.n_outputs; ++i) {
            const Slot& slot = signature_.outputs[i];
            Tensor& out = call_.out(i);
            if (slot.like >= 0) {
                if (!out.present()) continue;
                need_gradient(slot);
                out = call_.in(slot.like);
                out.data = nullptr;
            } else {
                names_.make(slot, out);
                output(slot, i);
            }
        }
    }

private:
    void bind(const Number& number) {
        for (int i = 0; i < call_.n_attributes; ++i) {
            if (number.name != call_.attribute_names[i]) continue;
            const double value = call_.attribute_values[i];
            if (number.whole && !(value >= number.least && value <= kMostNumber && value == std::floor(value))) {
                char words[32];
                std::snprintf(words, sizeof words, "%g", value);
                fail("wanted " + number.name + " to be a whole number, at least " + std::to_string(number.least) +
                     ", got " + words + beside(call_.n_inputs));
            }
            if (number.whole) names_.bind(number, static_cast<int64_t>(value));
            return;
        }
        if (!number.optional) fail("attribute " + number.name + " is missing");
    }

    void input(const Slot& slot, int i) {
        const Tensor& tensor = call_.in(i);
        if (!slot.with.empty() && tensor.present() != call_.in(signature_.find_input(slot.with)).present())
            fail(slot.with + " and " + slot.name + " go together");
        if (!tensor.present()) {
            if (!slot.optional) fail(slot.name + " is missing");
            return;
        }
        if (signature_.f32_only && tensor.type != JSTYLE_F32)
            fail("gradients are computed in float32 only, " + slot.name + " is " + type_name(tensor.type));
        fit(slot, tensor, i);
    }

    void output(const Slot& slot, int i) {
        const Tensor& tensor = call_.out(i);
        if (!tensor.present()) {
            if (!slot.optional) fail(slot.name + " is missing");
            return;
        }
        if (slot.like >= 0) need_gradient(slot);
        fit(slot, tensor, call_.n_inputs);
    }

    // before: how many inputs are to be told beside the tensor.
    void fit(const Slot& slot, const Tensor& tensor, int before) {
        if (!sensible(tensor)) fail("wanted " + slot.name + " of a size that memory holds, got " + shape_words(tensor));
        if (slot.like >= 0) return alike(slot, tensor);
        if (!names_.fits_type(slot, tensor.type)) {
            const int wanted = names_.type_of(slot);
            fail("wanted " + slot.name + " of " + (wanted ? type_name(wanted) : "a float type") + ", got " +
                 type_name(tensor.type) + beside(before));
        }
        const Binding known = names_;
        if (!names_.fits_shape(slot, tensor))
            fail("wanted " + slot.name + " " + slot.pattern + known.known(slot, tensor.rank) + ", got " +
                 shape_words(tensor) + beside(before));
    }

    void alike(const Slot& slot, const Tensor& tensor) {
        const Tensor& other = call_.in(slot.like);
        const bool same = tensor.type == other.type && tensor.rank == other.rank &&
                          std::equal(tensor.shape, tensor.shape + tensor.rank, other.shape);
        if (!same)
            fail("wanted " + slot.name + " like " + signature_.inputs[slot.like].name + ", " + type_name(other.type) +
                 " " + shape_words(other) + ", got " + type_name(tensor.type) + " " + shape_words(tensor));
    }

    void need_gradient(const Slot& slot) {
        const std::string& of = signature_.inputs[slot.like].name;
        if (slot.constant) fail("the gradient of " + of + " is not available");
        if (!call_.in(slot.like).present()) fail("there is no gradient of " + of + ", which is absent");
    }

    void need_outputs() {
        if (call_.n_outputs != static_cast<int>(signature_.outputs.size()))
            fail("gives " + std::to_string(signature_.outputs.size()) + " outputs, not " +
                 std::to_string(call_.n_outputs));
    }

    static bool sensible(const Tensor& tensor) {
        if (tensor.rank < 0 || tensor.rank > 8) return false;
        int64_t elements = 1;
        for (int axis = 0; axis < tensor.rank; ++axis) {
            const int64_t length = tensor.shape[axis];
            if (length < 0 || length > kMostElements / elements) return false;
            elements *= std::max<int64_t>(length, 1);
        }
        return true;
    }

    // `; x is (2, 77, 128), ...`: the shapes of the first inputs.
    std::string beside(int count) const {
        std::string words;
        const bool many = signature_.inputs[0].many;
        for (int i = 0; i < count && !many; ++i)
            if (call_.in(i).present())
                words += (words.empty() ? "; " : ", ") + signature_.inputs[i].name + " is " + shape_words(call_.in(i));
        return words;
    }

    [[noreturn]] void fail(const std::string& words) const {
        throw std::invalid_argument(signature_.kernel + ": " + words);
    }

    const Signature& signature_;
    const Call& call_;
    Binding names_;
};

}  // namespace

void check(const Signature& signature, const Call& call) {
    Check check(signature, call);
    check.inputs();
    check.outputs();
}

void infer(const Signature& signature, const Call& call) {
    Check check(signature, call);
    check.inputs();
    check.make_outputs();
}

}  // namespace jstyle
