/* The gated recurrent unit (Cho et al. 2014) with the reset gate after the product, as cuDNN has it:

       r = sigmoid(W x + U h_prev + b)     z = sigmoid(W x + U h_prev + b)
       n = tanh(W x + b + r (U h_prev + b'))
       h = (1 - z) n + z h_prev

   The two products of n are added up apart: W x + b is its third sum, and U h_prev + b' its fourth.
*/
#include "cell.hpp"

namespace {

template <class Format> struct Gru : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int gates = 3, sums = 4;
    static constexpr bool reads_h = true, carries_h = true;
    static constexpr int state_feeds(int gate) { return gate == 2 ? 3 : gate; }

    template <bool KEEP, int N> FL_INLINE static void forward(V (&sum)[N][4], V (&)[N], V (&h)[N], const Told<T> &) {
        EACH(n, N) {
            const Quotient<T> r = sigmoid<T>(sum[n][0]);
            sum[n][0] = r.above / r.below;
            sum[n][2] = multiply_add(sum[n][0], sum[n][3], sum[n][2]);
        }
        EACH(n, N) {
            const Quotient<T> z = sigmoid<T>(sum[n][1]), g = tanh<T>(sum[n][2]);
            /* exactly 0 or 1 where z saturates: then the state stays as it is, however large, and dz is 0 */
            sum[n][1] = z.above / z.below;
            sum[n][2] = g.above / g.below;
            h[n] = multiply_add(sum[n][1], h[n], (1 - sum[n][1]) * sum[n][2]);
        }
    }

    /* With dh the gradient of h; past is the part of that of h_prev that goes past the products:

           dn = dh (1 - z) (1 - n^2)       dz = dh (h_prev - n) z (1 - z)       dr = dn (U h_prev + b') r (1 - r)
           d(W x + b) = dn                 d(U h_prev + b') = dn r              past = dh z
    */
    template <class At> FL_INLINE static void backward(V (&sum)[4], Flow<T> &d, const At &at) {
        const V dh = d.h;
        const V r = sum[0], z = sum[1], n = sum[2], dn = dh * (1 - z) * one_minus_square<T>(n);
        sum[0] = dn * (r * (1 - r)) * sum[3]; /* the product of U may be so large that dn times it is infinite */
        sum[1] = dh * (z * (1 - z)) * (at.h_prev() - n);
        sum[2] = dn;
        sum[3] = dn * r;
        d.past = dh * z;
    }
};

}
