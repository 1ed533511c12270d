"""The optimizers' steps and the norm of the gradient, each a single pass over the arrays of all parameters."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport sqrt
from libc.stdlib cimport calloc, free

from fastlstm._kernels.cpu cimport (
    FL_ADAM,
    FL_MOMENTUM,
    FL_RMSPROP,
    FL_SCALE,
    FL_SGD,
    fl_block,
    fl_job,
    fl_update,
    run_for,
    training,
)
from fastlstm._kernels.stage cimport address

SCALE, SGD, MOMENTUM, RMSPROP, ADAM = FL_SCALE, FL_SGD, FL_MOMENTUM, FL_RMSPROP, FL_ADAM
cdef int* slots = [0, 0, 1, 1, 2]                       # of each rule

cdef enum:
    BLOCK = 1 << 14                                     # numbers; the same for any number of threads


cdef class Blocks:
    """The arrays of some parameters of one dtype, in blocks that threads share.

    They come parameter by parameter, of one size each: gradient, value and slots, or the gradient alone.
    """

    cdef list arrays
    cdef fl_block* blocks
    cdef double* sums
    cdef Py_ssize_t count, numbers, each
    cdef bint single

    def __cinit__(self, list arrays, Py_ssize_t each):
        cdef Py_buffer view
        cdef Py_ssize_t k, size, start, width
        cdef list sizes = []
        cdef fl_block* block
        if not 1 <= each <= 4 or not arrays or len(arrays) % each:
            raise ValueError("Blocks: expected one to four arrays of each parameter")
        self.arrays, self.each = arrays, each
        for grad in arrays[::each]:
            PyObject_GetBuffer(grad, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            form, width, size = view.format.decode(), view.itemsize, view.len
            PyBuffer_Release(&view)
            if form not in ("f", "d") or (sizes and self.single != (form == "f")):
                raise ValueError("Blocks: expected arrays of one dtype, float32 or float64")
            self.single = form == "f"
            sizes.append(size // width)
            self.numbers += size // width
            self.count += (size // width + BLOCK - 1) // BLOCK
        self.blocks = <fl_block*>calloc(max(self.count, 1), sizeof(fl_block))
        self.sums = <double*>calloc(max(self.count, 1), sizeof(double))
        if self.blocks == NULL or self.sums == NULL:
            raise MemoryError
        width = 4 if self.single else 8
        form, block = "f" if self.single else "d", self.blocks
        cdef (char*)[4] begin
        for k, size in enumerate(sizes):
            for j in range(each):
                begin[j] = <char*>address(arrays[k * each + j], form, size * width, True)
            for start in range(0, size, BLOCK):
                block.size = min(<Py_ssize_t>BLOCK, size - start)
                block.grad = begin[0] + start * width
                if each > 1:
                    block.value = begin[1] + start * width
                for j in range(2, each):
                    block.slot[j - 2] = begin[j] + start * width
                block += 1

    def __dealloc__(self):
        free(self.blocks)
        free(self.sums)

    def holds(self, list parameters, list state):
        """Whether it is made of these parameters' arrays, as they are, and of those of the optimizer's state."""
        cdef Py_ssize_t k = 0
        cdef dict own
        if len(parameters) * self.each != len(self.arrays) or len(state) != len(parameters):
            return False
        for parameter, own in zip(parameters, state):
            if (
                parameter._cleared or parameter._grad is not self.arrays[k]
                or parameter._value is not self.arrays[k + 1] or len(own) != self.each - 2
            ):
                return False
            k += 2
            for array in own.values():
                if array is not self.arrays[k]:
                    return False
                k += 1
        return True

    cdef void go(self, fl_job job, fl_update* p, double per_microsecond) noexcept:
        p.blocks, p.count, p.sums = self.blocks, self.count, self.sums
        with nogil:
            run_for(job, p, self.numbers / per_microsecond)

    def norm(self):
        """The Euclidean norm of all gradients together, added up in double precision."""
        cdef fl_update p
        cdef double total = 0
        cdef Py_ssize_t k
        self.go(training(self.single).squares, &p, 8e3)
        for k in range(self.count):
            total += self.sums[k]
        return sqrt(total)

    def update(self, int rule, tuple numbers, double scale):
        """One step by this rule, whose numbers simd/update_template.h names, on gradients times scale."""
        cdef fl_update p
        cdef Py_ssize_t k
        cdef Py_ssize_t most = sizeof(p.numbers) // sizeof(double)
        if (
            not 0 <= rule <= FL_ADAM or len(numbers) > most or (rule != FL_SCALE and self.each != 2 + slots[rule])
        ):
            raise ValueError("update: the rule does not agree with the arrays")
        p.rule, p.scale = rule, scale
        for k, number in enumerate(numbers):
            p.numbers[k] = number
        self.go(training(self.single).update, &p, 2e3)
