"""What is accepted because its meaning is plain: names, 1-D targets, lists of sequences, shares held out."""

import copy
import pickle

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import optim

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 6, 3))
Y = X.sum((1, 2))[:, None]
LENGTHS = np.array([6, 1, 4, 2, 3, 6, 5, 2, 1, 4])
RAGGED = [x[:n] for x, n in zip(X, LENGTHS, strict=True)]


def model(per_step=False, outputs=1):
    layers = [fl.LSTM(3, 4), *([] if per_step else [fl.Last()]), fl.Dense(4, outputs)]
    return fl.Model(layers, dtype="float64", seed=0)


def fitted(x, y, loss="mse", outputs=1, per_step=False, **given):
    """The figures and the parameters after a training."""
    trainer = fl.Trainer(model(per_step, outputs), loss)
    history = trainer.fit(x, y, epochs=2, batch_size=4, seed=0, **given)
    return history.to_dict(), [p.value.tolist() for p in trainer.model.parameters()]


@pytest.mark.parametrize(
    "name, kind", [("adam", fl.Adam), ("ADAMW", fl.AdamW), ("RMSprop", fl.RMSprop), ("sgd", fl.SGD)]
)
def test_an_optimizer_by_its_name_or_class_has_its_defaults(name, kind):
    for given in (name, kind):
        found = fl.Trainer(model(), "mse", optimizer=given).optimizer
        assert type(found) is kind and found.settings() == kind().settings()


def test_an_optimizer_of_no_such_name():
    with pytest.raises(ValueError, match=r"^optimizer: expected one of \['Adam', .*'SGD'.*\], got 'adagrad'$"):
        fl.Trainer(model(), "mse", "adagrad")
    with pytest.raises(TypeError, match="^optimizer: expected an Optimizer such as .*, or its name, got 0.01"):
        optim.get(0.01)


@pytest.mark.parametrize("loss, outputs", [("mse", 1), ("quantile", 3), ("gaussian_nll", 2)])
@pytest.mark.parametrize("per_step", [False, True])
def test_targets_may_lack_a_last_axis_of_one(loss, outputs, per_step):
    y = np.cumsum(X.sum(2), 1)[..., None] if per_step else Y
    assert fitted(X, y[..., 0], loss, outputs, per_step) == fitted(X, y, loss, outputs, per_step)


def test_classes_may_have_a_last_axis_of_one():
    classes = RNG.integers(0, 3, (10, 1))
    given = ("softmax_cross_entropy", 3)
    assert fitted(X, classes, *given) == fitted(X, classes[:, 0], *given)


def test_targets_in_a_file_may_lack_a_last_axis(tmp_path):
    np.save(tmp_path / "y.npy", Y[:, 0])
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert fitted(X, mapped) == fitted(X, Y)


def test_targets_without_a_last_axis_of_several_outputs_are_refused():
    with pytest.raises(ValueError, match=r"^y: expected shape \(10, 2\), got \(10,\)$"):
        fitted(X, Y[:, 0], outputs=2)


def test_rows_with_a_1_for_each_class_are_told_what_to_do():
    with pytest.raises(ValueError, match=r"^y: expected classes .* \(10,\), got shape \(10, 3\); .* y\.argmax\(-1\)$"):
        fitted(X, np.eye(3)[RNG.integers(0, 3, 10)], "softmax_cross_entropy", 3)


def test_a_long_sequence_of_one_output_may_have_flat_targets():
    x, y = X[0], X[0].sum(1)

    def losses(target):
        return fl.Trainer(model(per_step=True), "mse").fit_sequence(x, target, window=3, epochs=2, seed=0).to_dict()

    assert losses(y) == losses(y[:, None])


@pytest.mark.parametrize("per_step", [False, True])
def test_a_list_of_sequences_has_its_own_lengths(per_step, path):
    network = model(per_step)
    found = network.predict(RAGGED)
    assert np.array_equal(found, network.predict(X, lengths=LENGTHS))
    for row, one in enumerate(RAGGED):
        alone = network.predict(one[None])[0]
        assert np.allclose(found[row][: len(one)] if per_step else found[row], alone, rtol=1e-12, atol=1e-13)
    assert np.array_equal(network(RAGGED), found) and np.array_equal(network.forward(RAGGED, network.tape()), found)


