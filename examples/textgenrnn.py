"""Text by the published network of textgenrnn (Woolf 2018), from the Keras weights in its package.

    pip install fastlstm
    pip download --no-deps --no-binary :all: textgenrnn && tar xf textgenrnn-*.tar.gz
    python examples/textgenrnn.py textgenrnn-*/textgenrnn

Without a folder it takes that of a textgenrnn that is installed. Neither Keras nor the package's code is needed.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import fastlstm as fl

STEPS = 40
"""Characters that the network sees, filled up with 0 at the front."""


def textgenrnn(folder):
    """The network, which gives the probabilities of the next character, and the number of each character."""
    vocabulary = json.loads((folder / "textgenrnn_vocab.json").read_text(encoding="utf-8"))
    n = len(vocabulary) + 1
    model = fl.Model(
        [
            fl.Embedding(n, 100),
            fl.Concat([], [fl.LSTM(100, 128), fl.Concat([], [fl.LSTM(128, 128)])]),
            fl.AttentionPool(356, score="linear"),
            fl.Dense(356, n),
            fl.Softmax(),
        ]
    )
    return fl.io.from_keras(folder / "textgenrnn_weights.hdf5", model=model), vocabulary


def write(model, vocabulary, *, temperature=0.5, most=200, seed=0):
    """A text, character by character; the lower the temperature, the more likely each."""
    rng, names = np.random.default_rng(seed), {number: name for name, number in vocabulary.items()}
    tokens, begin = [vocabulary["<s>"]], vocabulary["<s>"]
    while len(tokens) <= most:
        seen = tokens[-STEPS:]
        probabilities = model.predict([[0] * (STEPS - len(seen)) + seen])[0].astype(np.float64)
        probabilities[0] = 0  # no character
        probabilities **= 1 / temperature
        tokens.append(int(rng.choice(len(probabilities), p=probabilities / probabilities.sum())))
        if tokens[-1] == begin:  # it stands at the end, too
            break
    return "".join(names[token] for token in tokens[1:] if token != begin)


def main(folder):
    model, vocabulary = textgenrnn(folder)
    for seed in range(3):
        print(write(model, vocabulary, seed=seed))
    fl.save(model, "textgenrnn.safetensors")
    again = fl.load("textgenrnn.safetensors")
    tokens = np.arange(2 * STEPS).reshape(2, STEPS)
    assert np.array_equal(again.predict(tokens), model.predict(tokens))
    print("textgenrnn.safetensors gives the bits of the weights in Keras' file")


if __name__ == "__main__":
    package = find_spec("textgenrnn") if len(sys.argv) < 2 else None
    main(Path(package.submodule_search_locations[0] if package else sys.argv[1]))
