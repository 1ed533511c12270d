"""The kernels in C++ and C, all linked into cpu: the table for the instruction set in use, and the pool of threads."""

from libc.stdint cimport uint32_t, uint64_t

cdef extern from "simd/pool.h" nogil:
    enum:
        FL_MOST_THREADS, FL_OPERATIONS, FL_WORTH_SHARING, FL_WORTH_WAKING, FL_MOST_SIDE_BY_SIDE
    struct fl_team:
        int size
    ctypedef void (*fl_job)(void* argument, int thread, fl_team* team) noexcept
    struct fl_side_by_side:
        fl_job job
        int count, threads
        void** arguments
        fl_team* teams


cdef extern from "simd/training.h" nogil:
    enum:
        FL_SCALE, FL_SGD, FL_MOMENTUM, FL_RMSPROP, FL_ADAM
        FL_MSE, FL_MAE, FL_HUBER, FL_SIGMOID_CROSS_ENTROPY, FL_SOFTMAX_CROSS_ENTROPY
        FL_FOCAL, FL_QUANTILE, FL_GAUSSIAN, FL_STUDENT_T
        FL_EXP, FL_SIGMOID, FL_TANH, FL_RELU, FL_HARD_SIGMOID, FL_SOFTSIGN, FL_SOFTPLUS, FL_LEAKY_RELU
        FL_THRESHOLDED_RELU, FL_ELU, FL_AFFINE, FL_SCALED_TANH, FL_GELU, FL_GELU_TANH, FL_SILU

    struct fl_block:
        void* value
        void* grad
        (void*)[2] slot
        Py_ssize_t size

    struct fl_update:
        const fl_block* blocks
        Py_ssize_t count
        int rule
        double scale
        double[6] numbers
        double* sums

    struct fl_loss:
        int kind
        Py_ssize_t rows, width, block
        const void* pred
        const void* target
        const void* weight
        void* dpred
        double scale, delta
        double* sums
        Py_ssize_t outputs
        const double* numbers

    struct fl_ctc:
        Py_ssize_t N, T, C, S, blank
        const void* pred
        const Py_ssize_t* target
        const void* weight
        void* dpred
        double scale
        int per_label, zero_infinity
        double* losses
        double* room
        Py_ssize_t room_each, next

    Py_ssize_t FL_CTC_ROOM(Py_ssize_t T, Py_ssize_t S) noexcept

    struct fl_drop:
        Py_ssize_t size
        uint64_t first
        const void* x
        void* y
        uint64_t key, call
        uint32_t threshold
        double scale

    struct fl_columns:
        Py_ssize_t m, n, row
        const void* a
        void* out
        int add

    struct fl_scatter:
        Py_ssize_t count, width, rows
        const Py_ssize_t* index
        const void* source
        void* out
        int add

    struct fl_norm:
        Py_ssize_t rows, width, x_row, block
        double eps
        const void* x
        const void* weight
        const void* bias
        const void* dy
        void* y
        void* mean
        void* scale
        void* dx
        void* sums

    struct fl_activation:
        int function
        double alpha, beta
        Py_ssize_t size
        const void* x
        void* y

    struct fl_sum:
        Py_ssize_t size
        const void* x
        const void* y
        void* out

    struct fl_magnitude:
        Py_ssize_t rows, width
        const void* x
        void* y

    struct fl_largest:
        Py_ssize_t count, size, width
        const Py_ssize_t* index
        const void* source
        void* out
        Py_ssize_t* at

    struct fl_softmax:
        Py_ssize_t rows, width
        const void* x
        void* y

    struct fl_training:
        fl_job squares, update, loss, ctc, drop, mask, columns, scatter, norm, norm_backward, activate, softmax, sum
        fl_job largest, magnitude


