/* The recurrent cells by their equations, for one unit in double. */
#ifndef FASTLSTM_PLAIN_CELLS_H
#define FASTLSTM_PLAIN_CELLS_H

#include <math.h>

enum { MOST_OWN = 16, MOST_PARTS = 2 };

/* The states of a unit before and after a step, the weights that it has for itself, and their gradients. A cell's c is
   one number or two, c and n. */
struct unit {
    double h_prev, h;
    union {
        struct { double c_prev, n_prev; };
        double parts_prev[MOST_PARTS];
    };
    union {
        struct { double c, n; };
        double parts[MOST_PARTS];
    };
    double past; /* in a phase that hands c on: the part of the gradient of h_prev that does not go through U */
    double own[MOST_OWN], *d_own[MOST_OWN];
};

/* `forward` takes the sums W x + U h_prev + b to h and c, and leaves in `sum` what `backward` reads. `backward` makes
   of that the gradients of the sums, from dh, the gradient of h. `carried` is the gradient of c, of each of its
   parts, which becomes that of c_prev; in a cell without c it becomes the part of the gradient of h_prev that does not
   go through U. */
struct plain_cell {
    const char *name;
    int gates, sums, feeds[4], c_parts; /* U's product for a gate is added to the sum that it feeds */
    int own;                            /* weights that each unit has for itself */
    void (*forward)(double *sum, struct unit *unit);
    void (*backward)(double *sum, struct unit *unit, double dh, double *carried);
};

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* i, f, o = sigmoid(sum)    g = tanh(sum)    c = f c_prev + i g    h = o tanh(c) */
static void lstm_forward(double *sum, struct unit *unit) {
    const double i = sigmoid(sum[0]), f = sigmoid(sum[1]), g = tanh(sum[2]), o = sigmoid(sum[3]);
    unit->c = f * unit->c_prev + i * g;
    unit->h = o * tanh(unit->c);
    sum[0] = i, sum[1] = f, sum[2] = g, sum[3] = o;
}

/* dc = carried + dh o (1 - tanh(c)^2)    di = dc g i (1 - i)    df = dc c_prev f (1 - f)    dg = dc i (1 - g^2)
   do = dh tanh(c) o (1 - o)    dc_prev = dc f */
static void lstm_backward(double *sum, struct unit *unit, double dh, double *carried) {
    const double i = sum[0], f = sum[1], g = sum[2], o = sum[3], tanh_c = tanh(unit->c);
    const double dc = *carried + dh * o * (1 - tanh_c * tanh_c);
    sum[0] = dc * g * i * (1 - i);
    sum[1] = dc * unit->c_prev * f * (1 - f);
    sum[2] = dc * i * (1 - g * g);
    sum[3] = dh * tanh_c * o * (1 - o);
    *carried = dc * f;
}

/* r, z = sigmoid(sum)    n = tanh(W x + b + r (U h_prev + b'))    h = (1 - z) n + z h_prev */
static void gru_forward(double *sum, struct unit *unit) {
    const double r = sigmoid(sum[0]), z = sigmoid(sum[1]), n = tanh(sum[2] + r * sum[3]);
    unit->h = (1 - z) * n + z * unit->h_prev;
    sum[0] = r, sum[1] = z, sum[2] = n; /* and sum[3] is U h_prev + b' */
}

/* dn = dh (1 - z) (1 - n^2)    dz = dh (h_prev - n) z (1 - z)    dr = dn (U h_prev + b') r (1 - r)
   d(W x + b) = dn    d(U h_prev + b') = dn r    past the products: dh z */
static void gru_backward(double *sum, struct unit *unit, double dh, double *carried) {
    const double r = sum[0], z = sum[1], n = sum[2], dn = dh * (1 - z) * (1 - n * n);
    sum[0] = dn * sum[3] * r * (1 - r);
    sum[1] = dh * (unit->h_prev - n) * z * (1 - z);
    sum[2] = dn;
    sum[3] = dn * r;
    *carried = dh * z;
}

/* h = tanh(sum)    d sum = dh (1 - h^2) */
static void tanh_forward(double *sum, struct unit *unit) { unit->h = tanh(sum[0]); }
static void tanh_backward(double *sum, struct unit *unit, double dh, double *carried) {
    sum[0] = dh * (1 - unit->h * unit->h);
    *carried = 0;
}

