/* Compiles the kernels for one instruction set, which the including file describes: FL_ISA is its name, a vector has
   FL_BYTES bytes, and a register tile FL_ROWS rows. */
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized" /* of arrays that are written in loops which GCC has unrolled */
#endif
#include "backward.hpp"
#include "cells/gru.hpp"
#include "cells/gru_before.hpp"
#include "cells/gru_options.hpp"
#include "cells/lstm.hpp"
#include "cells/lstm_options.hpp"
#include "cells/min_lstm.hpp"
#include "cells/simple.hpp"
#include "cells/simple_options.hpp"
#include "cells/slstm.hpp"
#include "forward.hpp"
#include "norm_rows_back.hpp"
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
    fl_cell cell = {name, Cell::gates, Cell::sums, Cell::units, option, Cell::keeps_c ? Cell::c_parts : 0,
                    Cell::own, Cell::by_rows, Cell::row_room, nullptr, nullptr, nullptr, nullptr, nullptr};
    if constexpr (Cell::row_room > 0) cell.pack = pack<typename Cell::InExact>, cell.begin = begin_rows<typename Cell::Real>;
    else cell.pack = pack<Cell>, cell.begin = begin<Cell>;
    if constexpr (Cell::Format::trains) cell.backward = &backward_of<Cell>;
    if constexpr (std::is_same_v<typename Cell::Format, Exact<typename Cell::Real>> && !Cell::by_rows) {
        cell.forward_single = forward_single<Cell>;
        cell.backward_single = backward_single<Cell>;
    }
    return cell;
}

/* The sums of a cell alone. */
template <class Cell> constexpr fl_cell sums_of(const char *name) {
    fl_cell cell = cell_of<Cell>(name, FL_ONLY_SUMS);
    cell.c_parts = 0;
    if constexpr (Cell::Format::trains) cell.backward = &backward_of_sums<Cell>;
    return cell;
}

template <class Format> constexpr fl_cell cells[] = {
    cell_of<Lstm<Format>>("lstm"),
    cell_of<Gru<Format>>("gru"),
    cell_of<Simple<Format, 1>>("tanh"),
    cell_of<Simple<Format, 4>>("tanh"),
    cell_of<Simple<Format, 1>>("relu", 1),
    cell_of<Simple<Format, 4>>("relu", 1),
    cell_of<Simple<Format, 1>>("identity", 2),
    cell_of<Simple<Format, 4>>("identity", 2),
    cell_of<LstmOptions<Format, false>>("lstm_options"),
    cell_of<LstmOptions<Format, true>>("lstm_coupled"),
    cell_of<LstmNorm<Format, false>>("lstm_norm"),
    cell_of<LstmNorm<Format, true>>("lstm_norm_coupled", 1),
    sums_of<LstmOptions<Format, false>>("lstm_sums"),
    sums_of<LstmOptions<Format, true>>("lstm_coupled_sums"),
    cell_of<GruOptions<Format>>("gru_options"),
    cell_of<GruReset<Format>>("gru_reset"),
    cell_of<GruCandidate<Format>>("gru_candidate"),
    cell_of<MinLstm<Format>>("min_lstm"),
    cell_of<MinLstm<Format>>("min_lstm_positive", 1),
    cell_of<SimpleOptions<Format, 1>>("simple_options"),
    cell_of<SimpleOptions<Format, 4>>("simple_options"),
    cell_of<Slstm<Format>>("slstm"),
    cell_of<Slstm<Format>>("slstm_exp", 1),
    {},
};

template <class Format> constexpr fl_job matmul_in() {
    if constexpr (Format::trains) return matmul<Format>;
    else return nullptr;
}

template <class Format>
constexpr fl_format format_of = {Format::depth, sizeof(typename Format::Weight), Format::tail, Format::rounds,
                                 Format::ends, cells<Format>, pack_matrix<Format>, affine<Format>, matmul_in<Format>()};

constexpr fl_functions functions_of_float(const fl_training *training, const fl_format *bfloat16, const fl_format *int8,
                                          const fl_format *int8x16) {
    return {{&format_of<Exact<float>>, bfloat16, int8, int8x16}, probe_fma<float>, probe_read<float>,
            probe_activate<float>, training, matmul_room<float>};
}
constexpr fl_functions functions_of_double(const fl_training *training) {
    return {{&format_of<Exact<double>>}, probe_fma<double>, probe_read<double>, probe_activate<double>, training,
            matmul_room<double>};
}

}

extern "C" {
#if defined(FL_MULTIPLY_PAIRS)
extern const fl_format fl_format_pairs;
const fl_format fl_format_pairs = format_of<PairsOfBfloat16>;
#elif defined(FL_MULTIPLY_QUADS)
extern const fl_format fl_format_quads;
const fl_format fl_format_quads = format_of<QuadsOfInt8>;
#elif defined(FL_MULTIPLY_WORDS)
extern const fl_format fl_format_words;
const fl_format fl_format_words = format_of<WordsOfInt8>;
#else
extern const fl_training FL_TYPED(training, FL_ISA, f), FL_TYPED(training, FL_ISA, d);
#define FL_TABLE(isa, bfloat16, int8, int8x16) \
    extern const fl_kernels FL_NAME(kernels, isa); \
    const fl_kernels FL_NAME(kernels, isa) = { \
        FL_TEXT(isa), FL_BYTES, FL_ROWS, \
        functions_of_float(&FL_TYPED(training, FL_ISA, f), bfloat16, int8, int8x16), \
        functions_of_double(&FL_TYPED(training, FL_ISA, d))};
FL_TABLE(FL_ISA, &format_of<WideningBfloat16>, &format_of<WideningInt8>, &format_of<WideningInt8>)
/* and the same with products of narrow numbers */
#if defined(FL_AVX512)
extern const fl_format fl_format_pairs, fl_format_quads, fl_format_words;
FL_TABLE(avx512_vnni, &format_of<WideningBfloat16>, &fl_format_quads, &fl_format_words)
FL_TABLE(avx512_bf16, &fl_format_pairs, &fl_format_quads, &fl_format_words)
#elif FL_ARMV8_6
extern const fl_format fl_format_pairs, fl_format_quads;
FL_TABLE(armv8_6, &fl_format_pairs, &fl_format_quads, &format_of<WideningInt8>)
#endif
#endif
}
