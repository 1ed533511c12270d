"""Recurrent cells in float64 NumPy, one sequence and one step at a time, written from the equations: the oracle.

It shares nothing with the package. Its own gradients are checked against central differences in test_reference.py.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class LSTM:
    """i, f, o = sigmoid(W x + U h + b)   g = tanh(W x + U h + b)   c' = f c + i g   h' = o tanh(c')"""

    parts = ("h", "c")
    gates, biases = 4, 4

    def forward(self, x, state, w, u, b):
        """The state after a step from the one before it, and what backward needs."""
        h, c = state
        i, f, g, o = np.split(w @ x + u @ h + b, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_next = f * c + i * g
        return (o * np.tanh(c_next), c_next), (x, h, c, i, f, g, o, c_next)

    def backward(self, dstate, tape, w, u):
        """Gradients by x, the state before the step, w, u and b, from those by the state after it."""
        (dh, dc), (x, h, c, i, f, g, o, c_next) = dstate, tape
        tanh_c = np.tanh(c_next)
        dc = dc + dh * o * (1 - tanh_c**2)
        da = np.concatenate(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)]
        )
        return w.T @ da, (u.T @ da, dc * f), np.outer(da, x), np.outer(da, h), da


FUNCTIONS = {
    "sigmoid": lambda x: sigmoid(x),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "hard_sigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "leaky_relu": lambda x, alpha: np.where(x > 0, x, alpha * x),
    "thresholded_relu": lambda x, alpha: np.where(x > alpha, x, 0),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "scaled_tanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
}
SLOPES = {
    "sigmoid": lambda x: sigmoid(x) * (1 - sigmoid(x)),
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "relu": lambda x: np.where(x > 0, 1, 0),
    "hard_sigmoid": lambda x, alpha, beta: np.where((alpha * x + beta > 0) & (alpha * x + beta < 1), alpha, 0),
    "softsign": lambda x: 1 / (1 + np.abs(x)) ** 2,
    "softplus": lambda x: sigmoid(x),
    "leaky_relu": lambda x, alpha: np.where(x > 0, 1, alpha),
    "thresholded_relu": lambda x, alpha: np.where(x > alpha, 1, 0),
    "elu": lambda x, alpha: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    "affine": lambda x, alpha, beta: np.full_like(x, alpha),
    "scaled_tanh": lambda x, alpha, beta: alpha * beta * (1 - np.tanh(beta * x) ** 2),
}
"""The functions of cells with options, and their slopes, both of x, alpha and beta."""


