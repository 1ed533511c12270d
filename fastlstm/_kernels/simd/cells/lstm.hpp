/* The long short-term memory (Hochreiter and Schmidhuber 1997; forget gate by Gers, Schmidhuber and Cummins 2000):

       i, f, o = sigmoid(W x + U h + b)     g = tanh(W x + U h + b)
       c = f c_prev + i g                   h = o tanh(c)
*/
#ifndef FASTLSTM_LSTM_HPP
#define FASTLSTM_LSTM_HPP

#include "cell.hpp"

namespace {

template <class Format> struct Lstm : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int gates = 4, sums = 4;
    static constexpr bool keeps_all = false, keeps_c = true;
    static constexpr int state_feeds(int gate) { return gate; }

    template <bool KEEP, int N> FL_INLINE static void forward(V (&sum)[N][4], V (&c)[N], V (&h)[N], const Told<T> &) {
        Quotient<T> o[N];
        EACH(n, N) {
            const Quotient<T> i = sigmoid<T>(sum[n][0]), f = sigmoid<T>(sum[n][1]), g = tanh<T>(sum[n][2]);
            const V forget = f.above / f.below, one = 1 / (i.below * g.below);
            c[n] = multiply_add(forget, c[n], i.above * g.above * one);
            if constexpr (KEEP) {
                sum[n][0] = i.above * g.below * one;
                sum[n][1] = forget;
                sum[n][2] = g.above * i.below * one;
            }
        }
        EACH(n, N) o[n] = sigmoid<T>(sum[n][3]);
        EACH(n, N) {
            const Quotient<T> s = tanh<T>(c[n]);
            const V one = 1 / (o[n].below * s.below);
            h[n] = o[n].above * s.above * one;
            if constexpr (KEEP) sum[n][3] = o[n].above * s.below * one;
        }
    }

    /* With dh the gradient of h, and dc that of c by way of the later steps:

           dc = dc + dh o (1 - tanh(c)^2)
           di = dc g i (1 - i)       df = dc c_prev f (1 - f)
           dg = dc i (1 - g^2)       do = dh tanh(c) o (1 - o)       by c_prev: dc f
    */
    template <class At> FL_INLINE static void backward(V (&sum)[4], Flow<T> &d, const At &at) {
        const V dh = d.h;
        const V i = sum[0], f = sum[1], g = sum[2], o = sum[3];
        const Quotient<T> s = tanh<T>(at.c());
        const V tanh_c = s.above / s.below;
        const V dc = multiply_add(dh * o, one_minus_square<T>(tanh_c), d.c);
        sum[0] = dc * g * (i * (1 - i));
        sum[1] = dc * (f * (1 - f)) * at.c_prev(); /* c may be so large that dc c is infinite */
        sum[2] = dc * i * one_minus_square<T>(g);
        sum[3] = dh * tanh_c * (o * (1 - o));
        d.c = dc * f;
    }
};

}

#endif