/* h = max(0, sum)    d sum = dh where h > 0, else 0 */
static void relu_forward(double *sum, struct unit *unit) { unit->h = fmax(0, sum[0]); }
static void relu_backward(double *sum, struct unit *unit, double dh, double *carried) {
    sum[0] = unit->h > 0 ? dh : 0;
    *carried = 0;
}

/* What cells with options are told here: functions whose slopes have no jumps. Those are checked in Python. */
static const struct fl_options plain_options = {
    {FL_F_SIGMOID, 0, 0}, {FL_F_SCALED_TANH, 1.2, 0.8}, {FL_F_SOFTSIGN, 0, 0}, INFINITY, INFINITY, 0, 0, 1, 0};

/* candidate(x) = 1.2 tanh(0.8 x)    output(c) = c / (1 + |c|)    and their slopes */
static double candidate(double x) { return 1.2 * tanh(0.8 * x); }
static double candidate_slope(double g) { return 0.96 * (1 - g * g / 1.44); }
static double output(double c) { return c / (1 + fabs(c)); }
static double output_slope(double c) { return 1 / ((1 + fabs(c)) * (1 + fabs(c))); }

/* i, f, o = sigmoid(sum + p c_prev; of o: c)    g = candidate(sum)    c = f c_prev + i g    h = o output(c) */
static void lstm_options_forward(double *sum, struct unit *unit) {
    const double i = sigmoid(sum[0] + unit->own[0] * unit->c_prev), f = sigmoid(sum[1] + unit->own[1] * unit->c_prev);
    const double g = candidate(sum[2]);
    unit->c = f * unit->c_prev + i * g;
    sum[3] = sigmoid(sum[3] + unit->own[2] * unit->c);
    unit->h = sum[3] * output(unit->c);
    sum[0] = i, sum[1] = f, sum[2] = g;
}
static void lstm_options_backward(double *sum, struct unit *unit, double dh, double *carried) {
    const double i = sum[0], f = sum[1], g = sum[2], o = sum[3];
    const double d_o = dh * output(unit->c) * o * (1 - o);
    const double dc = *carried + dh * o * output_slope(unit->c) + d_o * unit->own[2];
    sum[0] = dc * g * i * (1 - i);
    sum[1] = dc * unit->c_prev * f * (1 - f);
    sum[2] = dc * i * candidate_slope(g);
    sum[3] = d_o;
    *carried = dc * f + sum[0] * unit->own[0] + sum[1] * unit->own[1];
    *unit->d_own[0] += sum[0] * unit->c_prev;
    *unit->d_own[1] += sum[1] * unit->c_prev;
    *unit->d_own[2] += d_o * unit->c;
}

/* The same with f = 1 - i. */
static void lstm_coupled_forward(double *sum, struct unit *unit) {
    const double i = sigmoid(sum[0] + unit->own[0] * unit->c_prev), g = candidate(sum[1]);
    unit->c = (1 - i) * unit->c_prev + i * g;
    sum[2] = sigmoid(sum[2] + unit->own[1] * unit->c);
    unit->h = sum[2] * output(unit->c);
    sum[0] = i, sum[1] = g;
}
static void lstm_coupled_backward(double *sum, struct unit *unit, double dh, double *carried) {
    const double i = sum[0], g = sum[1], o = sum[2], d_o = dh * output(unit->c) * o * (1 - o);
    const double dc = *carried + dh * o * output_slope(unit->c) + d_o * unit->own[1];
    sum[0] = dc * (g - unit->c_prev) * i * (1 - i);
    sum[1] = dc * i * candidate_slope(g);
    sum[2] = d_o;
    *carried = dc * (1 - i) + sum[0] * unit->own[0];
    *unit->d_own[0] += sum[0] * unit->c_prev;
    *unit->d_own[1] += d_o * unit->c;
}

/* r, z = sigmoid(sum)    n = candidate(W x + b + r (U h_prev + b'))    h = (1 - z) n + z h_prev */
static void gru_options_forward(double *sum, struct unit *unit) {
    const double r = sigmoid(sum[0]), z = sigmoid(sum[1]), n = candidate(sum[2] + r * sum[3]);
    unit->h = (1 - z) * n + z * unit->h_prev;
    sum[0] = r, sum[1] = z, sum[2] = n;
}
static void gru_options_backward(double *sum, struct unit *unit, double dh, double *carried) {
    const double r = sum[0], z = sum[1], n = sum[2], dn = dh * (1 - z) * candidate_slope(n);
    sum[0] = dn * sum[3] * r * (1 - r);
    sum[1] = dh * (unit->h_prev - n) * z * (1 - z);
    sum[2] = dn;
    sum[3] = dn * r;
    *carried = dh * z;
}

