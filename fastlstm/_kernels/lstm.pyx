"""One direction of one LSTM layer, a whole batch of sequences in one call: forward, and back-propagation through time.

Design: sequences lie step by step, the longest first, without padding. Step t has alive[t] rows (never more than the
step before), S = sum(alive) in all; a shorter sequence simply has no row in the later steps. The kernel therefore knows
neither padding nor direction: the layer lays the rows out (fastlstm/layers/packing.py).

    x      [S, I]      inputs, step after step
    h, c   [N + S, H]  N initial states first (slot 0), then the states after each step: no special first step
    gates  [S, 4H]     blocks i, f, g, o; in backward each is overwritten by its gradient

Weights are (4H, I), (4H, H) and (4H), rows in the order i, f, g, o. This is the plain path: BLAS products, and loops
over the gates that the compiler vectorises.

The equations (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000):
    i, f, o = sigmoid(W x + U h + b)   g = tanh(W x + U h + b)   c' = f c + i g   h' = o tanh(c')
"""

from libc.string cimport memcpy

from fastlstm._kernels.blas cimport NO_TRANS, TRANS, add_column_sums, gemm
from fastlstm._kernels.real cimport real, sigmoid, tanh


cdef enum:
    BLOCK = 64


# Both cells write BLOCK units at a time to arrays of their own and copy these out. A compiler can tell that such arrays
# overlap with nothing, so it turns the loop into vector code; and c may be c_prev, gates their own gradients.

# gates: pre-activations without bias in, activated gates out
cdef void cell_forward(
    real* c, real* h, real* gates, const real* c_prev, const real* bias, Py_ssize_t H
) noexcept nogil:
    cdef real[BLOCK] i, f, g, o, c_new, h_new
    cdef Py_ssize_t start = 0, width, j, k
    while start < H:
        width = min(BLOCK, H - start)
        for k in range(width):
            j = start + k
            i[k] = sigmoid(gates[j] + bias[j])
            f[k] = sigmoid(gates[H + j] + bias[H + j])
            g[k] = tanh(gates[2 * H + j] + bias[2 * H + j])
            o[k] = sigmoid(gates[3 * H + j] + bias[3 * H + j])
            c_new[k] = f[k] * c_prev[j] + i[k] * g[k]
            h_new[k] = o[k] * tanh(c_new[k])
        memcpy(gates + start, i, width * sizeof(real))
        memcpy(gates + H + start, f, width * sizeof(real))
        memcpy(gates + 2 * H + start, g, width * sizeof(real))
        memcpy(gates + 3 * H + start, o, width * sizeof(real))
        memcpy(c + start, c_new, width * sizeof(real))
        memcpy(h + start, h_new, width * sizeof(real))
        start += BLOCK


# gates: activated gates in, gradients of the pre-activations out. dc: gradient of c' in, of c out.
cdef void cell_backward(
    real* gates, real* dc, const real* dh, const real* dy, const real* c, const real* c_prev, Py_ssize_t H
) noexcept nogil:
    cdef real[BLOCK] d_i, d_f, d_g, d_o, dc_prev
    cdef real i, f, g, o, tanh_c, dh_j, dc_j
    cdef Py_ssize_t start = 0, width, j, k
    while start < H:
        width = min(BLOCK, H - start)
        for k in range(width):
            j = start + k
            i = gates[j]
            f = gates[H + j]
            g = gates[2 * H + j]
            o = gates[3 * H + j]
            tanh_c = tanh(c[j])
            dh_j = dh[j] + dy[j]
            dc_j = dc[j] + dh_j * o * (1 - tanh_c * tanh_c)
            d_i[k] = dc_j * g * i * (1 - i)
            d_f[k] = dc_j * (f * (1 - f)) * c_prev[j]           # c may be so large that dc·c is infinite
            d_g[k] = dc_j * i * (1 - g * g)
            d_o[k] = dh_j * tanh_c * o * (1 - o)
            dc_prev[k] = dc_j * f
        memcpy(gates + start, d_i, width * sizeof(real))
        memcpy(gates + H + start, d_f, width * sizeof(real))
        memcpy(gates + 2 * H + start, d_g, width * sizeof(real))
        memcpy(gates + 3 * H + start, d_o, width * sizeof(real))
        memcpy(dc + start, dc_prev, width * sizeof(real))
        start += BLOCK


