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
    using InExact = LstmNorm<Exact<T>, COUPLED>; /* the same code, but for how the sums back are rounded */
    using Lstm = LstmOptions<Format, COUPLED, true>;
    static constexpr int G = Lstm::gates;     /* sums of W x, and of U h_prev, of a unit */
    static constexpr int gates = 1, sums = 1; /* what the output function takes */
    static constexpr int B = Lstm::own, OF_X = B + G, OF_H = OF_X + G, OF_C = OF_H + G, own = OF_C + 1;
    static constexpr int row_room = G + 1;
    static constexpr bool keeps_c = true, carries_h = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }

    /* The a of a unit, without peepholes, from both norms. */
    template <class X, class U> FL_INLINE static void add_up(V (&a)[G], X x, U u, const Told<T> &at) {
        for (int g = 0; g < G; g++) a[g] = multiply_add(at.own(OF_X + g), x(g), multiply_add(at.own(OF_H + g), u(g), at.own(B + g)));
    }
};

}

#endif
