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
    static constexpr bool keeps_c = true, reads_h = true, carries_h = true, by_rows = true, stops = true;
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
        const V made = remember(sum[0], c[0], at);
        h[0] = show(output_gate(sum[0][O], at), made, h[0], at);
    }

    /* The peepholes of the gates that see c_prev. */
    FL_INLINE static void look_before(V (&a)[sums], V c_prev, const Told<T> &at) {
        a[I] = multiply_add(at.own(P_I), c_prev, a[I]);
        if constexpr (!COUPLED) a[F] = multiply_add(at.own(P_F), c_prev, a[F]);
    }
    /* Adds the peepholes to the a, makes c of c_prev, and returns c'. */
    FL_INLINE static V remember(V (&a)[sums], V &c, const Told<T> &at) {
        look_before(a, c, at);
        const V made = Gates(a, c, at).c;
        c = at.options->zone_c > 0 ? zone<T>(at.zone_c(), c, made) : made;
        a[O] = multiply_add(at.own(P_O), c, a[O]);
        return made;
    }
    FL_INLINE static V output_gate(V a_o, const Told<T> &at) {
        return apply<T>(at.options->gate, clip<T>(a_o, at.options->clip));
    }
    /* h, of the output gate and of what the output function takes, which is c' */
    FL_INLINE static V show(V out, V taken, V h_prev, const Told<T> &at) {
        const V shown = out * apply<T>(at.options->output, taken);
        return at.options->zone_h > 0 ? zone<T>(at.zone_h(), h_prev, shown) : shown;
    }

    /*     dh' = dh (1 - z_h)        do = dh' output(c')        dc += da_o p_o
           dc' = dc (1 - z_c) + dh' o output'(c'), and 0 where c' was clipped
           di = dc' g (coupled: dc' (g - c_prev))      df = dc' c_prev      dg = dc' i
           by h_prev, past U: dh z_h       by c_prev: dc z_c + dc' f + da_i p_i + da_f p_f
    */
    template <class At> FL_INLINE static void backward(V (&a)[sums], Flow<T> &d, const At &at) {
        const Gates gates(a, at.c_prev(), at);
        remember_back(a, d, gates, show_back(a[O], gates.c, d, at), at);
    }

    /* The gradients of a_o and, as a product of two, of what the output function takes. */
    struct Shown {
        V a_o, by_output, slope;
    };
    template <class At> FL_INLINE static Shown show_back(V a_o, V taken, Flow<T> &d, const At &at) {
        const fl_options &o = *at.options;
        const V z_h = at.zone_h(), out = output_gate(a_o, at), s = apply<T>(o.output, taken), dh = d.h * (1 - z_h);
        d.past = d.h * z_h;
        return {back<T>(o.gate, dh * s, a_o, out, o.clip), dh * out, slope<T>(o.output, taken, s)};
    }
    template <class At>
    FL_INLINE static void remember_back(V (&a)[sums], Flow<T> &d, const Gates &gates, const Shown &shown, const At &at) {
        const fl_options &o = *at.options;
        const V c_prev = at.c_prev(), z_c = at.zone_c(), da_o = shown.a_o, dc = multiply_add(da_o, at.own(P_O), d.c);
        const V made = pass_clip<T>(multiply_add(shown.by_output, shown.slope, dc * (1 - z_c)), gates.unclipped,
                                    o.cell_clip);
        const V g = gates.g * gates.kept;
        const V da_i = back<T>(o.gate, made * (COUPLED ? g - c_prev : g), a[I], gates.i, o.clip);
        a[G] = back<T>(o.candidate, made * gates.i * gates.kept, a[G], gates.g, o.clip);
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
