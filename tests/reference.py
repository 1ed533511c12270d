"""A plain LSTM in float64 NumPy, one sequence and one step at a time, written from the equations: the oracle.

    i, f, o = sigmoid(W x + U h + b)   g = tanh(W x + U h + b)   c' = f c + i g   h' = o tanh(c')

It shares nothing with the package. Its own gradients are checked against central differences in test_reference.py.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward_sequence(x, h, c, w, u, b):
    """Outputs (T, H), final h and c, and what backward needs, of one sequence x (T, I) in one direction."""
    outputs, tape = [], []
    for x_t in x:
        i, f, g, o = np.split(w @ x_t + u @ h + b, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_next = f * c + i * g
        tape.append((x_t, h, c, i, f, g, o, c_next))
        h, c = o * np.tanh(c_next), c_next
        outputs.append(h)
    return np.array(outputs), h, c, tape


def backward_sequence(dy, dh, dc, tape, w, u):
    """Gradients (dx, dh0, dc0, dw, du, db) from those of the outputs and of the final state."""
    dw, du, db = np.zeros_like(w), np.zeros_like(u), np.zeros(len(w))
    dx = []
    for dy_t, (x_t, h, c, i, f, g, o, c_next) in zip(dy[::-1], tape[::-1], strict=True):
        dh = dh + dy_t
        tanh_c = np.tanh(c_next)
        dc = dc + dh * o * (1 - tanh_c**2)
        da = np.concatenate(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)]
        )
        dw += np.outer(da, x_t)
        du += np.outer(da, h)
        db += da
        dx.append(w.T @ da)
        dh, dc = u.T @ da, dc * f
    return np.array(dx[::-1]), dh, dc, dw, du, db


class ReferenceLSTM:
    """Any number of layers, both directions, lengths, states. parameters: arrays under the names of fastlstm.LSTM."""

    def __init__(self, parameters, num_layers, bidirectional):
        self.parameters = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
        self.num_layers, self.directions = num_layers, 2 if bidirectional else 1
        self.hidden = self.parameters["weight_hh_l0"].shape[1]

    def _weights(self, layer, direction):
        suffix = f"_l{layer}" + ("_reverse" if direction else "")
        u = self.parameters["weight_hh" + suffix]
        return suffix, self.parameters["weight_ih" + suffix], u, self.parameters.get("bias" + suffix, np.zeros(len(u)))

    def forward(self, x, state=None, lengths=None):
        n, t, _ = x.shape
        self.lengths = [t] * n if lengths is None else list(lengths)
        places = self.num_layers * self.directions
        h0, c0 = state if state is not None else np.zeros((2, places, n, self.hidden))
        h_n, c_n = np.zeros_like(h0), np.zeros_like(c0)
        self.tape, inputs = {}, x
        for layer in range(self.num_layers):
            outputs = np.zeros((n, t, self.directions * self.hidden))
            for d in range(self.directions):
                _, w, u, b = self._weights(layer, d)
                place = layer * self.directions + d
                for s, length in enumerate(self.lengths):
                    own = inputs[s, :length][:: -1 if d else 1]
                    y, h, c, tape = forward_sequence(own, h0[place, s], c0[place, s], w, u, b)
                    outputs[s, :length, d * self.hidden : (d + 1) * self.hidden] = y[:: -1 if d else 1]
                    h_n[place, s], c_n[place, s], self.tape[layer, d, s] = h, c, tape
            inputs = outputs
        return inputs, (h_n, c_n)

    def backward(self, dy, dh_n, dc_n):
        """dx, dh0, dc0 and a dict of the parameters' gradients."""
        grads = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        dh0, dc0 = np.zeros_like(dh_n), np.zeros_like(dc_n)
        for layer in reversed(range(self.num_layers)):
            width = self.parameters[f"weight_ih_l{layer}"].shape[1]
            dx = np.zeros((*dy.shape[:2], width))
            for d in range(self.directions):
                suffix, w, u, _ = self._weights(layer, d)
                place = layer * self.directions + d
                for s, length in enumerate(self.lengths):
                    own = dy[s, :length, d * self.hidden : (d + 1) * self.hidden][:: -1 if d else 1]
                    found = backward_sequence(own, dh_n[place, s], dc_n[place, s], self.tape[layer, d, s], w, u)
                    dx[s, :length] += found[0][:: -1 if d else 1]
                    dh0[place, s], dc0[place, s] = found[1:3]
                    grads["weight_ih" + suffix] += found[3]
                    grads["weight_hh" + suffix] += found[4]
                    if "bias" + suffix in grads:
                        grads["bias" + suffix] += found[5]
            dy = dx
        return dy, dh0, dc0, grads
