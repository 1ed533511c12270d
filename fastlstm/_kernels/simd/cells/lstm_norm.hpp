/* The LSTM with layer norm (Ba et al. 2016, supplement), with the options of lstm_options.hpp:

       a = alpha_x norm(W x) + alpha_h norm(U h_prev) + b        over the sums of all gates of a row
       c', c and o as there, from these a
       h' = o output(alpha_c norm(c') + beta_c)                  over the units of a row
       norm(v) = (v - mean(v)) / sqrt(mean((v - mean(v))^2) + eps)

   It takes three phases: U h_prev and W x, then this one, which needs the sums of all units of a row, and
   then all c' (norm_rows.hpp). It has no weights but those that each unit has for itself: the peepholes, then b, alpha_x
   and alpha_h of each gate, and alpha_c. What it has for a bias is beta_c, and what it keeps are the c'.
*/
#ifndef FASTLSTM_LSTM_NORM_HPP
#define FASTLSTM_LSTM_NORM_HPP

#include "lstm_options.hpp"

namespace {

template <class Format, bool COUPLED> struct LstmNorm : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    using InExact = LstmNorm<Exact<T>, COUPLED>; /* the same but for how gradients of the sums are rounded */
    using Lstm = LstmOptions<Exact<T>, COUPLED>;
    static constexpr int G = Lstm::gates;     /* sums of W x, and of U h_prev, of a unit */
    static constexpr int gates = 1, sums = 1; /* what the output function takes */
    static constexpr int own = 4 * G, row_room = G + 1;
    static constexpr bool keeps_c = true, carries_h = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }
};

/* Where the own weights of G gates begin, after G - 1 peepholes, of which the last is that of o. */
struct NormWeights {
    int G, look_o = G - 2, bias = G - 1, of_x = 2 * G - 1, of_h = 3 * G - 1, of_c = 4 * G - 1, all = 4 * G;
    explicit NormWeights(int gates) : G(gates) {}
};

/* What takes the gates by their names, for rows that know but how many there are. */
template <class Cell> struct NormGates {
    using T = typename Cell::T;
    using V = Vec<T>;
    using Lstm = typename Cell::Lstm;

    /* c of c_prev, and the output gate, from the a without peepholes. Returns c'. */
    static __attribute__((noinline)) V remember(V *a, V &c, V &out, const Told<T> &at) {
        V(&all)[Cell::G] = *(V(*)[Cell::G])a;
        const V made = Lstm::remember(all, c, at);
        out = Lstm::output_gate(all[Lstm::O], at);
        return made;
    }

    /* The a become their gradients, but for that of o, which comes with that of c' by way of h. Adds to those of the
       peepholes [LANES] each, if there is room for them. */
    template <class At>
    static __attribute__((noinline)) void back(V *a, Flow<T> &d, V da_o, V by_made, T *looks, const At &at) {
        V(&all)[Cell::G] = *(V(*)[Cell::G])a;
        Lstm::look_before(all, at.c_prev(), at);
        const typename Lstm::Gates gates(all, at.c_prev(), at);
        Lstm::remember_back(all, d, gates, {da_o, by_made, set<T>(1)}, at);
        if (!looks) return;
        V total[Lstm::own];
        EACH(k, Lstm::own) total[k] = load<T>(looks + k * lanes<T>);
        Lstm::add_own(total, all, at);
        EACH(k, Lstm::own) store<T>(looks + k * lanes<T>, total[k]);
    }
};

}

#endif
