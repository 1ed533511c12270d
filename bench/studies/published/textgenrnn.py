"""textgenrnn: the next character of a text, from the last 40 ones."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np

import fastlstm as fl
from fastlstm.io.keras.stored import weights_in

EXAMPLE = Path(__file__).parents[3] / "examples" / "textgenrnn.py"

WINDOWS, BATCH, ALONE = 2048, 128, 256
"""Windows of a text, those of a batch, and those that are also seen one by one, as a text is written."""


def folder() -> Path:
    """Where the package is, whose code is not imported."""
    return Path(find_spec("textgenrnn").submodule_search_locations[0])


def example():
    """examples/textgenrnn.py, which has the name of the package, by another one."""
    spec = spec_from_file_location("example_textgenrnn", EXAMPLE)
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def ours():
    """The network of the example."""
    fl.set_num_threads(1)
    model, _ = example().textgenrnn(folder())
    return model.predict


def arrays():
    """The weights by layer. The LSTMs were trained by cuDNN, and become what Keras makes of these for its LSTM."""
    _, weights = weights_in((folder() / "textgenrnn_weights.hdf5").read_bytes())
    stored = weights.of([{"name": name, "config": {}} for name in weights.names()])
    found = {name: one.arrays() for name, one in zip(weights.names(), stored, strict=True)}
    for name in ("rnn_1", "rnn_2"):
        *kernels, bias = found[name]
        turned = [[gate.T.reshape(gate.shape, order="F") for gate in np.hsplit(kernel, 4)] for kernel in kernels]
        found[name] = [*map(np.hstack, turned), bias.reshape(2, -1).sum(0)]
    return found


def keras_model():
    """The network of the package in Keras 3. Its own code is for Keras 2."""
    import keras
    from keras import layers, ops

    class Average(layers.Layer):
        def build(self, shape):
            self.score = self.add_weight(shape=(shape[-1], 1))

        def call(self, x):
            return ops.sum(x * ops.softmax(ops.matmul(x, self.score), axis=1), axis=1)

    tokens = keras.Input((40,))
    x = layers.Embedding(465, 100, name="embedding")(tokens)
    first = layers.LSTM(128, return_sequences=True, name="rnn_1")(x)
    second = layers.LSTM(128, return_sequences=True, name="rnn_2")(first)
    pooled = Average(name="attention")(layers.Concatenate()([x, first, second]))
    model = keras.Model(tokens, layers.Dense(465, activation="softmax", name="output")(pooled))
    for name, found in arrays().items():
        if found:
            model.get_layer(name).set_weights(found)
    return model


def theirs():
    """Keras on one thread: on TensorFlow, as the package has it, or else on PyTorch."""
    if find_spec("tensorflow"):
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    else:
        os.environ["KERAS_BACKEND"] = "torch"
        import torch

        torch.set_num_threads(1)
    return keras_model().predict_on_batch


def windows(seed=0):
    """Characters of a made-up text as numbers (2048, 40), the first of which begin before it."""
    vocabulary = json.loads((folder() / "textgenrnn_vocab.json").read_text(encoding="utf-8"))
    lines = ["The quick brown fox", "What is the best way to learn a language?", "TIL that 3 + 4 = 7 (mostly)"]
    rng, text = np.random.default_rng(seed), ""
    while len(text) < WINDOWS:
        text += lines[rng.integers(len(lines))] + " "
    tokens = [0] * 39 + [vocabulary["<s>"], *(vocabulary.get(character, 0) for character in text)]
    return np.lib.stride_tricks.sliding_window_view(tokens, 40)[:WINDOWS].copy()


def run_of(program):
    """A run of a program over all windows, or over some one by one."""
    predict = theirs() if program.startswith("Keras") else ours()
    count, size = (ALONE, 1) if program.endswith("one by one") else (WINDOWS, BATCH)
    x = windows()[:count]
    return lambda: np.concatenate([np.asarray(predict(x[at : at + size])) for at in range(0, count, size)])