/* h = candidate(sum) */
static void simple_options_forward(double *sum, struct unit *unit) { unit->h = candidate(sum[0]); }
static void simple_options_backward(double *sum, struct unit *unit, double dh, double *carried) {
    sum[0] = dh * candidate_slope(unit->h);
    *carried = 0;
}

/* f, i = sigmoid(sum)    h = (f h_prev + i g) / (f + i), where g is the sum, or positive: that + 1/2, or its sigmoid */
static void min_lstm_of(double *sum, struct unit *unit, double g) {
    const double f = sigmoid(sum[0]), i = sigmoid(sum[1]);
    unit->h = (f * unit->h_prev + i * g) / (f + i);
    sum[0] = f, sum[1] = i;
}
static void min_lstm_back(double *sum, struct unit *unit, double dh, double *carried, double g, double slope) {
    const double f = sum[0], i = sum[1], both = dh * (unit->h_prev - g) * f * i / ((f + i) * (f + i));
    sum[0] = both * (1 - f);
    sum[1] = -both * (1 - i);
    sum[2] = dh * i / (f + i) * slope;
    *carried = dh * f / (f + i);
}
static double positive(double x) { return x > 0 ? x + 0.5 : sigmoid(x); }
static void min_lstm_forward(double *sum, struct unit *unit) { min_lstm_of(sum, unit, sum[2]); }
static void min_lstm_backward(double *sum, struct unit *unit, double dh, double *carried) {
    min_lstm_back(sum, unit, dh, carried, sum[2], 1);
}
static void min_lstm_positive_forward(double *sum, struct unit *unit) { min_lstm_of(sum, unit, positive(sum[2])); }
static void min_lstm_positive_backward(double *sum, struct unit *unit, double dh, double *carried) {
    const double g = positive(sum[2]);
    min_lstm_back(sum, unit, dh, carried, g, sum[2] > 0 ? 1 : g * (1 - g));
}

/* log i = sum    log f = log sigmoid(sum), or sum    z = tanh(sum)    o = sigmoid(sum)
   n = log(exp(log f + n_prev) + exp(log i))    c = (exp(log f + n_prev) c_prev + exp(log i) z) / exp(n)    h = o c */
static double log_sigmoid(double x) { return fmin(0, x) - log1p(exp(-fabs(x))); }
static void slstm_of(double *sum, struct unit *unit, double log_f) {
    const double kept = log_f + unit->n_prev, written = sum[0], most = fmax(kept, written);
    unit->n = most + log(exp(kept - most) + exp(written - most));
    unit->c = exp(kept - unit->n) * unit->c_prev + exp(written - unit->n) * tanh(sum[2]);
    unit->h = sigmoid(sum[3]) * unit->c;
}

/* dc = carried + dh o    d log f = exp(log f + n_prev - n) (dc (c_prev - c) + dn)    dz = dc exp(log i - n) (1 - z^2)
   d log i = exp(log i - n) (dc (z - c) + dn)    do = dh c o (1 - o)    dc_prev = dc exp(log f + n_prev - n)
   dn_prev = d log f */
static void slstm_back(double *sum, struct unit *unit, double dh, double *carried, double log_f, double slope) {
    const double keep = exp(log_f + unit->n_prev - unit->n), write = exp(sum[0] - unit->n);
    const double z = tanh(sum[2]), o = sigmoid(sum[3]), dc = carried[0] + dh * o, dn = carried[1];
    carried[0] = dc * keep;
    carried[1] = keep * (dc * (unit->c_prev - unit->c) + dn);
    sum[0] = write * (dc * (z - unit->c) + dn);
    sum[1] = carried[1] * slope;
    sum[2] = dc * write * (1 - z * z);
    sum[3] = dh * unit->c * o * (1 - o);
}
static void slstm_forward(double *sum, struct unit *unit) { slstm_of(sum, unit, log_sigmoid(sum[1])); }
static void slstm_backward(double *sum, struct unit *unit, double dh, double *carried) {
    slstm_back(sum, unit, dh, carried, log_sigmoid(sum[1]), sigmoid(-sum[1]));
}
static void slstm_exp_forward(double *sum, struct unit *unit) { slstm_of(sum, unit, sum[1]); }
static void slstm_exp_backward(double *sum, struct unit *unit, double dh, double *carried) {
    slstm_back(sum, unit, dh, carried, sum[1], 1);
}

