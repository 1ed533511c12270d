"""Modules of fastlstm.torch beside torch's own: what both are given, and all that they return."""

import copy

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import fastlstm.torch

KINDS = ("LSTM", "GRU", "tanh", "relu", "projected")
LAYOUTS = ("batched", "packed", "unbatched")


def pair(kind, **options):
    """A module of torch's, and the same on the kernels, with its own copies of the weights."""
    if kind in ("tanh", "relu"):
        theirs = torch.nn.RNN(**options, nonlinearity=kind)
    elif kind == "projected":
        theirs = torch.nn.LSTM(**options, proj_size=max(1, options["hidden_size"] // 2))
    else:
        theirs = getattr(torch.nn, kind)(**options)
    ours = copy.deepcopy(theirs)
    fastlstm.torch.accelerate(ours)
    return theirs, ours


def random_pair(kind, draw):
    options = {
        "input_size": draw.size(9),
        "hidden_size": 1 + draw.size(18),
        "num_layers": draw.size(3),
        "bidirectional": draw.of(False, True),
        "bias": draw.of(True, True, False),
        "batch_first": draw.of(False, True),
        "dtype": torch.float64,
    }
    torch.manual_seed(int(draw.rng.integers(1 << 30)))
    return pair(kind, **options)


def random_input(module, draw, layout):
    """x (of any layout), the parts of a state or none, and lengths for a packed sequence."""
    n, t = draw.size(6), draw.size(8)
    places = module.num_layers * (1 + module.bidirectional)
    widths = [module.proj_size or module.hidden_size, module.hidden_size][: 1 + isinstance(module, torch.nn.LSTM)]
    if layout == "unbatched":
        x, states = draw.normal(t, module.input_size), [draw.normal(places, width) for width in widths]
    else:
        x = draw.normal(*((n, t) if module.batch_first else (t, n)), module.input_size)
        states = [draw.normal(places, n, width) for width in widths]
    lengths = draw.rng.integers(1, t + 1, n) if layout == "packed" else None
    return x, draw.of(None, states), lengths


def results(module, x, states, lengths, gradients=None, without=()):
    """Outputs, parts of the final state, and the gradients of a loss: of x, of the state and of all weights.

    The loss is the sum of what is put out times random numbers, but for the outputs of these places.
    """
    x = torch.tensor(x, requires_grad=True)
    states = None if states is None else [torch.tensor(part, requires_grad=True) for part in states]
    given = x
    if lengths is not None:
        options = {"batch_first": module.batch_first, "enforce_sorted": False}
        given = pack_padded_sequence(x, torch.tensor(lengths), **options)
    many = isinstance(module, torch.nn.LSTM)
    y, final = module(given, states if states is None else tuple(states) if many else states[0])
    outputs = [y.data if isinstance(y, PackedSequence) else y, *(final if many else [final])]
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(one.shape, generator=generator, dtype=one.dtype) for one in outputs]
    loss = sum((one * f).sum() for k, (one, f) in enumerate(zip(outputs, factors, strict=True)) if k not in without)
    module.zero_grad()
    loss.backward()
    found = {f"output {k}": one.detach() for k, one in enumerate(outputs)}
    found |= {"dx": x.grad, **{f"dstate {k}": part.grad for k, part in enumerate(states or [])}}
    with torch.no_grad():
        y, _ = module(given, states if states is None else tuple(states) if many else states[0])
    found["inference"] = y.data if isinstance(y, PackedSequence) else y
    return {**found, **{name: parameter.grad for name, parameter in module.named_parameters()}}


def assert_same(found, expected, tolerance=1e-10):
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        other = found[name]
        assert (one is None) == (other is None), name
        if one is not None:
            assert other.shape == one.shape, name
            torch.testing.assert_close(
                other, one, rtol=tolerance, atol=tolerance, msg=lambda m, name=name: f"{name}: {m}"
            )
