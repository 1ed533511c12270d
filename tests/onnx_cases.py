"""Recurrent nodes of ONNX at random, and their equations in float64 NumPy, one sequence and one step at a time."""

import numpy as np
from reference import FUNCTIONS

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
NAMES = {  # ONNX's name, ours, and how many numbers the function has
    "Sigmoid": ("sigmoid", 0),
    "Tanh": ("tanh", 0),
    "Relu": ("relu", 0),
    "Softsign": ("softsign", 0),
    "Softplus": ("softplus", 0),
    "LeakyRelu": ("leaky_relu", 1),
    "ThresholdedRelu": ("thresholded_relu", 1),
    "Elu": ("elu", 1),
    "HardSigmoid": ("hard_sigmoid", 2),
    "Affine": ("affine", 2),
    "ScaledTanh": ("scaled_tanh", 2),
}
BOUNDED = ["Sigmoid", "Tanh", "Softsign", "HardSigmoid"]


def random_node(kind, rng, layout=0, shortest=1):
    """Inputs by name (in the order of ONNX; None is left out) and attributes."""
    t, n, i, h = (
        int(size) for size in (rng.integers(1, 7), rng.integers(1, 5), rng.integers(1, 6), rng.integers(1, 20))
    )
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    d, gates = 1 + (direction == "bidirectional"), GATES[kind]

    def normal(*shape, scale=0.5):
        return rng.normal(size=shape) * scale

    def perhaps(value):
        return value if rng.random() < 0.6 else None

    batch = [(t, n, i), (d, n, h)] if layout == 0 else [(n, t, i), (n, d, h)]
    inputs = {
        "X": normal(*batch[0], scale=1),
        "W": normal(d, gates * h, i),
        "R": normal(d, gates * h, h),
        "B": perhaps(normal(d, 2 * gates * h)),
        "sequence_lens": perhaps(rng.integers(shortest, t + 1, size=n).astype(np.int32)),
        "initial_h": perhaps(normal(*batch[1])),
    }
    told = {"hidden_size": h, "direction": direction, "layout": layout}
    if kind == "LSTM":
        inputs |= {"initial_c": perhaps(normal(*batch[1])), "P": perhaps(normal(d, 3 * h))}
        told["input_forget"] = int(rng.random() < 0.3)
    if kind == "GRU":
        told["linear_before_reset"] = int(rng.random() < 0.5)
    if rng.random() < 0.4:
        told["clip"] = float(np.float32(rng.uniform(0.3, 2)))
    if rng.random() < 0.6:
        told |= random_functions(kind, d, rng)
    return inputs, {name: value for name, value in told.items() if value != []}


def random_functions(kind, directions, rng):
    """Gates of a GRU are bounded: with others its state grows beyond all bounds."""
    known = [BOUNDED if kind == "GRU" and k == 0 else [*NAMES] for k in range(len(USUAL[kind]))] * directions
    names = [str(rng.choice(those)) for those in known]
    numbers = [NAMES[name][1] for name in names]
    return {
        "activations": names,
        "activation_alpha": [float(np.float32(rng.uniform(0.2, 0.8))) for has in numbers if has],
        "activation_beta": [float(np.float32(rng.uniform(0.2, 0.8))) for has in numbers if has == 2],
    }


def functions_of(kind, told, directions):
    alphas, betas = iter(told.get("activation_alpha", [])), iter(told.get("activation_beta", []))
    found = []
    for name in told.get("activations") or USUAL[kind] * directions:
        ours, numbers = NAMES[name]
        found.append((FUNCTIONS[ours], [next(them) for them in (alphas, betas)[:numbers]]))
    return [lambda x, f=f, given=tuple(given): f(x, *given) for f, given in found]


def step(kind, told, functions, x, state, w, r, b, p):
    """The state after a step, by the equations of the operator. Rows are i, o, f, c; z, r, h."""
    size = len(state[0])
    limit = told.get("clip", np.inf)
    wx, wb, rb = w @ x, b[: len(w)], b[len(w) :]

    def part(array, k):
        return array[k * size : (k + 1) * size]

    def clipped(a):
        return np.clip(a, -limit, limit)

    def summed(k, h):
        return part(wx, k) + part(r, k) @ h + part(wb, k) + part(rb, k)

    if kind == "RNN":
        return (functions[0](clipped(summed(0, state[0]))),)
    if kind == "GRU":
        (h,), (f, g) = state, functions
        z, reset = f(clipped(summed(0, h))), f(clipped(summed(1, h)))
        if told["linear_before_reset"]:
            n = part(wx, 2) + reset * (part(r, 2) @ h + part(rb, 2)) + part(wb, 2)
        else:
            n = summed(2, reset * h)
        return ((1 - z) * g(clipped(n)) + z * h,)
    (h, c), (f, g, output) = state, functions
    i = f(clipped(summed(0, h) + part(p, 0) * c))
    forget = 1 - i if told["input_forget"] else f(clipped(summed(2, h) + part(p, 2) * c))
    new = forget * c + i * g(clipped(summed(3, h)))
    return f(clipped(summed(1, h) + part(p, 1) * new)) * output(new), new


def computed(kind, inputs, told):
    """Y, Y_h and, of an LSTM, Y_c."""
    given = {name: None if value is None else np.asarray(value, np.float64) for name, value in inputs.items()}
    x = given["X"] if told["layout"] == 0 else given["X"].swapaxes(0, 1)
    (t, n, _), h, d = x.shape, told["hidden_size"], len(given["W"])
    parts = ["initial_h", "initial_c"][: 2 if kind == "LSTM" else 1]
    final = [np.zeros((d, n, h)) if given[name] is None else given[name].copy() for name in parts]
    if told["layout"]:
        final = [f if given[name] is None else f.swapaxes(0, 1) for f, name in zip(final, parts, strict=True)]
    b = given["B"] if given["B"] is not None else np.zeros((d, 2 * GATES[kind] * h))
    p = given["P"] if given.get("P") is not None else np.zeros((d, 3 * h))
    lengths = [t] * n if inputs["sequence_lens"] is None else inputs["sequence_lens"]
    functions, y = functions_of(kind, told, d), np.zeros((t, d, n, h))
    for k in range(d):
        own = functions[k * len(functions) // d :][: len(functions) // d]
        backwards = told["direction"] == "reverse" or k == 1
        for row, length in enumerate(lengths):
            state = tuple(f[k, row] for f in final)
            for at in range(length)[:: -1 if backwards else 1]:
                state = step(kind, told, own, x[at, row], state, given["W"][k], given["R"][k], b[k], p[k])
                y[at, k, row] = state[0]
            for f, value in zip(final, state, strict=True):
                f[k, row] = value
    if told["layout"]:
        return [y.transpose(2, 0, 1, 3), *(f.swapaxes(0, 1) for f in final)]
    return [y, *final]


def model_of(nodes, inputs, outputs, constants=None, opset=21, functions=(), domains=()):
    """The bytes of a model. inputs and outputs: arrays or (dtype, shape) by name; constants: arrays by name."""
    from onnx import helper, numpy_helper

    def info(name, value):
        dtype, shape = value if isinstance(value, tuple) else (value.dtype, value.shape)
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    graph = helper.make_graph(
        nodes,
        "graph",
        [info(name, value) for name, value in inputs.items()],
        [info(name, value) for name, value in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=[*functions])
    content: bytes = made.SerializeToString()
    return content
