"""What people from Keras, PyTorch and scikit-learn write first works, or the error says what it is called here."""

import copy
import inspect
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import hints, layers, losses, metrics, optim

X = np.random.default_rng(0).normal(size=(8, 5, 3))
Y = X.sum((1, 2))


def model():
    return fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 1)], seed=0)


def trainer():
    return fl.Trainer(model(), "mse")


def classifier():
    network = fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 2)], seed=0)
    return fl.Trainer(network, "softmax_cross_entropy", metrics=["acc"])


WORKS = {
    "Keras": [
        "fl.Trainer(m, loss='mean_squared_error', optimizer='Adam')",
        "fl.Trainer(m, loss='MeanSquaredError', metrics=['mean_absolute_error'])",
        "fl.Trainer(m, 'mse', 'rmsprop').fit(X, Y, epochs=1, validation_split=0.25)",
        "m.predict(X)",
        "m.summary()",
        "len(m.layers)",
        "t.evaluate(X, Y)",
        "t.predict(X)",
        "fl.Trainer(m, 'mse', callbacks=[fl.EarlyStopping(monitor='loss', patience=3)])",
        "c.fit(X, np.zeros((8, 1), int), epochs=1)['accuracy']",
    ],
    "PyTorch": [
        "fl.LSTM(3, 4, num_layers=2, bidirectional=True, dropout=0.1)",
        "fl.LSTM(input_size=3, hidden_size=4)",
        "fl.LSTM(3, 4)(X)[1][0]",
        "m(X)",
        "list(m.parameters())",
        "m[0], m[-1], len(m), m[:2](X)",
        "m.zero_grad()",
        "fl.Trainer(m, 'MSELoss', fl.Adam(lr=1e-3))",
        "fl.Trainer(m, 'CrossEntropyLoss', 'sgd')",
        "[p.name for p in m.parameters()]",
    ],
    "scikit-learn": [
        "t.fit(X, Y, epochs=1)",
        "t.fit(X, list(Y), epochs=1)",
        "t.fit(X.tolist(), Y.tolist(), epochs=1)",
        "t.predict(X)",
        "repr(t)",
        "fl.Trainer(m, 'mse', metrics=['roc_auc', 'f1_score'])",
    ],
}

