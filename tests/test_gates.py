"""What the gates of an LSTM do: `LSTM.gates`, and its picture."""

import numpy as np
import pytest
from recurrent_cases import Case, random_case

import fastlstm as fl
from fastlstm.layers.recurrent.gates import Gates

NAMES = ["input", "forget", "candidate", "output", "cell", "hidden"]
CASES = [Case(6, 3, 2, 5), Case(7, 4, 3, 17, 2, True, True), Case(1, 1, 2, 1), Case(5, 2, 3, 4, 2, bias=False)]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def step_by_step(parameters, suffix, x, h, c):
    """The equations, one sequence (T, I) at a time: the six arrays (T, H)."""
    found = []
    for row in x:
        a = parameters["weight_ih" + suffix] @ row + parameters["weight_hh" + suffix] @ h
        a = a + parameters.get("bias" + suffix, 0)
        i, f, g, o = np.split(a, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        found.append((i, f, g, o, c, h))
    return [np.array(part) for part in zip(*found, strict=True)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gates_follow_the_equations(isa, case, dtype):
    problem = random_case(case)
    layer, (x, state, _, _) = problem.layer(dtype), problem.arrays(dtype)
    lengths = np.full(case.n, case.t) if problem.lengths is None else problem.lengths
    directions = 2 if case.bidirectional else 1
    below = x
    for k in range(case.layers):
        hidden = []
        for d in range(directions):
            gates = layer.gates(x, state, problem.lengths, layer=k, reverse=bool(d))
            suffix, place = f"_l{k}" + d * "_reverse", k * directions + d
            for n, length in enumerate(lengths.tolist()):
                walked = below[n, :length][:: -1 if d else 1]
                expected = step_by_step(problem.parameters, suffix, walked, state[0][place, n], state[1][place, n])
                for name, value in zip(NAMES, expected, strict=True):
                    found = getattr(gates, name)
                    atol = 1e-5 if dtype == "float32" else 1e-12
                    np.testing.assert_allclose(found[n, :length], value[:: -1 if d else 1], atol=atol, err_msg=name)
                    assert not found[n, length:].any()
                    assert found.dtype == dtype
            hidden.append(gates.hidden)
        below = np.concatenate(hidden, axis=2)


def test_they_are_those_of_a_call(isa):
    lstm = fl.LSTM(3, 6, num_layers=2, bidirectional=True, dropout=0.5, dtype="float64", seed=0)
    x, lengths = np.random.default_rng(0).normal(size=(3, 5, 3)), [2, 5, 1]
    y, (_, c) = lstm(x, lengths=lengths)
    ahead, back = lstm.gates(x, lengths=lengths, layer=-1), lstm.gates(x, lengths=lengths, layer=1, reverse=True)
    np.testing.assert_allclose(np.concatenate([ahead.hidden, back.hidden], axis=2), y, atol=1e-12)
    np.testing.assert_allclose(ahead.cell[range(3), np.array(lengths) - 1], c[2], atol=1e-12)
    np.testing.assert_allclose(back.cell[:, 0], c[3], atol=1e-12)


def test_arrays_are_ones_own():
    lstm = fl.LSTM(3, 6, seed=0)
    first = lstm.gates(np.ones((2, 5, 3)))
    before = first.cell.copy()
    lstm.gates(np.zeros((2, 5, 3)))
    np.testing.assert_array_equal(first.cell, before)
    assert all(not np.shares_memory(getattr(first, a), getattr(first, b)) for a in NAMES for b in NAMES if a != b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 2}, "layer: expected -2 to 1, got 2"),
        ({"layer": -3}, "layer: expected -2 to 1, got -3"),
        ({"reverse": True}, "reverse: expected False for an LSTM of one direction, got True"),
        ({"lengths": [6, 1]}, r"lengths: expected 0 to 5, got 6 at \[0\]"),
        ({"state": (np.ones((2, 2, 6)), np.ones((2, 2, 5)))}, r"state c: expected shape \(2, 2, 6\), got \(2, 2, 5\)"),
    ],
)
def test_what_is_wrong_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        fl.LSTM(3, 6, num_layers=2).gates(np.ones((2, 5, 3)), **options)
    with pytest.raises(TypeError, match="layer: expected a whole number, got 'top'"):
        fl.LSTM(3, 6).gates(np.ones((2, 5, 3)), layer="top")


@pytest.fixture
def plot():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from fastlstm import plot

    return plot


def made_up(n, t, hidden):
    rng = np.random.default_rng(0)
    return Gates(*(rng.random((n, t, hidden)) for _ in NAMES))


def test_the_picture_shows_the_chosen_sequence_with_the_longest_memory_on_top(plot, tmp_path):
    gates, tokens = made_up(3, 8, 6), list("a b\nc$de")
    gates.forget[1] = np.array([0.2, 0.9, 0.1, 0.7, 0.5, 0.3])
    gates.cell[1] *= np.array([1, 1, 1, 1, 0, 1])  # the fifth never moves
    figure = plot.gates_figure(gates, sequence=1, tokens=tokens, values=np.ones((8, 2)), names=["x", "y"], most=5)
    order = [1, 3, 5, 0, 2]
    maps = [axes.images[0].get_array() for axes in figure.axes if axes.images and axes.get_ylabel()]
    shown = ["input", "candidate", "forget", "cell", "output"]
    for name, drawn in zip(shown, maps, strict=True):
        np.testing.assert_array_equal(drawn, getattr(gates, name)[1][:, order].T)
    ticks = [text.get_text() for text in figure.axes[5].get_xticklabels()]
    assert ticks == ["a", "␣", "b", "↵", "c", r"\$", "d", "e"]
    plot.save_figure(figure, tmp_path / "gates.png")
    assert (tmp_path / "gates.png").stat().st_size > 10_000


def test_the_picture_ends_at_the_length(plot):
    figure = plot.gates_figure(made_up(1, 8, 6), length=5, tokens=["one", "two", "three", "four", "five"])
    assert figure.axes[0].images[0].get_array().shape == (6, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence": 2}, "sequence: expected -2 to 1, got 2"),
        ({"tokens": ["a"]}, "tokens: expected 8, one for each step, got 1"),
        ({"most": 0}, "most: expected at least 1, got 0"),
    ],
)
def test_the_picture_names_what_is_wrong(plot, options, message):
    with pytest.raises(ValueError, match=message):
        plot.gates_figure(made_up(2, 8, 6), **options)