cdef check_alive(const Py_ssize_t[::1] alive, Py_ssize_t S, Py_ssize_t N):
    cdef Py_ssize_t t, total = 0
    for t in range(alive.shape[0]):
        if alive[t] < 1 or alive[t] > (alive[t - 1] if t else N) or (t == 0 and alive[t] != N):
            raise ValueError("alive must begin with the number of sequences, never grow and never reach 0")
        total += alive[t]
    if total != S:
        raise ValueError(f"alive adds up to {total} rows, but there are {S}")


# dw_hh (G, H) += sum over all steps of gates[t]ᵀ·h[t - 1]; gates (S, G), h (N + S, H).
# One product over each run of steps whose rows of h lie as far apart as their rows of gates; a batch of equal lengths
# is a single run.
cdef int add_recurrent_gradient(
    real* dw_hh, Py_ssize_t G, const real* gates, const real* h, Py_ssize_t H, const Py_ssize_t[::1] alive
) except -1 nogil:
    cdef Py_ssize_t t = 0, start = 0, before = 0, T = alive.shape[0], row, rows
    while t < T:
        row, rows = before, alive[t]
        before += alive[t - 1] if t else alive[0]
        while t + 1 < T and (t == 0 or alive[t - 1] == alive[t]):
            t += 1
            rows += alive[t]
            before += alive[t - 1]
        gemm(TRANS, NO_TRANS, G, H, rows, gates + start * G, G, h + row * H, H, <real>1, dw_hh, H)
        start += rows
        t += 1
    return 0


def forward(
    real[:, ::1] h, real[:, ::1] c, real[:, ::1] gates,
    const real[:, ::1] x, const real[:, ::1] w_ih, const real[:, ::1] w_hh, const real[::1] bias,
    const Py_ssize_t[::1] alive,
):
    """Fill h (N + S, H), c and gates from x (S, I); the first N rows of h and c are the initial states.

    For training c is (N + S, H) and gates (S, 4H), and both are what `backward` needs. Otherwise c is (N, H), updated
    in place (the row of a sequence that has ended keeps its final state), and gates is scratch of at least N rows: the
    inputs of as many steps as fit in it are projected at a time.
    """
    cdef Py_ssize_t S = x.shape[0], I = x.shape[1], H = w_hh.shape[1], T = alive.shape[0], N = h.shape[0] - S
    cdef bint keep = c.shape[0] != N
    if (
        N < 1 or T < 1 or h.shape[1] != H or c.shape[1] != H or gates.shape[1] != 4 * H or bias.shape[0] != 4 * H
        or w_ih.shape[0] != 4 * H or w_ih.shape[1] != I or w_hh.shape[0] != 4 * H or H < 1 or I < 1
        or c.shape[0] != (N + S if keep else N) or gates.shape[0] < (S if keep else N)
    ):
        raise ValueError("lstm.forward: sizes do not agree")
    check_alive(alive, S, N)
    cdef Py_ssize_t t = 0, first, last, rows, r, m, capacity = gates.shape[0]
    cdef Py_ssize_t start = 0                      # row of x where step t begins
    cdef const real* h_prev = &h[0, 0]
    cdef const real* c_prev = &c[0, 0]
    cdef real* h_out = &h[N, 0]
    cdef real* c_out = &c[N, 0] if keep else &c[0, 0]
    cdef real* g
    with nogil:
        while t < T:
            first, last, rows = t, t, 0
            while last < T and rows + alive[last] <= capacity:
                rows += alive[last]
                last += 1
            g = &gates[0, 0]
            gemm(NO_TRANS, TRANS, rows, 4 * H, I, &x[start, 0], I, &w_ih[0, 0], I, <real>0, g, 4 * H)
            for t in range(first, last):
                m = alive[t]
                gemm(NO_TRANS, TRANS, m, 4 * H, H, h_prev, H, &w_hh[0, 0], H, <real>1, g, 4 * H)
                for r in range(m):
                    cell_forward(
                        c_out + r * H, h_out + r * H, g + r * 4 * H, c_prev + r * H, &bias[0], H
                    )
                h_prev = h_out
                h_out += m * H
                if keep:
                    c_prev = c_out
                    c_out += m * H
                g += m * 4 * H
            t = last
            start += rows