TOLD = {
    "Keras": {
        "fl.Sequential([])": "no attribute 'Sequential'; here: Model([LSTM(3, 8), Last(), Dense(8, 1)])",
        "fl.Bidirectional(fl.LSTM(3, 4))": "; here: LSTM(3, 8, bidirectional=True)",
        "fl.load_model('m.keras')": "; here: load(path)",
        "fl.LSTM(64)": "'hidden_size'; input_size, the number of features that come in, is the first argument: fl.LSTM",
        "fl.LSTM(units=64)": "; units is here: hidden_size of a recurrent layer, output_size of another one",
        "fl.LSTM(3, units=64)": "; units is here: hidden_size",
        "fl.LSTM(64, input_shape=(5, 3))": "; input_shape is here: input_size, the number of features",
        "fl.LSTM(3, 64, return_sequences=True)": "; here: an output at each step is given; a fl.Last() behind ",
        "fl.Dense(1)": "'output_size'; input_size, the number of features that come in, is the first argument",
        "fl.Dense(4, 1, kernel_initializer='he_normal')": "'kernel_initializer'; here: init",
        "fl.Embedding(input_dim=10, output_dim=4)": "; input_dim is here: input_size; num_tokens of an Embedding",
        "fl.Embedding(10, 4, mask_zero=True)": "; here: mask= or lengths= at each call",
        "fl.Model(inputs=1, outputs=2)": "; here: layers in a row, fl.Model([...])",
        "m.compile(optimizer='adam', loss='mse')": "'compile'; here: fl.Trainer(model, loss='mse', optimizer='adam')",
        "m.fit(X, Y)": "'Model' object has no attribute 'fit'; here: fl.Trainer(model, loss='mse'",
        "m.evaluate(X, Y)": ".evaluate(x, y)",
        "m.save('m.keras')": "; here: fl.save(model, path), and fl.load(path)",
        "m.get_weights()": "; here: model.named_parameters(), each with a value",
        "t.fit(X, Y, epochs=1, verbose=0)": "argument 'verbose'; here: progress=False or True of fit",
        "t.fit(X, Y, epochs=1, validation_data=(X, Y))": "'validation_data'; here: validation=(x, y)",
        "t.fit(X, Y, epochs=1, callbacks=[])": "'callbacks'; here: an argument of fl.Trainer",
        "t.fit(X, Y, epochs=1).history['loss']": "; here: the history itself: history['loss']",
        "t.fit(X, Y)": "'epochs'; epochs=10, for example",
        "t.fit(X, Y, 32)": "; give what comes behind by its name",
        "fl.Adam(learning_rate=0.1)": "'learning_rate'; here: lr of the optimizer, fl.Adam(lr=0.001)",
        "fl.EarlyStopping(restore_best_weights=True)": "; here: what fl.EarlyStopping does in any case",
        "m.predict(X, verbose=0)": "Model.predict() got an unexpected keyword argument 'verbose'; here: progress=",
        "m(X, training=False)": "Model.__call__() got an unexpected keyword argument 'training'; here: nothing has",
        "t.predict(X, verbose=0)": "predict() got an unexpected keyword argument 'verbose'; here: progress=False or",
        "m.stream(stateful=True)": "stream() got an unexpected keyword argument 'stateful'; here: model.stream() for",
        "fl.Trainer(m, 'sparse_categorical_crossentropy')": "; here: 'softmax_cross_entropy', of scores",
        "fl.Trainer(m, 'binary_crossentropy')": "; here: 'sigmoid_cross_entropy', of scores before a sigmoid",
        "c.fit(X, np.eye(2)[[0, 1] * 4], epochs=1)": "of rows with a 1 each these are y.argmax(-1)",
        "t.fit(X, Y, epochs=1, validation=0.2)": "; a share of x is validation_split=0.2",
    },
    "PyTorch": {
        "fl.nn.LSTM(3, 4)": "'nn'; here: fastlstm itself, fl.LSTM(3, 8)",
        "fl.Linear(3, 4)": "; here: Dense",
        "fl.LSTM(3, 4, batch_first=True)": "'batch_first'; here: x is (N, T, F): sequences, steps, features",
        "fl.LSTM(3, 4, 2)": "; give what comes behind by its name",
        "fl.Dense(in_features=3, out_features=4)": "; in_features is here: input_size; out_features is here: ",
        "fl.Dropout(p=0.5)": "'p'; here: rate",
        "fl.SimpleRNN(3, 4, nonlinearity='relu')": "; here: activation",
        "m.train()": "'train'; here: nothing has to be switched: predict infers, and a fl.Trainer trains",
        "m.eval()": "; here: nothing has to be switched",
        "m.to('cuda')": "; here: all is computed on the CPU",
        "m.state_dict()": "; here: model.named_parameters(); for files fl.save(model, path)",
        "m.load_state_dict({})": "; here: fl.save(model, path), and fl.load(path)",
        "m[0].weight_ih_l0": "'LSTM' object has no attribute 'weight_ih_l0'; here: layer.parameters()",
        "fl.Adam(m.parameters(), lr=0.1)": "; the parameters are not given to an optimizer, but the optimizer to",
        "fl.Adam(m.parameters())": "lr: expected a number, got several; the parameters are those of the model",
        "fl.Adam().zero_grad()": "; here: model.zero_grad(); a fl.Trainer does it",
        "fl.Trainer(m, criterion='mse')": "'criterion'; here: loss",
        "t.train()": "'Trainer' object has no attribute 'train'; here: fit(x, y, epochs=10)",
        "t.step()": "; here: fit; by hand it is model.forward",
        "m.predict(X[:, 0])": "; one sequence of 8 steps is x[None]",
    },
    "scikit-learn": {
        "m.score(X, Y)": ".evaluate(x, y)",
        "m.predict_proba(X)": "; here: fl.softmax(model.predict(x))",
        "t.score(X, Y)": "; here: evaluate(x, y)",
        "fl.Model([fl.LSTM(3, 4)], random_state=0)": "'random_state'; here: seed",
        "fl.Trainer(m, 'mse', max_iter=100)": "'max_iter'; here: epochs of fit",
        "fl.Trainer(m, 'mse', learning_rate=0.1)": "; here: lr of the optimizer",
        "fl.Trainer(m, 'mse', early_stopping=True)": "; here: callbacks=[fl.EarlyStopping(patience=5)] of fl.Trainer",
        "fl.train_test_split(X, Y)": "; here: data.split, or Trainer.fit(validation_split=0.2)",
        "c.fit(X, ['yes', 'no'] * 4, epochs=1)": "; np.unique(y, return_inverse=True) gives the classes and their num",
        "m.predict(X.reshape(8, 15))": "x: expected shape (N, T, 3), got (8, 15)",
        "t.fit(X, Y[:7], epochs=1)": "y: expected shape (8, 1), got (7,)",
    },
}


