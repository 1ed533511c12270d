"""What a cell with options is told besides its weights."""

import numpy as np

from fastlstm._kernels.cpu cimport FL_FUNCTIONS, fl_function, fl_options
from fastlstm._kernels.plain_functions cimport apply, clip
from fastlstm._kernels.real cimport real

FUNCTIONS = (
    "sigmoid", "tanh", "relu", "hard_sigmoid", "softsign", "softplus", "leaky_relu", "thresholded_relu", "elu", "affine",
    "scaled_tanh",
)
"""The functions that a cell may have, in the order of simd/table.h."""

assert len(FUNCTIONS) == FL_FUNCTIONS


cdef class Options:
    """The functions of the gates, of the candidate and of the output, and where the sums and c are clipped.

    Each function is a name of FUNCTIONS, alpha and beta.
    """

    def __init__(
        self, tuple gate=("sigmoid", 0.0, 0.0), tuple candidate=("tanh", 0.0, 0.0), tuple output=("tanh", 0.0, 0.0),
        double clip=float("inf"), double cell_clip=float("inf"),
    ):
        self.gate, self.candidate, self.output, self.clip, self.cell_clip = gate, candidate, output, clip, cell_clip
        self.told.gate, self.told.candidate, self.told.output = numbered(gate), numbered(candidate), numbered(output)
        self.told.clip, self.told.cell_clip = clip, cell_clip

    def gates(self, a):
        """The gates (S, H) for what their function takes, before it is clipped."""
        return applied(self, True, np.ascontiguousarray(a), np.empty(a.shape, a.dtype))

    def candidates(self, a):
        """The candidates likewise."""
        return applied(self, False, np.ascontiguousarray(a), np.empty(a.shape, a.dtype))


def applied(Options options, bint gate, const real[:, ::1] a, real[:, ::1] out):
    """What the function of the gates, or else of the candidate, makes of the clipped a, in out."""
    cdef const fl_function* function = &options.told.gate if gate else &options.told.candidate
    cdef real most = <real>options.clip
    cdef Py_ssize_t i, j
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = apply(function, clip(a[i, j], -most, most))
    return out.base


cdef fl_function numbered(tuple function) except *:
    cdef fl_function found
    name, found.alpha, found.beta = function
    found.kind = FUNCTIONS.index(name)
    return found


cdef const fl_options* options_of(Options options, bint wanted) except? NULL:
    """What a kernel reads of the options; NULL for a cell without them."""
    if (options is not None) != wanted:
        raise ValueError(f"expected {'options' if wanted else 'no options'} for this cell")
    return &options.told if wanted else NULL
