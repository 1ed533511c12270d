/* Compiles the kernels for one instruction set, which the including file describes: FL_ISA is its name, a vector has
   FL_BYTES bytes, and a register tile FL_ROWS rows. */
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized" /* of arrays that are written in loops which GCC has unrolled */
#endif
#include "backward.hpp"
#include "cells/gru.hpp"
#include "cells/lstm.hpp"
#include "cells/simple.hpp"
#include "forward.hpp"
#include "probe.hpp"
#include "single.hpp"

#define FL_NAME_(kind, isa) fl_##kind##_##isa
#define FL_NAME(kind, isa) FL_NAME_(kind, isa)
#define FL_TYPED_(kind, isa, type) fl_##kind##_##isa##_##type
#define FL_TYPED(kind, isa, type) FL_TYPED_(kind, isa, type)
#define FL_TEXT_(isa) #isa
#define FL_TEXT(isa) FL_TEXT_(isa)

namespace {

template <class Cell> constexpr fl_cell cell_of(const char *name, int option = 0) {
    return {name,          Cell::gates,   Cell::sums,     Cell::units,          Cell::keeps_c,         option,
            pack<Cell>, forward<Cell>, backward<Cell>, forward_single<Cell>, backward_single<Cell>};
}

template <class T> constexpr fl_cell cells[] = {
    cell_of<Lstm<T>>("lstm"),
    cell_of<Gru<T>>("gru"),
    cell_of<Simple<T, 1>>("tanh"),
    cell_of<Simple<T, 4>>("tanh"),
    cell_of<Simple<T, 1>>("relu", 1),
    cell_of<Simple<T, 4>>("relu", 1),
    {},
};

template <class T> constexpr fl_functions functions_of(const fl_training *training) {
    return {cells<T>, pack_matrix<T>, affine<T>, matmul<T>, probe_fma<T>, probe_read<T>, probe_activate<T>, training,
            matmul_room<T>};
}

}

extern "C" {
extern const fl_training FL_TYPED(training, FL_ISA, f), FL_TYPED(training, FL_ISA, d);
extern const fl_kernels FL_NAME(kernels, FL_ISA);
const fl_kernels FL_NAME(kernels, FL_ISA) = {
    FL_TEXT(FL_ISA), FL_BYTES, FL_ROWS, functions_of<float>(&FL_TYPED(training, FL_ISA, f)),
    functions_of<double>(&FL_TYPED(training, FL_ISA, d))};
}
