from fastlstm._kernels.cpu cimport fl_options


cdef class Options:
    cdef fl_options told
    cdef readonly tuple gate, candidate, output
    cdef readonly double clip, cell_clip


cdef const fl_options* options_of(Options options, bint wanted) except? NULL
