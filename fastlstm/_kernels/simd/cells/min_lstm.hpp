/* The minimal LSTM (Feng et al. 2024), whose gates see the input alone:

       f, i = sigmoid(W x + b)     f' = f / (f + i)     i' = i / (f + i) = 1 - f'
       g = W x + b                 h = f' h_prev + i' g

   Its second option makes g positive, as the paper's form in logarithms does: g = a + 1/2 where a is above 0, and else
   sigmoid(a). Nothing of a step waits for U, of which there is none. Kept are the sums.
*/
#ifndef FASTLSTM_MIN_LSTM_HPP
#define FASTLSTM_MIN_LSTM_HPP

#include "../functions.hpp"
#include "cell.hpp"

namespace {

template <class Format> struct MinLstm : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int gates = 3, sums = 3; /* f, i, g */
    static constexpr bool reads_h = true, carries_h = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }

    /* f' and i', and f' i' (1 - f) and f' i' (1 - i). With u = 1 + exp(-a_f) and v = 1 + exp(-a_i), f' is v / (u + v), and
       f' i' (1 - f) is f' exp(-a_f) / (u + v). All are times exp(-m), so that no exponent is above 0; u or v alone may then
       be zero, but not their sum. */
    struct Gates {
        V keep, write, by_f, by_i;
        FL_INLINE Gates(V a_f, V a_i) {
            const V m = larger(V{}, larger(-a_f, -a_i)), one = exp_of_negative<T>(-m);
            const V of_f = exp_of_negative<T>(-a_f - m), of_i = exp_of_negative<T>(-a_i - m);
            const V u = one + of_f, v = one + of_i, r = 1 / (u + v);
            keep = v * r, write = u * r, by_f = keep * (of_f * r), by_i = write * (of_i * r);
        }
    };
    FL_INLINE static V candidate(const Told<T> &at, V a) {
        if (!at.option) return a;
        const Quotient<T> s = sigmoid<T>(a);
        return where_positive<T>(a, a + (T)0.5, s.above / s.below);
    }

    template <bool, int N> FL_INLINE static void forward(V (&sum)[N][3], V (&)[N], V (&h)[N], const Told<T> &at) {
        static_assert(N == 1, "by_rows");
        const Gates gates(sum[0][0], sum[0][1]);
        h[0] = multiply_add(gates.keep, h[0], gates.write * candidate(at, sum[0][2]));
    }

    /* With d = dh (h_prev - g):    da_f = d f' i' (1 - f)    da_i = -d f' i' (1 - i)    da_g = dh i' g'    past = dh f' */
    template <class At> FL_INLINE static void backward(V (&a)[3], Flow<T> &d, const At &at) {
        const Gates gates(a[0], a[1]);
        const V g = candidate(at, a[2]), both = d.h * (at.h_prev() - g);
        const V slope = at.option ? where_positive<T>(a[2], set<T>(1), g * (1 - g)) : set<T>(1);
        a[0] = both * gates.by_f;
        a[1] = -both * gates.by_i;
        a[2] = d.h * gates.write * slope;
        d.past = d.h * gates.keep;
    }
};

}

#endif
