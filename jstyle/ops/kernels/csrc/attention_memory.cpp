// Working memory of attention that outlives a call.
#include <sys/mman.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <new>

#include "attention.h"

namespace jstyle::attention {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kMostKept = 0;  // what is given back must not be touched again
#else
constexpr size_t kMostKept = size_t(64) << 20;
#endif
constexpr size_t kHugePage = size_t(2) << 20;

size_t alignment(size_t bytes) { return bytes < kHugePage ? 64 : kHugePage; }

struct Memory {
    void* data;
    size_t bytes;
};

// Freed memory, oldest first.
struct Kept {
    std::mutex mutex;
    std::list<Memory> blocks;
    size_t bytes = 0;
};

// Never destroyed: a kernel may still run while the process ends.
Kept& kept() {
    static Kept* memory = new Kept;
    return *memory;
}

void release(const Memory& memory) { ::operator delete(memory.data, std::align_val_t(alignment(memory.bytes))); }

}  // namespace

void* take_memory(size_t bytes) {
    {
        Kept& all = kept();
        const std::lock_guard<std::mutex> lock(all.mutex);
        const auto found = std::find_if(all.blocks.begin(), all.blocks.end(),
                                        [bytes](const Memory& memory) { return memory.bytes == bytes; });
        if (found != all.blocks.end()) {
            void* data = found->data;
            all.bytes -= bytes;
            all.blocks.erase(found);
            return data;
        }
    }
    void* data = ::operator new(bytes, std::align_val_t(alignment(bytes)));
    if (bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);
    return data;
}

void give_memory(void* memory, size_t bytes) {
    Kept& all = kept();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.blocks.push_back({memory, bytes});
    all.bytes += bytes;
    while (all.bytes > kMostKept) {
        all.bytes -= all.blocks.front().bytes;
        release(all.blocks.front());
        all.blocks.pop_front();
    }
}

}  // namespace jstyle::attention
