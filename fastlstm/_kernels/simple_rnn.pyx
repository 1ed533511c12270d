"""One direction of one layer of a simple recurrent network, a whole batch in one call: forward and backward.

Rows lie as in lstm.pyx: step after step, the longest sequence first, without padding; S rows of N sequences in all.

    x  [S, I]      inputs
    h  [N + S, H]  N initial states first, then the states after each step
    da [S, H]      gradients of the pre-activations

The equation (Elman 1990), phi being tanh or max(0, ·):
    h' = phi(W x + U h + b)
"""

from fastlstm._kernels.blas cimport NO_TRANS, TRANS, add_column_sums, gemm
from fastlstm._kernels.lstm cimport add_recurrent_gradient, check_alive
from fastlstm._kernels.real cimport real, tanh


# h: pre-activations without bias in, h' out
cdef void activate(real* h, const real* bias, Py_ssize_t H, bint relu) noexcept nogil:
    cdef Py_ssize_t j
    if relu:
        for j in range(H):
            h[j] = max(<real>0, h[j] + bias[j])
    else:
        for j in range(H):
            h[j] = tanh(h[j] + bias[j])


# da = (dh + dy) phi'; phi' is 1 - h'^2 for tanh, and 1 where h' is above 0 for max(0, ·)
cdef void activate_backward(
    real* da, const real* dh, const real* dy, const real* h, Py_ssize_t H, bint relu
) noexcept nogil:
    cdef Py_ssize_t j
    if relu:
        for j in range(H):
            da[j] = dh[j] + dy[j] if h[j] > 0 else 0
    else:
        for j in range(H):
            da[j] = (dh[j] + dy[j]) * (1 - h[j] * h[j])


def forward(
    real[:, ::1] h, const real[:, ::1] x, const real[:, ::1] w_ih, const real[:, ::1] w_hh, const real[::1] bias,
    const Py_ssize_t[::1] alive, bint relu,
):
    """Fill h (N + S, H) from x (S, I); its first N rows are the initial states."""
    cdef Py_ssize_t S = x.shape[0], I = x.shape[1], H = w_hh.shape[1], T = alive.shape[0], N = h.shape[0] - S
    if (
        N < 1 or T < 1 or h.shape[1] != H or bias.shape[0] != H or w_ih.shape[0] != H or w_ih.shape[1] != I
        or w_hh.shape[0] != H or H < 1 or I < 1
    ):
        raise ValueError("simple_rnn.forward: sizes do not agree")
    check_alive(alive, S, N)
    cdef Py_ssize_t t, r
    cdef const real* h_prev = &h[0, 0]
    cdef real* h_out = &h[N, 0]
    with nogil:
        gemm(NO_TRANS, TRANS, S, H, I, &x[0, 0], I, &w_ih[0, 0], I, <real>0, h_out, H)
        for t in range(T):
            gemm(NO_TRANS, TRANS, alive[t], H, H, h_prev, H, &w_hh[0, 0], H, <real>1, h_out, H)
            for r in range(alive[t]):
                activate(h_out + r * H, &bias[0], H, relu)
            h_prev = h_out
            h_out += alive[t] * H


def backward(
    real[:, ::1] dw_ih, real[:, ::1] dw_hh, real[::1] dbias, real[:, ::1] dx, real[:, ::1] dh, real[:, ::1] da,
    const real[:, ::1] dy, const real[:, ::1] x, const real[:, ::1] h, const real[:, ::1] w_ih,
    const real[:, ::1] w_hh, const Py_ssize_t[::1] alive, bint relu,
):
    """Gradients of what `forward` computed, from dy (S, H), the gradient of every output.

    dh (N, H) holds the gradient of the final state on entry and that of the initial state on return. dw_ih, dw_hh and
    dbias (empty if there is no bias) are added to; dx is written, unless it has no rows; da is scratch.
    """
    cdef Py_ssize_t S = x.shape[0], I = x.shape[1], H = w_hh.shape[1], T = alive.shape[0], N = h.shape[0] - S
    if (
        N < 1 or T < 1 or h.shape[1] != H or da.shape[0] != S or da.shape[1] != H or dbias.shape[0] not in (0, H)
        or w_ih.shape[0] != H or w_ih.shape[1] != I or w_hh.shape[0] != H or dw_ih.shape[0] != H
        or dw_ih.shape[1] != I or dw_hh.shape[0] != H or dw_hh.shape[1] != H or dx.shape[0] not in (0, S)
        or dx.shape[1] != I or dh.shape[0] != N or dh.shape[1] != H or dy.shape[0] != S or dy.shape[1] != H
    ):
        raise ValueError("simple_rnn.backward: sizes do not agree")
    check_alive(alive, S, N)
    cdef Py_ssize_t t, r, start = S                                 # row of x, da and dy where step t begins
    with nogil:
        for t in range(T - 1, -1, -1):
            start -= alive[t]
            for r in range(alive[t]):
                activate_backward(
                    &da[start + r, 0], &dh[r, 0], &dy[start + r, 0], &h[N + start + r, 0], H, relu
                )
            gemm(NO_TRANS, NO_TRANS, alive[t], H, H, &da[start, 0], H, &w_hh[0, 0], H, <real>0, &dh[0, 0], H)
        gemm(TRANS, NO_TRANS, H, I, S, &da[0, 0], H, &x[0, 0], I, <real>1, &dw_ih[0, 0], I)
        add_recurrent_gradient(&dw_hh[0, 0], H, &da[0, 0], &h[0, 0], H, alive)
        if dbias.shape[0]:
            add_column_sums(S, H, &da[0, 0], H, &dbias[0])
        if dx.shape[0]:
            gemm(NO_TRANS, NO_TRANS, S, I, H, &da[0, 0], H, &w_ih[0, 0], I, <real>0, &dx[0, 0], I)