class LSTMWithOptions:
    """a = W x + U h + b   a_i += p_i c   a_f += p_f c   a_o += p_o c'   gates and candidate of clip(a)

    coupled: f = 1 - i   e = cell_clip(f c + i g)   c' = z_c c + (1 - z_c) e   h' = z_h h + (1 - z_h) R (o output(e))

    R is 1 unless h is projected.
    """

    parts = ("h", "c")

    def __init__(
        self,
        coupled=False,
        gate=("sigmoid",),
        candidate=("tanh",),
        output=None,
        clip=np.inf,
        cell_clip=np.inf,
        zoneout=(0, 0),
        proj_size=None,
    ):
        self.z_h, self.z_c = zoneout
        self.projects = proj_size is not None
        self.coupled, self.functions = coupled, (gate, candidate, output or candidate)
        self.clip, self.cell_clip = clip, cell_clip
        self.gates = self.biases = 3 if coupled else 4
        self.own = self.gates - 1

    def value(self, k, x):
        name, *numbers = self.functions[k]
        return FUNCTIONS[name](x, *numbers)

    def slope(self, k, x):
        name, *numbers = self.functions[k]
        return SLOPES[name](x, *numbers)

    def gate(self, k, a):
        return self.value(k, np.clip(a, -self.clip, self.clip))

    def gate_slope(self, k, a):
        return self.slope(k, a) * (np.abs(a) <= self.clip)

    def forward(self, x, state, w, u, b, p, r=None):
        h, c = state
        p_i, *p_f, p_o = np.split(p, self.own)
        a_i, *a_f, a_g, a_o = np.split(w @ x + u @ h + b, self.gates)
        a_i = a_i + p_i * c
        i, g = self.gate(0, a_i), self.gate(1, a_g)
        if self.coupled:
            f = 1 - i
        else:
            a_f = [a_f[0] + p_f[0] * c]
            f = self.gate(0, a_f[0])
        raw = f * c + i * g
        e = np.clip(raw, -self.cell_clip, self.cell_clip)
        c_next = self.z_c * c + (1 - self.z_c) * e
        a_o = a_o + p_o * c_next
        shown = self.gate(0, a_o) * self.value(2, e)
        h_next = self.z_h * h + (1 - self.z_h) * (shown if r is None else r @ shown)
        return (h_next, c_next), (x, h, c, a_i, a_f, a_g, a_o, i, f, g, raw, e, c_next, p, r, shown)

    def backward(self, dstate, tape, w, u):
        (dh, dc), (x, h, c, a_i, a_f, a_g, a_o, i, f, g, raw, e, c_next, p, r, put_out) = dstate, tape
        p_i, *p_f, p_o = np.split(p, self.own)
        shown = dh * (1 - self.z_h)
        dr = [] if r is None else [np.outer(shown, put_out)]
        if r is not None:
            shown = r.T @ shown
        d_o = shown * self.value(2, e) * self.gate_slope(0, a_o)
        dc = dc + d_o * p_o
        de = dc * (1 - self.z_c) + shown * self.gate(0, a_o) * self.slope(2, e)
        de = de * (np.abs(raw) <= self.cell_clip)
        d_i = de * (g - c if self.coupled else g) * self.gate_slope(0, a_i)
        d_f = [] if self.coupled else [de * c * self.gate_slope(0, a_f[0])]
        d_g = de * i * self.gate_slope(1, a_g)
        da = np.concatenate([d_i, *d_f, d_g, d_o])
        dc = dc * self.z_c + de * f + d_i * p_i + (0 if self.coupled else d_f[0] * p_f[0])
        dp = np.concatenate([d_i * c, *(d * c for d in d_f), d_o * c_next])
        return w.T @ da, (u.T @ da + dh * self.z_h, dc), np.outer(da, x), np.outer(da, h), da, dp, *dr


class GRU:
    """r, z = sigmoid(W x + U h + b)   n = tanh(W x + b + r (U h + b'))   h' = (1 - z) n + z h"""

    parts = ("h",)
    gates, biases = 3, 4

    def forward(self, x, state, w, u, b):
        (h,) = state
        (w_r, w_z, w_n), (u_r, u_z, u_n) = np.split(w @ x, 3), np.split(u @ h, 3)
        b_r, b_z, b_n, b_m = np.split(b, 4)
        r, z, m = sigmoid(w_r + u_r + b_r), sigmoid(w_z + u_z + b_z), u_n + b_m
        n = np.tanh(w_n + b_n + r * m)
        return ((1 - z) * n + z * h,), (x, h, r, z, n, m)

    def backward(self, dstate, tape, w, u):
        (dh,), (x, h, r, z, n, m) = dstate, tape
        dn = dh * (1 - z) * (1 - n**2)
        dr, dz, dm = dn * m * r * (1 - r), dh * (h - n) * z * (1 - z), dn * r
        by_x, by_h = np.concatenate([dr, dz, dn]), np.concatenate([dr, dz, dm])
        db = np.concatenate([dr, dz, dn, dm])
        return w.T @ by_x, (u.T @ by_h + dh * z,), np.outer(by_x, x), np.outer(by_h, h), db


