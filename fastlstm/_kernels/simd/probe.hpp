/* What benchmarks and tests ask of the processor: its speed, and the activations by themselves. */
#ifndef FASTLSTM_PROBE_HPP
#define FASTLSTM_PROBE_HPP

#include "activations.hpp"
#include "tile.hpp"

namespace {

/* FL_ROWS x 4 independent chains of multiply-adds, as many as the tile has */
template <class Real> void probe_fma(void *argument, int thread, fl_team *) {
    const fl_probe &p = *(const fl_probe *)argument;
    Vec<Real> sum[FL_ROWS][4], factor = set<Real>((Real)p.value), term = factor;
    EACH(r, FL_ROWS) EACH(g, 4) sum[r][g] = set<Real>((Real)(4 * r + g));
    for (ptrdiff_t n = 0; n < p.count; n++)
        EACH(r, FL_ROWS) EACH(g, 4) sum[r][g] = multiply_add(sum[r][g], factor, term);
    EACH(r, FL_ROWS) EACH(g, 4) term += sum[r][g];
    store<Real>((Real *)((char *)p.out + 64 * thread), term);
}

/* reads this thread's part of an array again and again */
template <class Real> void probe_read(void *argument, int thread, fl_team *team) {
    constexpr ptrdiff_t L = lanes<Real>, step = 16 * L;
    const fl_probe &p = *(const fl_probe *)argument;
    const ptrdiff_t steps = p.size / team->size / step;
    const Real *from = (const Real *)p.in + steps * step * thread;
    Vec<Real> sum[16] = {};
    for (ptrdiff_t n = 0; n < p.count; n++)
        for (ptrdiff_t i = 0; i < steps; i++) EACH(g, 16) sum[g] += load<Real>(from + i * step + g * L);
    EACH(g, 15) sum[0] += sum[g + 1];
    store<Real>((Real *)((char *)p.out + 64 * thread), sum[0]);
}

/* out = sigmoid(in), or tanh(in), of `size` numbers, as the cells compute them */
template <class Real> void probe_activate(void *argument, int, fl_team *) {
    const fl_probe &p = *(const fl_probe *)argument;
    for (ptrdiff_t i = 0; i < p.size; i += lanes<Real>) {
        const Vec<Real> x = load_at_most<Real>((const Real *)p.in + i, p.size - i);
        const Quotient<Real> q = p.count ? tanh<Real>(x) : sigmoid<Real>(x);
        store_at_most<Real>((Real *)p.out + i, p.size - i, q.above / q.below);
    }
}

}

#endif