def backward(
    real[:, ::1] dw_ih, real[:, ::1] dw_hh, real[::1] dbias, real[:, ::1] dx, real[:, ::1] dh, real[:, ::1] dc,
    real[:, ::1] gates, const real[:, ::1] dy, const real[:, ::1] x, const real[:, ::1] h, const real[:, ::1] c,
    const real[:, ::1] w_ih, const real[:, ::1] w_hh, const Py_ssize_t[::1] alive,
):
    """Gradients of what `forward` computed, from dy (S, H), the gradient of every output.

    dh, dc (N, H) hold the gradients of the final states on entry and those of the initial states on return.
    dw_ih, dw_hh and dbias (empty if there is no bias) are added to; dx is written, unless it has no rows; gates is
    overwritten.
    """
    cdef Py_ssize_t S = x.shape[0], I = x.shape[1], H = w_hh.shape[1], T = alive.shape[0], N = h.shape[0] - S
    if (
        N < 1 or T < 1 or h.shape[1] != H or c.shape[1] != H or c.shape[0] != N + S or gates.shape[0] != S
        or gates.shape[1] != 4 * H or dbias.shape[0] not in (0, 4 * H) or w_ih.shape[0] != 4 * H or w_ih.shape[1] != I
        or w_hh.shape[0] != 4 * H or dw_ih.shape[0] != 4 * H or dw_ih.shape[1] != I or dw_hh.shape[0] != 4 * H
        or dw_hh.shape[1] != H or dx.shape[0] not in (0, S) or dx.shape[1] != I or dh.shape[0] != N
        or dh.shape[1] != H or dc.shape[0] != N or dc.shape[1] != H or dy.shape[0] != S or dy.shape[1] != H
    ):
        raise ValueError("lstm.backward: sizes do not agree")
    check_alive(alive, S, N)
    cdef Py_ssize_t t, r, m, end = S, start, before
    with nogil:
        for t in range(T - 1, -1, -1):
            m = alive[t]
            start = end - m                                         # row of x, gates and dy where step t begins
            before = start + N - alive[t - 1] if t else 0           # row of h and c of the step before
            for r in range(m):
                cell_backward(
                    &gates[start + r, 0], &dc[r, 0], &dh[r, 0], &dy[start + r, 0],
                    &c[N + start + r, 0], &c[before + r, 0], H,
                )
            gemm(NO_TRANS, NO_TRANS, m, H, 4 * H, &gates[start, 0], 4 * H, &w_hh[0, 0], H, <real>0, &dh[0, 0], H)
            end = start
        gemm(TRANS, NO_TRANS, 4 * H, I, S, &gates[0, 0], 4 * H, &x[0, 0], I, <real>1, &dw_ih[0, 0], I)
        add_recurrent_gradient(&dw_hh[0, 0], 4 * H, &gates[0, 0], &h[0, 0], H, alive)
        if dbias.shape[0]:
            add_column_sums(S, 4 * H, &gates[0, 0], 4 * H, &dbias[0])
        if dx.shape[0]:
            gemm(NO_TRANS, NO_TRANS, S, I, 4 * H, &gates[0, 0], 4 * H, &w_ih[0, 0], I, <real>0, &dx[0, 0], I)