class GRUWithOptions:
    """r, z = gate(clip(W x + U h + b))   n = candidate(clip(W x + b + r (U h + b')))

    h' = z_h h + (1 - z_h) ((1 - z) n + z h)
    """

    parts = ("h",)
    gates, biases = 3, 4

    def __init__(self, gate=("sigmoid",), candidate=("tanh",), clip=np.inf, zoneout=0):
        self.functions, self.clip, self.z_h = (gate, candidate), clip, zoneout

    def value(self, k, a):
        name, *numbers = self.functions[k]
        return FUNCTIONS[name](np.clip(a, -self.clip, self.clip), *numbers)

    def slope(self, k, a):
        name, *numbers = self.functions[k]
        return SLOPES[name](a, *numbers) * (np.abs(a) <= self.clip)

    def forward(self, x, state, w, u, b):
        (h,) = state
        (w_r, w_z, w_n), (u_r, u_z, u_n) = np.split(w @ x, 3), np.split(u @ h, 3)
        b_r, b_z, b_n, b_m = np.split(b, 4)
        a_r, a_z, m = w_r + u_r + b_r, w_z + u_z + b_z, u_n + b_m
        r, z = self.value(0, a_r), self.value(0, a_z)
        a_n = w_n + b_n + r * m
        n = self.value(1, a_n)
        return (self.z_h * h + (1 - self.z_h) * ((1 - z) * n + z * h),), (x, h, a_r, a_z, a_n, r, z, n, m)

    def backward(self, dstate, tape, w, u):
        (dh,), (x, h, a_r, a_z, a_n, r, z, n, m) = dstate, tape
        d = dh * (1 - self.z_h)
        dn = d * (1 - z) * self.slope(1, a_n)
        dr, dz, dm = dn * m * self.slope(0, a_r), d * (h - n) * self.slope(0, a_z), dn * r
        by_x, by_h = np.concatenate([dr, dz, dn]), np.concatenate([dr, dz, dm])
        db = np.concatenate([dr, dz, dn, dm])
        past = dh * self.z_h + d * z
        return w.T @ by_x, (u.T @ by_h + past,), np.outer(by_x, x), np.outer(by_h, h), db


class GRUBefore(GRUWithOptions):
    """r, z = gate(clip(W x + U h + b))   n = candidate(clip(W x + U (r h) + b))   h' as of GRUWithOptions"""

    biases = 3

    def forward(self, x, state, w, u, b):
        (h,) = state
        (a_r, a_z), a_n = np.split((w @ x + b)[: 2 * len(h)] + u[: 2 * len(h)] @ h, 2), (w @ x + b)[2 * len(h) :]
        r, z = self.value(0, a_r), self.value(0, a_z)
        a_n = a_n + u[2 * len(h) :] @ (r * h)
        n = self.value(1, a_n)
        return (self.z_h * h + (1 - self.z_h) * ((1 - z) * n + z * h),), (x, h, a_r, a_z, a_n, r, z, n)

    def backward(self, dstate, tape, w, u):
        (dh,), (x, h, a_r, a_z, a_n, r, z, n) = dstate, tape
        d = dh * (1 - self.z_h)
        dn = d * (1 - z) * self.slope(1, a_n)
        by_product = u[2 * len(h) :].T @ dn
        dr, dz = by_product * h * self.slope(0, a_r), d * (h - n) * self.slope(0, a_z)
        da = np.concatenate([dr, dz, dn])
        past = dh * self.z_h + d * z + by_product * r + u[: 2 * len(h)].T @ da[: 2 * len(h)]
        du = np.concatenate([np.outer(da[: 2 * len(h)], h), np.outer(dn, r * h)])
        return w.T @ da, (past,), np.outer(da, x), du, da


class SimpleWithOptions:
    """h' = z_h h + (1 - z_h) candidate(clip(W x + U h + b))"""

    parts = ("h",)
    gates, biases = 1, 1

    def __init__(self, candidate=("tanh",), clip=np.inf, zoneout=0):
        (self.name, *self.numbers), self.clip, self.z_h = candidate, clip, zoneout

    def forward(self, x, state, w, u, b):
        (h,) = state
        a = w @ x + u @ h + b
        y = FUNCTIONS[self.name](np.clip(a, -self.clip, self.clip), *self.numbers)
        return (self.z_h * h + (1 - self.z_h) * y,), (x, h, a)

    def backward(self, dstate, tape, w, u):
        (dh,), (x, h, a) = dstate, tape
        da = dh * (1 - self.z_h) * SLOPES[self.name](a, *self.numbers) * (np.abs(a) <= self.clip)
        return w.T @ da, (u.T @ da + dh * self.z_h,), np.outer(da, x), np.outer(da, h), da


class Simple:
    """h' = phi(W x + U h + b)"""

    parts = ("h",)
    gates, biases = 1, 1

    def __init__(self, phi, slope):
        self.phi, self.slope = phi, slope  # the slope from the value of phi

    def forward(self, x, state, w, u, b):
        (h,) = state
        h_next = self.phi(w @ x + u @ h + b)
        return (h_next,), (x, h, h_next)

    def backward(self, dstate, tape, w, u):
        (dh,), (x, h, h_next) = dstate, tape
        da = dh * self.slope(h_next)
        return w.T @ da, (u.T @ da,), np.outer(da, x), np.outer(da, h), da


