// Reads signatures.inc.
#include <cctype>

#include "signature.h"

namespace jstyle {
namespace {

const char* const kText =
#include "signatures.inc"
    ;

bool is_name(const std::string& token) { return std::isalpha(static_cast<unsigned char>(token[0])); }

class Reader {
public:
    std::vector<Signature> read() {
        std::vector<Signature> all;
        for (next(); !token_.empty();) all.push_back(signature());
        return all;
    }

private:
    // The next name, number or sign becomes token_; nothing at the end.
    void next() {
        while (std::isspace(static_cast<unsigned char>(*at_))) ++at_;
        start_ = at_;
        const std::string two(at_, *at_ ? (at_[1] ? 2 : 1) : 0);
        if (std::isalnum(static_cast<unsigned char>(*at_)))
            while (std::isalnum(static_cast<unsigned char>(*at_)) || *at_ == '_') ++at_;
        else if (two == "..")
            at_ += 3;
        else
            at_ += two == "->" || two == ">=" ? 2 : two.size() > 0;
        token_.assign(start_, at_);
    }

    bool skip(const char* wanted) {
        if (token_ != wanted) return false;
        next();
        return true;
    }
    void need(const char* wanted) {
        if (!skip(wanted)) throw std::logic_error("signatures.inc: " + token_ + " where " + wanted + " was expected");
    }
    std::string take() {
        std::string token = token_;
        next();
        return token;
    }

    static int index(std::vector<std::string>& names, const std::string& name) {
        for (size_t i = 0; i < names.size(); ++i)
            if (names[i] == name) return static_cast<int>(i);
        names.push_back(name);
        if (names.size() > kMostNames) throw std::logic_error("signatures.inc: too many names");
        return static_cast<int>(names.size()) - 1;
    }

    Signature signature() {
        made_ = Signature{};
        made_.kernel = take();
        need(":");
        made_.inputs = slots();
        if (skip("with")) {
            do number();
            while (skip(","));
        }
        need("->");
        made_.outputs = slots();
        if (skip(";")) {
            need("gradients");
            need("float32");
            made_.f32_only = true;
        }
        for (Number& number : made_.numbers) {
            number.length = known(made_.lengths, number.name);
            number.type = known(made_.types, number.name);
        }
        return made_;
    }

    static int known(const std::vector<std::string>& names, const std::string& name) {
        for (size_t i = 0; i < names.size(); ++i)
            if (names[i] == name) return static_cast<int>(i);
        return -1;
    }

    std::vector<Slot> slots() {
        std::vector<Slot> all;
        do all.push_back(slot());
        while (skip(","));
        return all;
    }

    Slot slot() {
        Slot made;
        made.name = take();
        if (skip("+")) made.many = true;
        if (skip("?")) made.optional = true;
        const std::string word = take();
        std::string type = word;
        if (made.optional && token_ != "(" && word != "const") made.with = word, type = take();
        if (type == "const") made.constant = true, type = take();
        made.type = type == "any" ? Slot::kAny : type == "float32" ? Slot::kF32 : index(made_.types, type);
        const char *first = start_, *end = first;
        do {
            made.shapes.push_back(shape());
            end = end_;
        } while (skip("|"));
        made.pattern.assign(first, end);
        return made;
    }

    Shape shape() {
        Shape made;
        need("(");
        do {
            if (skip("*"))
                made.any = true;
            else if (skip("..."))
                made.middle = static_cast<int>(made.axes.size());
            else
                made.axes.push_back(axis());
        } while (skip(","));
        end_ = start_ + 1;
        need(")");
        return made;
    }

    Axis axis() {
        Axis made;
        Sum first = sum();
        const bool lone = first.size() == 1 && first[0].factor == 1 && first[0].names.size() == 1;
        if (skip("=")) {
            made.name = first[0].names[0];
            first = sum();
        } else if (lone && token_ != "|") {
            made.plain = first[0].names[0];
        }
        made.choices.push_back(first);
        while (skip("|")) made.choices.push_back(sum());
        return made;
    }

    Sum sum() {
        Sum made{term()};
        for (;;) {
            if (skip("+")) {
                made.push_back(term());
            } else if (skip("-")) {
                made.push_back(term());
                made.back().factor *= -1;
            } else {
                return made;
            }
        }
    }

    Term term() {
        Term made;
        do {
            const std::string word = take();
            if (is_name(word))
                made.names.push_back(index(made_.lengths, word));
            else
                made.factor *= std::stoll(word);
        } while (skip("*"));
        return made;
    }

    void number() {
        Number made;
        made.name = take();
        made.optional = skip("?");
        if (skip(">=")) made.whole = true, made.least = std::stoll(take());
        made_.numbers.push_back(made);
    }

    const char *at_ = kText, *start_ = kText, *end_ = kText;
    std::string token_;
    Signature made_;
};

// What K_backward takes and gives. Shapes and types are those of K's tensors, so no pattern is needed twice.
Signature backward(const Signature& forward) {
    Signature made = forward;
    made.kernel += "_backward";
    made.outputs.clear();
    for (Slot slot : forward.outputs) {
        slot.optional = false;
        made.inputs.push_back(slot);
    }
    const auto gradient = [](const Slot& of, int like) {
        Slot slot = of;
        slot.name = "d" + of.name, slot.like = like, slot.optional = true, slot.with.clear();
        return slot;
    };
    const int given = static_cast<int>(forward.inputs.size());
    for (size_t i = 0; i < forward.outputs.size(); ++i)
        made.inputs.push_back(gradient(forward.outputs[i], given + static_cast<int>(i)));
    for (int i = 0; i < given; ++i) made.outputs.push_back(gradient(forward.inputs[i], i));
    return made;
}

}  // namespace

int Signature::find_input(const std::string& name) const {
    for (size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i].name == name) return static_cast<int>(i);
    return -1;
}

std::map<std::string, Signature, std::less<>> read_signatures() {
    std::map<std::string, Signature, std::less<>> all;
    for (Signature& signature : Reader().read()) {
        Signature gradients = backward(signature);
        all[gradients.kernel] = gradients;
        signature.f32_only = false;  // only gradients are restricted
        all[signature.kernel] = signature;
    }
    return all;
}

}  // namespace jstyle