def run(code):
    names = {"fl": fl, "np": np, "X": X, "Y": Y, "m": model(), "t": trainer(), "c": classifier()}
    return eval(code, names)


@pytest.mark.parametrize("code", [code for codes in WORKS.values() for code in codes])
def test_what_has_one_meaning_works(code, capsys):
    run(code)


@pytest.mark.parametrize("code, message", [pair for codes in TOLD.values() for pair in codes.items()])
def test_what_is_called_otherwise_is_told(code, message):
    with pytest.raises((AttributeError, TypeError, ValueError)) as caught:
        run(code)
    assert message in str(caught.value)


def rows_of_the_page():
    """The code on both sides of the table of docs/switching.md."""
    page = (Path(__file__).parent.parent / "docs" / "switching.md").read_text(encoding="utf-8")
    section = page.partition("These give an error that says what to write here:")[2].partition("\n## ")[0]
    table = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    assert table, "the page has no such table"
    return [[re.findall("`([^`]+)`", cell) for cell in row] for row in table]


@pytest.mark.parametrize("theirs, ours", rows_of_the_page(), ids=lambda codes: codes[0] if codes else "nothing")
def test_the_page_on_switching_is_true(theirs, ours, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fl.save(model(), "m.safetensors")
    told = trainer()
    names = {"fl": fl, "np": np, "x": X, "y": Y, "model": told.model, "trainer": told, "series": Y}
    names["history"] = told.fit(X, Y, epochs=1)
    for code in theirs:
        with pytest.raises((AttributeError, TypeError)) as caught:
            exec(code, names)
        hints_at = ("here: ", "is the first argument: ", "the parameters are those of the model")
        assert any(words in str(caught.value) for words in hints_at)
    for code in ours:
        if not re.fullmatch("predict|fit|Trainer", code):
            exec(code, names)


def test_the_table_of_the_page_on_switching_is_found():
    assert len(rows_of_the_page()) > 30


@pytest.mark.parametrize("kind", ["MSELoss", "L1Loss", "HuberLoss", "CrossEntropyLoss", "BCELoss"])
def test_losses_of_torch_are_told_apart_from_functions(kind):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=f"^loss: expected one of fastlstm, got {kind} of another package; here: '"):
        fl.Trainer(model(), getattr(torch.nn, kind)())


def test_functions_of_others_are_no_losses():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="^loss: expected one of fastlstm, got mse_loss of another package"):
        fl.Trainer(model(), torch.nn.functional.mse_loss)


def test_a_module_as_model_is_told_what_makes_one_of_it():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"^model: expected a Model, got Linear; fl\.io\.from_torch\(model\) makes one"):
        fl.Trainer(torch.nn.Linear(3, 4), "mse")


OWNERS = {
    "Model": model,
    "Trainer": trainer,
    "History": fl.History,
    "Layer": lambda: fl.LSTM(3, 4),
    "Optimizer": fl.Adam,
}


