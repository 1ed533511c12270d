"""From scores to labels: against all paths of tiny sequences."""

import numpy as np
import pytest
from ctc_cases import probabilities, spelled

import fastlstm as fl
from fastlstm.decoding import ctc_beam_search, ctc_greedy


@pytest.mark.parametrize(("t", "c", "blank"), [(1, 2, 0), (3, 2, 1), (5, 3, 0), (5, 3, 1), (4, 4, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_every_labelling_and_its_probability(t, c, blank, seed):
    scores = np.random.default_rng(seed).normal(0, 1.5, (t, c))
    found = ctc_beam_search(scores[None], blank=blank, beam=1000, best=1000)[0]
    expected = sorted(probabilities(scores, blank).items(), key=lambda item: -item[1])
    assert [tuple(labels.tolist()) for labels, _ in found] == [labels for labels, _ in expected]
    np.testing.assert_allclose([p for _, p in found], np.log([p for _, p in expected]), rtol=1e-10)


def test_a_narrow_beam_finds_the_best_of_few_good_ones():
    for seed in range(20):
        scores = np.random.default_rng(seed).normal(0, 2, (6, 3))
        [(labels, log_probability)] = ctc_beam_search(scores[None], beam=8)[0]
        found = probabilities(scores, 0)
        best = max(found, key=found.get)
        assert tuple(labels.tolist()) == best
        assert log_probability <= np.log(found[best]) + 1e-12


def test_the_best_labels_need_not_be_those_of_the_best_path():
    logits = np.log([[[0.6, 0.4], [0.6, 0.4]]])
    assert ctc_greedy(logits)[0].tolist() == []
    assert ctc_beam_search(logits)[0][0].labels.tolist() == [1]


def test_a_probability_is_that_of_the_loss():
    scores = np.random.default_rng(0).normal(0, 2, (1, 12, 5))
    for labels, log_probability in ctc_beam_search(scores, beam=4000, best=3)[0]:
        value, _ = fl.ctc.with_options(time="sum")(scores, labels[None])
        assert log_probability == pytest.approx(-value, rel=1e-3)


def test_lengths_end_sequences():
    scores = np.random.default_rng(0).normal(0, 2, (3, 7, 4))
    for k, length in enumerate((7, 1, 4)):
        alone = scores[k : k + 1, :length]
        np.testing.assert_array_equal(ctc_greedy(scores, [7, 1, 4])[k], ctc_greedy(alone)[0])
        [(labels, p)] = ctc_beam_search(scores, [7, 1, 4])[k]
        [(expected, q)] = ctc_beam_search(alone)[0]
        np.testing.assert_array_equal(labels, expected)
        assert p == q


@pytest.mark.parametrize("blank", [0, 1, 2])
def test_greedy_spells_the_best_path(blank):
    for seed in range(10):
        scores = np.random.default_rng(seed).normal(size=(2, 9, 3))
        for found, path in zip(ctc_greedy(scores, blank=blank), scores.argmax(-1), strict=True):
            assert tuple(found.tolist()) == spelled(path.tolist(), blank)


def test_a_language_model_is_added_and_asked_once_for_each_prefix_and_label():
    scores, asked = np.random.default_rng(0).normal(0, 1, (4, 3)), []

    def score(prefix, label):
        asked.append((prefix, label))
        return -0.5 * label - 0.25 * len(prefix)

    found = ctc_beam_search(scores[None], beam=1000, best=1000, score=score)[0]
    expected = {
        labels: np.log(p) + sum(-0.5 * label - 0.25 * k for k, label in enumerate(labels))
        for labels, p in probabilities(scores, 0).items()
    }
    assert {tuple(labels.tolist()): pytest.approx(p) for labels, p in found} == expected
    assert len(asked) == len(set(asked))
    assert all(label != 0 for _, label in asked)


def test_a_language_model_can_forbid():
    scores = np.zeros((1, 5, 3))
    for labels, _ in ctc_beam_search(
        scores, beam=50, best=50, score=lambda prefix, label: -np.inf if 1 in prefix else 0.0
    )[0]:
        assert 1 not in labels[:-1]


def test_a_prefix_that_was_dropped_comes_back_as_itself():
    """No labelling is found twice, however often its prefixes leave the beam and return."""
    for seed in range(30):
        scores = np.random.default_rng(seed).normal(0, 1, (1, 30, 3))
        found = [tuple(labels.tolist()) for labels, _ in ctc_beam_search(scores, beam=4, best=4)[0]]
        assert len(set(found)) == len(found) == 4


BAD = [
    (lambda: ctc_greedy(np.ones((2, 3))), r"logits: expected shape \(N, T, C\), got \(2, 3\)"),
    (lambda: ctc_greedy(np.full((1, 2, 3), np.nan)), r"logits: expected finite numbers, got nan at \[0, 0, 0\]"),
    (lambda: ctc_greedy(np.ones((1, 2, 3)), blank=3), r"blank: expected 0 to 2, the classes, got 3"),
    (lambda: ctc_greedy(np.ones((1, 2, 3)), [3]), r"lengths: expected 0 to 2, got 3 at \[0\]"),
    (lambda: ctc_beam_search(np.ones((1, 2, 3)), beam=0), r"beam: expected at least 1, got 0"),
    (lambda: ctc_beam_search(np.ones((1, 2, 3)), beam=2, best=3), r"best: expected at most the beam, 2, got 3"),
]


@pytest.mark.parametrize(("act", "message"), BAD)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_bad_types_are_named():
    with pytest.raises(TypeError, match="blank: expected a whole number, got 0.0"):
        ctc_greedy(np.ones((1, 2, 3)), blank=0.0)
    with pytest.raises(TypeError, match="score: expected a function of .*, got 3"):
        ctc_beam_search(np.ones((1, 2, 3)), score=3)
