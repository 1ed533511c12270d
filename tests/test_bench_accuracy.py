"""The benchmark of what fewer bits cost trained models: what it compares, keeps and says. Nothing is trained here."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.text import LanguageModel, Recipe, Vocabulary

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package")


@pytest.fixture
def accuracy(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    pytest.importorskip("kaldi_native_fbank", reason="kaldi-native-fbank is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from bench.studies.accuracy import compared, trained

    return SimpleNamespace(**{**vars(trained), **vars(compared)})


def stub(accuracy, measured):
    """Two networks of which these things are measured one after the other."""
    models = [fl.Model([fl.LSTM(8, 64), fl.Dense(64, 4)], seed=seed) for seed in (0, 1)]
    remaining = iter(measured)
    return models, accuracy.Trained("net", models, "3 rows", lambda: next(remaining))


def test_figures_of_all_kinds_stand_beside_each_other(accuracy):
    measured = [
        accuracy.Measured({"right": 0.8, "loss": 0.5}, "abcde"),
        accuracy.Measured({"right": 0.8, "loss": 0.5005}, "abcde"),
        accuracy.Measured({"right": 0.784, "loss": 0.4975}, "abcxy"),
    ]
    models, trained = stub(accuracy, measured)
    compared = accuracy.Compared.of(trained)
    first, second = compared.rows()
    assert first[:8] == ["net", "3 rows", "right", "80.00%", "80.00%", "+0.000%", "78.40%", "-2.000%"]
    assert second[3:8] == ["0.50000", "0.50050", "+0.100%", "0.49750", "-0.500%"]
    assert first[8] == "0 and 2 of 5" and len(first) == len(accuracy.HEADS)
    assert all(layer.weights == "int8" for model in models for layer in model.layers)
    few, fewest = accuracy.verdict([compared])
    assert "all 2" in few and "net, right (-2.00%)" in fewest and "loss" not in fewest


def test_networks_are_measured_with_the_weights_that_the_column_names(accuracy):
    model = fl.Model([fl.LSTM(8, 64), fl.Dense(64, 64)], seed=0)
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("f4")
    kinds = []

    def measure():
        kinds.append(model.layers[0].weights)
        return accuracy.Measured({"loss": float(np.abs(model.predict(x)).mean())})

    accuracy.Compared.of(accuracy.Trained("net", [model], "", measure))
    assert kinds == [None, "bfloat16", "int8"]


def test_a_model_in_the_folder_is_not_trained_again(accuracy, tmp_path):
    calls = []

    def fit():
        calls.append(1)
        return LanguageModel(Vocabulary(["a", "b"]), Recipe(hidden_size=4, num_layers=1, seed=len(calls)))

    options = Namespace(folder=tmp_path / "models", epochs=None)
    first, again = (accuracy.kept("net", options, LanguageModel, fit) for _ in range(2))
    assert len(calls) == 1
    assert np.array_equal(first.model.predict([[0, 1]]), again.model.predict([[0, 1]]))
    accuracy.kept("net", Namespace(folder=tmp_path / "models", epochs=2), LanguageModel, fit)
    accuracy.kept("net", Namespace(folder=None, epochs=None), LanguageModel, fit)
    assert len(calls) == 3