def test_a_list_of_sequences_is_filled_as_an_array_is():
    network = model(per_step=True)
    assert np.array_equal(network.predict(RAGGED, fill="last"), network.predict(X, lengths=LENGTHS, fill="last"))


def test_a_list_of_tokens():
    words = fl.Model([fl.Embedding(9, 3), fl.LSTM(3, 4)], seed=0)
    found = words.predict([[1, 2, 3], [4], []])
    assert np.array_equal(found, words.predict([[1, 2, 3], [4, 0, 0], [0, 0, 0]], lengths=[3, 1, 0]))


def test_trainings_take_lists_of_sequences():
    assert fitted(RAGGED, Y) == fitted(X, Y, lengths=LENGTHS)
    assert fitted(RAGGED, Y, bucket=True) == fitted(X, Y, lengths=LENGTHS, bucket=True)
    trainer = fl.Trainer(model(), "mse")
    assert trainer.evaluate(tuple(RAGGED), Y) == trainer.evaluate(X, Y, lengths=LENGTHS)
    held_out = fitted(X, Y, validation=(X[:5], Y[:5], LENGTHS[:5]))
    assert fitted(X, Y, validation=(RAGGED[:5], Y[:5])) == held_out
    one = fl.Trainer(model(), "mse").fit_batches([(RAGGED, Y)], epochs=2, seed=0)
    assert one == fl.Trainer(model(), "mse").fit_batches([(X, Y, LENGTHS)], epochs=2, seed=0)


def test_targets_of_each_step_beside_a_list_of_sequences():
    y = np.cumsum(X.sum(2, keepdims=True), 1)
    targets = [one[:n] for one, n in zip(y, LENGTHS, strict=True)]
    assert fitted(RAGGED, targets, per_step=True) == fitted(X, y, per_step=True, lengths=LENGTHS)
    flat = [one[:, 0] for one in targets]
    assert fitted(RAGGED, flat, per_step=True) == fitted(X, y, per_step=True, lengths=LENGTHS)


@pytest.mark.parametrize(
    "x, message",
    [
        (
            [X[0], X[1, :2, :2]],
            r"^x: expected a list of sequences with the same features, got shapes \(2, 2\) and \(6, 3\)",
        ),
        ([X[0], 3.0], "^x: expected a list of sequences with the same features"),
        ([X[0, :, :2], X[1, :3, :2]], r"^x: expected shape \(N, T, 3\), got \(2, 6, 2\)$"),
        ([["a", "b"], ["c"]], "^x: expected real numbers, got dtype <U1$"),
    ],
    ids=["features", "a number", "width", "words"],
)
def test_lists_that_are_no_sequences_are_refused(x, message):
    with pytest.raises((TypeError, ValueError), match=message):
        model().predict(x)


@pytest.mark.parametrize(
    "call",
    [
        lambda: model().predict(RAGGED, lengths=LENGTHS),
        lambda: fitted(RAGGED, Y, lengths=LENGTHS),
        lambda: fitted(RAGGED, Y, mask=np.ones((10, 6))),
    ],
)
def test_a_list_of_sequences_beside_lengths_is_refused(call):
    with pytest.raises(ValueError, match="^lengths: expected none beside a list of sequences of different lengths"):
        call()


def test_a_list_of_sequences_beside_a_mask_is_refused():
    with pytest.raises(ValueError, match="^mask: expected either lengths or a mask, got both$"):
        model().predict(RAGGED, mask=np.ones((10, 6)))


@pytest.mark.parametrize("share, n", [(0.2, 8), (0.5, 5), (0.01, 9), (0.99, 0)])
def test_the_last_share_is_held_out(share, n):
    if n == 0:
        with pytest.raises(ValueError, match="^validation_split: expected a share that leaves .*, got 0.99 of 10"):
            fitted(X, Y, validation_split=share)
        return
    weight = np.linspace(1, 2, 10)
    given = {"lengths": LENGTHS[:n], "sample_weight": weight[:n]}
    trainer = fl.Trainer(model(), "mse")
    history = trainer.fit(X, Y, epochs=1, seed=0, validation_split=share, lengths=LENGTHS, sample_weight=weight)
    other = fl.Trainer(model(), "mse")
    assert history["loss"] == other.fit(X[:n], Y[:n], epochs=1, seed=0, **given)["loss"]
    last = other.evaluate(X[n:], Y[n:], lengths=LENGTHS[n:], sample_weight=weight[n:])
    assert history["val_loss"] == pytest.approx([last["loss"]])


