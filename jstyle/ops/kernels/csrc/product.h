// Products of a matrix, given by pointers to its rows, with a matrix that is packed panel by panel as it is needed.
//
// Nothing is kept between calls: packing a panel costs a percent or two of multiplying with it, and a packed copy
// of the weights would double the memory and go stale when they change.
#pragma once

#include <omp.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <new>

#include "pack.h"

namespace jstyle {

// Uninitialised, aligned scratch memory that lives until its owner ends.
template <class T>
class Scratch {
public:
    explicit Scratch(int64_t size)
        : data_(static_cast<T*>(::operator new(std::max<int64_t>(size, 1) * sizeof(T), std::align_val_t(64)))) {}
    T* get() const { return data_.get(); }

private:
    struct Free {
        void operator()(T* p) const { ::operator delete(p, std::align_val_t(64)); }
    };
    std::unique_ptr<T, Free> data_;
};

template <class T>
struct Product {
    int64_t rows, columns;
    int64_t segments, depth;  // the inner dimension is `segments` pieces of `depth` contiguous elements of a row
    int sheets = 1;           // results per column: each sheet has panels of its own

    // Write pointers[segment * n + i] for rows first ... first + n - 1.
    std::function<void(int64_t first, int n, const T** pointers)> locate;
    // Fill the panel (all segments) for columns first ... first + n - 1 of a sheet, zeros after them.
    std::function<void(int64_t first, int n, int sheet, PanelType<T>* panel)> pack;
    // Have the memory that finish will touch fetched while the sums are computed; may be empty.
    std::function<void(int64_t first_row, int rows, int64_t first_column)> expect;
    // Take the results: sums[(sheet * rows + i) * kPanel + j] for row first_row + i and column first_column + j.
    std::function<void(int64_t first_row, int rows, int64_t first_column, int columns, const float* sums)> finish;
};

constexpr int64_t kChunkRows = 40 * kTileRows;  // rows multiplied with a panel once it is packed

template <class T>
void multiply_chunk(const Product<T>& product, int64_t begin, int64_t end, int64_t column, const PanelType<T>* panel,
                    const T** pointers) {
    const int columns = static_cast<int>(std::min<int64_t>(kPanel, product.columns - column));
    const int step = even_tile(end - begin);
    const int64_t sheet_size = product.segments * panel_size<T>(product.depth);
    alignas(64) float sums[2 * kTileRows * kPanel];
    for (int64_t row = begin; row < end; row += step) {
        const int rows = static_cast<int>(std::min<int64_t>(step, end - row));
        product.locate(row, rows, pointers);
        if (product.expect) product.expect(row, rows, column);
        for (int sheet = 0; sheet < product.sheets; ++sheet)
            run_tile<T>(rows, pointers, product.segments, product.depth, panel + sheet * sheet_size,
                        sums + sheet * rows * kPanel);
        product.finish(row, rows, column, columns, sums);
    }
}

// Every task packs one panel (of every sheet) and multiplies a chunk of the rows with it.
template <class T>
void multiply(const Product<T>& product) {
    const int64_t panels = (product.columns + kPanel - 1) / kPanel;
    const int64_t chunks = std::max<int64_t>(1, product.rows / kChunkRows);
    const int64_t chunk = (product.rows + chunks - 1) / chunks;
    const int64_t sheet_size = product.segments * panel_size<T>(product.depth);
#pragma omp parallel
    {
        Scratch<PanelType<T>> panel(product.sheets * sheet_size);
        Scratch<const T*> pointers(product.segments * kTileRows);
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < chunks * panels; ++task) {
            const int64_t begin = task / panels * chunk, column = task % panels * kPanel;
            const int columns = static_cast<int>(std::min<int64_t>(kPanel, product.columns - column));
            for (int sheet = 0; sheet < product.sheets; ++sheet)
                product.pack(column, columns, sheet, panel.get() + sheet * sheet_size);
            multiply_chunk(product, begin, std::min(begin + chunk, product.rows), column, panel.get(), pointers.get());
        }
    }
}

}  // namespace jstyle
