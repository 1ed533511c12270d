/* The GRU with options: other functions than sigmoid and tanh, clipped sums (ONNX), and what is left out at random:

       r, z = gate(clip(W x + U h_prev + b))     a_n = W x + b + r (U h_prev + b')     n = candidate(clip(a_n))
       h' = (1 - z) n + z h_prev                 h = h' + z_h (h_prev - h')

   See lstm_options.hpp. Kept are the a and U h_prev + b'.
*/
#ifndef FASTLSTM_GRU_OPTIONS_HPP
#define FASTLSTM_GRU_OPTIONS_HPP

#include "../functions.hpp"
#include "cell.hpp"

namespace {

template <class Format> struct GruOptions : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int gates = 3, sums = 4;
    static constexpr bool reads_h = true, carries_h = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate == 2 ? 3 : gate; }

    template <bool, int N> FL_INLINE static void forward(V (&sum)[N][4], V (&)[N], V (&h)[N], const Told<T> &at) {
        static_assert(N == 1, "by_rows");
        V(&a)[4] = sum[0];
        const fl_options &o = *at.options;
        const V r = gate_of(o, a[0]), z = gate_of(o, a[1]);
        a[2] = multiply_add(r, a[3], a[2]);
        const V n = apply<T>(o.candidate, clip<T>(a[2], o.clip)) * at.candidate();
        const V made = multiply_add(z, h[0], (1 - z) * n);
        h[0] = o.zone_h > 0 ? zone<T>(at.zone_h(), h[0], made) : made;
    }

    /*     dh' = dh (1 - z_h)      da_n = dh' (1 - z) candidate'      dz = dh' (h_prev - n)      dr = da_n (U h_prev + b')
           d(U h_prev + b') = da_n r                past = dh z_h + dh' z
    */
    template <class At> FL_INLINE static void backward(V (&a)[4], Flow<T> &d, const At &at) {
        const fl_options &o = *at.options;
        const V r = gate_of(o, a[0]), z = gate_of(o, a[1]), g = apply<T>(o.candidate, clip<T>(a[2], o.clip));
        const V kept = at.candidate(), z_h = at.zone_h(), dh = d.h * (1 - z_h), m = a[3];
        const V da_n = back<T>(o.candidate, dh * (1 - z) * kept, a[2], g, o.clip);
        a[0] = back<T>(o.gate, da_n * m, a[0], r, o.clip);
        a[1] = back<T>(o.gate, dh * (at.h_prev() - g * kept), a[1], z, o.clip);
        a[2] = da_n;
        a[3] = da_n * r;
        d.past = multiply_add(dh, z, d.h * z_h);
    }

    FL_INLINE static V gate_of(const fl_options &o, V a) { return apply<T>(o.gate, clip<T>(a, o.clip)); }
};

}

#endif
