/* The sLSTM (Beck et al. 2024), whose input gate is an exponential, and whose forget gate may be one:

       z = tanh(a_z)     o = sigmoid(a_o)     log i = a_i     log f = log sigmoid(a_f), or a_f       a = W x + U h_prev + b
       C = f C_prev + i z                     N = f N_prev + i                                       h = o C / N

   C and N may be too large for a number. Kept are c = C / N, the mean of all z so far by their weights, and n = log N:

       f' = f N_prev / N = sigmoid(log f + n_prev - log i)
       c = f' c_prev + (1 - f') z             n = log i + softplus(log f + n_prev - log i)           h = o c

   which is what the paper's stabiliser m is for: its c / n is this c, and its m + log n is this n. n_prev is a large
   negative number where nothing has been written. log i and n stay within +-`most`, so that nothing becomes infinity
   minus infinity where sums overflow. What is kept for the backward pass are the a.
*/
#ifndef FASTLSTM_SLSTM_HPP
#define FASTLSTM_SLSTM_HPP

#include "../functions.hpp"
#include "cell.hpp"

namespace {

template <class Format> struct Slstm : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int I = 0, F = 1, Z = 2, O = 3; /* the gates */
    static constexpr int gates = 4, sums = 4, c_parts = 2;
    static constexpr bool keeps_c = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }
    static constexpr T most = (T)(sizeof(T) == 4 ? 1e37 : 1e307);

    /* `apart`: by how much what is kept outweighs what is written, in logarithms */
    struct Gates {
        V log_i, apart, keep, z, o;
        FL_INLINE Gates(const V (&a)[4], V n_prev, const Told<T> &at) {
            const V log_f = at.option ? a[F] : -softplus<T>(-a[F]);
            log_i = larger(set<T>(-most), smaller(set<T>(most), a[I]));
            apart = log_f + n_prev - log_i;
            keep = ratio(sigmoid<T>(apart)), z = ratio(tanh<T>(a[Z])), o = ratio(sigmoid<T>(a[O]));
        }
        FL_INLINE static V ratio(Quotient<T> q) { return q.above / q.below; }
    };

    template <bool, int N> FL_INLINE static void forward(V (&sum)[N][4], V (&c)[2], V (&h)[N], const Told<T> &at) {
        static_assert(N == 1, "by_rows");
        const Gates gates(sum[0], c[1], at);
        c[0] = multiply_add(gates.keep, c[0], (1 - gates.keep) * gates.z);
        c[1] = smaller(set<T>(most), gates.log_i + softplus<T>(gates.apart));
        h[0] = gates.o * c[0];
    }

    /*     dc += dh o     d = f' (dc (c_prev - z) (1 - f') + dn), by `apart`
           da_i = dn - d      da_f = d (1 - sigmoid(a_f)), or d      da_z = dc (1 - f') (1 - z^2)      da_o = dh c o (1 - o)
           by c_prev: dc f'   by n_prev: d
    */
    template <class At> FL_INLINE static void backward(V (&a)[4], Flow<T> &d, const At &at) {
        const Gates gates(a, at.c_prev(1), at);
        const V o = gates.o, write = 1 - gates.keep, dc = multiply_add(d.h, o, d.c);
        const V both = gates.keep * multiply_add(dc * (at.c_prev() - gates.z), write, d.n);
        a[O] = d.h * at.c() * (o * (1 - o));
        a[Z] = dc * write * one_minus_square<T>(gates.z);
        a[F] = at.option ? both : both * Gates::ratio(sigmoid<T>(-a[F]));
        a[I] = d.n - both;
        d.c = dc * gates.keep;
        d.n = both;
    }
};

}

#endif
