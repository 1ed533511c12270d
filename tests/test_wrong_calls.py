"""Calls that people who know Keras or PyTorch get wrong: errors name the argument, what was expected and what came."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import callbacks, classification, data, init, io, metrics, regularizers, speech, text

X = np.ones((4, 5, 3), "float32")
LAYER = fl.LSTM(3, 4, seed=0)


def model():
    return fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 1)], seed=0)


class Shapeless(fl.Layer):
    """A layer that has forgotten input_shape."""

    def output_shape(self, shape):
        return shape


CALLS = {
    # what is no array
    "None": (lambda: model()(None), TypeError, r"^x: expected real numbers, got None$"),
    "generator": (lambda: model()(row for row in X), TypeError, r"^x: expected real numbers, got generator$"),
    "dict": (lambda: model()({"x": X}), TypeError, r"^x: expected real numbers, got dict$"),
    "target": (lambda: fl.Trainer(model(), "mse").fit(X, None, epochs=1), TypeError, r"^y: expected .*, got None$"),
    "mask": (lambda: model()(X, mask={}), TypeError, r"^mask: expected True and False, or 1 and 0, got dict$"),
    "lengths": (
        lambda: model()(X, lengths=(n for n in range(4))),
        TypeError,
        r"^lengths: expected whole numbers, got generator$",
    ),
    "state": (lambda: LAYER(X, (None, None)), TypeError, r"^state h: expected real numbers, got None$"),
    "value": (lambda: setattr(LAYER.parameter("bias_l0"), "value", None), TypeError, r"^bias_l0: .*, got None$"),
    "gradient": (
        lambda: model().backward(None, model().tape()),
        ValueError,
        r"^tape: expected one from this model's tape\(\), got ",
    ),
    # axes
    "features before steps": (
        lambda: LAYER(np.ones((4, 3, 7))),
        ValueError,
        r"^x: expected shape \(N, T, 3\), got \(4, 3, 7\); where features stand before steps, x\.swapaxes\(1, 2\) ",
    ),
    "features nowhere": (lambda: LAYER(np.ones((3, 4, 5))), ValueError, r"^x: expected .*, got \(3, 4, 5\)$"),
    "features before steps, of a model": (
        lambda: model().predict(np.ones((4, 3, 7))),
        ValueError,
        r"x\.swapaxes\(1, 2\) turns them round$",
    ),
    # a model and its layers
    "a layer by name": (
        lambda: model()["lstm"],
        TypeError,
        r"^index: expected -3 to 2, or a slice of layers, got 'lstm'$",
    ),
    "no such layer": (lambda: model()[3], IndexError, r"^index: expected -3 to 2, or a slice of layers, got 3$"),
    "no input_shape": (
        lambda: fl.Model([Shapeless()]),
        TypeError,
        r"^layer 0: Shapeless must set input_shape, such as \('N', 'T', 3\)$",
    ),
    "no such parameter": (
        lambda: LAYER.parameter("kernel"),
        KeyError,
        r"LSTM has no parameter 'kernel'; it has weight_ih_l0, weight_hh_l0, bias_l0",
    ),
    "no such buffer": (lambda: LAYER.buffer("mean"), KeyError, r"LSTM has no buffer 'mean'; it has none"),
    "parameters missing": (
        lambda: fl.Dense(3, 4).load_parameters({"weight": np.ones((4, 3))}, "float32"),
        KeyError,
        r"arrays: expected weight, bias, got none for bias",
    ),
    "parameters as a list": (
        lambda: fl.Dense(3, 4).load_parameters([np.ones((4, 3))], "float32"),
        TypeError,
        r"^arrays: expected a dict of arrays by name, got list$",
    ),
    "too large": (
        lambda: fl.Dense(1 << 40, 1 << 16).build(),
        MemoryError,
        r"^weight: expected memory for starting values of shape \(65536, 1099511627776\): ",
    ),
    "larger than any array": (
        lambda: fl.Dense(10**30, 4).build(),
        MemoryError,
        rf"^weight: expected memory for starting values of shape \(4, {10**30}\): no array can be as large$",
    ),
    "more bytes than there are addresses": (
        lambda: fl.Model([fl.LSTM(3, 2**62)]),
        MemoryError,
        rf"^weight_ih_l0: expected memory for starting values of shape \({2**64}, 3\): no array can be as large$",
    ),
    "streams": (
        lambda: fl.Model([fl.LSTM(3, 256)]).stream(2**40),
        MemoryError,
        rf"^batch: expected memory for the states of {2**40} sequences: Unable to allocate",
    ),
    "more streams than any": (
        lambda: model().stream(10**30),
        ValueError,
        rf"^batch: expected at most {2**40}, got {10**30}$",
    ),
    "half of a validation": (
        lambda: fl.Trainer(model(), "mse").fit(X, np.ones((4, 1)), epochs=1, validation=(X,)),
        TypeError,
        r"^validation: expected \(x, y\) or \(x, y, lengths\), got tuple of 1$",
    ),
    "seed": (lambda: fl.Workspace("a").rng, TypeError, r"^seed: expected a whole number or None, got 'a'$"),
    # parameters of optimizers and penalties
    "step of nothing": (lambda: fl.Adam().step(None), TypeError, r"^parameters: expected .*, got NoneType$"),
    "step of a model": (
        lambda: fl.Adam().step(model()),
        TypeError,
        r"^parameters: expected those of a model, model\.parameters\(\), got LSTM in Model$",
    ),
    "norm": (lambda: fl.optim.grad_norm(model()), TypeError, r"^parameters: expected .*, got LSTM in Model$"),
    "clip": (lambda: fl.clip_grad_norm(model(), 1.0), TypeError, r"^parameters: expected .*, got LSTM in Model$"),
    "clip arrays": (
        lambda: fl.optim.clip_grad_value([X], 1.0),
        TypeError,
        r"^parameters: expected .*, got ndarray in list$",
    ),
    "penalty": (lambda: regularizers.penalty(model()), TypeError, r"^parameters: expected .*, got LSTM\("),
    "penalties": (lambda: regularizers.add_gradients(3), TypeError, r"^parameters: expected a list of .*, got 3$"),
    "starting values": (
        lambda: init.HeUniform()(0, (3, 4)),
        TypeError,
        r"^rng: expected a numpy\.random\.Generator, got int$",
    ),
    # paths
    "checkpoint": (lambda: fl.Checkpoint(None), TypeError, r"^folder: expected a str or a path, got None$"),
    "log": (lambda: callbacks.CSVLog(3), TypeError, r"^path: expected a str or a path, got 3$"),
    "board": (lambda: callbacks.TensorBoard(3), TypeError, r"^folder: expected a str or a path, got 3$"),
    "recordings": (lambda: speech.read_recordings(None), TypeError, r"^path: expected a str or a path, got None$"),
    "onnx": (lambda: io.from_onnx(3), TypeError, r"^path: expected a str or a path, got 3$"),
    # figures and metrics
    "history of a list": (lambda: fl.History.from_dict([1]), TypeError, r"^figures: expected .* by name, got list$"),
    "history of words": (
        lambda: fl.History.from_dict({"loss": ["a"]}),
        TypeError,
        r"^figures: expected numbers of 'loss', got \['a'\]$",
    ),
    "accuracy of nothing": (lambda: metrics.accuracy(None, None), TypeError, r"^pred: expected an array, got None$"),
    "error of lists": (lambda: metrics.mae([[1.0]], [[1.0]]), TypeError, r"^pred: expected an array, got list$"),
    "scale": (lambda: metrics.mase("a"), TypeError, r"^scale: expected numbers, got dtype <U1$"),
    "edits": (lambda: metrics.edit_distance(3, "a"), TypeError, r"^a: expected a sequence of labels, got int$"),
    "edits of no axis": (
        lambda: metrics.edit_distance("a", np.array(3)),
        TypeError,
        r"^b: expected a sequence of labels, got ndarray of shape \(\)$",
    ),
    "errors of no axis": (
        lambda: metrics.error_rate([("a", np.array("a"))]),
        TypeError,
        r"^pairs: expected a sequence of labels, got ndarray of shape \(\)$",
    ),
    "map": (lambda: data.Arrays(X, X).map(3), TypeError, r"^function: expected a function of a batch's arrays, got 3$"),
    # applications
    "text": (lambda: text.split(3), TypeError, r"^text: expected a str, got int$"),
    "vocabulary": (
        lambda: text.LanguageModel("abc"),
        TypeError,
        r"^vocabulary: expected a Vocabulary, such as Vocabulary\.of\(text\), got str$",
    ),
    "recipe": (
        lambda: text.LanguageModel(text.Vocabulary.of("ab"), {"hidden_size": 3}),
        TypeError,
        r"^recipe: expected a Recipe or None, got dict$",
    ),
    "recipe of a classifier": (
        lambda: classification.Classifier("small"),
        TypeError,
        r"^recipe: expected a Recipe or None, got str$",
    ),
    "recordings as paths": (
        lambda: speech.WordClassifier().fit(["a.wav"]),
        TypeError,
        r"^recordings: expected objects of Recording, got str$",
    ),
    "signal of two channels": (
        lambda: speech.LogMel()(np.ones((100, 2))),
        ValueError,
        r"^signal: expected shape \(L,\), got \(100, 2\)$",
    ),
    "signal as a path": (
        lambda: speech.LogMel()("a.wav"),
        TypeError,
        r"^signal: expected samples, real numbers, got dtype <U5$",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_says_which_argument_is_wrong_and_how(name):
    call, kind, message = CALLS[name]
    with pytest.raises(kind, match=message if kind is not KeyError else None) as caught:
        call()
    assert kind is not KeyError or caught.match(message)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda plot: plot.learning_curves_figure(3), r"^history: expected a History, or lists .*, got int$"),
        (lambda plot: plot.gates_figure(3), r"^gates: expected what LSTM\.gates returns, got int$"),
        (lambda plot: plot.save_figure(3, "figure.png"), r"^figure: expected a figure of matplotlib, got int$"),
        (lambda plot: plot.new_figure("wide"), r"^width: expected a number, got 'wide'$"),
    ],
    ids=["curves", "gates", "save", "size"],
)
def test_a_wrong_call_of_a_figure_says_so_too(call, message):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    with pytest.raises(TypeError, match=message):
        call(fl.plot)


@pytest.mark.parametrize(("x", "got"), [(None, "None"), ((row for row in X), "generator"), (3, "int")])
def test_a_wrong_x_of_an_estimator_is_named(x, got):
    pytest.importorskip("sklearn", reason="estimators need scikit-learn")
    for call in (lambda one: one.fit(x, [0, 1] * 2), lambda one: one.fit(X, [0, 1] * 2).predict(x)):
        with pytest.raises(TypeError, match=rf"^X: expected sequences \(n, T, F\), a list of them, .*, got {got}$"):
            call(fl.estimators.LSTMClassifier(2, max_iter=1))


def test_what_is_right_in_another_form_is_taken():
    assert fl.LSTM(np.int64(3), np.int32(4)).hidden_size == 4
    assert metrics.accuracy(np.array([[1.0, 2.0], [2.0, 1.0]]), [1, 0]) == 1
    assert model()([[[1, 2, 3]], [[4, 5, 6]]]).shape == (2, 1)
    assert [type(layer).__name__ for layer in model()[-2:]] == ["Last", "Dense"]
