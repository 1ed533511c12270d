"""The application to music: piano rolls, the likelihood, and that a network learns from them."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl

ROOT = Path(__file__).parent.parent
SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


@pytest.fixture
def chorales(monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.syspath_prepend(ROOT)
    if importlib.util.find_spec("bench") is None:
        pytest.skip("the benchmark is not part of the package")
    return importlib.import_module("bench.studies.chorales")


def scales(n, seed=0):
    """Scales in thirds, up and down, from random places on."""
    rng = np.random.default_rng(seed)
    walk = [*range(6), *range(4, 0, -1)]
    made = []
    for _ in range(n):
        start = rng.integers(10)
        places = [walk[(start + k) % len(walk)] for k in range(rng.integers(12, 24))]
        made.append([[SCALE[place], SCALE[place + 2]] for place in places])
    return made


def constant(train, part):
    """Likelihood of the frequency of each key in the training chorales, the same at every step."""
    keys = [roll[:length] for roll, length in zip(train.y, train.lengths, strict=True)]
    p = np.clip(np.concatenate(keys).mean(axis=0), 1e-4, None)
    terms = -(part.y * np.log(p) + (1 - part.y) * np.log(1 - p)).sum(axis=2)
    return sum(terms[n, :length].sum() for n, length in enumerate(part.lengths)) / part.steps


def test_a_roll_is_the_keys_and_those_of_the_next_step(chorales):
    made = chorales.rolls([[[21, 60], [], [108]], [[60], [61]]])
    assert made.x.shape == made.y.shape == (2, 2, 88)
    np.testing.assert_array_equal(made.lengths, [2, 1])
    assert np.flatnonzero(made.x[0, 0]).tolist() == [0, 39] and not made.y[0, 0].any()
    assert not made.x[0, 1].any() and np.flatnonzero(made.y[0, 1]).tolist() == [87]
    assert np.flatnonzero(made.y[1, 0]).tolist() == [40]
    assert made.steps == 3


def test_transposed_are_all_keys_of_all_chorales(chorales):
    made = chorales.transposed([[[60], [62]], [[64], [60]]], 1)
    keys = made.x[:, 0].argmax(axis=1) + 21
    assert keys.tolist() == [59, 63, 60, 64, 61, 65]
    np.testing.assert_array_equal(made.lengths, 1)


def test_the_likelihood_is_summed_over_keys_and_averaged_over_all_steps(chorales):
    made = chorales.rolls(scales(3))
    model = fl.Model([fl.LSTM(88, 4), fl.Dense(4, 88)], dtype="float64", seed=0)
    p = fl.sigmoid(model.predict(made.x, lengths=made.lengths))
    terms = -(made.y * np.log(p) + (1 - made.y) * np.log(1 - p)).sum(axis=2)
    expected = sum(terms[n, :length].sum() for n, length in enumerate(made.lengths)) / made.steps
    assert chorales.nll(model, made) == pytest.approx(expected, rel=1e-10)


def test_scales_are_learned_and_the_page_says_how_well(chorales, tmp_path):
    splits = {"train": scales(24), "valid": scales(6, 1), "test": scales(6, 2)}
    training = {"hidden": 32, "dropout": 0.0, "lr": 0.05, "batch": 4, "epochs": 40, "warmup": 5}
    settings = chorales.Settings(**training, semitones=0, seeds=(0, 1))
    fits = chorales.write(splits, settings, tmp_path)
    text = (tmp_path / "music.md").read_text(encoding="utf-8")
    without_memory = constant(chorales.rolls(splits["train"]), chorales.rolls(splits["valid"]))
    for one in fits:
        assert one.best == min(one.valid) < 0.75 * without_memory
        assert f"| {one.seed} | {one.best:.3f} | {one.test:.3f} |" in text
        assert chorales.nll(one.model, chorales.rolls(splits["valid"])) == pytest.approx(one.best, rel=1e-5)
    chosen = min(fits, key=lambda one: one.best)
    assert f"that of seed {chosen.seed}, has **{chosen.test:.3f}** on the test split" in text.replace("\n", " ")
    assert (tmp_path / "pictures/music-rolls.png").stat().st_size > 10_000


def test_samples_go_on_from_the_start_and_repeat_with_their_seed(chorales):
    model = fl.Model([fl.LSTM(88, 4), fl.Dense(4, 88)], seed=0)
    start = chorales.rolls(scales(1)).x[0, :5]
    played = [chorales.sample(model, start, 6, seed) for seed in (0, 0, 1)]
    assert played[0].shape == (6, 88) and set(np.unique(played[0])) == {0, 1}
    np.testing.assert_array_equal(played[0], played[1])
    assert (played[0] != played[2]).any()


def test_a_fragment_of_the_chorales(chorales, data_file):
    splits = json.loads(data_file(chorales.FILE).read_text(encoding="utf-8"))
    assert [len(splits[name]) for name in ("train", "valid", "test")] == [229, 76, 77]
    train, valid = chorales.rolls(splits["train"][:24]), chorales.rolls(splits["valid"][:8])
    settings = chorales.Settings(hidden=48, dropout=0.1, lr=0.03, batch=4, epochs=15, warmup=5)
    found = chorales.fit(train, valid, valid, 0, settings)
    assert found.best < 1.05 * constant(train, valid) < found.valid[0]  # as much as so few chorales teach
    assert found.test == pytest.approx(found.best, rel=1e-5)