@pytest.mark.parametrize("convert", [np.ndarray.tolist, list], ids=["lists", "rows"])
def test_what_is_held_out_may_come_of_lists(convert):
    assert fitted(convert(X), convert(Y), validation_split=0.3) == fitted(X, Y, validation_split=0.3)


def test_a_share_of_a_file_is_read_batch_by_batch(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    from fastlstm.training import checked

    kept = []
    monkeypatch.setattr(
        checked,
        "Lazy",
        type(
            "Lazy",
            (checked.Lazy,),
            {
                "__init__": lambda self, array, dtype: (
                    kept.append(len(array)),
                    checked.Lazy.__mro__[1].__init__(self, array, dtype),
                )[1]
            },
        ),
    )
    assert fitted(mapped, Y, validation_split=0.3) == fitted(X, Y, validation_split=0.3)
    assert sorted(kept) == [3, 7]


@pytest.mark.parametrize("share", [0, 1.0, -0.1])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="^validation_split: expected "):
        fitted(X, Y, validation_split=share)


def test_two_validations_are_refused():
    with pytest.raises(ValueError, match="^validation_split: expected either this or validation, got both$"):
        fitted(X, Y, validation=(X, Y), validation_split=0.2)


def test_a_model_is_a_row_of_layers():
    network = model()
    assert len(network) == 3 and list(network) == list(network.layers)
    assert network[0] is network.layers[0] and network[-1] is network.layers[2]
    with pytest.raises(IndexError):
        network[3]


def test_a_part_of_a_model_shares_its_layers():
    network = model()
    part = network[:2]
    assert isinstance(part, fl.Model) and part.layers == network.layers[:2] and part.dtype == network.dtype
    features = part.predict(X)
    dense = network[2]
    expected = features @ dense.parameter("weight").value.T + dense.parameter("bias").value
    assert np.allclose(network.predict(X), expected, rtol=1e-12)
    fl.Trainer(network, "mse").fit(X, Y, epochs=1, seed=0)
    assert not np.allclose(part.predict(X), features)
    assert [name.split(".")[0] for name in network.named_parameters()] == ["0", "0", "0", "2", "2"]
    with pytest.raises(ValueError, match="^layers: expected at least one, got none$"):
        network[3:]


def test_a_trainer_predicts_and_tells_itself():
    trainer = fl.Trainer(model(), fl.huber.with_options(delta=0.5), fl.SGD(0.1, momentum=0.9))
    assert np.array_equal(trainer.predict(X, lengths=LENGTHS), trainer.model.predict(X, lengths=LENGTHS))
    assert repr(trainer) == (
        f"Trainer({trainer.model!r}, huber(time='mean', delta=0.5), "
        "SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0))"
    )


