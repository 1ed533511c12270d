"""Copies of whole rows: between a padded batch and ragged order, and for embeddings."""

from libc.stdint cimport int8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from fastlstm._kernels.cpu cimport fl_scatter, fl_team, run_for, training
from fastlstm._kernels.real cimport real
from fastlstm._kernels.stage cimport Stage


cdef check_index(const Py_ssize_t[::1] index, Py_ssize_t lowest, Py_ssize_t rows):
    cdef Py_ssize_t k
    for k in range(index.shape[0]):
        if not lowest <= index[k] < rows:
            raise ValueError(f"index {index[k]} at {k} is outside {lowest} to {rows - 1}")


cdef void gather_rows(void* argument, int thread, fl_team* team) noexcept nogil:
    cdef fl_gather* g = <fl_gather*>argument
    cdef Py_ssize_t k, row
    for k in range(g.count * thread // team.size, g.count * (thread + 1) // team.size):
        row = g.index[k]
        if row == KEEP:
            continue
        if not 0 <= row < g.rows:                       # -1, or a number that was written after the check
            memset(g.out + k * g.out_row, 0, g.bytes)
        else:
            memcpy(g.out + k * g.out_row, g.source + row * g.source_row, g.bytes)


def gather(const real[:, :] source, const Py_ssize_t[::1] index, real[:, :] out):
    """out[k] = source[index[k]], or a row of zeros where index[k] is -1; the last axis of both must be contiguous."""
    cdef Py_ssize_t width = out.shape[1], count = out.shape[0]
    cdef fl_gather g
    if index.shape[0] != count or source.shape[1] != width:
        raise ValueError("gather: sizes do not agree")
    if width > 1 and (source.strides[1] != sizeof(real) or out.strides[1] != sizeof(real)):
        raise ValueError("gather: rows must be contiguous")
    check_index(index, -1, source.shape[0])
    if count == 0 or width == 0:
        return
    g.index, g.source, g.out = &index[0], <const char*>&source[0, 0], <char*>&out[0, 0]
    g.count, g.bytes, g.rows = count, width * <Py_ssize_t>sizeof(real), source.shape[0]
    g.source_row, g.out_row = source.strides[0], out.strides[0]
    with nogil:
        run_for(gather_rows, &g, count * width * <Py_ssize_t>sizeof(real) / 3e4)


def scatter_add(const real[:, ::1] source, const Py_ssize_t[::1] index, real[:, ::1] out, bint add=True):
    """out[index[k]] += source[k], one k after the other. Unless `add`, out is set to 0 first, whatever it holds."""
    cdef fl_scatter p
    cdef double bytes
    p.count, p.width, p.rows, p.add = source.shape[0], out.shape[1], out.shape[0], add
    if index.shape[0] != p.count or source.shape[1] != p.width:
        raise ValueError("scatter_add: sizes do not agree")
    check_index(index, 0, p.rows)
    if p.rows == 0 or p.width == 0:
        return
    p.index, p.source, p.out = &index[0] if p.count else NULL, &source[0, 0] if p.count else NULL, &out[0, 0]
    bytes = (p.count + (0 if add else p.rows)) * p.width * <Py_ssize_t>sizeof(real)
    with nogil:
        run_for(training(real is float).scatter, &p, bytes / 3e4)


cdef bint all_finite(const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k = 0, lane
    cdef real[16] sums
    cdef real total = 0
    for lane in range(16):
        sums[lane] = 0
    while k + 16 <= n:                                  # 0·x is 0 unless x is NaN or infinite
        for lane in range(16):
            sums[lane] += 0 * x[k + lane]
        k += 16
    for lane in range(16):
        total += sums[lane]
    for k in range(k, n):
        total += 0 * x[k]
    return total == 0


def first_nonfinite(const real[::1] x):
    """Position of the first NaN or infinity in x, or -1."""
    cdef Py_ssize_t n = x.shape[0], start, stop, k
    with nogil:
        for start in range(0, n, 4096):
            stop = min(start + 4096, n)
            if not all_finite(&x[start], stop - start):
                for k in range(start, stop):
                    if 0 * x[k] != 0:
                        with gil:
                            return k
    return -1


cdef bint all_within(const Py_ssize_t* index, Py_ssize_t count, Py_ssize_t rows) noexcept:
    cdef Py_ssize_t k
    for k in range(count):
        if not 0 <= index[k] < rows:
            return False
    return True


cdef class Gather(Stage):
    """Rows of a table by an index whose values may change. Made by `gather_stage`."""

    cdef fl_gather g

    cdef bint accepts(self) noexcept:
        return all_within(self.g.index, self.g.count, self.g.rows)


def gather_stage(const real[:, ::1] source, const Py_ssize_t[::1] index, real[:, ::1] out):
    """A `Gather` of out[k] = source[index[k]]."""
    if index.shape[0] != out.shape[0] or source.shape[1] != out.shape[1] or 0 in (index.shape[0], source.shape[1]):
        raise ValueError("gather_stage: sizes do not agree")
    check_index(index, 0, source.shape[0])
    cdef Gather made = Gather()
    made.g.rows = source.shape[0]
    made.g.index, made.g.source, made.g.out = &index[0], <const char*>&source[0, 0], <char*>&out[0, 0]
    made.g.count, made.g.bytes = index.shape[0], source.shape[1] * <Py_ssize_t>sizeof(real)
    made.g.source_row = made.g.out_row = made.g.bytes
    made.job, made.argument, made.threads = gather_rows, &made.g, 1
    made.input, made.output = <const void**>&made.g.index, <void**>&made.g.out
    made.output_bytes = made.g.count * made.g.bytes
    made.x, made.y = index, (source, out)
    return made


cdef struct fl_widen:
    const Py_ssize_t* index
    const uint16_t* upper                               # bfloat16, or NULL
    const int8_t* whole                                 # whole numbers, each row with its scale
    const float* scale
    float* out
    Py_ssize_t count, width, rows


cdef void widen_bfloat16(const uint16_t* upper, Py_ssize_t count, float* out) noexcept nogil:
    cdef Py_ssize_t j
    cdef uint32_t bits
    for j in range(count):
        bits = <uint32_t>upper[j] << 16
        memcpy(out + j, &bits, sizeof(float))


cdef void widen_int8(const int8_t* whole, float scale, Py_ssize_t count, float* out) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        out[j] = whole[j] * scale


cdef void widen_rows(void* argument, int thread, fl_team* team) noexcept nogil:
    cdef fl_widen* p = <fl_widen*>argument
    cdef Py_ssize_t k, row
    cdef float* out
    for k in range(p.count * thread // team.size, p.count * (thread + 1) // team.size):
        row, out = p.index[k], p.out + k * p.width
        if not 0 <= row < p.rows:                       # a number that was written after the check
            memset(out, 0, p.width * sizeof(float))
        elif p.upper != NULL:
            widen_bfloat16(p.upper + row * p.width, p.width, out)
        else:
            widen_int8(p.whole + row * p.width, p.scale[row], p.width, out)


cdef class Widen(Stage):
    """Rows of a table in few bits by an index whose values may change. Made by `widen_stage`."""

    cdef fl_widen p

    cdef bint accepts(self) noexcept:
        return all_within(self.p.index, self.p.count, self.p.rows)


ctypedef fused few_bits:
    uint16_t
    int8_t


def widen_stage(const few_bits[:, ::1] numbers, const float[::1] scale, const Py_ssize_t[::1] index, float[:, ::1] out):
    """A stage of out[k] = numbers[index[k]]: upper halves of float32 (uint16), or times the scale of the row (int8)."""
    cdef Widen made = Widen()
    cdef Py_ssize_t scales = 0
    if few_bits is int8_t:
        scales = numbers.shape[0]
    if (
        index.shape[0] != out.shape[0] or numbers.shape[1] != out.shape[1] or 0 in (index.shape[0], numbers.shape[1])
        or scale.shape[0] != scales
    ):
        raise ValueError("widen_stage: sizes do not agree")
    check_index(index, 0, numbers.shape[0])
    made.p.count, made.p.width, made.p.rows = index.shape[0], numbers.shape[1], numbers.shape[0]
    made.p.index, made.p.out = &index[0], &out[0, 0]
    if few_bits is int8_t:
        made.p.whole, made.p.scale = &numbers[0, 0], &scale[0]
    else:
        made.p.upper = &numbers[0, 0]
    made.job, made.argument, made.threads = widen_rows, &made.p, 1
    made.input, made.output = <const void**>&made.p.index, <void**>&made.p.out
    made.output_bytes = made.p.count * made.p.width * sizeof(float)
    made.x, made.y = index, (numbers, scale, out)
    return made
