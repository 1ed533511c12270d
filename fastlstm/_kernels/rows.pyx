"""Moving whole rows: between a padded batch and the packed order of the LSTM kernel, and for embeddings."""

from libc.string cimport memcpy, memset

from fastlstm._kernels.real cimport real


cdef check_index(const Py_ssize_t[::1] index, Py_ssize_t lowest, Py_ssize_t rows):
    cdef Py_ssize_t k
    for k in range(index.shape[0]):
        if not lowest <= index[k] < rows:
            raise ValueError(f"index {index[k]} at {k} is outside {lowest} to {rows - 1}")


def gather(const real[:, :] source, const Py_ssize_t[::1] index, real[:, :] out):
    """out[k] = source[index[k]], or a row of zeros where index[k] is -1; the last axis of both must be contiguous."""
    cdef Py_ssize_t k, row, width = out.shape[1], count = out.shape[0]
    if index.shape[0] != count or source.shape[1] != width:
        raise ValueError("gather: sizes do not agree")
    if width > 1 and (source.strides[1] != sizeof(real) or out.strides[1] != sizeof(real)):
        raise ValueError("gather: rows must be contiguous")
    check_index(index, -1, source.shape[0])
    if count == 0 or width == 0:
        return
    with nogil:
        for k in range(count):
            row = index[k]
            if row < 0:
                memset(&out[k, 0], 0, width * sizeof(real))
            else:
                memcpy(&out[k, 0], &source[row, 0], width * sizeof(real))


def scatter_add(const real[:, ::1] source, const Py_ssize_t[::1] index, real[:, ::1] out):
    """out[index[k]] += source[k], for k in order."""
    cdef Py_ssize_t k, j, width = out.shape[1], count = source.shape[0]
    cdef const real* a
    cdef real* b
    if index.shape[0] != count or source.shape[1] != width:
        raise ValueError("scatter_add: sizes do not agree")
    check_index(index, 0, out.shape[0])
    if count == 0 or width == 0:
        return
    with nogil:
        for k in range(count):
            a = &source[k, 0]
            b = &out[index[k], 0]
            for j in range(width):
                b[j] += a[j]


def first_nonfinite(const real[::1] x):
    """Position of the first NaN or infinity in x, or -1."""
    cdef Py_ssize_t n = x.shape[0], start, stop, k, lane
    cdef real[16] sums
    cdef real total
    with nogil:
        for start in range(0, n, 4096):
            stop = min(start + 4096, n)
            for lane in range(16):
                sums[lane] = 0
            k = start
            while k + 16 <= stop:                      # 0·x is 0 unless x is NaN or infinite
                for lane in range(16):
                    sums[lane] += 0 * x[k + lane]
                k += 16
            total = 0
            for lane in range(16):
                total += sums[lane]
            for k in range(k, stop):
                total += 0 * x[k]
            if total != 0:
                for k in range(start, stop):
                    if 0 * x[k] != 0:
                        with gil:
                            return k
    return -1
