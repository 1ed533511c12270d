"""The LSTM with layer norm in float64 NumPy, as the cells of reference.py: the oracle."""

import numpy as np
from reference import LSTMWithOptions


def deviation(v, eps):
    return np.sqrt(v.var() + eps)


def norm(v, eps):
    return (v - v.mean()) / deviation(v, eps)


def norm_backward(dy, v, eps):
    """The gradient by v, from that by its norm."""
    y = norm(v, eps)
    return (dy - dy.mean() - y * (dy * y).mean()) / deviation(v, eps)


class LSTMWithNorm(LSTMWithOptions):
    """a = s_x norm(W x) + s_h norm(U h) + b   i, f, o, g, e and c' of these as of LSTMWithOptions

    h' = z_h h + (1 - z_h) R (o output(s_c norm(e) + t_c))
    """

    def __init__(self, layer_norm=True, **options):
        super().__init__(**options)
        self.eps = 1e-5 if layer_norm is True else layer_norm
        self.scales = {"scale_ih": self.gates, "scale_hh": self.gates, "scale_c": 1, "shift_c": 1}

    def forward(self, x, state, w, u, b, p, s_x, s_h, s_c, t_c, r=None):
        h, c = state
        p_i, *p_f, p_o = np.split(p, self.own)
        a = s_x * norm(w @ x, self.eps) + s_h * norm(u @ h, self.eps) + b
        a_i, *a_f, a_g, a_o = np.split(a, self.gates)
        a_i, a_f = a_i + p_i * c, [a_f[0] + p_f[0] * c] if a_f else []
        i, g = self.gate(0, a_i), self.gate(1, a_g)
        f = self.gate(0, a_f[0]) if a_f else 1 - i
        raw = f * c + i * g
        e = np.clip(raw, -self.cell_clip, self.cell_clip)
        c_next = self.z_c * c + (1 - self.z_c) * e
        a_o = a_o + p_o * c_next
        n = s_c * norm(e, self.eps) + t_c
        shown = self.gate(0, a_o) * self.value(2, n)
        h_next = self.z_h * h + (1 - self.z_h) * (shown if r is None else r @ shown)
        kept = x, h, c, a_i, a_f, a_g, a_o, i, f, g, raw, e, c_next, n, shown
        return (h_next, c_next), (kept, b, p, s_x, s_h, s_c, r)

    def backward(self, dstate, tape, w, u):
        (dh, dc), (kept, _, p, s_x, s_h, s_c, r) = dstate, tape
        x, h, c, a_i, a_f, a_g, a_o, i, f, g, raw, e, c_next, n, put_out = kept
        p_i, *p_f, p_o = np.split(p, self.own)
        shown = dh * (1 - self.z_h)
        dr = [] if r is None else [np.outer(shown, put_out)]
        if r is not None:
            shown = r.T @ shown
        d_o = shown * self.value(2, n) * self.gate_slope(0, a_o)
        dn = shown * self.gate(0, a_o) * self.slope(2, n)
        dc = dc + d_o * p_o
        de = dc * (1 - self.z_c) + norm_backward(dn * s_c, e, self.eps)
        de = de * (np.abs(raw) <= self.cell_clip)
        d_i = de * (g - c if self.coupled else g) * self.gate_slope(0, a_i)
        d_f = [de * c * self.gate_slope(0, a) for a in a_f]
        da = np.concatenate([d_i, *d_f, de * i * self.gate_slope(1, a_g), d_o])
        dc = dc * self.z_c + de * f + d_i * p_i + sum(d * own for d, own in zip(d_f, p_f, strict=True))
        dp = np.concatenate([d_i * c, *(d * c for d in d_f), d_o * c_next])
        by_x, by_h = norm_backward(da * s_x, w @ x, self.eps), norm_backward(da * s_h, u @ h, self.eps)
        own = da, dp, da * norm(w @ x, self.eps), da * norm(u @ h, self.eps), dn * norm(e, self.eps), dn
        return w.T @ by_x, (u.T @ by_h + dh * self.z_h, dc), np.outer(by_x, x), np.outer(by_h, h), *own, *dr
