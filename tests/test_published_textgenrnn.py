"""The published network of textgenrnn: its probabilities are those of its equations, and of Keras."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fastlstm.io.keras.stored import weights_in

package = importlib.util.find_spec("textgenrnn")  # its code is not imported
if package is None:
    pytest.skip("textgenrnn, whose package has the weights, is not installed", allow_module_level=True)
FOLDER = Path(package.submodule_search_locations[0])
WEIGHTS = FOLDER / "textgenrnn_weights.hdf5"

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
try:
    import textgenrnn as example
finally:
    sys.path.pop(0)


def arrays():
    """The weights by layer. The LSTMs were trained by cuDNN, and become what Keras makes of these for its LSTM."""
    _, weights = weights_in(WEIGHTS.read_bytes())
    stored = weights.of([{"name": name, "config": {}} for name in weights.names()])
    found = {name: one.arrays() for name, one in zip(weights.names(), stored, strict=True)}
    for name in ("rnn_1", "rnn_2"):
        *kernels, bias = found[name]
        turned = [[gate.T.reshape(gate.shape, order="F") for gate in np.hsplit(kernel, 4)] for kernel in kernels]
        found[name] = [*map(np.hstack, turned), bias.reshape(2, -1).sum(0)]
    return found


def texts():
    """Lines of English, as the numbers of their characters, filled up at the front."""
    vocabulary = json.loads((FOLDER / "textgenrnn_vocab.json").read_text(encoding="utf-8"))
    lines = ["The quick brown fox", "What is the best way to learn a language?", "", "TIL that 3 + 4 = 7 (mostly)"]
    tokens = [[vocabulary["<s>"], *(vocabulary.get(character, 0) for character in line)][-40:] for line in lines]
    return np.array([[0] * (40 - len(row)) + row for row in tokens])


def lstm(x, kernel, recurrent, bias):
    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    h = c = np.zeros((len(x), len(recurrent)))
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def by_hand(tokens):
    """model.py and AttentionWeightedAverage.py of the package, in NumPy and float64."""
    weights = {name: [array.astype(np.float64) for array in found] for name, found in arrays().items()}
    x = weights["embedding"][0][tokens]
    first = lstm(x, *weights["rnn_1"])
    whole = np.concatenate([x, first, lstm(first, *weights["rnn_2"])], axis=-1)
    scores = np.exp(whole @ weights["attention"][0])
    kernel, bias = weights["output"]
    scores = np.exp((scores * whole).sum(1) / scores.sum(1) @ kernel + bias)
    return scores / scores.sum(-1, keepdims=True)


def test_probabilities_are_those_of_its_equations(path):
    model, vocabulary = example.textgenrnn(FOLDER)
    expected = by_hand(texts())
    found = model.predict(texts())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found.argmax(-1) == expected.argmax(-1)).all()
    names = {number: name for name, number in vocabulary.items()}
    assert names[int(found[0].argmax())] in " e.,s"


def test_probabilities_are_those_of_keras():
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    layers, ops = keras.layers, keras.ops

    class Average(layers.Layer):
        def build(self, shape):
            self.score = self.add_weight(shape=(shape[-1], 1))

        def call(self, x):
            return ops.sum(x * ops.softmax(ops.matmul(x, self.score), axis=1), axis=1)

    stored = arrays()
    tokens = keras.Input((40,))
    x = layers.Embedding(465, 100, name="embedding")(tokens)
    first = layers.LSTM(128, return_sequences=True, name="rnn_1")(x)
    second = layers.LSTM(128, return_sequences=True, name="rnn_2")(first)
    pooled = Average(name="attention")(layers.Concatenate()([x, first, second]))
    model = keras.Model(tokens, layers.Dense(465, activation="softmax", name="output")(pooled))
    for name, found in stored.items():
        if found:
            model.get_layer(name).set_weights(found)
    np.testing.assert_allclose(
        example.textgenrnn(FOLDER)[0].predict(texts()), model.predict(texts(), verbose=0), atol=1e-5
    )


def test_a_text():
    model, vocabulary = example.textgenrnn(FOLDER)
    text = example.write(model, vocabulary, most=30)
    assert 5 < len(text) <= 30 and text == example.write(model, vocabulary, most=30)
    assert sum(character.isalpha() or character == " " for character in text) > 0.7 * len(text)
