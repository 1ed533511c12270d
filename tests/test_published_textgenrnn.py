"""The published network of textgenrnn: its probabilities are those of its equations, and of Keras."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent

package = importlib.util.find_spec("textgenrnn")  # its code is not imported
if package is None:
    pytest.skip("textgenrnn, whose package has the weights, is not installed", allow_module_level=True)
FOLDER = Path(package.submodule_search_locations[0])

if not (ROOT / "bench").exists():
    pytest.skip("the benchmark, which reads the weights for Keras, is not part of the package", allow_module_level=True)

sys.path.append(str(ROOT))  # behind the installed package, which the sources must not hide
from bench.studies.published import textgenrnn as published  # noqa: E402

example = published.example()


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
    weights = {name: [array.astype(np.float64) for array in found] for name, found in published.arrays().items()}
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
    pytest.importorskip("keras", reason="Keras is not installed")
    model = published.keras_model()
    np.testing.assert_allclose(
        example.textgenrnn(FOLDER)[0].predict(texts()), model.predict(texts(), verbose=0), atol=1e-5
    )


def test_a_text():
    model, vocabulary = example.textgenrnn(FOLDER)
    text = example.write(model, vocabulary, most=30)
    assert 5 < len(text) <= 30 and text == example.write(model, vocabulary, most=30)
    assert sum(character.isalpha() or character == " " for character in text) > 0.7 * len(text)
