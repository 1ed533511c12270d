"""The instruction set in use, the threads, and what benchmarks and tests ask of the processor.

The C and C++ in simd/ are compiled once for each instruction set. The best one that the processor has is chosen when
this is imported. FASTLSTM_ISA chooses another one: avx512_bf16, avx512_vnni, avx512, avx2, armv8_6, baseline, or plain
for none, where SciPy's BLAS works. The first two differ from avx512, and armv8_6 from baseline, only in products of
bfloat16, int8 and int8x16.
"""

import os

import numpy as np

from fastlstm._kernels.real cimport real


cdef extern from "simd/pool.h" nogil:
    void fl_run(fl_job job, void* argument, int threads, double work) noexcept
    void fl_run_side_by_side(void* arguments, int thread, fl_team* team) noexcept
    double fl_microseconds() noexcept
    struct fl_openmp:
        void (*parallel)(void (*)(void*), void*, unsigned, unsigned) noexcept
        int (*thread)() noexcept
        int (*threads)() noexcept
    void fl_borrow(const fl_openmp* lender) noexcept


cdef extern from "simd/training.h" nogil:
    const fl_training fl_training_plain_f, fl_training_plain_d


cdef extern from "simd/scratch.h" nogil:
    void* fl_room(size_t bytes) noexcept


cdef extern from "simd/table.h" nogil:
    const fl_kernels* fl_select(const char* name) noexcept
    const fl_cell* fl_cell_of(const fl_format* format, const char* name, Py_ssize_t vectors) noexcept


MOST_THREADS = FL_MOST_THREADS
"""The largest number of threads: the caller and the workers of the pool."""

WORTH_SHARING = FL_WORTH_SHARING
"""Microseconds of work from which on a second thread is worth while."""

NARROW = ("bfloat16", "int8x16", "int8")
"""The formats of weights that have fewer bits than float32; the other one is "exact"."""

MOST_SIDE_BY_SIDE = FL_MOST_SIDE_BY_SIDE
"""The largest number of stages that run at the same time."""

SINGLE = FL_SINGLE
"""The number of rows up to which training on a single step reads the weights where they lie."""

HELD_ROWS = FL_HELD_ROWS
"""The number of rows that a part of the weights is used for at a time."""

NEAR_BYTES = FL_NEAR_BYTES
"""Bytes of weights that stay in a core's L2 cache. More are used in parts of so many, each for many rows."""

STRIP = FL_STRIP
"""The largest number of vectors of units that a thread takes of a step of the backward pass at a time."""

cdef tuple FORMATS = ("exact", "bfloat16", "int8", "int8x16")           # in the order of table.h
cdef const fl_kernels* kernels = NULL
cdef int most_threads = 1
cdef bint batch_invariant = False
cdef bint watched = False
cdef double spent = 0


cdef const fl_kernels* table() noexcept nogil:
    return kernels


cdef const fl_functions* functions(bint single) noexcept nogil:
    return &kernels.f if single else &kernels.d


cdef const fl_format* format_of(bint single, str format) except NULL:
    """What weights in this format serve."""
    cdef const fl_format* found = NULL
    if kernels != NULL and format in FORMATS:
        found = functions(single).formats[<Py_ssize_t>FORMATS.index(format)]
    if found == NULL:
        raise ValueError(f"expected a format of weights for {'float32' if single else 'float64'}, got {format!r}")
    return found


cdef const fl_cell* cell_of(str name, Py_ssize_t H, bint single, str format="exact") except NULL:
    """The kernels of a cell with H units on weights in this format."""
    cdef bytes known = name.encode()
    cdef const fl_cell* found = NULL
    if kernels != NULL and H > 0:
        found = fl_cell_of(format_of(single, format), known, vectors_of(H, single))
    if found == NULL:
        raise ValueError(f"expected the name of a cell and a number of units, got {name!r} and {H}")
    return found


cdef Py_ssize_t panel_rows(const fl_format* format, Py_ssize_t k) noexcept:
    """The rows of a panel that the weights of k inputs take."""
    return (k + format.depth - 1) // format.depth + format.tail


cdef Py_ssize_t row_inputs(const fl_format* format, Py_ssize_t k) noexcept:
    """The fours of bytes that a rounded row of k inputs takes; 0 where the format reads inputs as they are."""
    return (k + format.depth - 1) // format.depth + format.ends if format.rounds else 0


cdef str number_of(const fl_format* format):
    """The kind of a packed weight, as of the struct module."""
    return {1: "b", 2: "H", 4: "f", 8: "d"}[format.bytes]