def test_models_still_are_copied_and_pickled():
    network = model()
    for again in (copy.copy(network), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert np.array_equal(again.predict(X), network.predict(X))


def test_a_history_becomes_a_table():
    pandas = pytest.importorskip("pandas")
    history = fl.Trainer(model(), "mse", metrics=["mae"]).fit(X, Y, epochs=3, seed=0, validation_split=0.2)
    table = pandas.DataFrame(history)
    assert sorted(table) == ["loss", "mae", "val_loss", "val_mae"] and table["loss"].tolist() == history["loss"]


def behind(activation):
    return fl.Softmax() if activation == "softmax" else fl.Activation(activation)


@pytest.mark.parametrize("activation", ["relu", "softmax", "swish", ("leaky_relu", 0.3), "gelu"])
def test_a_dense_layer_brings_its_activation_along(activation, path):
    def networks(inner):
        short = fl.Dense(4, 2, activation=activation, seed=1)
        long = [fl.Dense(4, 2, seed=1), behind(activation)]
        return [inner([short]), inner(long)]

    for inner in (
        lambda dense: fl.Model([fl.LSTM(3, 4), *dense, fl.Dense(2, 1)], dtype="float64", seed=0),
        lambda dense: fl.Model([fl.LSTM(3, 4), fl.Last(), *dense], dtype="float64", seed=0),
        lambda dense: fl.Model([fl.LSTM(3, 4), fl.Residual([*dense, fl.Dense(2, 4)])], dtype="float64", seed=0),
        lambda dense: fl.Model([fl.LSTM(3, 4), fl.Concat(dense, [fl.Dense(4, 1)])], dtype="float64", seed=0),
        lambda dense: fl.Model([fl.EachStep([fl.Dense(1, 4), *dense], steps=3)], dtype="float64", seed=0),
    ):
        short, long = networks(inner)
        assert str(short) == str(long)
        assert {*short.named_parameters()} == {*long.named_parameters()}
        for name, parameter in long.named_parameters().items():
            short.named_parameters()[name].value = parameter.value
        assert np.array_equal(short.predict(X), long.predict(X))


def test_a_dense_layer_with_an_activation_by_itself(path):
    layer, x = fl.Dense(3, 4, activation="relu", dtype="float64", seed=1), X[0]
    expected = np.maximum(x @ layer.parameter("weight").value.T, 0)
    for _ in range(2):  # the second time by a kept program
        assert np.allclose(layer(x), expected, rtol=1e-12)
        assert np.allclose(layer(X[:1]), expected[None], rtol=1e-12)


def test_a_dense_layer_with_an_activation_is_saved_and_told(tmp_path):
    network = fl.Model([fl.LSTM(3, 4), fl.Dense(4, 2, activation="relu"), fl.Dense(2, 1, activation="linear")], seed=0)
    assert [type(layer).__name__ for layer in network] == ["LSTM", "Dense", "Activation", "Dense"]
    fl.save(network, tmp_path / "m.safetensors")
    again = fl.load(tmp_path / "m.safetensors")
    assert str(again) == str(network) and np.array_equal(again.predict(X), network.predict(X))
    said = repr(network)
    assert said.count("relu") == 1 and "bias=True, activation='relu')" in said
    same = eval(said, {"Model": fl.Model, "LSTM": fl.LSTM, "Dense": fl.Dense})
    assert str(same) == str(network)


def test_a_dense_layer_in_two_models_brings_the_same_activation():
    layer = fl.Dense(3, 2, activation="tanh")
    first, second = fl.Model([layer], seed=0), fl.Model([layer], seed=0)
    assert first[1] is second[1] and np.array_equal(first.predict(X), second.predict(X))


def test_layers_that_stand_in_a_row_already_bring_nothing_along():
    network = fl.Model([fl.LSTM(3, 4), fl.Dense(4, 2, activation="relu"), fl.Dense(2, 1)], seed=0)
    assert fl.Model([*network, fl.Dense(1, 1)]).layers[:4] == network.layers
    assert fl.Model(network.layers).layers == network.layers
    for k in range(1, 4):
        assert network[:k].layers == network.layers[:k]
    assert network[:2].predict(X).min() < 0 and network[:3].predict(X).min() == 0
    again = copy.deepcopy(network)
    assert fl.Model(again.layers).layers == again.layers


def test_a_dense_layer_with_an_activation_is_trained():
    y = np.abs(Y)
    losses = []
    for dense in ([fl.Dense(4, 1, activation="softplus")], [fl.Dense(4, 1), fl.Activation("softplus")]):
        network = fl.Model([fl.LSTM(3, 4, seed=1), fl.Last(), *dense], dtype="float64", seed=0)
        network[2].parameter("weight").value = np.full((1, 4), 0.5)
        losses.append(fl.Trainer(network, "mse").fit(X, y, epochs=3, seed=0)["loss"])
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]


@pytest.mark.parametrize(
    "activation, message", [("rleu", "expected one of sigmoid, .*, got 'rleu'$"), (3, "expected a name")]
)
def test_an_activation_that_is_not_known_is_named(activation, message):
    with pytest.raises((TypeError, ValueError), match=f"^activation: {message}"):
        fl.Dense(3, 4, activation=activation)
