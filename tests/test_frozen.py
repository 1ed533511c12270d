"""Frozen parameters: no step moves them, no gradient is made for them, and the others learn as if nothing were."""

import copy
import pickle

import numpy as np
import pytest
from rank_cases import on_ranks
from test_layers import EXAMPLES, as_layers, input_for
from test_resume import Stop, StopAt
from training_cases import WAYS, data, values

import fastlstm as fl
from fastlstm import optim
from fastlstm._kernels import cpu
from fastlstm.callbacks import EMA, Callback, Checkpoint
from fastlstm.layers.base import Layer
from fastlstm.layers.recurrent.training import TrainedDirection
from fastlstm.training import restoring

MAKERS = [pytest.param(make, id=f"{name}{i}") for name, makers in EXAMPLES.items() for i, make in enumerate(makers)]
WITH_PARAMETERS = [case for case in MAKERS if as_layers(case.values[0]())[-1].parameters()]


def gradients(model, times=1, lengths=None, **options):
    """Those of a model after passes over the same batch, and that of x."""
    x, tape = input_for(model.layers[0]), model.tape(seed=3)
    for _ in range(times):  # later ones are recorded
        y = model.forward(x, tape, training=True, lengths=lengths)
        dy = np.random.default_rng(2).normal(size=y.shape).astype(y.dtype)
        model.zero_grad()
        dx = model.backward(dy, tape, **options)
    return [parameter.grad.copy() for parameter in model.parameters()], dx


