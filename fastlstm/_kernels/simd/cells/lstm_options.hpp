/* The LSTM with options: peepholes (Gers and Schmidhuber 2000), an input gate that is coupled to the forget gate (Greff
   et al. 2017), other functions than sigmoid and tanh, clipped sums (ONNX) and a clipped c (TensorFlow):

       a = W x + U h_prev + b      a_i += p_i c_prev      a_f += p_f c_prev      a_o += p_o c
       i, f, o = gate(clip(a))     g = candidate(clip(a))      coupled: f = 1 - i
       c' = cell_clip(f c_prev + i g)      h' = o output(c')
       c = c' + z_c (c_prev - c')          h = h' + z_h (h_prev - h')

   g may be dropped in part (Semeniuta et al. 2016). z are those of zoneout (Krueger et al. 2017): 1 for a number that
   stays as it was and else 0 while training, their mean in inference. A p of zeros and a clip at infinity are as if
   they were not there. What is kept for the backward pass are the a, from which the slope of any function follows.
*/
#ifndef FASTLSTM_LSTM_OPTIONS_HPP
#define FASTLSTM_LSTM_OPTIONS_HPP

#include "../functions.hpp"
#include "cell.hpp"

namespace {

template <class Format, bool COUPLED> struct LstmOptions : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int I = 0, F = 1, G = COUPLED ? 1 : 2, O = COUPLED ? 2 : 3; /* the gates; coupled: there is no F */
    static constexpr int gates = O + 1, sums = O + 1;
    static constexpr int P_I = 0, P_F = 1, P_O = COUPLED ? 1 : 2, own = P_O + 1; /* the peepholes */
    static constexpr bool keeps_c = true, reads_h = true, carries_h = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }

    /* What comes before c of the a. */
    struct Gates {
        V i, f, g, kept, unclipped, c; /* kept: the factors of g; c: c' */
        template <class At> FL_INLINE Gates(const V (&a)[sums], V c_prev, const At &at) {
            const fl_options &o = *at.options;
            i = apply<T>(o.gate, clip<T>(a[I], o.clip));
            g = apply<T>(o.candidate, clip<T>(a[G], o.clip));
            if constexpr (COUPLED) f = 1 - i;
            else f = apply<T>(o.gate, clip<T>(a[F], o.clip));
            kept = at.candidate();
            unclipped = multiply_add(f, c_prev, i * (g * kept));
            c = clip<T>(unclipped, o.cell_clip);
        }
    };

    template <bool, int N> FL_INLINE static void forward(V (&sum)[N][sums], V (&c)[N], V (&h)[N], const Told<T> &at) {
        static_assert(N == 1, "by_rows");
        V(&a)[sums] = sum[0];
        const fl_options &o = *at.options;
        a[I] = multiply_add(at.own(P_I), c[0], a[I]);
        if constexpr (!COUPLED) a[F] = multiply_add(at.own(P_F), c[0], a[F]);
        const V made = Gates(a, c[0], at).c;
        c[0] = o.zone_c > 0 ? zone<T>(at.zone_c(), c[0], made) : made;
        a[O] = multiply_add(at.own(P_O), c[0], a[O]);
        const V shown = apply<T>(o.gate, clip<T>(a[O], o.clip)) * apply<T>(o.output, made);
        h[0] = o.zone_h > 0 ? zone<T>(at.zone_h(), h[0], shown) : shown;
    }

    /*     dh' = dh (1 - z_h)        do = dh' output(c')        dc += da_o p_o
           dc' = dc (1 - z_c) + dh' o output'(c'), and 0 where c' was clipped
           di = dc' g (coupled: dc' (g - c_prev))      df = dc' c_prev      dg = dc' i
           by h_prev, past U: dh z_h       by c_prev: dc z_c + dc' f + da_i p_i + da_f p_f
    */
    template <class At> FL_INLINE static void backward(V (&a)[sums], Flow<T> &d, const At &at) {
        const fl_options &o = *at.options;
        const V c_prev = at.c_prev(), z_h = at.zone_h(), z_c = at.zone_c();
        const Gates gates(a, c_prev, at);
        const V out = apply<T>(o.gate, clip<T>(a[O], o.clip)), s = apply<T>(o.output, gates.c), dh = d.h * (1 - z_h);
        const V da_o = back<T>(o.gate, dh * s, a[O], out, o.clip), dc = multiply_add(da_o, at.own(P_O), d.c);
        const V made = pass_clip<T>(multiply_add(dh * out, slope<T>(o.output, gates.c, s), dc * (1 - z_c)),
                                    gates.unclipped, o.cell_clip);
        const V g = gates.g * gates.kept;
        const V da_i = back<T>(o.gate, made * (COUPLED ? g - c_prev : g), a[I], gates.i, o.clip);
        a[G] = back<T>(o.candidate, made * gates.i * gates.kept, a[G], gates.g, o.clip);
        d.past = d.h * z_h;
        d.c = multiply_add(dc, z_c, multiply_add(da_i, at.own(P_I), made * gates.f));
        if constexpr (!COUPLED) {
            a[F] = back<T>(o.gate, made * c_prev, a[F], gates.f, o.clip);
            d.c = multiply_add(a[F], at.own(P_F), d.c);
        }
        a[I] = da_i;
        a[O] = da_o;
    }

    template <class At> FL_INLINE static void add_own(V (&total)[own], const V (&da)[sums], const At &at) {
        const V c_prev = at.c_prev();
        total[P_I] = multiply_add(da[I], c_prev, total[P_I]);
        if constexpr (!COUPLED) total[P_F] = multiply_add(da[F], c_prev, total[P_F]);
        total[P_O] = multiply_add(da[O], at.c(), total[P_O]);
    }
};

}

#endif