cdef extern from "simd/table.h" nogil:
    enum:
        FL_SINGLE, FL_STRIP, FL_NEAR_BYTES, FL_HELD_ROWS
        FL_EXACT, FL_BFLOAT16, FL_INT8, FL_INT8X16, FL_FORMATS

    struct fl_segment:
        Py_ssize_t first, last, by_units

    enum:
        FL_F_SIGMOID, FL_F_TANH, FL_F_RELU, FL_F_HARD_SIGMOID, FL_F_SOFTSIGN, FL_F_SOFTPLUS, FL_F_LEAKY_RELU
        FL_F_THRESHOLDED_RELU, FL_F_ELU, FL_F_AFFINE, FL_F_SCALED_TANH, FL_FUNCTIONS

    struct fl_function:
        int kind
        double alpha, beta

    struct fl_options:
        fl_function gate, candidate, output
        double clip, cell_clip, zone_h, zone_c, candidate_scale, norm

    struct fl_masks:
        const unsigned char* zone_h
        const unsigned char* zone_c
        const unsigned char* candidate
        const void* state

    struct fl_packing:
        Py_ssize_t I, H, K
        const void* w
        const void* u
        const void* b
        const void* v
        void* panels
        void* bias

    struct fl_pass:
        const fl_cell* cell
        fl_pass* then
        const fl_pass* before
        const fl_pass* seen
        int ahead
        Py_ssize_t T, N, I, H, K, width
        const Py_ssize_t* alive
        const void* x
        const Py_ssize_t* x_row
        Py_ssize_t x_step
        const void* panels
        const void* bias
        void* c
        void* h
        void* y
        const Py_ssize_t* y_row
        Py_ssize_t y_step
        void* rounded
        Py_ssize_t rounded_each
        void* projected
        Py_ssize_t chunk
        Py_ssize_t segment_count
        const fl_segment* segments
        int* phase
        int option
        const fl_options* options
        const fl_masks* masks
        void* fed
        int fresh
        void* kept
        void* kept_c
        const Py_ssize_t* offset
        Py_ssize_t rows
        const void* w
        const void* u
        const void* b
        fl_pass* below
        Py_ssize_t done

    struct fl_backward:
        const fl_cell* cell
        fl_backward* then
        fl_backward* user
        int ahead
        Py_ssize_t T, N, rows, I, H, K, width
        const Py_ssize_t* alive
        const Py_ssize_t* offset
        Py_ssize_t segment_count
        const fl_segment* segments
        Py_ssize_t strip
        const void* x
        const void* y
        const void* dy
        const Py_ssize_t* x_row
        const Py_ssize_t* y_row
        Py_ssize_t x_step, y_step
        const void* seen
        const Py_ssize_t* seen_row
        Py_ssize_t seen_step, seen_width
        const void* seen_h
        const void* h
        const void* c
        void* kept
        void* rounded
        const void* kept_c
        void* dh
        void* dc
        void* past
        int option
        const fl_options* options
        const fl_masks* masks
        const void* bias
        int initial
        const void* w
        const void* u
        void* transposed
        void* dx
        int add_dx
        void* columns
        void* interleaved
        Py_ssize_t interleaved_each
        void* panels
        int frozen, later
        void* dw
        void* du
        void* db
        void* dv
        int add_dw, add_du, add_db, add_dv

    Py_ssize_t fl_columns_room(
        Py_ssize_t I, Py_ssize_t K, int gates, int sums, Py_ssize_t tile, Py_ssize_t rows
    ) noexcept
    Py_ssize_t fl_gradients_room(
        Py_ssize_t I, Py_ssize_t K, int gates, int sums, int own, Py_ssize_t width
    ) noexcept
    Py_ssize_t fl_transposed_room(Py_ssize_t inputs, Py_ssize_t seen, Py_ssize_t width, int gates) noexcept

    struct fl_affine:
        Py_ssize_t m, n, k, x_row, y_row
        const void* x
        const void* panels
        const void* bias
        void* y
        void* rounded

    struct fl_matmul:
        Py_ssize_t m, n, k, a_row, a_k, b_k, b_col, c_row
        const void* a
        const void* b
        void* c
        int add
        int in_order
        const void* bias
        void* room

    struct fl_probe:
        Py_ssize_t count, size
        double value
        const void* in_ "in"
        void* out

    ctypedef void (*fl_pack_matrix)(
        void* panels, void* bias, const void* w, const void* b, Py_ssize_t n, Py_ssize_t k
    ) noexcept
    struct fl_backward_functions:
        pass
    struct fl_cell:
        const char* name
        int gates, sums, units, option, c_parts, own, options, row_room
        fl_job pack
        const fl_backward_functions* backward
        fl_job forward_single, backward_single
    enum:
        FL_PHASES
    void fl_forward(void* argument, int thread, fl_team* team) noexcept
    void fl_backward_through_time(void* argument, int thread, fl_team* team) noexcept

    struct fl_format:
        Py_ssize_t depth, bytes, tail, rounds, ends
        fl_pack_matrix pack_matrix
        fl_job affine, matmul

    struct fl_functions:
        (const fl_format*)[FL_FORMATS] formats
        fl_job fma, read, activate
        const fl_training* training
        Py_ssize_t matmul_room

    struct fl_kernels:
        const char* name
        int bytes, rows
        fl_functions f, d


cdef const fl_kernels* table() noexcept nogil
cdef const fl_cell* cell_of(str name, Py_ssize_t H, bint single, str format=*) except NULL
cdef const fl_format* format_of(bint single, str format) except NULL
cdef Py_ssize_t panel_rows(const fl_format* format, Py_ssize_t k) noexcept
cdef Py_ssize_t row_inputs(const fl_format* format, Py_ssize_t k) noexcept
cdef str number_of(const fl_format* format)
cdef Py_ssize_t vectors_of(Py_ssize_t n, bint single) noexcept
cdef Py_ssize_t padded(Py_ssize_t n, bint single) noexcept
cdef int allowed() noexcept nogil
cdef bint invariant() noexcept nogil
cdef const fl_functions* functions(bint single) noexcept nogil
cdef const fl_training* training(bint single) noexcept nogil
cdef double work_of(double operations) noexcept nogil
cdef double work_of_step(Py_ssize_t n, double weights) noexcept nogil
cdef int team_for(double work) noexcept nogil
cdef void* scratch(Py_ssize_t bytes) except NULL nogil
cdef void run(fl_job job, void* argument, int threads, double work) noexcept nogil
cdef void run_for(fl_job job, void* argument, double work) noexcept nogil
cdef fl_job side_by_side() noexcept nogil
cdef fl_job passes(bint back) noexcept nogil
