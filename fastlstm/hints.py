"""What people who come from Keras, PyTorch or scikit-learn write first, and what it is called here."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
K = TypeVar("K", bound=type)

_FILES = "fl.save(model, path), and fl.load(path)"
_TRAINER = "fl.Trainer(model, loss='mse', optimizer='adam')"
_MODE = "nothing has to be switched: predict infers, and a fl.Trainer trains"
_CPU = "all is computed on the CPU, in the dtype of fl.Model(layers, dtype='float32')"

ATTRIBUTES: dict[str, dict[str, str]] = {
    "Model": {
        "fit": f"{_TRAINER}.fit(x, y, epochs=10)",
        "compile": f"{_TRAINER}, which has fit",
        **dict.fromkeys(("evaluate", "score"), f"{_TRAINER}.evaluate(x, y)"),
        **dict.fromkeys(("train_on_batch", "partial_fit"), f"{_TRAINER}.fit_batches(batches, epochs=1)"),
        **dict.fromkeys(("save", "load", "save_weights", "load_weights", "load_state_dict", "export"), _FILES),
        **dict.fromkeys(("get_config", "to_json"), _FILES),
        "state_dict": f"model.named_parameters(); for files {_FILES}",
        **dict.fromkeys(
            ("weights", "get_weights", "set_weights", "trainable_weights", "trainable_variables", "variables"),
            "model.named_parameters(), each with a value that can be read and set",
        ),
        **dict.fromkeys(("train", "eval", "training"), _MODE),
        **dict.fromkeys(("to", "cpu", "cuda", "float", "double", "half", "device"), _CPU),
        "add": "fl.Model([first, second, ...]) takes all layers at once",
        "get_layer": "model[0], by its number",
        **dict.fromkeys(("modules", "children", "named_modules", "named_children"), "model.layers"),
        "requires_grad_": "layer.trainable = False for a layer of model.layers",
        "trainable": "layer.trainable = False for a layer of model.layers",
        "count_params": "model.num_parameters",
        **dict.fromkeys(("predict_proba", "predict_classes"), "fl.softmax(model.predict(x)), and its argmax(-1)"),
        **dict.fromkeys(("predict_on_batch", "transform"), "model.predict(x)"),
        **dict.fromkeys(("reset_states", "reset_state"), "model.stream(), whose state goes on until its reset()"),
    },
    "Trainer": {
        "train": "fit(x, y, epochs=10)",
        "step": "fit; by hand it is model.forward, model.backward and optimizer.step",
        "fit_generator": "fit_batches(batches, epochs=10)",
        "compile": "the arguments of fl.Trainer: loss, optimizer, metrics",
        **dict.fromkeys(("test", "validate", "score"), "evaluate(x, y)"),
        "predict_proba": "fl.softmax(trainer.predict(x))",
        **dict.fromkeys(("save", "save_model"), "fl.save(trainer.model, path)"),
        "load": "fl.load(path), a model, which a new fl.Trainer takes",
        "summary": "trainer.model.summary()",
        "layers": "trainer.model.layers",
        **dict.fromkeys(("lr", "learning_rate"), "trainer.optimizer.lr"),
    },
    "History": {"history": "the history itself: history['loss']", "epoch": "history.epochs, their number"},
    "Layer": {
        **dict.fromkeys(
            ("weight", "kernel", "get_weights", "set_weights", "state_dict", "weight_ih_l0", "weight_hh_l0"),
            "layer.parameters(), each with a name and a value that can be read and set, or layer.parameter(name)",
        ),
        **dict.fromkeys(("train", "eval", "training"), _MODE),
        **dict.fromkeys(("to", "cpu", "cuda"), _CPU),
        "fit": "a fl.Trainer trains a fl.Model of layers",
    },
    "Optimizer": {
        "zero_grad": "model.zero_grad(); a fl.Trainer does it",
        "learning_rate": "lr",
        "param_groups": "lr, of all parameters",
        "minimize": "fl.Trainer(model, loss, optimizer).fit(x, y, epochs=10)",
    },
}
"""By the name of a class, what is looked for in vain there."""

_SIZE = "hidden_size of a recurrent layer, output_size of another one"
_INPUT = "input_size, the number of features that come in, is the first argument: fl.LSTM(3, 64)"
_BATCHED = "x is (N, T, F): sequences, steps, features"

KEYWORDS: dict[str, str] = {
    **dict.fromkeys(
        ("units", "num_hiddens", "hidden_dim", "hidden_units", "num_units", "n_units", "n_hidden", "hidden"), _SIZE
    ),
    **dict.fromkeys(("out_features", "output_dim", "embedding_dim", "filters", "out_channels"), "output_size"),
    **dict.fromkeys(("in_features", "in_channels"), "input_size"),
    "input_dim": "input_size; num_tokens of an Embedding",
    **dict.fromkeys(("input_shape", "batch_input_shape", "batch_shape"), _INPUT),
    "num_embeddings": "num_tokens",
    "return_sequences": "an output at each step is given; a fl.Last() behind takes the last one alone",
    "return_state": "layer(x) of a recurrent layer by itself gives y and the final state; fl.FinalState() in a model",
    **dict.fromkeys(("batch_first", "time_major"), _BATCHED),
    "stateful": "model.stream() for inference, Trainer.fit_sequence for training",
    "use_bias": "bias",
    **dict.fromkeys(("kernel_initializer", "recurrent_initializer", "bias_initializer"), "init"),
    **dict.fromkeys(("kernel_regularizer", "recurrent_regularizer", "bias_regularizer"), "regularizers"),
    **dict.fromkeys(("kernel_constraint", "recurrent_constraint", "bias_constraint"), "constraints"),
    "mask_zero": "mask= or lengths= at each call",
    "nonlinearity": "activation",
    "p": "rate",
    **dict.fromkeys(("num_classes", "n_classes"), "output_size of the last Dense"),
    **dict.fromkeys(("device", "use_gpu", "accelerator", "devices"), "all is computed on the CPU"),
    # of a forecaster
    **dict.fromkeys(("horizon", "h", "n_ahead", "prediction_length", "output_chunk_length"), "fh of fit"),
    **dict.fromkeys(("season_length", "seasonal_periods", "sp", "seasonality"), "season"),
    **dict.fromkeys(("input_chunk_length", "context_length", "lags"), "window"),
    **dict.fromkeys(("exog", "future_covariates", "X_df", "futr_df"), "X"),
    **dict.fromkeys(("level", "alpha"), "coverage=0.9, or levels of predict_quantiles"),
    "name": "layers go by their numbers: model[0]",
    # of a Trainer and its fit
    **dict.fromkeys(("criterion", "loss_fn", "loss_function", "objective"), "loss"),
    **dict.fromkeys(("scheduler", "lr_scheduler"), "callbacks=[fl.schedules.Cosine()] of fl.Trainer"),
    **dict.fromkeys(("lr", "learning_rate", "learning_rate_init"), "lr of the optimizer, fl.Adam(lr=0.001)"),
    **dict.fromkeys(("max_epochs", "num_epochs", "n_epochs", "nb_epoch", "max_iter"), "epochs of fit"),
    **dict.fromkeys(
        ("verbose", "show_progress", "disp"), "progress=False or True of fit; a prediction shows nothing anyway"
    ),
    **dict.fromkeys(("validation_data", "eval_set", "val_data"), "validation=(x, y)"),
    **dict.fromkeys(("validation_fraction", "val_split", "test_size"), "validation_split=0.2"),
    **dict.fromkeys(("steps_per_epoch", "batches_per_epoch"), "batches_per_epoch of fit_batches"),
    **dict.fromkeys(("clipnorm", "max_grad_norm", "gradient_clip_val"), "clip_norm of fl.Trainer"),
    "clipvalue": "clip_value of fl.Trainer",
    **dict.fromkeys(("random_state", "random_seed", "rng"), "seed"),
    **dict.fromkeys(("inputs", "outputs"), "layers in a row, fl.Model([...]); Residual, Add and Concat hold branches"),
    **dict.fromkeys(("restore_best_weights", "save_best_only"), "what fl.EarlyStopping does in any case"),
    "filepath": "folder",
    "training": _MODE,
    "early_stopping": "callbacks=[fl.EarlyStopping(patience=5)] of fl.Trainer",
    **dict.fromkeys(("n_jobs", "workers", "num_workers"), "fl.set_num_threads(n)"),
    **dict.fromkeys(("sequence_length", "seq_len", "seq_lens", "input_lengths"), "lengths"),
    "initial_epoch": "resume='folder', which goes on where a training has ended",
}
"""Keywords of others, and what they are called here."""

MOVED = dict.fromkeys(("callbacks", "loss", "metrics", "optimizer"), "an argument of fl.Trainer")
"""Keywords that are ours, too, where they are not taken."""

NAMES: dict[str, str] = {
    "Sequential": "Model([LSTM(3, 8), Last(), Dense(8, 1)])",
    "nn": "fastlstm itself, fl.LSTM(3, 8) and so on; fastlstm.torch has modules for PyTorch",
    "Module": "a subclass of Layer, or Model",
    **dict.fromkeys(("Input", "InputLayer"), "nothing: each layer is told its input_size"),
    "Linear": "Dense",
    "TimeDistributed": "the layer itself: Dense works at each step; EachStep is for several",
    "Bidirectional": "LSTM(3, 8, bidirectional=True)",
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPool1D"), "MaxPool()"),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAvgPool1D"), "MeanPool()"),
    **dict.fromkeys(("BatchNormalization", "BatchNorm1d"), "BatchNorm"),
    **dict.fromkeys(("ReLU", "Tanh", "Sigmoid", "GELU"), "Activation('relu') and so on"),
    "Masking": "mask= or lengths= at each call",
    "RNN": "SimpleRNN",
    **dict.fromkeys(("load_model", "from_pretrained"), "load(path)"),
    "save_model": "save(model, path)",
    **dict.fromkeys(("Tensor", "tensor", "Variable"), "an array of NumPy, or a tensor of PyTorch as it is"),
    **dict.fromkeys(("DataLoader", "TensorDataset"), "Trainer.fit, or data.Arrays"),
    "train_test_split": "data.split, or Trainer.fit(validation_split=0.2)",
    "no_grad": "nothing: predict keeps nothing for gradients",
    "manual_seed": "seed= of Model and fit",
}
"""Names of other packages, and what stands for them in ours."""

LOSSES: dict[str, str] = {
    **dict.fromkeys(("meansquarederror", "mseloss", "l2", "squarederror"), "mse"),
    **dict.fromkeys(("meanabsoluteerror", "l1loss", "l1", "absoluteerror"), "mae"),
    **dict.fromkeys(("huberloss", "smoothl1loss", "smoothl1"), "huber"),
    **dict.fromkeys(("crossentropyloss", "crossentropy"), "softmax_cross_entropy"),
    **dict.fromkeys(("bcewithlogitsloss", "bcewithlogits"), "sigmoid_cross_entropy"),
    **dict.fromkeys(("pinball", "pinballloss", "quantileloss"), "quantile"),
    "ctcloss": "ctc",
}
"""Other names of our losses, as `named.plain` has them."""

METRICS: dict[str, str] = {
    **dict.fromkeys(("acc", "sparsecategoricalaccuracy", "accuracyscore"), "accuracy"),
    **dict.fromkeys(("meansquarederror", "mse"), "mse"),
    **dict.fromkeys(("meanabsoluteerror", "mae"), "mae"),
    **dict.fromkeys(("rootmeansquarederror", "rmse"), "rmse"),
    **dict.fromkeys(("rocauc", "rocaucscore", "auc"), "auc"),
    "f1score": "f1",
}
"""Other names of our metrics, as `named.plain` has them."""

_SOFTMAX = "'softmax_cross_entropy', of scores before a softmax (leave it out) and whole numbers of classes"
_SIGMOID = "'sigmoid_cross_entropy', of scores before a sigmoid (leave it out)"

OTHER_LOSSES: dict[str, str] = {
    **dict.fromkeys(("categoricalcrossentropy", "sparsecategoricalcrossentropy", "nllloss", "logloss"), _SOFTMAX),
    **dict.fromkeys(("binarycrossentropy", "bceloss", "bce"), _SIGMOID),
}
"""Losses of others that ours differ from, and what to use."""


class Elsewhere:
    """An attribute that is not there: the error says what stands for it here.

    Other attributes are looked up as fast as without it, which ``__getattr__`` would change.
    """

    def __init__(self, name: str, hint: str) -> None:
        self._name, self._hint = name, hint

    def __get__(self, owner: object, kind: type) -> NoReturn:
        whose = f"type object {kind.__name__!r}" if owner is None else f"{kind.__name__!r} object"
        message = f"{whose} has no attribute {self._name!r}; here: {self._hint}"
        raise AttributeError(message, name=self._name, obj=kind if owner is None else owner)


def told(kind: K) -> K:
    """A class whose objects say what stands for the attributes that `ATTRIBUTES` has for its name."""
    for name, hint in ATTRIBUTES[kind.__name__].items():
        setattr(kind, name, Elsewhere(name, hint))
    kind.__dir__ = _dir  # type: ignore[method-assign, assignment]
    return kind


def _dir(owner: object) -> list[str]:
    """What is there, for completion."""
    return [name for name in object.__dir__(owner) if name in vars(owner) or not _elsewhere(type(owner), name)]


def _elsewhere(kind: type, name: str) -> bool:
    return isinstance(next((vars(one)[name] for one in kind.__mro__ if name in vars(one)), None), Elsewhere)


def of_model(value: object) -> str:
    """What makes a model of another package one of ours."""
    modules = " ".join(kind.__module__ for kind in type(value).__mro__)
    found = {"torch.nn.": "fl.io.from_torch", "keras.": "fl.io.from_keras"}
    return "".join(f"; {ours}(model) makes one of it" for theirs, ours in found.items() if theirs in modules)


def explain(error: TypeError, keywords: Iterable[str]) -> None:
    """Say in the error of a call with these keywords what those are called here that it does not take."""
    message, hints = str(error), []
    wrong = re.search(r"unexpected keyword argument '(\w+)'", message)
    if wrong:
        known = KEYWORDS | MOVED
        hints = [f"here: {known[wrong[1]]}"] if wrong[1] in known else []
    elif re.search("missing .* required", message):
        hints = [f"{name} is here: {KEYWORDS[name]}" for name in keywords if name in KEYWORDS]
        if not hints and re.search("'(hidden|output)_size'", message):
            hints = [_INPUT]
        if "'epochs'" in message:
            hints = [*hints, "epochs=10, for example"]
    elif re.search("takes .* positional arguments? but", message):
        hints = ["give what comes behind by its name"]
    elif "multiple values for argument 'lr'" in message:
        hints = ["the parameters are not given to an optimizer, but the optimizer to a fl.Trainer"]
    if hints:  # they stand for what Python guesses, from 3.13 on
        error.args = ("; ".join([re.sub(r"\. Did you mean .*\?$", "", message), *hints]),)


def takes_unknown(function: F) -> F:
    """Hide the last parameter, ``**unknown``, of what is called too often to be `hinted`: it calls `refuse` itself."""
    whole = inspect.signature(function)
    shown = [*whole.parameters.values()][:-1]
    function.__signature__ = whole.replace(parameters=shown)  # type: ignore[attr-defined]
    return function


def refuse(function: str, unknown: Mapping[str, object]) -> None:
    """TypeError for keywords that a function does not take, with what they are called here."""
    for name in unknown:
        error = TypeError(f"{function}() got an unexpected keyword argument {name!r}")
        explain(error, unknown)
        raise error


def hinted(function: F) -> F:
    """A function whose errors for wrong arguments say what they are called here. Not for what is called often."""

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except TypeError as error:
            if "." in function.__qualname__ and args:  # an inherited method is that of the class of the object
                name = f"{type(args[0]).__name__}.{function.__name__}"
                error.args = (str(error).replace(f"{function.__qualname__}()", f"{name}()"),)
            explain(error, keywords)
            raise

    return call  # type: ignore[return-value]
