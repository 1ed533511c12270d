"""Losses and their gradients (simd/loss_template.h).

Each loss takes pred (..., F), a target, and a weight for each row, writes the gradient to dpred (..., F) and returns
    sum over rows of weight[r] · loss(pred[r], target[r]) / divisor,
where the loss of a row is the mean over its F features (softmax: minus the log of the target's probability), and the
divisor, if 0, is the sum of the weights. A row of weight 0 is not looked at: its pred and target may hold anything, and
its gradient is 0. All arrays are contiguous and of pred's dtype, but for a softmax's targets.
"""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer

from fastlstm._kernels.cpu cimport (
    FL_HUBER,
    FL_MAE,
    FL_MSE,
    FL_SIGMOID_CROSS_ENTROPY,
    FL_SOFTMAX_CROSS_ENTROPY,
    fl_loss,
    run,
    team_for,
    training,
)
from fastlstm._kernels.program cimport address
from fastlstm._kernels.real cimport real

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


cdef double loss(int kind, pred, target, weight, dpred, double divisor, double delta=0) except? -1:
    cdef Py_buffer view
    cdef fl_loss p
    cdef double[MOST_BLOCKS] sums
    cdef double total = 0
    cdef Py_ssize_t k, width, size
    cdef const Py_ssize_t* label
    PyObject_GetBuffer(pred, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    cdef bint single = view.format[0] == b"f", known = single or view.format[0] == b"d"
    p.pred, size, width = view.buf, view.len, view.itemsize
    p.width = view.shape[view.ndim - 1] if view.ndim else 0
    PyBuffer_Release(&view)
    if not known or size == 0:
        raise ValueError("loss: sizes or dtypes do not agree")
    form = "f" if single else "d"
    p.kind, p.rows, p.delta, p.sums = kind, size // width // p.width, delta, sums
    p.weight = address(weight, form, p.rows * width, False)
    p.dpred = <void*>address(dpred, form, size, True)
    if divisor == 0:
        divisor = sum_of(<const float*>p.weight, p.rows) if single else sum_of(<const double*>p.weight, p.rows)
    p.scale = 1 / divisor
    if kind == FL_SOFTMAX_CROSS_ENTROPY:
        form = "l" if sizeof(long) == sizeof(Py_ssize_t) else "q"
        p.target = address(target, form, p.rows * sizeof(Py_ssize_t), False)
        label = <const Py_ssize_t*>p.target
        for k in range(p.rows):
            if not 0 <= label[k] < p.width and (
                (<const float*>p.weight)[k] != 0 if single else (<const double*>p.weight)[k] != 0
            ):
                raise ValueError(f"target {label[k]} in row {k} is outside 0 to {p.width - 1}")
    else:
        p.target = address(target, form, size, False)
        p.scale /= p.width
    p.block = max(1, BLOCK // p.width, (p.rows + MOST_BLOCKS - 1) // MOST_BLOCKS)
    with nogil:
        run(training(single).loss, &p, team_for(p.rows * p.width / 2e3))
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
