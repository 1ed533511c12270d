/* The formats of packed weights by their definitions: the numbers that they hold, and the room that they take. */
#ifndef FASTLSTM_PLAIN_FORMATS_H
#define FASTLSTM_PLAIN_FORMATS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../../fastlstm/_kernels/simd/table.h"
#include "plain.h"

/* Rows of a panel that the weights of k inputs take. */
static ptrdiff_t rows_of(const struct fl_format *format, ptrdiff_t k) {
    return (k + format->depth - 1) / format->depth;
}

/* Bytes of panels with the weights of `units` units, whole vectors of them, for k inputs. */
static ptrdiff_t panel_bytes(const struct fl_format *format, ptrdiff_t units, ptrdiff_t k) {
    return units * (rows_of(format, k) + format->tail) * format->depth * format->bytes;
}

/* Fours of bytes of a row of k inputs that the format rounds. */
static ptrdiff_t row_inputs(const struct fl_format *format, ptrdiff_t k) {
    return format->rounds ? rows_of(format, k) + format->ends : 0;
}

/* Room whose bytes are no good as a number in any format. */
static void *garbage(ptrdiff_t bytes) { return memset(room((size_t)bytes), 0xff, (size_t)bytes); }

/* What one row of numbers becomes, those of a unit or an input: */
typedef void rounding(double *x, ptrdiff_t count);

static void to_itself(double *x, ptrdiff_t count) { (void)x, (void)count; }

/* 8 significant bits, ties to even */
static void to_bfloat16(double *x, ptrdiff_t count) {
    for (ptrdiff_t k = 0; k < count; k++) {
        int power;
        const double part = frexp((float)x[k], &power);
        if (isfinite(part)) x[k] = ldexp(rint(ldexp(part, 8)), power - 8);
    }
}

/* -127 to 127 times a scale; in float up to the whole number, as the kernels have it, so that there is no doubt about
   ties */
static void in_steps(double *x, ptrdiff_t count, float most, float scale) {
    const float steps = 1 / scale;
    for (ptrdiff_t k = 0; k < count; k++) {
        const float part = (float)x[k] * steps;
        x[k] = most < 1e-30f ? 0 : rint(part) * (double)scale;
    }
}

static float largest_size(const double *x, ptrdiff_t count) {
    float most = 0;
    for (ptrdiff_t k = 0; k < count; k++) most = fmaxf(most, fabsf((float)x[k]));
    return most;
}

/* The scale of inputs is one in 127 of the largest size; that of weights has 16 significant bits, rounded up. */
static void to_int8(double *x, ptrdiff_t count) {
    const float most = largest_size(x, count);
    in_steps(x, count, most, most / 127);
}
/* into as many steps as the exact sum of as many products by 127 has room for */
static void to_int16(double *x, ptrdiff_t count) {
    const float most = largest_size(x, count);
    in_steps(x, count, most, most / (float)fmin(floor(2147483647. / 127 / (double)count), 32767));
}
static void to_int8_weights(double *x, ptrdiff_t count) {
    const float most = largest_size(x, count);
    int power;
    const double part = frexp(most / 127, &power);
    in_steps(x, count, most, (float)ldexp(ceil(ldexp(part, 16)), power - 16));
}

/* A copy of (rows, count), each row rounded. */
static double *rounded(rounding *by, const double *from, ptrdiff_t rows, ptrdiff_t count) {
    double *to = room((size_t)(rows * count) * sizeof *to);
    memcpy(to, from, (size_t)(rows * count) * sizeof *to);
    for (ptrdiff_t k = 0; k < rows; k++) by(to + k * count, count);
    return to;
}

/* A format of one instruction set. */
struct narrow {
    const struct fl_kernels *kernels;
    const struct fl_format *format;
    const char *name;
    rounding *weights, *inputs;
};
static struct narrow narrow_of(const struct fl_kernels *kernels, int format) {
    static const char *const names[FL_FORMATS] = {"exact", "bfloat16", "int8", "int8x16"};
    static rounding *const weights[FL_FORMATS] = {to_itself, to_bfloat16, to_int8_weights, to_int8_weights};
    static rounding *const inputs[FL_FORMATS] = {to_itself, to_bfloat16, to_int8, to_int16};
    const struct fl_format *known = kernels->f.formats[format];
    return (struct narrow){kernels, known, names[format], weights[format], known->rounds ? inputs[format] : to_itself};
}

#endif
