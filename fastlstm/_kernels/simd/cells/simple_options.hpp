/* The simple recurrent network with options: any function, clipped sums, and what is left out at random:

       h' = candidate(clip(W x + U h_prev + b))     h = h' + z_h (h_prev - h')

   See lstm_options.hpp. Kept are the sums.
*/
#ifndef FASTLSTM_SIMPLE_OPTIONS_HPP
#define FASTLSTM_SIMPLE_OPTIONS_HPP

#include "../functions.hpp"
#include "cell.hpp"

namespace {

template <class Format, int UNITS> struct SimpleOptions : Cell<Format> {
    using T = typename Format::Real;
    using V = Vec<T>;
    static constexpr int gates = 1, sums = 1, units = UNITS;
    static constexpr bool reads_h = true, carries_h = true, by_rows = true;
    static constexpr int state_feeds(int gate) { return gate; }

    template <bool, int N> FL_INLINE static void forward(V (&sum)[N][1], V (&)[N], V (&h)[N], const Told<T> &at) {
        static_assert(N == 1, "by_rows");
        const fl_options &o = *at.options;
        const V made = apply<T>(o.candidate, clip<T>(sum[0][0], o.clip)) * at.candidate();
        h[0] = o.zone_h > 0 ? zone<T>(at.zone_h(), h[0], made) : made;
    }

    /* d(W x + U h_prev + b) = dh (1 - z_h) candidate'     past = dh z_h */
    template <class At> FL_INLINE static void backward(V (&a)[1], Flow<T> &d, const At &at) {
        const fl_options &o = *at.options;
        const V z_h = at.zone_h(), y = apply<T>(o.candidate, clip<T>(a[0], o.clip));
        a[0] = back<T>(o.candidate, d.h * (1 - z_h) * at.candidate(), a[0], y, o.clip);
        d.past = d.h * z_h;
    }
};

}

#endif
