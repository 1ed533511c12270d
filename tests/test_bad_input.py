"""Every kind of bad input gets an error that names the argument, what was expected and what came."""

import numpy as np
import pytest

import fastlstm as fl


def model():
    return fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 2)], seed=0)


def words():
    return fl.Model([fl.Embedding(10, 3), fl.LSTM(3, 4), fl.Dense(4, 10)], seed=0)


def trainer():
    return fl.Trainer(model(), fl.mse)


X = np.zeros((2, 5, 3))


def backward(dy):
    m = model()
    tape = m.tape()
    m.forward(X, tape, training=True)
    m.backward(dy, tape)


def fit(loss="mse", metrics=()):
    return fl.Trainer(model(), loss, metrics=list(metrics)).fit(X, np.zeros((2, 2)), epochs=1)


def metric_of(value):
    def found(pred, target, weights):
        return value

    return found


def spoilt(value, at=(1, 2, 0)):
    x = X.copy()
    x[at] = value
    return x


VALUE_ERRORS = {
    "rank": (lambda: model().predict(np.zeros((5, 3))), r"x: expected shape \(N, T, 3\), got \(5, 3\)"),
    "features": (lambda: model().predict(np.zeros((2, 5, 4))), r"x: expected shape \(N, T, 3\), got \(2, 5, 4\)"),
    "empty batch": (
        lambda: model().predict(np.zeros((0, 5, 3))),
        r"x: expected shape \(N, T, 3\) with N and T at least 1, got \(0, 5, 3\)",
    ),
    "no steps": (lambda: model().predict(np.zeros((2, 0, 3))), r"with N and T at least 1, got \(2, 0, 3\)"),
    "nan": (lambda: model().predict(spoilt(np.nan)), r"x: expected finite numbers, got nan at \[1, 2, 0\]"),
    "infinity": (lambda: model().predict(spoilt(-np.inf)), r"x: expected finite numbers, got -inf at \[1, 2, 0\]"),
    "too large for float32": (lambda: model().predict(spoilt(1e300)), r"got inf at \[1, 2, 0\]"),
    "nan in forward": (
        lambda: (lambda m: m.forward(spoilt(np.nan), m.tape(), training=True))(model()),
        r"x: expected finite numbers, got nan at \[1, 2, 0\]",
    ),
    "ragged lists": (
        lambda: model().predict([[[1, 2, 3]], [[1, 2, 3], [4, 5]]]),
        "x 1: expected a regular array of numbers, got list",
    ),
    "negative length": (lambda: model().predict(X, lengths=[-1, 2]), r"lengths: expected 0 to 5, got -1 at \[0\]"),
    "length beyond T": (lambda: model().predict(X, lengths=[6, 2]), r"lengths: expected 0 to 5, got 6 at \[0\]"),
    "number of lengths": (lambda: model().predict(X, lengths=[1, 2, 3]), r"lengths: expected shape \(2,\), got \(3,\)"),
    "token beyond": (lambda: words().predict([[3, 10]]), r"x: expected 0 to 9, got 10 at \[0, 1\]"),
    "negative token": (lambda: words().predict([[3, -1]]), r"x: expected 0 to 9, got -1 at \[0, 1\]"),
    "rank of tokens": (lambda: words().predict([3, 1]), r"x: expected shape \(N, T\), got \(2,\)"),
    "batch size": (lambda: model().predict(X, batch_size=0), "batch_size: expected at least 1, got 0"),
    "state shape": (
        lambda: fl.LSTM(3, 4)(X, state=(np.zeros((1, 2, 4)), np.zeros((2, 2, 4)))),
        r"state c: expected shape \(1, 2, 4\), got \(2, 2, 4\)",
    ),
    "nan in state": (
        lambda: fl.LSTM(3, 4)(X, state=(np.full((1, 2, 4), np.nan), np.zeros((1, 2, 4)))),
        r"state h: expected finite numbers, got nan at \[0, 0, 0\]",
    ),
    "layer sizes": (
        lambda: fl.Model([fl.LSTM(3, 8), fl.Dense(4, 1)]),
        r"layer 1 \(Dense\): input_size: expected 8, the size of what comes in, got 4",
    ),
    "after Last": (
        lambda: fl.Model([fl.LSTM(3, 8), fl.Last(), fl.LSTM(8, 8)]),
        r"layer 2 \(LSTM\): LSTM takes sequences \(N, T, 8\), got \(N, 8\)",
    ),
    "Last twice": (lambda: fl.Model([fl.Last(), fl.Last()]), r"layer 1 \(Last\): Last takes sequences"),
    "Embedding later": (
        lambda: fl.Model([fl.LSTM(3, 8), fl.Embedding(3, 3)]),
        r"layer 1 \(Embedding\): Embedding takes tokens \(N, T\) and must be the first layer",
    ),
    "no layers": (lambda: fl.Model([]), "layers: expected at least one, got none"),
    "layer dtype": (
        lambda: fl.Model([fl.LSTM(3, 8, dtype="float64")]),
        r"dtype: layer 0 \(LSTM\) is float64, but the model is float32; pass dtype='float64'",
    ),
    "hidden size": (lambda: fl.LSTM(3, 0), "hidden_size: expected at least 1, got 0"),
    "dropout": (lambda: fl.LSTM(3, 4, dropout=1.0), "dropout: expected at least 0 and below 1, got 1.0"),
    "rate": (lambda: fl.Dropout(-0.1), "rate: expected at least 0 and below 1, got -0.1"),
    "bidirectional stream": (
        lambda: fl.Model([fl.LSTM(3, 4, bidirectional=True)]).stream(),
        r"layer 0 \(LSTM\): a bidirectional LSTM cannot stream",
    ),
    "stream batch": (lambda: model().stream(2).step(np.zeros((3, 3))), r"x_t: expected shape \(2, 3\), got \(3, 3\)"),
    "stream features": (lambda: model().stream().step(np.zeros(4)), r"x_t: expected shape \(1, 3\), got \(1, 4\)"),
    "stream tokens": (lambda: words().stream(2).step([3]), r"x_t: expected shape \(2,\), got \(1,\)"),
    "stream token beyond": (lambda: words().stream().step(10), r"x_t: expected 0 to 9, got 10 at \[0\]"),
    "stream nan": (lambda: model().stream().step([0, np.nan, 0]), "x_t: expected finite numbers, got nan"),
    "stream block": (lambda: model().stream(2).run(X[:1]), r"x: expected shape \(2, T, 3\), got \(1, 5, 3\)"),
    "reset": (lambda: model().stream(2).reset(2), "rows: expected rows of a batch of 2, got 2"),
    "huge reset": (lambda: model().stream(2).reset(np.uint64(2**64 - 1)), "rows: expected rows of a batch of 2, got"),
    "number of targets": (
        lambda: trainer().fit(X, np.zeros((3, 2)), epochs=1),
        r"y: expected shape \(2, 2\), got \(3, 2\)",
    ),
    "shape of targets": (
        lambda: trainer().fit(X, np.zeros((2, 3)), epochs=1),
        r"y: expected shape \(2, 2\), got \(2, 3\)",
    ),
    "class out of range": (
        lambda: fl.Trainer(model(), "softmax_cross_entropy").fit(X, [0, 2], epochs=1, shuffle=False),
        r"y: expected 0 to 1, got 2 at \[1\]",
    ),
    "nan in targets": (
        lambda: trainer().fit(X, [[0, 0], [0, np.nan]], epochs=1),
        r"y: expected finite numbers, got nan at \[1, 1\]",
    ),
    "nan in the targets of validation": (
        lambda: trainer().fit(X, np.zeros((2, 2)), epochs=1, validation=(X, np.full((2, 2), np.nan))),
        r"y: expected finite numbers, got nan at \[0, 0\]",
    ),
    "no weight at all": (
        lambda: trainer().fit(X, np.zeros((2, 2)), epochs=1, sample_weight=[0, 0]),
        "sample_weight: expected at least one real step with a weight above 0, got none",
    ),
    "no weight that a float32 holds as a normal number": (
        lambda: trainer().fit(X, np.zeros((2, 2)), epochs=1, sample_weight=np.full(2, 1e-39, "f4")),
        "sample_weight: expected at least one real step with a weight above 0, got none",
    ),
    "no weight of a class either": (
        lambda: fl.Trainer(model(), "softmax_cross_entropy").fit(X, [0, 0], epochs=1, class_weight={0: 1e-39}),
        "sample_weight: expected at least one real step with a weight above 0, got none",
    ),
    "metrics of one name": (
        lambda: fl.Trainer(model(), fl.mse, metrics=["mae", "mae"]),
        "metrics: expected names of their own, got 'mae' twice",
    ),
    "patience": (lambda: fl.EarlyStopping(patience=0), "patience: expected at least 1, got 0"),
    "mode": (lambda: fl.EarlyStopping(mode="up"), "mode: expected 'min', 'max' or 'auto', got 'up'"),
    "seed": (lambda: fl.Model([fl.LSTM(3, 4)], seed=-1), "seed: expected at least 0, got -1"),
    "features after dropout": (
        lambda: fl.Model([fl.Dropout(0.1), fl.LSTM(3, 4)]).predict(np.zeros((2, 5, 4))),
        r"x: expected shape \(N, T, 3\), got \(2, 5, 4\)",
    ),
    "shape of dy": (lambda: backward(np.zeros((2, 3))), r"dy: expected shape \(2, 2\), got \(2, 3\)"),
    "rank of dy": (lambda: backward(np.zeros(4)), r"dy: expected shape \(2, 2\), got \(4,\)"),
    "nan in dy": (lambda: backward([[0, 0], [0, np.nan]]), r"dy: expected finite numbers, got nan at \[1, 1\]"),
    "another model's tape": (
        lambda: model().forward(X, model().tape()),
        "tape: expected one from this model's tape",
    ),
    "no tape": (lambda: model().forward(X, None), r"tape: expected one from this model's tape\(\), got None"),
    "mask of reset": (lambda: model().stream(2).reset(True), "rows: expected rows of a batch of 2, got True"),
    "ragged block": (lambda: model().stream().run([[[1, 2, 3], [4]]]), "x: expected a regular array"),
    "epochs": (lambda: trainer().fit(X, np.zeros((2, 2)), epochs=0), "epochs: expected at least 1, got 0"),
    "nan in training": (lambda: trainer().fit(spoilt(np.nan), np.zeros((2, 2)), epochs=1), r"x: .* nan at \[1, 2, 0\]"),
    "nan in validation": (
        lambda: trainer().fit(X, np.zeros((2, 2)), epochs=1, validation=(spoilt(np.nan), np.zeros((2, 2)))),
        r"x: expected finite numbers, got nan at \[1, 2, 0\]",
    ),
    "sample weight": (
        lambda: trainer().fit(X, np.zeros((2, 2)), epochs=1, sample_weight=[1, 2, 3]),
        r"sample_weight: expected shape \(2,\), got \(3,\)",
    ),
    "unknown loss": (lambda: fl.Trainer(model(), "mean squared"), "loss: expected one of"),
    "unknown metric": (lambda: fl.Trainer(model(), fl.mse, metrics=["roc"]), "metrics: expected some of"),
    "clip norm": (lambda: fl.Trainer(model(), fl.mse, clip_norm=-1), "clip_norm: expected at least 0, got -1"),
}

