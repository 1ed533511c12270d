"""Losses and their gradients (simd/loss_template.h).

Each loss takes pred (..., F), a target, and a weight for each row, writes the gradient to dpred (..., F) and returns
    sum over rows of weight[r] · loss(pred[r], target[r]) / divisor,
where the loss of a row is the mean over its F features (softmax: minus the log of the target's probability), and the
divisor, if 0, is the sum of the weights. A row of weight 0 is not looked at: its pred and target may hold anything, and
its gradient is 0. All arrays are contiguous and of pred's dtype, but for a softmax's targets. Densities and quantiles
have several numbers of pred for each one of target, side by side: pred (..., F·outputs), target (..., F).
"""

import numpy as np

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer

from fastlstm._kernels.cpu cimport (
    FL_FOCAL,
    FL_GAUSSIAN,
    FL_HUBER,
    FL_MAE,
    FL_MSE,
    FL_QUANTILE,
    FL_SIGMOID_CROSS_ENTROPY,
    FL_SOFTMAX_CROSS_ENTROPY,
    FL_STUDENT_T,
    fl_loss,
    run_for,
    training,
)
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport address

cdef enum:
    BLOCK = 4096                                        # numbers at least; the same for any number of threads
    MOST_BLOCKS = 256


cdef double sum_of(const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    cdef double[8] part
    for k in range(8):
        part[k] = 0
    for k in range(n):
        part[k & 7] += x[k]
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]))


cdef double loss(
    int kind,
    pred,
    target,
    weight,
    dpred,
    double divisor,
    double delta=0,
    Py_ssize_t outputs=1,
    const double* numbers=NULL,
) except? -1:
    cdef Py_buffer view
    cdef fl_loss p
    cdef double[MOST_BLOCKS] sums
    cdef double total = 0
    cdef Py_ssize_t k, width, size, last
    cdef bint labels = kind == FL_SOFTMAX_CROSS_ENTROPY or kind == FL_FOCAL
    cdef const Py_ssize_t* label
    PyObject_GetBuffer(pred, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    cdef bint single = view.format[0] == b"f", known = single or view.format[0] == b"d"
    p.pred, size, width = view.buf, view.len, view.itemsize
    last = view.shape[view.ndim - 1] if view.ndim else 0
    PyBuffer_Release(&view)
    if not known or size == 0 or last % outputs:
        raise ValueError("loss: sizes or dtypes do not agree")
    form = "f" if single else "d"
    p.kind, p.rows, p.width, p.delta, p.sums = kind, size // width // last, last // outputs, delta, sums
    p.outputs, p.numbers = outputs, numbers
    p.weight = address(weight, form, p.rows * width, False)
    p.dpred = <void*>address(dpred, form, size, True)
    if divisor == 0:
        divisor = sum_of(<const float*>p.weight, p.rows) if single else sum_of(<const double*>p.weight, p.rows)
    p.scale = 1 / divisor
    if labels:
        form = "l" if sizeof(long) == sizeof(Py_ssize_t) else "q"
        p.target = address(target, form, p.rows * sizeof(Py_ssize_t), False)
        label = <const Py_ssize_t*>p.target
        for k in range(p.rows):
            if not 0 <= label[k] < p.width and (
                (<const float*>p.weight)[k] != 0 if single else (<const double*>p.weight)[k] != 0
            ):
                raise ValueError(f"target {label[k]} in row {k} is outside 0 to {p.width - 1}")
    else:
        p.target = address(target, form, size // outputs, False)
        p.scale /= last if kind == FL_QUANTILE else p.width
    p.block = max(1, BLOCK // last, (p.rows + MOST_BLOCKS - 1) // MOST_BLOCKS)
    with nogil:
        run_for(training(single).loss, &p, p.rows * last / (50 if kind in (FL_GAUSSIAN, FL_STUDENT_T) else 2e3))
        for k in range((p.rows + p.block - 1) // p.block):
            total += sums[k]
    return total


def mse(pred, target, weight, dpred, double divisor):
    """(p - t)²"""
    return loss(FL_MSE, pred, target, weight, dpred, divisor)


def mae(pred, target, weight, dpred, double divisor):
    """|p - t|"""
    return loss(FL_MAE, pred, target, weight, dpred, divisor)


def huber(pred, target, weight, dpred, double divisor, double delta):
    """d²/2 where |d| <= delta, delta·(|d| - delta/2) beyond; d = p - t"""
    return loss(FL_HUBER, pred, target, weight, dpred, divisor, delta)


def sigmoid_cross_entropy(pred, target, weight, dpred, double divisor):
    """-t log s(p) - (1 - t) log(1 - s(p))"""
    return loss(FL_SIGMOID_CROSS_ENTROPY, pred, target, weight, dpred, divisor)


def softmax_cross_entropy(pred, target, weight, dpred, double divisor):
    """-log softmax(p)[t]; the gradient is softmax(p) less 1 at t"""
    return loss(FL_SOFTMAX_CROSS_ENTROPY, pred, target, weight, dpred, divisor)


def focal(pred, target, weight, dpred, double divisor, double gamma):
    """-(1 - P)^gamma log P, with P = softmax(p)[t]"""
    return loss(FL_FOCAL, pred, target, weight, dpred, divisor, gamma)


def quantile(pred, target, weight, dpred, double divisor, levels):
    """max(q·(t - p), (q - 1)·(t - p)), for each of the levels q"""
    cdef double[::1] each = np.array(levels, float)
    return loss(FL_QUANTILE, pred, target, weight, dpred, divisor, 0, each.shape[0], &each[0])


def gaussian_nll(pred, target, weight, dpred, double divisor, double floor):
    """-log of the normal density with mean p[0] and scale softplus(p[1]) + floor"""
    return loss(FL_GAUSSIAN, pred, target, weight, dpred, divisor, floor, 2)


def student_t_nll(pred, target, weight, dpred, double divisor, double floor):
    """-log of Student's t density: as gaussian_nll, with softplus(p[2]) + 2 degrees of freedom"""
    return loss(FL_STUDENT_T, pred, target, weight, dpred, divisor, floor, 3)