class MinLSTM:
    """f, i = sigmoid(W x + b)   g = W x + b, or positive   h' = f / (f + i) h + i / (f + i) g"""

    parts = ("h",)
    gates, biases = 3, 3

    def __init__(self, positive=False):
        self.positive = positive

    def forward(self, x, state, w, u, b):
        (h,) = state
        a_f, a_i, a_g = np.split(w @ x + b, 3)
        f, i, g = sigmoid(a_f), sigmoid(a_i), a_g
        if self.positive:
            g = np.where(a_g > 0, a_g + 0.5, sigmoid(a_g))
        return ((f * h + i * g) / (f + i),), (x, h, a_g, f, i, g)

    def backward(self, dstate, tape, w, u):
        (dh,), (x, h, a_g, f, i, g) = dstate, tape
        df, di = dh * i * (h - g) / (f + i) ** 2, dh * f * (g - h) / (f + i) ** 2
        slope = np.where(a_g > 0, 1, g * (1 - g)) if self.positive else 1
        da = np.concatenate([df * f * (1 - f), di * i * (1 - i), dh * i / (f + i) * slope])
        return w.T @ da, (dh * f / (f + i),), np.outer(da, x), np.zeros_like(u), da


class SLSTM:
    """The paper's equations, from its state (h, c, 1, m): m is the n of this state, and its c / n the c.

    log i = a_i   log f = log sigmoid(a_f), or a_f   z = tanh(a_z)   o = sigmoid(a_o)   a = W x + U h + b
    m' = max(log f + m, log i)   I = exp(log i - m')   F = exp(log f + m - m')
    C = F c + I z   N = F + I   h' = o C / N
    """

    parts = ("h", "c", "n")
    gates, biases = 4, 4

    def __init__(self, forget_gate="sigmoid"):
        self.exponential = forget_gate == "exp"

    def forward(self, x, state, w, u, b):
        h, c, m = state
        log_i, a_f, a_z, a_o = np.split(w @ x + u @ h + b, 4)
        log_f = a_f if self.exponential else -np.logaddexp(0, -a_f)
        z, o = np.tanh(a_z), sigmoid(a_o)
        m_next = np.maximum(log_f + m, log_i)
        i, f = np.exp(log_i - m_next), np.exp(log_f + m - m_next)
        c_next, n_next = f * c + i * z, f + i
        after = o * c_next / n_next, c_next / n_next, m_next + np.log(n_next)
        return after, (x, h, c, a_f, z, o, i, f, c_next, n_next)

    def backward(self, dstate, tape, w, u):
        """Nothing depends on m', by which all else is divided: it is as a constant."""
        (dh, dc, dn), (x, h, c, a_f, z, o, i, f, c_next, n_next) = dstate, tape
        by_c = (dc + dh * o) / n_next
        by_n = (dn - by_c * c_next) / n_next
        d_f, d_i = (by_c * c + by_n) * f, (by_c * z + by_n) * i
        slope = 1 if self.exponential else sigmoid(-a_f)
        da = np.concatenate([d_i, d_f * slope, by_c * i * (1 - z**2), dh * c_next / n_next * o * (1 - o)])
        return w.T @ da, (u.T @ da, by_c * f, d_f), np.outer(da, x), np.outer(da, h), da


CELLS = {
    "slstm": SLSTM(),
    "min_lstm": MinLSTM(),
    "lstm": LSTM(),
    "gru": GRU(),
    "tanh": Simple(np.tanh, lambda h: 1 - h**2),
    "relu": Simple(lambda a: np.maximum(a, 0), lambda h: h > 0),
}


def forward_sequence(cell, x, state, *weights):
    """Outputs (T, H), the final state, and what backward needs, of one sequence x (T, I) in one direction."""
    outputs, tape = [], []
    for x_t in x:
        state, kept = cell.forward(x_t, state, *weights)
        outputs.append(state[0])
        tape.append(kept)
    return np.array(outputs), state, tape


