from fastlstm._kernels.cpu cimport fl_masks, fl_options


cdef class Options:
    cdef fl_options told
    cdef readonly tuple gate, candidate, output
    cdef readonly double clip, cell_clip, zone_h, zone_c, candidate_rate, state_rate, norm


cdef class Masks:
    cdef fl_masks told
    cdef readonly object zone_h, zone_c, candidate, state

    cdef const fl_masks* of(self, Py_ssize_t size, Py_ssize_t rows, Py_ssize_t width, str format) except NULL


cdef const fl_options* options_of(Options options, bint wanted) except? NULL
