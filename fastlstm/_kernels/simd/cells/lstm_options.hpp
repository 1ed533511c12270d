/* The LSTM with options: peepholes (Gers and Schmidhuber 2000), an input gate that is coupled to the forget gate (Greff
   et al. 2017), other functions than sigmoid and tanh, clipped sums (ONNX) and a clipped c (TensorFlow):

       a = W x + U h_prev + b      a_i += p_i c_prev      a_f += p_f c_prev      a_o += p_o c
       i, f, o = gate(clip(a))     g = candidate(clip(a))      coupled: f = 1 - i
       c = cell_clip(f c_prev + i g)      h = o output(c)

   A p of zeros and a clip at infinity are as if they were not there, so no option takes a branch of its own. What is kept
   for the backward pass are the a, which the slope of any function can be told from.
*/
#include "../functions.hpp"
#include "cell.hpp"

namespace {

template <class Format, bool COUPLED> struct LstmOptions : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int I = 0, F = 1, G = COUPLED ? 1 : 2, O = COUPLED ? 2 : 3; /* the gates; coupled: there is no F */
    static constexpr int gates = O + 1, sums = O + 1;
    static constexpr int P_I = 0, P_F = 1, P_O = COUPLED ? 1 : 2, own = P_O + 1; /* the peepholes */
    static constexpr bool keeps_c = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }

    /* The gates and the candidate before c, from the a. */
    struct Gates {
        V i, f, g, c; /* c before it is clipped */
        FL_INLINE Gates(const V (&a)[sums], V c_prev, const fl_options &o)
            : i(apply<T>(o.gate, clip<T>(a[I], o.clip))), g(apply<T>(o.candidate, clip<T>(a[G], o.clip))) {
            if constexpr (COUPLED) f = 1 - i;
            else f = apply<T>(o.gate, clip<T>(a[F], o.clip));
            c = multiply_add(f, c_prev, i * g);
        }
    };

    template <bool, int N> FL_INLINE static void forward(V (&sum)[N][sums], V (&c)[N], V (&h)[N], const Told<T> &at) {
        static_assert(N == 1, "by_rows");
        V(&a)[sums] = sum[0];
        const fl_options &o = *at.options;
        a[I] = multiply_add(at.own(P_I), c[0], a[I]);
        if constexpr (!COUPLED) a[F] = multiply_add(at.own(P_F), c[0], a[F]);
        c[0] = clip<T>(Gates(a, c[0], o).c, o.cell_clip);
        a[O] = multiply_add(at.own(P_O), c[0], a[O]);
        h[0] = apply<T>(o.gate, clip<T>(a[O], o.clip)) * apply<T>(o.output, c[0]);
    }

    /* The gradient by an a of a function of it, whose value is y, from that by y. */
    FL_INLINE static V back(const fl_function &f, V dy, V a, V y, double most) {
        return pass_clip<T>(dy * slope<T>(f, a, y), a, most);
    }

    /*     do = dh output(c)                dc = carried + dh o output'(c) + da_o p_o, and 0 where c was clipped
           di = dc g (coupled: dc (g - c_prev))      df = dc c_prev      dg = dc i
           carried = dc f + da_i p_i + da_f p_f
    */
    template <class At> FL_INLINE static void backward(V (&a)[sums], V dh, V &carried, const At &at) {
        const fl_options &o = *at.options;
        const V c_prev = at.c_prev(), c = at.c();
        const Gates gates(a, c_prev, o);
        const V out = apply<T>(o.gate, clip<T>(a[O], o.clip)), s = apply<T>(o.output, c);
        const V da_o = back(o.gate, dh * s, a[O], out, o.clip);
        V dc = multiply_add(dh * out, slope<T>(o.output, c, s), carried);
        dc = pass_clip<T>(multiply_add(da_o, at.own(P_O), dc), gates.c, o.cell_clip);
        const V da_i = back(o.gate, dc * (COUPLED ? gates.g - c_prev : gates.g), a[I], gates.i, o.clip);
        a[G] = back(o.candidate, dc * gates.i, a[G], gates.g, o.clip);
        carried = multiply_add(da_i, at.own(P_I), dc * gates.f);
        if constexpr (!COUPLED) {
            a[F] = back(o.gate, dc * c_prev, a[F], gates.f, o.clip);
            carried = multiply_add(a[F], at.own(P_F), carried);
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
