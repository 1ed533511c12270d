/* What a cell is. A step adds up its sums, W x + U h + b, and the cell makes the new state of them. Everything else is
   written for any cell: the products, the order of rows and steps, the threads and the gradients of the weights. */
#ifndef FASTLSTM_CELL_HPP
#define FASTLSTM_CELL_HPP

#include <type_traits>
#include <utility>

#include "../activations.hpp"
#include "../tile.hpp"

namespace {

/* A cell defines these members, or inherits the defaults:

   gates        matrices that stand one below the other in W and in U; W's product for gate g is added to sum g
   sums         sums of a unit: the gates' own, and more where a gate keeps the product of U apart
   state_feeds  the sum that U's product for a gate is added to
   units        vectors of units that are a block, which a tile adds up at a time
   keeps_all    whether `forward` does the same with KEEP and without
   keeps_c      whether its state has a part c beside h
   c_parts      numbers that c has for each unit, if it does
   reads_h      whether `forward` reads h_prev, in h
   carries_h    whether h depends on h_prev not through U alone
   own          weights that each unit has for itself
   reads_seen   whether the h of `forward` is what U sees instead, in the first of several phases
   adds_past    whether, as such, it adds to the part of the gradient of h that goes past U
   by_rows      whether `forward` is called for one row at a time, and keeps what `backward` reads in any case. Then it is
                a loop over sums that lie in memory, and its code is small; else it is a part of the tile

   stops        whether with the option FL_ONLY_SUMS it leaves its sums as they are, for a phase that takes whole rows
   row_room     of a cell that takes whole rows (norm_rows.hpp): numbers of a unit that a row back needs room for

   forward<KEEP, N>(sum, c, h, at)
       makes h of N rows of sums, and c (of one row, both parts) of c_prev; with KEEP, it leaves in sum what `backward` reads
   backward(sum, d, at)
       makes the gradients of the sums of what was kept, for one row and one vector of units; at.c(), at.c_prev() and
       at.h_prev() are the states after and before the step. d.h is the gradient of h, d.c that of c by way of the later
       steps, which becomes that of c_prev; d.past becomes the part of that of h_prev that goes past U. The second part of
       c is at.c(1) and at.c_prev(1), and its gradient d.n
   add_own(total, sum, at)
       adds to the gradients of the units' own weights, from those of the sums

   at.option and at.options are those of the pass; at.own(v) is the v-th of the units' own weights. Several rows go
   forwards together so that their chains of operations overlap.

   Real is the type of everything but the weights in panels, which have a format of their own (formats.hpp). */
template <class F> struct Cell {
    using Format = F;
    using Real = typename F::Real;
    static constexpr int units = 1;
    static constexpr bool keeps_all = true, keeps_c = false, reads_h = false, carries_h = false, by_rows = false;
    static constexpr bool reads_seen = false, adds_past = false, stops = false;
    static constexpr int own = 0, c_parts = 1, row_room = 0;
};

/* What a cell is told of one vector of units, besides its sums and states. */
template <class Real> struct Told {
    int option;
    const fl_options *options;
    const fl_masks *masks;
    ptrdiff_t place;     /* in the masks */
    const Real *weights; /* the units' own */
    ptrdiff_t next;      /* numbers from one of these to the next */
    Vec<Real> own(int v) const { return load<Real>(weights + v * next); }

    /* the parts of h and c that stay as they were, and the factors of the candidate */
    Vec<Real> zone_h() const { return masks && masks->zone_h ? at(masks->zone_h) : set<Real>((Real)options->zone_h); }
    Vec<Real> zone_c() const { return masks && masks->zone_c ? at(masks->zone_c) : set<Real>((Real)options->zone_c); }
    Vec<Real> candidate() const {
        return masks && masks->candidate ? (1 - at(masks->candidate)) * (Real)options->candidate_scale : set<Real>(1);
    }
    Vec<Real> at(const unsigned char *mask) const {
        typedef unsigned char Bytes __attribute__((vector_size(lanes<Real>), aligned(1), may_alias));
        return __builtin_convertvector(*(const Bytes *)(mask + place), Vec<Real>);
    }
};

/* Asks for the masks from this place on, which lie so far apart from row to row that nobody foresees them. */
inline void fetch_masks(const fl_masks *masks, ptrdiff_t place) {
    if (!masks) return;
    if (masks->zone_h) __builtin_prefetch(masks->zone_h + place);
    if (masks->zone_c) __builtin_prefetch(masks->zone_c + place);
    if (masks->candidate) __builtin_prefetch(masks->candidate + place);
}

/* Gradients that flow from a step to the one before. */
template <class Real> struct Flow {
    Vec<Real> h, c, past, n;
};

/* The vectors of weights that stand side by side for each input in a panel, those of one gate after those of another,
   and the vectors of sums of a block. */
template <class Cell> constexpr int panel_width = Cell::gates * Cell::units;
template <class Cell> constexpr int block_sums = Cell::sums * Cell::units;

/* Which sum of a block each vector of weights of the state feeds. Cells with the same mapping share their code. */
template <int... AT> struct Apart {
    static constexpr int width = sizeof...(AT);
    static constexpr int at(int v) {
        constexpr int all[] = {AT...};
        return all[v];
    }
};
template <class Cell, int... V>
Apart<(Cell::state_feeds(V / Cell::units) * Cell::units + V % Cell::units)...> apart_of(std::integer_sequence<int, V...>);
template <class Cell> constexpr bool state_feeds_gates() {
    for (int gate = 0; gate < Cell::gates; gate++)
        if (Cell::state_feeds(gate) != gate) return false;
    return true;
}
template <class Cell> using FromInputs = InOrder<panel_width<Cell>>;
template <class Cell>
using FromState = std::conditional_t<state_feeds_gates<Cell>(), FromInputs<Cell>,
                                     decltype(apart_of<Cell>(std::make_integer_sequence<int, panel_width<Cell>>()))>;

/* How many vectors from v on feed sums that lie side by side. */
template <class Feed> constexpr int run_of(int v) {
    int n = 1;
    while (v + n < Feed::width && Feed::at(v + n) == Feed::at(v) + n) n++;
    return n;
}

}

#endif