/* The GRU with the reset gate before the product: two phases, of which the first hands z on to the second as its c, and
   h_prev is the same to both.  r, z = sigmoid(sum)    h = r h_prev    c = z */
static void gru_reset_forward(double *sum, struct unit *unit) {
    sum[0] = sigmoid(sum[0]), sum[1] = unit->c = sigmoid(sum[1]);
    unit->h = sum[0] * unit->h_prev;
}
static void gru_reset_backward(double *sum, struct unit *unit, double dh, double *carried) {
    const double r = sum[0], z = sum[1];
    sum[0] = dh * unit->h_prev * r * (1 - r);
    sum[1] = *carried * z * (1 - z);
    unit->past = dh * r;
}
/* n = candidate(sum)    h = (1 - z) n + z h_prev */
static void gru_candidate_forward(double *sum, struct unit *unit) {
    const double z = unit->c = unit->c_prev;
    sum[0] = candidate(sum[0]);
    unit->h = (1 - z) * sum[0] + z * unit->h_prev;
}
static void gru_candidate_backward(double *sum, struct unit *unit, double dh, double *carried) {
    const double n = sum[0], z = unit->c;
    sum[0] = dh * (1 - z) * candidate_slope(n);
    *carried = dh * (unit->h_prev - n); /* the gradient of z */
    unit->past = dh * z;
}

/* A projection: h = sum, of a cell that has no function, or of one that is told so. */
static const struct fl_options projection_options = {
    {FL_F_SIGMOID, 0, 0}, {FL_F_AFFINE, 1, 0}, {FL_F_TANH, 0, 0}, INFINITY, INFINITY, 0, 0, 1, 0};
static void projection_forward(double *sum, struct unit *unit) { unit->h = sum[0]; }
static void projection_backward(double *sum, struct unit *unit, double dh, double *carried) {
    (void)unit;
    sum[0] = dh;
    *carried = 0;
}
static const struct plain_cell projection_cells[] = {
    {"identity", 1, 1, {0}, 0, 0, projection_forward, projection_backward},
    {"simple_options", 1, 1, {0}, 0, 0, projection_forward, projection_backward},
};

static const struct plain_cell plain_cells[] = {
    {"lstm", 4, 4, {0, 1, 2, 3}, 1, 0, lstm_forward, lstm_backward},
    {"gru", 3, 4, {0, 1, 3}, 0, 0, gru_forward, gru_backward},
    {"tanh", 1, 1, {0}, 0, 0, tanh_forward, tanh_backward},
    {"relu", 1, 1, {0}, 0, 0, relu_forward, relu_backward},
    {"lstm_options", 4, 4, {0, 1, 2, 3}, 1, 3, lstm_options_forward, lstm_options_backward},
    {"lstm_coupled", 3, 3, {0, 1, 2}, 1, 2, lstm_coupled_forward, lstm_coupled_backward},
    {"gru_options", 3, 4, {0, 1, 3}, 0, 0, gru_options_forward, gru_options_backward},
    {"simple_options", 1, 1, {0}, 0, 0, simple_options_forward, simple_options_backward},
    {"identity", 1, 1, {0}, 0, 0, projection_forward, projection_backward},
    {"min_lstm", 3, 3, {0, 1, 2}, 0, 0, min_lstm_forward, min_lstm_backward},
    {"min_lstm_positive", 3, 3, {0, 1, 2}, 0, 0, min_lstm_positive_forward, min_lstm_positive_backward},
    {"slstm", 4, 4, {0, 1, 2, 3}, 2, 0, slstm_forward, slstm_backward},
    {"slstm_exp", 4, 4, {0, 1, 2, 3}, 2, 0, slstm_exp_forward, slstm_exp_backward},
    {"gru_reset", 2, 2, {0, 1}, 1, 0, gru_reset_forward, gru_reset_backward},
    {"gru_candidate", 1, 1, {0}, 1, 0, gru_candidate_forward, gru_candidate_backward},
};

#endif
