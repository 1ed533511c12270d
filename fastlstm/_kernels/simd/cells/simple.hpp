/* The simple recurrent network (Elman 1990), phi being tanh, max(0, .) or nothing:

       h = phi(W x + U h_prev + b)

   It has one gate, and the pass's option says which phi: 0 for tanh, 1 for max(0, .), 2 for none, in a product alone. It
   is asked when the products are added up, where it costs nothing, so that all share one code. UNITS vectors of units are a block, so that a tile has
   as many sums as those of other cells.
*/
#include "cell.hpp"

namespace {

template <class Format, int UNITS> struct Simple : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int gates = 1, sums = 1, units = UNITS;
    static constexpr int state_feeds(int gate) { return gate; }

    /* Its chains of operations are few: a loop over the rows, which is not unrolled, keeps the code small. */
    template <bool, int N>
    FL_INLINE static void forward(V (&sum)[N][UNITS], V (&)[N * UNITS], V (&h)[N * UNITS], const Told<T> &told) {
        const int phi = told.option;
        V held[N][UNITS];
        EACH(n, N) EACH(u, UNITS) held[n][u] = sum[n][u];
        _Pragma("GCC unroll 1") for (int n = 0; n < N; n++) EACH(u, UNITS) {
            if (phi == 1) held[n][u] = larger(V{}, held[n][u]);
            else if (phi == 0) {
                const Quotient<T> s = tanh<T>(held[n][u]);
                held[n][u] = s.above / s.below;
            }
        }
        EACH(n, N) EACH(u, UNITS) sum[n][u] = h[n * UNITS + u] = held[n][u];
    }

    /* d(W x + U h_prev + b) = dh phi', where phi' is 1 - h^2, or 1 where h is above 0, or 1 */
    template <class At> FL_INLINE static void backward(V (&sum)[1], Flow<T> &d, const At &at) {
        const V dh = d.h;
        if (at.option == 2) sum[0] = dh;
        else if (at.option == 1) sum[0] = (V)((typename Number<T>::Bits)dh & (typename Number<T>::Bits)(sum[0] > 0));
        else sum[0] = dh * one_minus_square<T>(sum[0]);
    }
};

}
