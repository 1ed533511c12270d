"""The kinds of files of Keras: what h5py and zipfile write, in Keras' structure."""

import importlib.util
import json
import warnings

import numpy as np

import fastlstm as fl


def parts():
    """A config of Keras 3, and the weights of its layers."""
    from keras_cases import entry, functional, inner, numbers, recurrent_weights

    two = [*recurrent_weights(3, 4, 2, 2), *recurrent_weights(3, 4, 2, 2)]
    config = functional(
        entry("Conv1D", "a", inputs=["x"], kernel_size=[2], padding="causal", activation="relu"),
        entry("Bidirectional", "b", inputs=["a"], layer=inner("GRU", units=2, return_sequences=True)),
        entry("LayerNormalization", "c", inputs=["b"], axis=-1),
        entry("Add", "d", inputs=["b", "c"]),
        entry("Concatenate", "e", inputs=["d", "a"], axis=-1),
        entry("LSTM", "f", inputs=["e"], units=2, dropout=0.5, recurrent_activation="hard_sigmoid"),
        entry("Dense", "g", inputs=["f"], activation={"class_name": "LeakyReLU", "config": {"negative_slope": 0.3}}),
        output="g",
    )
    weights = {
        "conv1d": [numbers(2, 3, 4), numbers(4)],
        "bidirectional/forward_layer/cell": two[:3],
        "bidirectional/backward_layer/cell": two[3:],
        "layer_normalization": [numbers(4), numbers(4)],
        "lstm/cell": recurrent_weights(4, 8, 2),
        "dense": [numbers(2, 3), numbers(3)],
    }
    return config, weights


def sequence():
    from keras_cases import entry, numbers, recurrent_weights, sequential

    embedding, norm = entry("Embedding", "a", mask_zero=True), entry("BatchNormalization", "c")
    config = sequential(embedding, entry("SimpleRNN", "b", go_backwards=True), norm, entry("Dense", "d"))
    rnn = recurrent_weights(1, 3, 4)
    weights = {"a": [numbers(5, 3)], "b": rnn, "c": [np.abs(numbers(4))] * 4, "d": [numbers(4, 2), numbers(2)]}
    return config, weights


def whole_models(folder):
    from keras_cases import keras_file

    yield keras_file(*parts())


def configs(folder):
    yield json.dumps(parts()[0]).encode()


def old_models(folder):
    from keras_cases import old_file

    config, weights = sequence()
    yield old_file(weights, config)


def weights_alone(folder):
    from keras_cases import native_weights, old_file

    yield native_weights({"lstm/cell": parts()[1]["lstm/cell"], "dense": parts()[1]["dense"]})
    yield old_file({"a": parts()[1]["lstm/cell"], "b": parts()[1]["dense"]})


def use(model):
    if model.layers[0].takes_tokens:
        model.predict(np.ones((1, 3), int))
    else:
        model.predict(np.ones((1, 3, model.input_shape[-1] if isinstance(model.input_shape[-1], int) else 3)))


def read_model(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        use(fl.io.from_keras(path, **options))


def read_config(path):
    """A config alone within a whole file, whose checksums are right."""
    from keras_cases import keras_file

    try:
        config = json.loads(path.read_bytes())
    except RecursionError:
        return
    whole = path.with_suffix(".keras")
    whole.write_bytes(keras_file(config, parts()[1]))
    read_model(whole)


def read_weights(path):
    read_model(path, model=fl.Model([fl.LSTM(8, 2), fl.Last(), fl.Dense(2, 3)], seed=0))


def kinds_of_keras(kind):
    """The kinds, made by this class, if h5py is there to write whole files."""
    if importlib.util.find_spec("h5py") is None:
        return []
    return [
        kind("keras", ".keras", whole_models, read_model),
        kind("keras-config", ".json", configs, read_config),
        kind("keras-h5", ".h5", old_models, read_model),
        kind("keras-weights", ".h5", weights_alone, read_weights),
    ]