def backward_sequence(cell, dy, dstate, tape, w, u):
    """Gradients (dx, initial state, dw, du, db) from those of the outputs and of the final state."""
    dx, sums = [], None
    for dy_t, kept in zip(dy[::-1], tape[::-1], strict=True):
        dx_t, dstate, *own = cell.backward((dstate[0] + dy_t, *dstate[1:]), kept, w, u)
        sums = own if sums is None else [a + b for a, b in zip(sums, own, strict=True)]
        dx.append(dx_t)
    return np.array(dx[::-1]), dstate, *sums


class Reference:
    """Any number of layers, both directions, lengths, states; parameters are arrays under the names of fastlstm's.

    The cell is a name of CELLS, or an object such as these.
    """

    def __init__(self, cell, parameters, num_layers, bidirectional):
        self.cell = CELLS[cell] if isinstance(cell, str) else cell
        self.parameters = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
        self.num_layers, self.directions = num_layers, 2 if bidirectional else 1
        self.units = self.parameters["weight_ih_l0"].shape[0] // self.cell.gates
        self.hidden = len(self.parameters.get("weight_hr_l0", range(self.units)))  # of h, which may be projected

    def _weights(self, layer, direction):
        suffix = f"_l{layer}" + ("_reverse" if direction else "")
        sizes = {"bias": self.cell.biases} | ({"peephole": self.cell.own} if hasattr(self.cell, "own") else {})
        sizes |= getattr(self.cell, "scales", {})
        projection = ("weight_hr",) if getattr(self.cell, "projects", False) else ()
        names = [name + suffix for name in ("weight_ih", "weight_hh", *sizes, *projection)]
        zeros = {name + suffix: np.zeros(size * self.units) for name, size in sizes.items()}
        zeros["weight_hh" + suffix] = np.zeros((self.cell.gates * self.units, 0))  # of a cell that has none
        return names, [self.parameters[name] if name in self.parameters else zeros[name] for name in names]

    def zeros(self, n):
        widths = {"h": self.hidden, "c": self.units, "n": self.units}
        return tuple(np.zeros((self.num_layers * self.directions, n, widths[part])) for part in self.cell.parts)

    def forward(self, x, state=None, lengths=None):
        """Outputs and the final state."""
        n, t, _ = x.shape
        self.lengths = [t] * n if lengths is None else list(lengths)
        state, final = state or self.zeros(n), self.zeros(n)
        self.tape, inputs = {}, x
        for layer in range(self.num_layers):
            outputs = np.zeros((n, t, self.directions * self.hidden))
            for d in range(self.directions):
                _, weights = self._weights(layer, d)
                place = layer * self.directions + d
                for s, length in enumerate(self.lengths):
                    own = inputs[s, :length][:: -1 if d else 1]
                    start = tuple(part[place, s] for part in state)
                    y, end, self.tape[layer, d, s] = forward_sequence(self.cell, own, start, *weights)
                    outputs[s, :length, d * self.hidden : (d + 1) * self.hidden] = y[:: -1 if d else 1]
                    for part, value in zip(final, end, strict=True):
                        part[place, s] = value
            inputs = outputs
        return inputs, final

    def backward(self, dy, dfinal):
        """dx, the gradient of the initial state, and a dict of the parameters' gradients."""
        grads = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        dstate = self.zeros(len(dy))
        for layer in reversed(range(self.num_layers)):
            width = self.parameters[f"weight_ih_l{layer}"].shape[1]
            dx = np.zeros((*dy.shape[:2], width))
            for d in range(self.directions):
                names, (w, u, *_) = self._weights(layer, d)
                place = layer * self.directions + d
                for s, length in enumerate(self.lengths):
                    own = dy[s, :length, d * self.hidden : (d + 1) * self.hidden][:: -1 if d else 1]
                    end = tuple(part[place, s] for part in dfinal)
                    found = backward_sequence(self.cell, own, end, self.tape[layer, d, s], w, u)
                    dx[s, :length] += found[0][:: -1 if d else 1]
                    for part, value in zip(dstate, found[1], strict=True):
                        part[place, s] = value
                    for name, value in zip(names, found[2:], strict=True):
                        if name in grads:
                            grads[name] += value
            dy = dx
        return dy, dstate, grads
