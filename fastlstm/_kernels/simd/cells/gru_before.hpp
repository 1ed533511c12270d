/* The GRU with the reset gate before the product (Cho et al. 2014), with the options of gru_options.hpp. It takes two
   phases, for the product of each unit needs the reset gates of all:

       reset:      r, z = gate(clip(W x + U h_prev + b))     its state is r h_prev, and its c is z
       candidate:  n = candidate(clip(W x + U (r h_prev) + b))
                   h' = (1 - z) n + z h_prev                 h = h' + z_h (h_prev - h')

   h_prev is what U sees of it in the first phase. Kept are the sums.
*/
#ifndef FASTLSTM_GRU_BEFORE_HPP
#define FASTLSTM_GRU_BEFORE_HPP

#include "../functions.hpp"
#include "cell.hpp"

namespace {

template <class Format> struct GruReset : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int gates = 2, sums = 2;
    static constexpr bool keeps_c = true, reads_seen = true, adds_past = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }

    template <bool, int N> FL_INLINE static void forward(V (&sum)[N][2], V (&c)[N], V (&h)[N], const Told<T> &at) {
        static_assert(N == 1, "by_rows");
        h[0] *= gate_of(*at.options, sum[0][0]);
        c[0] = gate_of(*at.options, sum[0][1]);
    }

    /* with d.h by r h_prev, and d.c by z:     dr = d.h h_prev      past += d.h r */
    template <class At> FL_INLINE static void backward(V (&a)[2], Flow<T> &d, const At &at) {
        const fl_options &o = *at.options;
        const V r = gate_of(o, a[0]), z = gate_of(o, a[1]), factor = at.factor();
        a[0] = back<T>(o.gate, d.h * (at.h_prev() * factor), a[0], r, o.clip);
        a[1] = back<T>(o.gate, d.c, a[1], z, o.clip);
        d.past = d.h * (r * factor);
    }

    FL_INLINE static V gate_of(const fl_options &o, V a) { return apply<T>(o.gate, clip<T>(a, o.clip)); }
};

template <class Format> struct GruCandidate : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int gates = 1, sums = 1;
    static constexpr bool keeps_c = true, reads_h = true, carries_h = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }

    template <bool, int N> FL_INLINE static void forward(V (&sum)[N][1], V (&z)[N], V (&h)[N], const Told<T> &at) {
        static_assert(N == 1, "by_rows");
        const fl_options &o = *at.options;
        const V n = apply<T>(o.candidate, clip<T>(sum[0][0], o.clip)) * at.candidate();
        const V made = multiply_add(z[0], h[0], (1 - z[0]) * n);
        h[0] = o.zone_h > 0 ? zone<T>(at.zone_h(), h[0], made) : made;
    }

    /*     dh' = dh (1 - z_h)      da_n = dh' (1 - z) candidate'      dz = dh' (h_prev - n)      past = dh z_h + dh' z */
    template <class At> FL_INLINE static void backward(V (&a)[1], Flow<T> &d, const At &at) {
        const fl_options &o = *at.options;
        const V z = at.c(), g = apply<T>(o.candidate, clip<T>(a[0], o.clip));
        const V kept = at.candidate(), z_h = at.zone_h(), dh = d.h * (1 - z_h);
        a[0] = back<T>(o.candidate, dh * (1 - z) * kept, a[0], g, o.clip);
        d.c = dh * (at.h_prev() - g * kept);
        d.past = multiply_add(dh, z, d.h * z_h);
    }
};

}

#endif