@pytest.mark.parametrize("make", WITH_PARAMETERS)
@pytest.mark.parametrize("lengths", [None, [5, 1, 3, 4]])
@pytest.mark.parametrize("input_gradient", [True, False])
def test_each_parameter_can_be_frozen_for_itself(make, lengths, input_gradient, path):
    def model():
        return fl.Model([*as_layers(make())], dtype="float64", seed=1)

    whole, dx = gradients(model(), lengths=lengths, input_gradient=input_gradient)
    for frozen in range(len(whole)):
        some = model()
        some.parameters()[frozen].trainable = False
        found, own = gradients(some, lengths=lengths, input_gradient=input_gradient)
        for i, (new, old) in enumerate(zip(found, whole, strict=True)):
            np.testing.assert_allclose(new, 0 * old if i == frozen else old, rtol=1e-12, atol=1e-14)
        assert (own is None) == (dx is None)
        if dx is not None:
            np.testing.assert_allclose(own, dx, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", WITH_PARAMETERS)
def test_a_frozen_layer_passes_the_gradient_on(make, path):
    model = fl.Model(as_layers(make()), dtype="float64", seed=1)
    _, dx = gradients(model)
    for layer in model.layers:
        layer.trainable = False
    found, own = gradients(model)
    assert not any(grad.any() for grad in found)
    if dx is not None:
        np.testing.assert_allclose(own, dx, rtol=1e-12, atol=1e-14)


def stacked(cell=fl.LSTM):
    return fl.Model([cell(3, 4, num_layers=2, bidirectional=True), fl.LayerNorm(8), fl.Dense(8, 2)], seed=0)


@pytest.mark.parametrize("frozen", [("weight_ih_l0", "weight_ih_l0_reverse"), ("bias_l1",), ("_l0",), ("_l1",), ("",)])
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("wanted", [True, False])
def test_parts_of_a_stack(frozen, times, wanted, path):
    whole, dx = gradients(stacked(), times, input_gradient=wanted)
    model = stacked()
    chosen = [p for p in model.layers[0].parameters() if any(part in p.name for part in frozen)]
    assert chosen
    for parameter in chosen:
        parameter.trainable = False
    found, own = gradients(model, times, input_gradient=wanted)
    for parameter, new, old in zip(model.parameters(), found, whole, strict=True):
        np.testing.assert_allclose(new, old if parameter.trainable else 0 * old, rtol=1e-5, atol=1e-6)
    if wanted:
        np.testing.assert_array_equal(own, dx)
    else:
        assert own is None


class CountsOfTest(Layer):
    """The identity, which counts its backward passes."""

    input_shape = ("N", "T", "F")
    backwards = 0

    def output_shape(self, shape):
        return shape

    def forward(self, x, tape, *, training, lengths):
        return x.copy()

    def backward(self, dy, tape, *, input_gradient=True):
        self.backwards += 1
        return dy.copy() if input_gradient else None

    def config(self):
        return {}


@pytest.mark.parametrize("times", [1, 4])
def test_the_backward_pass_ends_at_the_lowest_layer_that_is_trained(times):
    layers = [fl.Dense(3, 3), CountsOfTest(), fl.Dense(3, 3), CountsOfTest(), fl.Dense(3, 3)]
    model = fl.Model(layers, seed=0)
    for lowest, expected in ((0, (1, 1)), (2, (0, 1)), (4, (0, 0)), (5, (0, 0))):
        for i in (0, 2, 4):
            layers[i].trainable = i >= lowest
        layers[1].backwards = layers[3].backwards = 0
        found, dx = gradients(model, times, input_gradient=False)
        assert (layers[1].backwards, layers[3].backwards) == (times * expected[0], times * expected[1]), lowest
        assert [bool(grad.any()) for grad in found] == [i >= lowest for i in (0, 0, 2, 2, 4, 4)] and dx is None
        assert gradients(model, times)[1] is not None


def test_recorded_passes_follow_what_is_frozen_and_thawed():
    model, x = stacked(), input_for(stacked().layers[0])
    weight, tape = model.parameters()[0], model.tape()
    dy = np.ones((4, 5, 2), np.float32)
    for trainable in (True, True, True, False, False, False, True, True):
        weight.trainable = trainable
        model.zero_grad()
        model.forward(x, tape, training=True)
        model.backward(dy, tape, input_gradient=False)
        assert weight.grad.any() == trainable and model.parameters()[-1].grad.any()


def test_what_is_frozen_between_two_passes_is_told():
    model, tape = stacked(), stacked().tape()
    tape = model.tape()
    y = model.forward(input_for(model.layers[0]), tape, training=True)
    model.layers[0].trainable = False
    with pytest.raises(RuntimeError, match="a parameter has changed since the forward pass"):
        model.backward(np.ones_like(y), tape)


OPTIMIZERS = {
    "SGD": lambda: fl.SGD(0.1, momentum=0.9, weight_decay=0.1),
    "Adam": lambda: fl.Adam(0.1),
    "AdamW": lambda: fl.AdamW(0.1, weight_decay=0.1),
    "RMSprop": lambda: fl.RMSprop(0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_leaves_what_is_frozen_and_its_state(name):
    layer, alone = (fl.Dense(3, 4, seed=0, dtype="float64") for _ in range(2))
    optimizers = OPTIMIZERS[name](), OPTIMIZERS[name]()
    parameters = tuple(layer.parameters())
    rng = np.random.default_rng(0)
    for step in range(6):
        if step == 2:
            layer.parameter("weight").trainable = False
            kept = layer.parameter("weight").value.copy()
            state = copy.deepcopy(optimizers[0].state[0])
        for own in (layer, alone):
            own.parameter("bias").grad = np.arange(4.0) - step
        layer.parameter("weight").grad = rng.normal(size=(4, 3))
        optimizers[0].step(parameters)
        optimizers[1].step(alone.parameters())
        np.testing.assert_array_equal(layer.parameter("bias").value, alone.parameter("bias").value)
        if step >= 2:
            np.testing.assert_array_equal(layer.parameter("weight").value, kept)
            for slot, before in state.items():
                np.testing.assert_array_equal(optimizers[0].state[0][slot], before)
    layer.parameter("weight").trainable = True
    layer.parameter("weight").grad = np.ones((4, 3))
    optimizers[0].step(parameters)  # the very tuple of the steps before
    assert (layer.parameter("weight").value != kept).all()


def test_an_optimizer_of_ones_own_and_one_that_is_copied_skip_it_too():
    class PlainOfFrozen(optim.Optimizer):
        def update(self, value, grad, slots):
            value -= self.lr * grad

    try:
        layer = fl.Dense(2, 2, seed=0)
        layer.parameter("bias").trainable = False
        optimizer = PlainOfFrozen(1.0)
        layer.parameter("weight").grad = np.ones((2, 2))
        before = layer.parameter("weight").value.copy()
        optimizer.step(layer.parameters())
        np.testing.assert_array_equal(layer.parameter("weight").value, before - 1)
        assert not layer.parameter("bias").value.any()
    finally:
        del optim.Optimizer.registry["PlainOfFrozen"]
    adam = fl.Adam(0.5)
    adam.step(layer.parameters())
    twin, own = pickle.loads(pickle.dumps((layer, adam)))
    twin.parameter("bias").trainable = True
    twin.parameter("bias").grad = [1, 1]
    own.step(twin.parameters())
    assert twin.parameter("bias").value.all()


def test_norms_and_clipping_are_of_what_is_trained():
    layer = fl.Dense(2, 1, seed=0, dtype="float64")
    layer.parameter("weight").grad = [[30, 40]]
    layer.parameter("bias").grad = [2]
    layer.parameter("weight").trainable = False
    assert optim.grad_norm(layer.parameters()) == 2
    assert fl.clip_grad_norm(layer.parameters(), 1.0) == 2
    assert layer.parameter("bias").grad == 1
    optim.clip_grad_value(layer.parameters(), 0.5)
    assert layer.parameter("bias").grad == 0.5
    layer.parameter("weight").trainable = True
    assert not layer.parameter("weight").grad.any()


class Thaw(Callback):
    """Freezes and thaws at the beginning of epochs, or after a batch."""

    def __init__(self, model, batch=None):
        self.model, self.batch = model, batch

    def on_epoch_begin(self, progress):
        if self.batch is None:
            self.model.layers[0].trainable = progress.epoch == 2
            self.model.layers[2].parameter("bias").trainable = progress.epoch != 3

    def on_batch_end(self, progress):
        if progress.batch == self.batch:
            self.model.layers[0].trainable = progress.epoch == 2


def test_a_training_freezes_and_thaws_and_frozen_weights_keep_their_bits_under_ema():
    model = stacked()
    model.layers[0].trainable = False
    before = values(model)
    trainer = fl.Trainer(model, "mse", fl.AdamW(0.01), callbacks=[EMA(0.9)], clip_norm=1.0)
    trainer.fit(*data(), epochs=2, batch_size=8, progress=False)
    after = values(model)
    for name in before:
        assert np.array_equal(before[name], after[name]) == name.startswith("0."), name
    model.layers[0].trainable = True
    model.layers[2].trainable = False
    trainer.fit(*data(), epochs=2, batch_size=8, progress=False)
    for name, value in values(model).items():
        assert np.array_equal(value, after[name]) == name.startswith("2."), name


def test_a_training_of_nothing_changes_nothing():
    model = stacked()
    for layer in model.layers:
        layer.trainable = False
    before = values(model)
    history = fl.Trainer(model, "mse", fl.AdamW(0.01)).fit(*data(), epochs=2, batch_size=8, progress=False)
    assert len(history["loss"]) == 2
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


def learned(communicator=None, batch=None, optimizer=None, **options):
    model = fl.Model([fl.LSTM(3, 4), fl.LayerNorm(4), fl.Dense(4, 2)], dtype="float64", seed=0)
    model.layers[0].trainable = False
    trainer = fl.Trainer(
        model, "mse", optimizer or fl.Adam(0.01), callbacks=[Thaw(model, batch)], communicator=communicator, **options
    )
    history = trainer.fit(*data(), epochs=4, batch_size=8, progress=False)
    return values(model), history["loss"]


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("way", ["plain", "added up", "reproducible"])
def test_ranks_learn_the_same_and_what_is_frozen_does_not_travel(way, batch):
    options = WAYS[way]
    batch = None if way == "added up" else batch
    expected, losses = learned(batch=batch, **options)
    for found, own in on_ranks(2, lambda ranks: learned(ranks, batch, **options)):
        np.testing.assert_allclose(own, losses, rtol=1e-9)
        exact = way == "reproducible"
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=0 if exact else 1e-7, atol=0 if exact else 1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_ranks_agree_however_they_meet(way):
    (first, _), (second, _) = on_ranks(2, lambda ranks: learned(ranks, 1, **WAYS[way]))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("way", ["plain", "reproducible", "16 bits", "averaged"])
def test_less_travels(way):
    def bytes_of(frozen):
        def act(ranks):
            model = fl.Model([fl.LSTM(3, 40), fl.Dense(40, 2)], seed=0)
            model.layers[0].trainable = not frozen
            trainer = fl.Trainer(model, "mse", fl.Adam(0.01), communicator=ranks, **WAYS[way])
            trainer.fit(*data(), epochs=2, batch_size=8, progress=False)
            return sum(nbytes for _, nbytes in ranks.calls)

        return on_ranks(2, act)[0]

    assert bytes_of(True) < 0.5 * bytes_of(False)


@pytest.mark.parametrize("stop", [2, 5, 8])
def test_a_resumed_training_has_the_same_parameters_frozen(stop, tmp_path):
    def trained(*callbacks, **options):
        model = fl.Model([fl.LSTM(3, 4), fl.LayerNorm(4), fl.Dense(4, 2)], seed=0)
        trainer = fl.Trainer(model, "mse", fl.Adam(0.01), callbacks=[Thaw(model), *callbacks])
        trainer.fit(*data(), epochs=4, batch_size=8, progress=False, **options)
        return values(model)

    class Saves(Callback):
        def on_batch_begin(self, progress):
            progress.due = True

    whole = trained(Saves())
    with pytest.raises(Stop):
        trained(Saves(), StopAt(stop), resume=tmp_path)
    found = trained(Saves(), resume=tmp_path)
    for name, value in found.items():
        np.testing.assert_array_equal(value, whole[name])


def test_a_resumed_script_that_freezes_something_else_is_told(tmp_path):
    def trained(frozen, *callbacks, **options):
        model = fl.Model([fl.LSTM(3, 4), fl.LayerNorm(4), fl.Dense(4, 2)], seed=0)
        model.layers[0].trainable = "lstm" not in frozen
        model.layers[1].parameter("bias").trainable = "bias" not in frozen
        trainer = fl.Trainer(model, "mse", fl.Adam(0.01), callbacks=callbacks)
        trainer.fit(*data(), epochs=2, batch_size=8, progress=False, **options)

    with pytest.raises(Stop):
        trained(["lstm"], Checkpoint(tmp_path, every_steps=2), StopAt(4), resume=tmp_path)
    with pytest.raises(ValueError, match="trainable: expected .* got the opposite; set the same to go on") as told:
        trained(["bias"], resume=tmp_path)
    assert "0.weight_ih_l0, 0.weight_hh_l0, 0.bias_l0 frozen and 1.bias trainable, as when" in str(told.value)
    with pytest.raises(ValueError, match="trainable: expected 0.weight_ih_l0, 0.weight_hh_l0, 0.bias_l0 frozen, as"):
        trained([], resume=tmp_path)
    trained(["lstm"], resume=tmp_path)


@pytest.mark.parametrize("flags", [["0.bias_l0"], []])
def test_a_state_may_be_gone_on_with_by_the_flags_of_its_beginning_or_its_end(flags):
    model = stacked()
    model.layers[1].trainable = False
    state = {"frozen": ["1.weight", "1.bias"], "frozen at first": flags}
    restoring.require_frozen(state, model)
    restoring.require_frozen({}, model)  # of a version that did not keep it
    model.layers[1].trainable = True
    for name in flags:
        model.named_parameters()[name].trainable = False
    restoring.require_frozen(state, model)
    model.layers[2].trainable = False
    with pytest.raises(ValueError, match="trainable: expected 2.* trainable, as when the interrupted training began"):
        restoring.require_frozen(state, model)


@pytest.mark.parametrize("frozen", ["encoder", "decoder", "part"])
def test_seq2seq(frozen):
    decoder = fl.Decoder(4, 4, 5, max_steps=4, end_token=4)
    model = fl.Model([fl.Embedding(6, 3), fl.LSTM(3, 4), decoder], seed=0)
    chosen = {
        "encoder": [p for layer in model.layers[:2] for p in layer.parameters()],
        "decoder": decoder.parameters(),
        "part": [p for p in decoder.parameters() if "lstm" in p.name or "embedding" in p.name],
    }[frozen]
    for parameter in chosen:
        parameter.trainable = False
    before = values(model)
    rng = np.random.default_rng(0)
    trainer = fl.Seq2SeqTrainer(model, optimizer=fl.Adam(0.01))
    trainer.fit(rng.integers(0, 6, (16, 5)), rng.integers(0, 5, (16, 4)), epochs=2, batch_size=8, progress=False)
    names = {parameter.name for parameter in chosen}
    for name, value in values(model).items():
        assert np.array_equal(value, before[name]) == (name in names), name


def test_the_trainable_property_and_what_a_file_keeps(tmp_path):
    model = fl.Model(
        [fl.Embedding(5, 3, trainable=False), fl.LSTM(3, 4, num_layers=2, trainable={"weight_hh": False}), fl.Last()],
        seed=0,
    )
    assert [layer.trainable for layer in model.layers] == [False, True, False]
    model.layers[1].parameter("bias_l1").trainable = False
    fl.save(model, tmp_path / "m")
    loaded = fl.load(tmp_path / "m")
    names = [name for name, parameter in loaded.named_parameters().items() if not parameter.trainable]
    assert names == ["0.weight", "1.weight_hh_l0", "1.weight_hh_l1", "1.bias_l1"]
    assert "trainable=False" in repr(loaded) and repr(loaded) == repr(model)
    loaded.layers[1].trainable = True
    assert all(parameter.trainable for parameter in loaded.layers[1].parameters())
    assert "trainable" not in loaded.layers[1].config()
    assert not pickle.loads(pickle.dumps(model)).parameters()[0].trainable


def test_a_summary_says_how_many_are_frozen():
    model = fl.Model([fl.LSTM(3, 8), fl.Last(), fl.Dense(8, 1)], seed=0)
    assert "frozen" not in str(model)
    model.layers[0].trainable = False
    lines = [line.split() for line in str(model).splitlines()[-3:]]
    assert lines == [["total", "393"], ["trainable", "9"], ["frozen", "384"]]


def test_a_frozen_parameter_can_still_be_set():
    layer = fl.Dense(2, 2, trainable=False, seed=0)
    layer.parameter("weight").value = np.ones((2, 2))
    np.testing.assert_array_equal(layer(np.ones((1, 1, 2))), [[[2, 2]]])


def test_what_is_refused():
    layer = fl.Dense(2, 2)
    with pytest.raises(TypeError, match="trainable: expected True or False, got 1"):
        layer.parameter("weight").trainable = 1
    with pytest.raises(TypeError, match="trainable: expected True or False, got 'no'"):
        fl.Dense(2, 2, trainable="no")
    with pytest.raises(ValueError, match="trainable: expected names of parameters of the layer, .* got 'weight_up'"):
        fl.Dense(2, 2, trainable={"weight_up": False})


def test_a_state_that_freezes_what_is_not_there_is_refused():
    model = stacked()
    model.layers[1].trainable = False
    assert restoring.frozen_of({}, model) == ["1.weight", "1.bias"]
    assert restoring.frozen_of({"frozen": ["0.bias_l0"]}, model) == ["0.bias_l0"]
    for bad in ("0.bias", 7):
        with pytest.raises(ValueError, match=f"frozen: expected names of parameters, got {bad!r}"):
            restoring.frozen_of({"frozen": [bad]}, model)
    with pytest.raises(TypeError, match="frozen: expected a list of names, got 3"):
        restoring.frozen_of({"frozen": 3}, model)


@pytest.mark.parametrize(
    "options", [{}, {"proj_size": 2}, {"layer_norm": True}, {"two_biases": True}, {"checkpoint_every": 2}]
)
def test_a_frozen_direction_asks_for_no_gradient_of_its_weights(monkeypatch, options):
    model = fl.Model([fl.LSTM(3, 5, seed=0), fl.LSTM(5, 4, bidirectional=True, seed=1, **options)], dtype="float64")
    asked = []
    bind = TrainedDirection._bind_gradients
    monkeypatch.setattr(
        TrainedDirection, "_bind_gradients", lambda self, *rest: asked.append(self) or bind(self, *rest)
    )
    whole, dx = gradients(model, times=3)
    before = len(asked)
    model.layers[1].trainable = False
    found, own = gradients(model, times=3)
    assert (before, len(asked) - before) == (0, 0) if cpu.isa() == "plain" else (9, 3)
    np.testing.assert_array_equal(own, dx)
    for new, old, parameter in zip(found, whole, model.parameters(), strict=True):
        np.testing.assert_array_equal(new, old if parameter.trainable else 0 * old)