cdef Py_ssize_t vectors_of(Py_ssize_t n, bint single) noexcept:
    """The number of vectors that n numbers take, float32 if `single`."""
    cdef Py_ssize_t in_vector = kernels.bytes // (4 if single else 8)
    return (n + in_vector - 1) // in_vector


cdef Py_ssize_t padded(Py_ssize_t n, bint single) noexcept:
    """n rounded up to whole vectors."""
    return vectors_of(n, single) * (kernels.bytes // (4 if single else 8))


cdef int allowed() noexcept nogil:
    return most_threads


def borrow(size_t parallel, size_t thread, size_t threads):
    """Let jobs run on the threads of an OpenMP runtime, whose functions are at these addresses.

    They are GOMP_parallel, omp_get_thread_num and omp_get_num_threads; zeros are for the pool's own threads.
    """
    cdef fl_openmp lender
    if 0 in (parallel, thread, threads):
        fl_borrow(NULL)
        return
    (<size_t*>&lender.parallel)[0] = parallel
    (<size_t*>&lender.thread)[0], (<size_t*>&lender.threads)[0] = thread, threads
    with nogil:
        fl_borrow(&lender)


cdef bint invariant() noexcept nogil:
    """Whether training on a single row or step must give the bits that it gives in a larger batch."""
    return batch_invariant


cdef const fl_training* training(bint single) noexcept nogil:
    if kernels == NULL:
        return &fl_training_plain_f if single else &fl_training_plain_d
    return functions(single).training


cdef double work_of(double operations) noexcept nogil:
    """About how many microseconds so many multiplications and additions of large products take one thread."""
    return operations / FL_OPERATIONS


cdef double work_of_step(Py_ssize_t n, double weights) noexcept nogil:
    """The same for a step of n rows with so many weights. Where there are one or two rows, each takes twice as long."""
    return work_of(2 * n * weights) * (1 if n > 2 else 2)


cdef int team_for(double work) noexcept nogil:
    """The number of threads for work that takes one thread so many microseconds."""
    return 1 if work < FL_WORTH_SHARING else most_threads


cdef void* scratch(Py_ssize_t bytes) except NULL nogil:
    """Memory that belongs to this thread until it calls this again."""
    cdef void* found = fl_room(bytes)
    if found == NULL:
        with gil:
            raise MemoryError(f"there is no memory for {bytes:,} bytes of scratch")
    return found


cdef void run(fl_job job, void* argument, int threads, double work) noexcept nogil:
    """Run a job. `work` is about the microseconds that it takes one thread. A small job wakes no sleeping thread."""
    global spent
    cdef double begin
    if not watched:
        fl_run(job, argument, threads, work)
        return
    begin = fl_microseconds()
    fl_run(job, argument, threads, work)
    spent += fl_microseconds() - begin


cdef void run_for(fl_job job, void* argument, double work) noexcept nogil:
    """`run` on as many threads as the work is worth."""
    run(job, argument, team_for(work), work)


cdef fl_job side_by_side() noexcept nogil:
    return fl_run_side_by_side


cdef fl_job passes(bint back) noexcept nogil:
    """The job of a forward or backward pass."""
    return fl_backward_through_time if back else fl_forward


def allow(int threads):
    """Let the kernels use up to so many threads."""
    global most_threads
    most_threads = threads


def matrix_work(double operations):
    """About how many microseconds so many multiplications and additions of large products take one thread."""
    return work_of(operations)


def step_work(Py_ssize_t n, double weights, Py_ssize_t steps=1):
    """About how many microseconds steps of n rows with so many weights take one thread."""
    return steps * work_of_step(n, weights)


def keep_order(bint on):
    """Let training add up single rows and steps in the order of larger batches, or in the fastest order."""
    global batch_invariant
    batch_invariant = on


def keeps_order():
    """Whether training keeps the order of larger batches."""
    return batch_invariant


def choose(str isa):
    """Use this instruction set from now on: a name, "plain" for none, or "" for the best one."""
    global kernels
    if isa == "plain":
        kernels = NULL
        return
    cdef bytes name = isa.encode()
    cdef const fl_kernels* found = fl_select(name)
    if found == NULL and isa:
        known = ("avx512_bf16", "avx512_vnni", "avx512", "avx2", "armv8_6", "baseline")
        names = [other for other in known if fl_select(other.encode()) != NULL]
        raise ValueError(f"FASTLSTM_ISA: expected one of {[*names, 'plain']} on this processor, got {isa!r}")
    kernels = found


def isa():
    """The name of the instruction set in use, "plain" if none."""
    return "plain" if kernels == NULL else kernels.name.decode()


choose(os.environ.get("FASTLSTM_ISA", ""))


cdef const fl_kernels* packed_kernels() except NULL:
    if kernels == NULL:
        raise RuntimeError("the plain path has no packed kernels")
    return kernels


def lanes(dtype):
    """The number of numbers of this dtype in a vector."""
    return packed_kernels().bytes // np.dtype(dtype).itemsize


def width(Py_ssize_t n, dtype):
    """n rounded up to whole vectors of this dtype."""
    packed_kernels()
    return padded(n, np.dtype(dtype) == np.float32)


def panel_shapes(str cell, Py_ssize_t inputs, Py_ssize_t hidden, dtype, str format="exact", Py_ssize_t seen=-1):
    """The shapes of a cell's packed weights and bias: (blocks, rows, vectors, numbers) and (blocks, vectors, lanes).

    U sees `seen` numbers, by default those of the hidden units.

    A row has the weights of one input of W, then of U, or of as many as stand side by side in the format. The weights
    that each unit has for itself follow the bias.
    """
    cdef bint single = np.dtype(dtype) == np.float32
    cdef const fl_cell* known = cell_of(cell, hidden, single, format)
    cdef const fl_format* packed = format_of(single, format)
    cdef Py_ssize_t blocks = vectors_of(hidden, single) // known.units, vector = lanes(dtype)
    cdef Py_ssize_t rows = panel_rows(packed, inputs) + panel_rows(packed, hidden if seen < 0 else seen)
    return (
        (blocks, rows, known.gates * known.units, packed.depth * vector),
        (blocks, (known.sums + known.own) * known.units, vector),
    )


def matrix_size(Py_ssize_t n, Py_ssize_t k, dtype, str format="exact"):
    """The numbers that packed weights (n, k) of an affine map take."""
    cdef const fl_format* packed = format_of(np.dtype(dtype) == np.float32, format)
    return width(n, dtype) * panel_rows(packed, k) * packed.depth


def number(dtype, str format="exact"):
    """The dtype of packed weights."""
    return np.dtype(number_of(format_of(np.dtype(dtype) == np.float32, format)))


def multiplies(str format):
    """Whether the processor multiplies weights of this format itself; others become float32 as they are read."""
    return kernels != NULL and bool(format_of(True, format).rounds)


def trains(str format):
    """Whether float32 is trained with products in this format."""
    return kernels != NULL and format_of(True, format).matmul != NULL


def rounded_row(Py_ssize_t n, dtype, str format="exact"):
    """The numbers (uint32) that a rounded row of n inputs takes; 0 where the format reads inputs as they are."""
    return row_inputs(format_of(np.dtype(dtype) == np.float32, format), n)


def multiply_add(dtype, Py_ssize_t rounds, int threads):
    """Run a loop of fused multiply-adds. Returns the number of floating point operations of all threads."""
    if threads < 1:
        raise ValueError(f"cpu.multiply_add: expected at least one thread, got {threads}")
    cdef bint single = np.dtype(dtype) == np.float32
    cdef char[::1] out = np.empty(64 * threads, np.int8)
    cdef fl_probe probe
    probe.count, probe.value, probe.out = rounds, 0.5, &out[0]
    cdef fl_job job = packed_kernels().f.fma if single else packed_kernels().d.fma
    with nogil:
        fl_run(job, &probe, threads, FL_WORTH_WAKING)
    return 2 * rounds * 4 * packed_kernels().rows * (packed_kernels().bytes // (4 if single else 8)) * threads


def read(const float[::1] array, Py_ssize_t rounds, int threads):
    """Read the array so many times, each thread its part of it."""
    if threads < 1:
        raise ValueError(f"cpu.read: expected at least one thread, got {threads}")
    cdef char[::1] out = np.empty(64 * threads, np.int8)
    cdef fl_probe probe
    probe.count, probe.size, probe.in_, probe.out = rounds, array.shape[0], &array[0], &out[0]
    cdef fl_job job = packed_kernels().f.read
    with nogil:
        fl_run(job, &probe, threads, FL_WORTH_WAKING)


def activate(str function, const real[::1] x, real[::1] y):
    """y = sigmoid(x) or tanh(x), as the cells on packed weights compute them."""
    cdef fl_probe probe
    if x.shape[0] != y.shape[0] or x.shape[0] == 0:
        raise ValueError("activate: sizes do not agree")
    probe.count, probe.size, probe.in_, probe.out = function == "tanh", x.shape[0], &x[0], &y[0]
    fl_run(packed_kernels().f.activate if real is float else packed_kernels().d.activate, &probe, 1, 0)


def watch(bint on):
    """Start or stop adding up the microseconds of kernels. Returns those since the last call."""
    global watched, spent
    found, spent, watched = spent, 0, on
    return found