@pytest.mark.parametrize("kind, name", [(kind, name) for kind, names in hints.ATTRIBUTES.items() for name in names])
def test_no_hint_is_about_what_is_there(kind, name):
    owner = OWNERS[kind]()
    assert not hasattr(owner, name)
    with pytest.raises(
        AttributeError, match=f"^'{type(owner).__name__}' object has no attribute '{name}'; here: "
    ) as caught:
        getattr(owner, name)
    assert caught.value.name == name and caught.value.obj is owner
    assert name not in dir(owner)
    with pytest.raises(
        AttributeError, match=f"^type object '{type(owner).__name__}' has no attribute '{name}'; here: "
    ):
        getattr(type(owner), name)


def test_what_a_subclass_has_is_there():
    class Named(fl.Dropout):
        def __init__(self):
            super().__init__(0.5)
            self.weight = 3

        def fit(self):
            return 4

    try:
        layer = Named()
        assert layer.weight == 3 and layer.fit() == 4 and {"weight", "fit", "rate", "forward"} <= {*dir(layer)}
        assert "train" not in dir(layer)
    finally:
        fl.Layer.registry.pop("Named")


def test_every_owner_of_hints_is_checked():
    assert {*OWNERS} == {*hints.ATTRIBUTES}


@pytest.mark.parametrize("kind", OWNERS)
def test_an_attribute_that_nobody_has_is_named(kind):
    owner = OWNERS[kind]()
    with pytest.raises(AttributeError, match=f"^'{type(owner).__name__}' object has no attribute 'nonsense'$"):
        owner.nonsense  # noqa: B018


@pytest.mark.parametrize("kind", OWNERS)
def test_copies_are_made_as_before(kind):
    owner = OWNERS[kind]()
    assert type(copy.copy(owner)) is type(owner)
    if kind != "Trainer":
        assert type(copy.deepcopy(owner)) is type(owner)
        assert type(pickle.loads(pickle.dumps(owner))) is type(owner)


TAKERS = [
    *(kind for kind in vars(fl).values() if isinstance(kind, type) and issubclass(kind, (fl.Layer, optim.Optimizer))),
    *(fl.Model, fl.Trainer, fl.Trainer.fit, fl.Trainer.fit_batches, fl.Trainer.evaluate, fl.EarlyStopping),
]


def test_no_hint_is_about_a_keyword_that_all_take():
    """One that some take may be told only where what it says holds for these, too."""
    taken = {name for taker in TAKERS for name in inspect.signature(taker).parameters}
    assert taken & {*hints.KEYWORDS} <= {"activation", "batches_per_epoch", "lr"}


@pytest.mark.parametrize("name", hints.NAMES)
def test_no_hint_is_about_a_name_that_is_there(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; here: "):
        getattr(fl, name)


def test_other_names_of_losses_and_metrics_are_those_of_ours():
    assert {*hints.LOSSES.values()} <= {*losses.Loss.registry}
    assert all(losses.get(name) is losses.Loss.registry[ours] for name, ours in hints.LOSSES.items())
    assert all(metrics.names.get(name)[0] == ours for name, ours in hints.METRICS.items())
    assert losses.get("MSE") is fl.mse and losses.get("Softmax_Cross_Entropy") is fl.softmax_cross_entropy


def test_an_error_of_a_users_function_stays_as_it_is():
    def loss(pred, target, weight):
        return other(verbose=1)

    def other():
        pass

    with pytest.raises(TypeError) as caught:
        fl.Trainer(model(), loss).fit(X, Y[:, None], epochs=1)
    assert caught.value.args[0].startswith("test_an_error")


def test_signatures_are_those_of_what_is_called():
    assert next(iter(inspect.signature(fl.Trainer.fit).parameters)) == "self"
    assert "validation_split" in inspect.signature(fl.Trainer.fit).parameters
    assert list(inspect.signature(fl.SGD).parameters) == ["lr", "momentum", "nesterov", "weight_decay"]
    assert list(inspect.signature(layers.Dropout).parameters) == ["rate", "dtype", "seed"]
