"""What a cell with options is told besides its weights."""

import numpy as np

from fastlstm._kernels.cpu cimport FL_FUNCTIONS, fl_function, fl_masks, fl_options
from fastlstm._kernels.plain_functions cimport apply
from fastlstm._kernels.plain_functions cimport clip as clipped
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport address

FUNCTIONS = (
    "sigmoid", "tanh", "relu", "hard_sigmoid", "softsign", "softplus", "leaky_relu", "thresholded_relu", "elu",
    "affine", "scaled_tanh",
)
"""The functions that a cell may have, in the order of simd/table.h."""

assert len(FUNCTIONS) == FL_FUNCTIONS

BEYOND = 64
"""Bytes of a mask that are read beyond its last one, at most."""


cdef class Options:
    """The functions of the gates, of the candidate and of the output, where the sums and c are clipped, and rates.

    Each function is a name of FUNCTIONS, alpha and beta. zone_h and zone_c are the probabilities that a number of h or
    c stays as it was, candidate_rate that one of the candidate is 0, and state_rate that one of h is 0 before U. norm
    is what a layer norm adds to the variance, 0 without one.
    """

    def __init__(
        self, tuple gate=("sigmoid", 0.0, 0.0), tuple candidate=("tanh", 0.0, 0.0), tuple output=("tanh", 0.0, 0.0),
        double clip=float("inf"), double cell_clip=float("inf"), double zone_h=0, double zone_c=0,
        double candidate_rate=0, double state_rate=0, double norm=0,
    ):
        self.gate, self.candidate, self.output, self.clip, self.cell_clip = gate, candidate, output, clip, cell_clip
        self.told.gate, self.told.candidate, self.told.output = numbered(gate), numbered(candidate), numbered(output)
        self.zone_h, self.zone_c, self.candidate_rate, self.state_rate = zone_h, zone_c, candidate_rate, state_rate
        self.told.clip, self.told.cell_clip, self.told.zone_h, self.told.zone_c = clip, cell_clip, zone_h, zone_c
        self.told.candidate_scale, self.told.norm, self.norm = 1 / (1 - candidate_rate), norm, norm

    def __reduce__(self):
        rates = (self.zone_h, self.zone_c, self.candidate_rate, self.state_rate)
        return Options, (self.gate, self.candidate, self.output, self.clip, self.cell_clip, *rates, self.norm)

    @property
    def draws(self):
        """Whether a pass that trains has masks."""
        return self.zone_h > 0 or self.zone_c > 0 or self.candidate_rate > 0 or self.state_rate > 0

    def gates(self, a):
        """The gates (S, H) for what their function takes, before it is clipped."""
        return applied(self, True, np.ascontiguousarray(a), np.empty(a.shape, a.dtype))

    def candidates(self, a):
        """The candidates likewise."""
        return applied(self, False, np.ascontiguousarray(a), np.empty(a.shape, a.dtype))


cdef class Masks:
    """What is left out at random in a pass that trains; each may be None.

    Parameters
    ----------
    zone_h, zone_c, candidate : bytes that lie as the outputs do
        1 where h or c stays as it was, and where the candidate is 0. As many bytes as a vector has follow them.
    state : (N, width)
        Factors of h as U sees it, of rows in the order of the layout.
    """

    def __init__(self, zone_h, zone_c, candidate, state):
        self.zone_h, self.zone_c, self.candidate, self.state = zone_h, zone_c, candidate, state
        self.told.zone_h, self.told.zone_c = bytes_at(zone_h), bytes_at(zone_c)
        self.told.candidate = bytes_at(candidate)
        self.told.state = NULL if state is None else address(state, state.dtype.char, state.nbytes, False)

    cdef const fl_masks* of(self, Py_ssize_t size, Py_ssize_t rows, Py_ssize_t width, str format) except NULL:
        """What a kernel reads, for outputs of so many numbers, and states of this shape and type."""
        for mask in (self.zone_h, self.zone_c, self.candidate):
            if mask is not None and mask.size < size + BEYOND:
                raise ValueError("Masks: sizes do not agree")
        if self.state is not None and (self.state.shape != (rows, width) or self.state.dtype.char != format):
            raise ValueError("Masks: sizes do not agree")
        return &self.told


cdef const unsigned char* bytes_at(mask) except? NULL:
    return NULL if mask is None else <const unsigned char*>address(mask, "B", mask.size, False)


def applied(Options options, bint gate, const real[:, ::1] a, real[:, ::1] out):
    """What the function of the gates, or else of the candidate, makes of the clipped a, in out."""
    cdef const fl_function* function = &options.told.gate if gate else &options.told.candidate
    cdef real most = <real>options.clip
    cdef Py_ssize_t i, j
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = apply(function, clipped(a[i, j], -most, most))
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