TYPE_ERRORS = {
    "words": (lambda: model().predict([[["a", "b", "c"]]]), "x: expected real numbers, got dtype <U1"),
    "complex": (lambda: model().predict(X.astype(complex)), "x: expected real numbers, got dtype complex128"),
    "objects": (lambda: model().predict(X.astype(object)), "x: expected real numbers, got dtype object"),
    "tokens that are no integers": (
        lambda: words().predict([[1.0, 2.0]]),
        "x: expected whole numbers, got dtype float64",
    ),
    "lengths that are no integers": (
        lambda: model().predict(X, lengths=[1.5, 2]),
        "lengths: expected whole numbers, got dtype float64",
    ),
    "dtype": (lambda: fl.LSTM(3, 4, dtype="float16"), "dtype: expected 'float32' or 'float64', got 'float16'"),
    "no dtype": (lambda: fl.Model([fl.LSTM(3, 4)], dtype="single precision"), "dtype: expected 'float32' or 'float64'"),
    "size": (lambda: fl.LSTM(3, 4.0), r"hidden_size: expected a whole number, got 4\.0"),
    "size True": (lambda: fl.LSTM(True, 4), "input_size: expected a whole number, got True"),
    "state": (lambda: fl.LSTM(3, 4)(X, state=np.zeros((1, 2, 4))), r"state: expected a tuple \(h, c\), got ndarray"),
    "parts of the state": (
        lambda: fl.LSTM(3, 4)(X, state=(np.zeros((1, 2, 4)),)),
        r"state: expected a tuple \(h, c\), got tuple of 1",
    ),
    "masked": (lambda: model().predict(np.ma.masked_array(X)), "x: expected a plain array, got a masked one"),
    "flag": (lambda: fl.LSTM(3, 4, bidirectional="no"), "bidirectional: expected True or False, got 'no'"),
    "no list of layers": (lambda: fl.Model(fl.LSTM(3, 4)), "layers: expected a list of layers, got LSTM"),
    "seed of words": (lambda: fl.LSTM(3, 4, seed="a"), "seed: expected a whole number or None, got 'a'"),
    "no list of metrics": (
        lambda: fl.Trainer(model(), fl.mse, metrics="mae"),
        "metrics: expected a list of names or functions, got 'mae'",
    ),
    "callback class": (
        lambda: fl.Trainer(model(), fl.mse, callbacks=[fl.EarlyStopping]),
        "callbacks: expected objects of Callback, got <class",
    ),
    "unknown argument": (lambda: fl.LSTM(3, 4, layers=2), "unexpected keyword argument 'layers'"),
    "argument of other cells": (
        lambda: fl.MinLSTM(3, 4, weight_dropout=0.5),
        r"MinLSTM.__init__\(\) got an unexpected keyword argument 'weight_dropout'",
    ),
    "unknown argument of fit": (lambda: trainer().fit(X, X, epochs=1, epoch=3), "unexpected keyword argument 'epoch'"),
    "positional num_layers": (lambda: fl.LSTM(3, 4, 2), "positional arguments"),
    "no layer": (lambda: fl.Model([fl.LSTM]), "layers: expected layers, got <class .*LSTM'> at 0"),
    "no model": (lambda: fl.Trainer(fl.LSTM(3, 4), fl.mse), "model: expected a Model, got LSTM"),
    "no optimizer": (lambda: fl.Trainer(model(), fl.mse, 0.01), "optimizer: expected an Optimizer"),
    "optimizer class": (lambda: fl.Trainer(model(), fl.mse, fl.Model), "optimizer: expected an Optimizer"),
    "no loss": (lambda: fl.Trainer(model(), 3), "loss: expected a loss or its name, got 3"),
    "a loss that returns nothing": (
        lambda: fit(loss=lambda pred, target, weight: None),
        r"loss: expected \(value, dpred\), a number and its gradient by pred, got None",
    ),
    "a loss without a gradient": (
        lambda: fit(loss=lambda pred, target, weight: (1.0,)),
        r"loss: expected \(value, dpred\), a number and its gradient by pred, got \(1\.0,\)",
    ),
    "a loss whose gradient is None": (
        lambda: fit(loss=lambda pred, target, weight: (1.0, None)),
        r"loss: expected \(value, dpred\), a number and its gradient by pred, got \(1\.0, None\)",
    ),
    "a loss of words": (
        lambda: fit(loss=lambda pred, target, weight: ("a", pred)),
        "value of the loss: expected a number, got dtype <U1",
    ),
    "a loss of each feature": (
        lambda: fit(loss=lambda pred, target, weight: (np.ones(3), pred)),
        r"value of the loss: expected a number, got an array of shape \(3,\)",
    ),
    "a metric that returns nothing": (
        lambda: fit(metrics=[metric_of(None)]),
        "metric found: expected a number, got None",
    ),
    "a metric of words": (lambda: fit(metrics=[metric_of("1")]), "metric found: expected a number, got dtype <U1"),
    "a metric of each feature": (
        lambda: fit(metrics=[metric_of(np.ones(3))]),
        r"metric found: expected a number, got an array of shape \(3,\)",
    ),
    "a measure without a value": (
        lambda: fit(metrics=[fl.metrics.Mean(fl.metrics.mae, "then", lambda mean: None)]),
        "metric then: expected a number, got None",
    ),
    "validation": (
        lambda: trainer().fit(X, np.zeros((2, 2)), epochs=1, validation=0.2),
        r"validation: expected \(x, y\) or \(x, y, lengths\), got float; a share of x is validation_split=0.2",
    ),
}


@pytest.mark.parametrize(("act", "message"), VALUE_ERRORS.values(), ids=VALUE_ERRORS.keys())
def test_value_errors(act, message):
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize(("act", "message"), TYPE_ERRORS.values(), ids=TYPE_ERRORS.keys())
def test_type_errors(act, message):
    with pytest.raises(TypeError, match=message):
        act()


def test_a_layer_stands_in_a_model_once():
    layer = fl.Dense(3, 3)
    with pytest.raises(ValueError, match="layers: Dense at 1 stands in the model twice"):
        fl.Model([layer, layer])


@pytest.mark.parametrize("size", [1, 15, 16, 17, 4096, 5000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_number_that_is_not_finite_is_found(size, value, dtype):
    from fastlstm._kernels.rows import first_nonfinite

    x = np.full(size, np.finfo(dtype).max, dtype)
    assert first_nonfinite(x) == -1
    for at in {0, size // 2, size - 1}:
        spoilt = x.copy()
        spoilt[at:] = value
        assert first_nonfinite(spoilt) == at
