"""The two floating point types of every kernel, and the activations of the plain path's cells (simd/activations.h).

Cython cannot declare a C function of a fused type. So each activation is chosen by type here, once.
"""

cdef fused real:
    float
    double

cdef extern from "simd/activations.h" nogil:
    float fl_sigmoid_f(float x) noexcept
    double fl_sigmoid_d(double x) noexcept
    float fl_tanh_f(float x) noexcept
    double fl_tanh_d(double x) noexcept


cdef inline real sigmoid(real x) noexcept nogil:
    if real is float:
        return fl_sigmoid_f(x)
    else:
        return fl_sigmoid_d(x)


cdef inline real tanh(real x) noexcept nogil:
    if real is float:
        return fl_tanh_f(x)
    else:
        return fl_tanh_d(x)
