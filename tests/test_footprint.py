"""The memory that a training is said to take, beside the arrays that it makes."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm._kernels import cpu
from fastlstm.model.memory import activations, check_memory

LAYERS = {
    "LSTM": lambda: fl.LSTM(3, 32),
    "GRU": lambda: fl.GRU(3, 32),
    "simple network": lambda: fl.SimpleRNN(3, 32),
    "two layers, both directions": lambda: fl.GRU(3, 32, num_layers=2, bidirectional=True),
    "three simple layers": lambda: fl.SimpleRNN(3, 32, num_layers=3),
    "three layers, added": lambda: fl.SimpleRNN(3, 32, num_layers=3, residual=True),
    "directions added": lambda: fl.SimpleRNN(3, 32, bidirectional=True, merge="sum"),
    "two layers, their directions multiplied and added": lambda: fl.GRU(
        3, 32, num_layers=2, bidirectional=True, merge="mul", residual=True
    ),
    "all layers read x": lambda: fl.SimpleRNN(3, 32, num_layers=3, skip="input"),
    "all layers are given": lambda: fl.SimpleRNN(3, 32, num_layers=3, skip="output"),
    "both, directions averaged": lambda: fl.SimpleRNN(
        3, 32, num_layers=3, skip="both", bidirectional=True, merge="ave"
    ),
    "dropout": lambda: fl.SimpleRNN(3, 32, num_layers=3, dropout=0.5),
    "dropout, variational": lambda: fl.SimpleRNN(3, 32, num_layers=3, dropout=0.5, variational=True),
    "zoneout": lambda: fl.LSTM(3, 32, zoneout=(0.1, 0.2)),
    "projection": lambda: fl.LSTM(3, 32, proj_size=8, num_layers=2),
    "checkpoints": lambda: fl.LSTM(3, 32, num_layers=2, checkpoint_every=20),
}


@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path keeps copies in ragged order, too")
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_what_a_recurrent_layer_keeps(make):
    n, t = 40, 400
    model = fl.Model([make()], seed=0)
    tape = model.tape()
    y = model.forward(np.ones((n, t, 3), "f4"), tape, training=True)
    model.backward(np.ones_like(y), tape, input_gradient=False)
    held = sum(workspace.nbytes for workspace in tape.workspaces) + y.nbytes  # the gradient of y lies elsewhere
    assert 4 * activations([make()], n, t) == pytest.approx(held, rel=0.08)  # scratch does not grow with the batch


def test_the_kept_numbers_follow_the_cell():
    rows = 7 * 10
    for layer, numbers in ((fl.LSTM(3, 16), 5), (fl.GRU(3, 16), 4), (fl.SimpleRNN(3, 16), 1)):
        states = 7 * 16 * len(layer.cell.parts)
        assert activations([layer], 7, 10) == rows * 16 * (numbers + 2) + states
    assert activations([fl.LSTM(3, 16)], 7, 10, "bfloat16") == rows * 16 * (7 + 2) + 7 * 16 * 2
    assert activations([fl.Dense(3, 16)], 7, 10) == 2 * rows * 16
    assert activations([fl.Embedding(5, 3), fl.Last()], 7, 10) == 2 * 3 * (rows + 7)


def test_checkpoints_make_room(monkeypatch):
    monkeypatch.setattr("fastlstm.model.memory.free", lambda: 10**8)
    check_memory([fl.LSTM(1, 64, checkpoint_every=50)], 32, 2000)
    with pytest.raises(MemoryError, match="on batches of 32 x 2,000 steps needs about 0.1 GB, and 0.1 GB are free"):
        check_memory([fl.LSTM(1, 64)], 32, 2000)
