"""One direction of one recurrent layer on the plain path: a whole batch in one call, forward and back through time.

Design: rows are in ragged order, step by step, the longest sequence first, without padding. Step t has alive[t] rows,
never more than the step before, and S = sum(alive) in all. A sequence has no row in the steps after its end. The kernel
knows neither padding nor direction: the layer copies rows into this order (fastlstm/layers/recurrent/ragged.py).

    x      [S, I]       inputs, step after step
    state  [N + S, H]   for each part, h first: N initial states (slot 0), then those after each step: no special first
                        step
    sums   [S, sums·H]  what a step starts from, W x and U h; then what its cell keeps of them; in backward each is
                        overwritten by its gradient

A phase of a step (simd/table.h) is a call for that step alone, whose U sees other numbers than its own state.

Weights are (gates·H, I) and (gates·H, K), K being H but for a phase, and the bias is (sums·H). Products
are BLAS calls for all rows of a step, or of many steps; the cell (plain_cells.pxd) is called on each row, in loops that
the compiler vectorises.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from fastlstm._kernels.blas cimport NO_TRANS, TRANS, column_sums, gemm
from fastlstm._kernels.cpu cimport fl_masks
from fastlstm._kernels.options cimport Masks, Options, options_of
from fastlstm._kernels.plain_block cimport BLOCK
from fastlstm._kernels.plain_cells cimport GRU_RESET, MOST_PARTS, Cell, Told, cell_of, step_backward, step_forward
from fastlstm._kernels.real cimport real


def describe(str cell):
    """Of the cell of this name: gates, sums, the sums that U h of the gates is added to, parts of the state, own."""
    cdef Cell found = cell_of(cell)
    cdef Py_ssize_t f, k
    feeds = []
    for f in range(found.feed_count):
        for k in range(found.feeds[f].count):
            feeds.append(found.feeds[f].sum + k)
    return found.gates, found.sums, tuple(feeds), found.parts, found.own


cdef check_alive(const Py_ssize_t[::1] alive, Py_ssize_t S, Py_ssize_t N):
    cdef Py_ssize_t t, total = 0
    for t in range(alive.shape[0]):
        if alive[t] < 1 or alive[t] > (alive[t - 1] if t else N) or (t == 0 and alive[t] != N):
            raise ValueError("alive must begin with the number of sequences, never grow and never reach 0")
        total += alive[t]
    if total != S:
        raise ValueError(f"alive adds up to {total} rows, but there are {S}")


# The cell's step forward on rows that lie H and sums·H apart; `first` is the place of the first among all rows.
cdef void rows_forward(
    const Cell* cell, Py_ssize_t first, Py_ssize_t rows, real** state, real* sums, const real** prev, const real* bias,
    const Told* told, Py_ssize_t H,
) noexcept nogil:
    cdef (real*)[MOST_PARTS] state_k
    cdef (const real*)[MOST_PARTS] prev_k
    cdef Py_ssize_t r, k, p, block = H if cell.room else BLOCK
    for r in range(rows):
        k = 0
        while k < H:
            for p in range(cell.parts):
                state_k[p], prev_k[p] = state[p] + r * H + k, prev[p] + r * H + k
            step_forward(
                cell.kind, state_k, sums + r * cell.sums * H + k, prev_k, bias + k, told, (first + r) * H + k, k, H,
                min(block, H - k),
            )
            k += block


cdef void rows_backward(
    const Cell* cell, Py_ssize_t first, Py_ssize_t rows, real* sums, real** dstate, const real* dy, const real** state,
    const real** prev, const Told* told, Py_ssize_t H,
) noexcept nogil:
    cdef (real*)[MOST_PARTS] d
    cdef (const real*)[MOST_PARTS] state_k
    cdef (const real*)[MOST_PARTS] prev_k
    cdef Py_ssize_t r, k, p, at, block = H if cell.room else BLOCK
    for r in range(rows):
        k = 0
        while k < H:
            at = r * H + k
            for p in range(cell.parts):
                d[p], state_k[p], prev_k[p] = dstate[p] + at, state[p] + at, prev[p] + at
            step_backward(
                cell.kind, sums + r * cell.sums * H + k, d, dy + at, state_k, prev_k, told, first * H + at, k, H,
                min(block, H - k),
            )
            k += block


# sums += h Uᵀ for m rows; sums that no input feeds are written.
cdef int feed_sums(
    const Cell* cell, Py_ssize_t m, const real* h, const real* w_hh, real* sums, Py_ssize_t H, Py_ssize_t K
) except -1 nogil:
    cdef Py_ssize_t f
    for f in range(cell.feed_count):
        gemm(
            NO_TRANS, TRANS, m, cell.feeds[f].count * H, K, h, K, w_hh + cell.feeds[f].gate * H * K, K,
            <real>(cell.feeds[f].sum < cell.gates), sums + cell.feeds[f].sum * H, cell.sums * H,
        )
    return 0


# dh = da U for m rows, or that added to what is there.
cdef int feed_back(
    const Cell* cell, Py_ssize_t m, const real* da, const real* w_hh, real* dh, bint add, Py_ssize_t H, Py_ssize_t K
) except -1 nogil:
    cdef Py_ssize_t f
    for f in range(cell.feed_count):
        gemm(
            NO_TRANS, NO_TRANS, m, K, cell.feeds[f].count * H, da + cell.feeds[f].sum * H, cell.sums * H,
            w_hh + cell.feeds[f].gate * H * K, K, <real>(f > 0 or add), dh, K,
        )
    return 0


# dw_hh += sum over all steps of da[t]ᵀ·h[t - 1]; da (S, sums·H), h (N + S, K).
# One product over each run of steps whose rows of h lie as far apart as their rows of da; a batch of equal lengths is a
# single run.
cdef int add_recurrent_gradient(
    const Cell* cell, real* dw_hh, const real* da, const real* h, Py_ssize_t H, Py_ssize_t K,
    const Py_ssize_t[::1] alive,
) except -1 nogil:
    cdef Py_ssize_t t = 0, start = 0, prev_start = 0, T = alive.shape[0], width = cell.sums * H, row, rows, f
    while t < T:
        row, rows = prev_start, alive[t]
        prev_start += alive[t - 1] if t else alive[0]
        while t + 1 < T and (t == 0 or alive[t - 1] == alive[t]):
            t += 1
            rows += alive[t]
            prev_start += alive[t - 1]
        for f in range(cell.feed_count):
            gemm(
                TRANS, NO_TRANS, cell.feeds[f].count * H, K, rows, da + start * width + cell.feeds[f].sum * H, width,
                h + row * K, K, <real>1, dw_hh + cell.feeds[f].gate * H * K, K,
            )
        start += rows
        t += 1
    return 0


cdef const fl_masks* masks_of(
    Masks masks, Py_ssize_t S, Py_ssize_t N, Py_ssize_t H, Py_ssize_t K, str format
) except? NULL:
    return NULL if masks is None else masks.of(S * H, N, K, format)


# The factors (N, K) of h as U sees it, or NULL.
cdef const void* factors_of(const Told* told) noexcept nogil:
    return NULL if told.masks == NULL else told.masks.state


cdef void multiply_rows(Py_ssize_t count, const real* a, const real* b, real* out) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(count):
        out[k] = a[k] * b[k]


cdef void add_rows(Py_ssize_t count, const real* a, real* out) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(count):
        out[k] += a[k]


cdef bint sees(
    const real[:, ::1] seen, Py_ssize_t K, Py_ssize_t H, Py_ssize_t S, Py_ssize_t N, Py_ssize_t T
) noexcept:
    """Whether U sees what it should: the own state, or, in a single step, as many numbers as it has columns."""
    if seen is None:
        return K == H or K == 0
    return seen.shape[0] == N and seen.shape[1] == K and T == 1 and S == N and K >= 1


def forward(
    str cell, tuple state, real[:, ::1] sums, const real[:, ::1] x, const real[:, ::1] w_ih, const real[:, ::1] w_hh,
    const real[::1] bias, const Py_ssize_t[::1] alive, const real[::1] own=None, Options options=None,
    Masks masks=None, const real[:, ::1] seen=None,
):
    """Fill the state, h (N + S, H) and the other parts, and the sums from x (S, I).

    The first N rows of each part are the initial states. For training the other parts are (N + S, H) too and the sums
    (S, sums·H), and all is what `backward` needs. Otherwise the other parts may be (N, H), updated in place (the row of
    a sequence that has ended keeps its final state), and the sums are scratch of at least N rows: the inputs of as many
    steps as fit in it are projected at a time. A cell with options reads them, its units' own weights (own·H), and
    masks of rows (S, H). `seen` (N, K) is what U sees in a phase, which is a single step; x may then have no columns.
    """
    cdef Cell of = cell_of(cell)
    cdef Told told
    cdef Py_ssize_t S = x.shape[0], I = x.shape[1], K = w_hh.shape[1], T = alive.shape[0], H = bias.shape[0] // of.sums
    cdef Py_ssize_t width = of.sums * H, G = of.gates * H, capacity = sums.shape[0]
    cdef real[:, ::1] part
    cdef (real*)[MOST_PARTS] out
    cdef (const real*)[MOST_PARTS] prev
    cdef Py_ssize_t[MOST_PARTS] held
    cdef Py_ssize_t N = -1, p
    cdef bint fits = len(state) == of.parts and H >= 1 and I + K >= 1 and T >= 1, keep = False
    for p in range(of.parts if fits else 0):
        part = state[p]
        held[p] = part.shape[0]
        N = held[0] - S
        fits = fits and N >= 1 and part.shape[1] == H and held[p] in (N, N + S)
        keep = p > 0 and held[p] > N
        if fits:
            out[p], prev[p] = &part[held[p] - S if held[p] > N else 0, 0], &part[0, 0]
    if (
        not fits or sums.shape[1] != width or bias.shape[0] != width or w_ih.shape[0] != G or w_ih.shape[1] != I
        or w_hh.shape[0] != G or capacity < (S if keep else N) or not sees(seen, K, H, S, N, T)
        or (of.own > 0 and (own is None or own.shape[0] != of.own * H))
    ):
        raise ValueError("plain.forward: sizes do not agree")
    check_alive(alive, S, N)
    told.options, told.own, told.d_own = options_of(options, of.options), &own[0] if of.own else NULL, NULL
    told.masks = masks_of(masks, S, N, H, K, "f" if real is float else "d")
    cdef real[::1] room = np.empty(of.room * H, np.float32 if real is float else np.float64)
    told.room = &room[0] if of.room else NULL
    cdef real[:, ::1] fed = np.empty(
        (N if factors_of(&told) != NULL else 0, K), np.float32 if real is float else np.float64
    )
    cdef const real* h
    cdef Py_ssize_t t = 0, first, last, rows, m, at = 0, start = 0          # row of x where step t begins
    cdef real* step
    with nogil:
        while t < T:
            first, last, rows = t, t, 0
            while last < T and rows + alive[last] <= capacity:
                rows += alive[last]
                last += 1
            step = &sums[0, 0]
            if I:
                gemm(NO_TRANS, TRANS, rows, G, I, &x[start, 0], I, &w_ih[0, 0], I, <real>0, step, width)
            else:
                memset(step, 0, rows * width * sizeof(real))
            for t in range(first, last):
                m = alive[t]
                h = prev[0] if seen is None else &seen[0, 0]
                if fed.shape[0]:
                    multiply_rows(m * K, h, <const real*>factors_of(&told), &fed[0, 0])
                    h = &fed[0, 0]
                if K:
                    feed_sums(&of, m, h, &w_hh[0, 0], step, H, K)
                if of.kind == GRU_RESET:
                    prev[0] = h
                rows_forward(&of, at, m, out, step, prev, &bias[0], &told, H)
                at += m
                for p in range(of.parts):
                    if held[p] > N:
                        prev[p] = out[p]
                        out[p] += m * H
                step += m * width
            t = last
            start += rows


# One phase of a step, back: its gradients by its own state, by what U has seen, and by U.
cdef int phase_backward(
    const Cell* cell, Py_ssize_t m, real* sums, real** dstate, const real* dy, const real** after, const real** prev,
    const real* seen, real* dseen, const real* w_hh, real* dw_hh, const Told* told, Py_ssize_t H, Py_ssize_t K,
) except -1 nogil:
    cdef const real* factors = <const real*>factors_of(told)
    cdef real* fed = <real*>malloc(m * K * sizeof(real)) if factors != NULL else NULL
    cdef const real* h = seen
    cdef Py_ssize_t f
    if factors != NULL:
        if fed == NULL:
            raise MemoryError()
        multiply_rows(m * K, seen, factors, fed)
        h = fed
    if cell.kind == GRU_RESET:
        prev[0] = h
    rows_backward(cell, 0, m, sums, dstate, dy, after, prev, told, H)
    for f in range(cell.feed_count):
        gemm(
            TRANS, NO_TRANS, cell.feeds[f].count * H, K, m, sums + cell.feeds[f].sum * H, cell.sums * H, h, K, <real>1,
            dw_hh + cell.feeds[f].gate * H * K, K,
        )
    if cell.kind == GRU_RESET:
        memcpy(dseen, dstate[0], m * K * sizeof(real))
    feed_back(cell, m, sums, w_hh, dseen, cell.kind == GRU_RESET, H, K)
    if factors != NULL:
        multiply_rows(m * K, dseen, factors, dseen)
        free(fed)
    return 0


def backward(
    str cell, real[:, ::1] dw_ih, real[:, ::1] dw_hh, real[::1] dbias, real[:, ::1] dx, tuple dstate,
    real[:, ::1] sums, const real[:, ::1] dy, const real[:, ::1] x, tuple state, const real[:, ::1] w_ih,
    const real[:, ::1] w_hh, const Py_ssize_t[::1] alive, const real[::1] own=None, real[::1] d_own=None,
    Options options=None, Masks masks=None, const real[:, ::1] seen=None, real[:, ::1] dseen=None,
):
    """Gradients of what `forward` computed, from dy (S, H), the gradient of every output.

    dstate, (N, H) for each part, holds the gradients of the final states on entry and those of the initial states on
    return. dw_ih, dw_hh, dbias (empty if there is no bias) and d_own are added to; dx is written, unless it has no
    rows; sums is overwritten. Of a phase, dseen (N, K) becomes the gradient of `seen`, and that of h what does not come
    through U; the gradient of h that a first phase has itself by what it sees is in dseen, too.
    """
    cdef Cell of = cell_of(cell)
    cdef Told told
    cdef Py_ssize_t S = x.shape[0], I = x.shape[1], K = w_hh.shape[1], T = alive.shape[0], H = dy.shape[1]
    cdef Py_ssize_t width = of.sums * H, G = of.gates * H
    cdef real[:, ::1] d
    cdef const real[:, ::1] part
    cdef (real*)[MOST_PARTS] gradients
    cdef (const real*)[MOST_PARTS] slots
    cdef (const real*)[MOST_PARTS] after
    cdef (const real*)[MOST_PARTS] prev
    cdef Py_ssize_t N = -1, p
    cdef bint fits = len(state) == of.parts and len(dstate) == of.parts and H >= 1 and I + K >= 1 and T >= 1
    for p in range(of.parts if fits else 0):
        part, d = state[p], dstate[p]
        N = part.shape[0] - S if p == 0 else N
        fits = (
            fits and N >= 1 and part.shape[0] == N + S and part.shape[1] == H and d.shape[0] == N and d.shape[1] == H
        )
        if fits:
            slots[p], gradients[p] = &part[0, 0], &d[0, 0]
    if (
        not fits or sums.shape[0] != S or sums.shape[1] != width or dbias.shape[0] not in (0, width)
        or w_ih.shape[0] != G or w_ih.shape[1] != I or w_hh.shape[0] != G or dw_ih.shape[0] != G or dw_ih.shape[1] != I
        or dw_hh.shape[0] != G or dw_hh.shape[1] != K or dx.shape[0] not in (0, S) or dx.shape[1] != I
        or dy.shape[0] != S or w_hh.shape[0] != G or not sees(seen, K, H, S, N, T)
        or (seen is not None and (dseen is None or dseen.shape[0] != N or dseen.shape[1] != K))
        or (of.own > 0 and (own is None or own.shape[0] != of.own * H or d_own is None or d_own.shape[0] != of.own * H))
    ):
        raise ValueError("plain.backward: sizes do not agree")
    check_alive(alive, S, N)
    told.options, told.own = options_of(options, of.options), &own[0] if of.own else NULL
    told.d_own = &d_own[0] if of.own else NULL
    told.masks = masks_of(masks, S, N, H, K, "f" if real is float else "d")
    cdef real[::1] room = np.empty(of.room * H, np.float32 if real is float else np.float64)
    told.room = &room[0] if of.room else NULL
    # of every row: what U has seen, and at first the gradient by it
    cdef real[:, ::1] fed = np.empty(
        (N + S if factors_of(&told) != NULL else 0, K), np.float32 if real is float else np.float64
    )
    cdef const real* h
    cdef Py_ssize_t t, m, start = S                                 # row of x, sums and dy where step t begins
    with nogil:
        for t in range(T - 1, -1, -1):
            m = alive[t]
            start -= m
            for p in range(of.parts):
                after[p] = slots[p] + (N + start) * H
                prev[p] = slots[p] + ((start + N - alive[t - 1]) * H if t else 0)
            if seen is not None:
                phase_backward(
                    &of, m, &sums[0, 0], gradients, &dy[0, 0], after, prev, &seen[0, 0], &dseen[0, 0], &w_hh[0, 0],
                    &dw_hh[0, 0], &told, H, K,
                )
                continue
            rows_backward(&of, start, m, &sums[start, 0], gradients, &dy[start, 0], after, prev, &told, H)
            if K == 0:
                continue
            if fed.shape[0] == 0:
                feed_back(&of, m, &sums[start, 0], &w_hh[0, 0], gradients[0], of.direct, H, H)
                continue
            feed_back(&of, m, &sums[start, 0], &w_hh[0, 0], &fed[0, 0], False, H, H)
            multiply_rows(m * H, &fed[0, 0], <const real*>factors_of(&told), &fed[0, 0])
            add_rows(m * H, &fed[0, 0], gradients[0])
        if seen is None and K:
            h = slots[0]
            if fed.shape[0]:
                multiply_rows(N * H, slots[0], <const real*>factors_of(&told), &fed[0, 0])
                start = N
                for t in range(T):
                    multiply_rows(
                        alive[t] * H, slots[0] + start * H, <const real*>factors_of(&told), &fed[start, 0]
                    )
                    start += alive[t]
                h = &fed[0, 0]
            add_recurrent_gradient(&of, &dw_hh[0, 0], &sums[0, 0], h, H, H, alive)
        if I:
            gemm(TRANS, NO_TRANS, G, I, S, &sums[0, 0], width, &x[0, 0], I, <real>1, &dw_ih[0, 0], I)
        if dbias.shape[0]:
            column_sums(S, width, &sums[0, 0], width, True, &dbias[0])
        if dx.shape[0] and I:
            gemm(NO_TRANS, NO_TRANS, S, I, G, &sums[0, 0], width, &w_ih[0, 0], I, <real>0, &dx[0, 0], I)
