/* Training on a single step of a few rows. The weights are read once where they lie: packing them would take longer than
   all the rest. */

#ifndef FL_SINGLE
#define FL_SINGLE 4 /* rows at most */
#endif

static void FL_X(forward_single)(void *pass, int thread, struct fl_team *team) {
    const struct fl_pass *p = pass;
    const ptrdiff_t I = p->I, H = p->H, width = p->width, blocks = width / LANES, now = *p->phase & 1;
    for (ptrdiff_t block = blocks * thread / team->size; block < blocks * (thread + 1) / team->size; block++) {
        const ptrdiff_t units = H - block * LANES < LANES ? H - block * LANES : LANES;
        FL_REAL sums[FL_SINGLE][4][FL_BYTES / sizeof(FL_REAL)] = {{{0}}};
        for (ptrdiff_t u = 0; u < units; u++)
            for (ptrdiff_t n = 0; n < p->N; n++) {
                const ptrdiff_t unit = block * LANES + u;
                FL_REAL z[4];
                FL_X(inner)(AT(w) + unit * I, H * I, AT(x) + p->x_row[n], I, 0, 0, z, 1, 4);
                if (!p->fresh) FL_X(inner)(AT(u) + unit * H, H * H, AT(h) + (now * p->N + n) * width, H, 0, 1, z, 1, 4);
                for (int g = 0; g < 4; g++) sums[n][g][u] = z[g] + (p->b ? AT(b)[g * H + unit] : 0);
            }
        for (ptrdiff_t n = 0; n < p->N; n++) {
            FL_X(quotient) i = FL_X(v_sigmoid)(FL_X(load)(sums[n][0])), f = FL_X(v_sigmoid)(FL_X(load)(sums[n][1]));
            FL_X(quotient) g = FL_X(v_tanh)(FL_X(load)(sums[n][2])), o = FL_X(v_sigmoid)(FL_X(load)(sums[n][3])), s;
            FL_REAL *gates = AT(gates) + (block * p->S + n) * 4 * LANES, *c = AT(c) + n * width + block * LANES;
            VEC cell, out, gate[4] = {i.above / i.below, f.above / f.below, g.above / g.below, o.above / o.below};
            cell = gate[0] * gate[2];
            if (!p->fresh) cell += gate[1] * FL_X(load)(c);
            s = FL_X(v_tanh)(cell);
            out = gate[3] * s.above / s.below;
            EACH(k, 4) FL_X(store)(gates + k * LANES, gate[k]);
            FL_X(store)(AT(cells) + (block * p->S + n) * LANES, cell);
            FL_X(store)(c, cell);
            FL_X(store)(AT(h) + ((!now) * p->N + n) * width + block * LANES, out);
            FL_X(store_part)(AT(y) + p->y_row[n] + block * LANES, units, out);
        }
    }
}

/* grad (R, columns) = d' from, or that added to it, for the rows of one unit of each gate; from NULL is zeros. */
static void FL_X(outer_single)(const struct fl_backward *p, ptrdiff_t unit, const FL_REAL *const *from, FL_REAL *grad,
                               ptrdiff_t columns, int add) {
    for (int g = 0; g < 4; g++) {
        FL_REAL *restrict to = grad + (g * p->H + unit) * columns;
        for (ptrdiff_t n = 0; n < p->N; n++) {
            const FL_REAL d = AT(gates)[((unit / LANES * p->S + n) * 4 + g) * LANES + unit % LANES];
            const FL_REAL *restrict x = from[n];
            if (!x) {
                if (!add && !n) memset(to, 0, (size_t)columns * sizeof(FL_REAL));
            } else if (add || n) {
                for (ptrdiff_t j = 0; j < columns; j++) to[j] += d * x[j];
            } else {
                for (ptrdiff_t j = 0; j < columns; j++) to[j] = d * x[j];
            }
        }
    }
}

/* to[n] = d[n] weight, or that added to it, for columns first..last of weight (4H, columns). */
static void FL_X(back_single)(const struct fl_backward *p, const FL_REAL *weight, ptrdiff_t columns, ptrdiff_t first,
                              ptrdiff_t last, FL_REAL *const *to, int add) {
    for (ptrdiff_t unit = 0; unit < p->H; unit++)
        for (ptrdiff_t n = 0; n < p->N; n++) {
            const FL_REAL *d = AT(gates) + (unit / LANES * p->S + n) * 4 * LANES + unit % LANES;
            const FL_REAL a = d[0], b = d[LANES], c = d[2 * LANES], e = d[3 * LANES];
            const FL_REAL *restrict w = weight + unit * columns, *restrict v = w + p->H * columns;
            const FL_REAL *restrict u = v + p->H * columns, *restrict t = u + p->H * columns;
            FL_REAL *restrict out = to[n];
            if (add || unit)
                for (ptrdiff_t j = first; j < last; j++) out[j] += (a * w[j] + b * v[j]) + (c * u[j] + e * t[j]);
            else
                for (ptrdiff_t j = first; j < last; j++) out[j] = (a * w[j] + b * v[j]) + (c * u[j] + e * t[j]);
        }
}

static void FL_X(backward_single)(void *argument, int thread, struct fl_team *team) {
    const struct fl_backward *p = argument;
    const ptrdiff_t blocks = p->width / LANES, I = p->I, H = p->H;
    const ptrdiff_t first = blocks * thread / team->size, last = blocks * (thread + 1) / team->size;
    const FL_REAL *x[FL_SINGLE] = {NULL}, *h[FL_SINGLE] = {NULL};
    FL_REAL *dx[FL_SINGLE] = {NULL}, *dh[FL_SINGLE] = {NULL};
    for (ptrdiff_t n = 0; n < p->N; n++) {
        x[n] = AT(x) + p->x_row[n];
        if (p->h) h[n] = AT(h) + n * p->width;
        if (p->dx) dx[n] = AT(dx) + p->x_row[n];
        dh[n] = AT(dh) + n * p->width;
    }
    FL_X(cell_backward)(p, 0, 0, p->N, first, last - first, NULL);
    for (ptrdiff_t unit = first * LANES; unit < last * LANES && unit < H; unit++) {
        FL_X(outer_single)(p, unit, x, p->dw, I, p->add_dw);
        FL_X(outer_single)(p, unit, h, p->du, H, p->add_du);
        for (int g = 0; p->db && g < 4; g++) {
            FL_REAL sum = p->add_db ? AT(db)[g * H + unit] : 0;
            for (ptrdiff_t n = 0; n < p->N; n++) sum += AT(gates)[((unit / LANES * p->S + n) * 4 + g) * LANES + unit % LANES];
            AT(db)[g * H + unit] = sum;
        }
    }
    fl_barrier(team);
    if (p->dx) FL_X(back_single)(p, p->w, I, I * thread / team->size, I * (thread + 1) / team->size, dx, p->add_dx);
    if (p->initial) FL_X(back_single)(p, p->u, H, H * thread / team->size, H * (thread + 1) / team->size, dh, 0);
}
