"""Language models: vocabularies, sampling, training on a small text, writing, files."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.text import LanguageModel, Recipe, Sampler, Vocabulary, probabilities, read_text, split
from fastlstm.text.vocabulary import UNKNOWN

ROOT = Path(__file__).parent.parent

VERSES = "The cat sat on the mat, the dog sat on the log; 'tis so, said he.\n"
SMALL = Recipe(hidden_size=24, num_layers=1, embedding_size=8, window=16, batch_size=8, learning_rate=0.02, epochs=4)
EACH = np.array([0.05, 0.4, 0.1, 0.15, 0.3])


@pytest.fixture(scope="module")
def writer():
    """A small network that has learned the verses, and its history."""
    text = VERSES * 60
    model = LanguageModel(Vocabulary.of(text), SMALL)
    return model, model.fit(text, VERSES * 3)


# vocabularies


@pytest.mark.parametrize(
    "text", ["to be, or not to be", "  two  spaces\n\n\ttab ", "don't ‘quote’ it—so! 3.14", "größer 東京 🙂", "a_b__c"]
)
def test_characters_and_words_give_the_text_back(text):
    for words in (False, True):
        vocabulary = Vocabulary.of(text, words=words)
        assert vocabulary.decode(vocabulary.encode(text)) == text
        again = Vocabulary(**json.loads(json.dumps(vocabulary.config())))
        assert again.tokens == vocabulary.tokens and again.words == words


def test_words_keep_the_most_frequent_and_the_rest_is_unknown():
    vocabulary = Vocabulary.of("a b b c c c d d d d", words=True, most=3)
    assert vocabulary.tokens == [UNKNOWN, " c", " d"]
    assert vocabulary.encode("a d d").tolist() == [0, 2, 2] and vocabulary.unknown == 0
    assert vocabulary.decode([2, 0]) == " d" + UNKNOWN
    assert UNKNOWN not in Vocabulary.of(UNKNOWN, words=True).tokens[1:]


def test_an_empty_text_has_no_tokens():
    vocabulary = Vocabulary(["a"])
    assert vocabulary.encode("").shape == (0,) and vocabulary.decode([]) == ""


def test_a_character_that_was_not_learned_is_named():
    with pytest.raises(ValueError, match="prompt: expected characters of the text .*, got 'é' at 2"):
        Vocabulary.of("abc").encode("ab\u00e9", "prompt")


@pytest.mark.parametrize(
    ("tokens", "words", "message"),
    [
        ([], False, "at least one"),
        (["a", "a"], False, "each once, got 'a' twice"),
        (["ab"], False, "single characters, got 'ab'"),
        (["ab"], True, "expected '<unknown>' among words"),
        ([1], False, "expected str, got 1"),
        ("ab", False, "expected a list of str"),
    ],
)
def test_wrong_tokens_are_errors(tokens, words, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Vocabulary(tokens, words=words)


# sampling


def test_probabilities_are_a_softmax_of_the_scores_over_the_temperature():
    scores = np.random.default_rng(0).normal(size=7).astype(np.float32)
    for temperature in (0.3, 1.0, 4.0):
        expected = np.exp(scores / temperature)
        np.testing.assert_allclose(probabilities(scores, temperature=temperature), expected / expected.sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, EACH),
        ({"temperature": 0}, [0, 1, 0, 0, 0]),
        ({"temperature": 0, "top_k": 3, "top_p": 0.9}, [0, 1, 0, 0, 0]),
        ({"temperature": 0.5}, EACH**2 / (EACH**2).sum()),
        ({"top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_k": 2}, [0, 4 / 7, 0, 0, 3 / 7]),
        ({"top_k": 99}, EACH),
        ({"top_p": 0.0}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.39}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.41}, [0, 4 / 7, 0, 0, 3 / 7]),
        ({"top_p": 0.8}, [0, 0.4 / 0.85, 0, 0.15 / 0.85, 0.3 / 0.85]),
        ({"top_p": 1.0}, EACH),
        ({"top_k": 2, "top_p": 0.5}, [0, 1, 0, 0, 0]),  # the nucleus is of what the two best leave: 4/7 is enough
    ],
)
def test_probabilities_are_exact_and_draws_follow_them(options, expected):
    p = probabilities(np.log(EACH) + 5, **options)
    np.testing.assert_allclose(p, expected, rtol=1e-12, atol=1e-15)
    sampler, scores = Sampler(**options, seed=0), np.log(EACH)
    drawn = np.bincount([sampler(scores) for _ in range(2000)], minlength=5) / 2000
    assert (drawn[p == 0] == 0).all()
    np.testing.assert_allclose(drawn, p, atol=4.5 * np.sqrt(0.25 / 2000))


def test_of_equal_scores_the_first_are_the_best():
    assert probabilities(np.zeros(4), temperature=0).tolist() == [1, 0, 0, 0]
    assert probabilities(np.zeros(4), top_k=2).tolist() == [0.5, 0.5, 0, 0]
    assert probabilities(np.zeros(4), top_p=0.6).round(6).tolist() == [0.333333, 0.333333, 0.333333, 0]


def test_extreme_scores_and_temperatures_stay_finite():
    scores = [1e308, -1e308, -np.inf, 1e308]
    for temperature in (1e-300, 1.0, 1e30):
        p = probabilities(scores, temperature=temperature)
        assert np.isfinite(p).all() and p[2] == 0 and p[0] == p[3]
    assert Sampler(seed=0)([-np.inf, 3.0]) == 1


def test_the_same_seed_draws_the_same():
    first, second, other = ([Sampler(seed=s)(np.zeros(1000)) for _ in range(1)] for s in (1, 1, 2))
    assert first == second != other


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([1, np.nan], {}, r"scores: expected numbers or -inf, got nan at \[1\]"),
        ([np.inf, 1], {}, r"scores: expected numbers or -inf, got inf at \[0\]"),
        ([-np.inf, -np.inf], {}, "scores: expected at least one above -inf"),
        ([], {}, "scores: expected shape"),
        ([[1.0]], {}, r"scores: expected shape \(V,\), got \(1, 1\)"),
        (["a"], {}, "scores: expected real numbers"),
        ([1.0], {"top_k": 0}, "top_k: expected at least 1, got 0"),
        ([1.0], {"top_k": 1.5}, "top_k: expected a whole number"),
        ([1.0], {"top_p": 1.1}, "top_p: expected at least 0 and at most 1, got 1.1"),
        ([1.0], {"top_p": -0.1}, "top_p: expected at least 0"),
        ([1.0], {"top_p": np.nan}, "top_p: expected at least 0"),
        ([1.0], {"temperature": -1}, "temperature: expected at least 0"),
        ([1.0], {"temperature": np.nan}, "temperature: expected at least 0"),
        ([1.0], {"temperature": np.inf}, "temperature: expected at least 0"),
    ],
)
def test_hostile_scores_and_options_are_errors(scores, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        probabilities(scores, **options)


# training and writing


def test_a_small_text_is_learned_far_below_what_frequencies_tell(writer):
    model, history = writer
    assert history.epochs == 4
    unigram = model.frequency_loss(VERSES * 60, VERSES * 3)
    counts = np.bincount(model.vocabulary.encode(VERSES))
    shares = counts[counts > 0] / counts.sum()
    np.testing.assert_allclose(unigram, -(shares * np.log(shares)).sum(), rtol=1e-3)
    assert history["val_loss"][-1] < 0.4 * unigram
    assert model.loss(VERSES * 3) < 0.4 * unigram


def test_the_loss_of_a_text_is_the_mean_of_minus_log_p(writer):
    model, _ = writer
    ids = model.vocabulary.encode(VERSES)
    scores = model.model.predict(ids[None, :-1])[0]
    each = [-np.log(probabilities(row)[k]) for row, k in zip(scores, ids[1:], strict=True)]
    np.testing.assert_allclose(model.loss(VERSES), np.mean(each), rtol=1e-5)


def test_it_writes_what_its_probabilities_say(writer):
    model, _ = writer
    written = "".join(model.generate("The cat", 40, temperature=0))
    ids = model.vocabulary.encode("The cat")
    for _ in range(40):
        ids = np.append(ids, model.model.predict(ids[None])[0, -1].argmax())
    assert written == model.vocabulary.decode(ids)[len("The cat") :] and "sat on the" in written


def test_the_same_seed_writes_the_same(writer):
    model, _ = writer
    first, second, other = ("".join(model.generate("The", 60, temperature=2.0, seed=s)) for s in (3, 3, 4))
    assert first == second != other and len(first) == 60
    assert "".join(model.generate(length=5, seed=0)) == "".join(model.generate("\n", 5, seed=0))


def test_the_same_recipe_learns_the_same_bits():
    text = VERSES * 20
    twice = [LanguageModel(Vocabulary.of(text), SMALL) for _ in range(2)]
    losses = [model.fit(text)["loss"] for model in twice]
    assert losses[0] == losses[1]
    for a, b in zip(*(model.model.parameters() for model in twice), strict=True):
        assert a.value.tobytes() == b.value.tobytes()


def test_words_are_learned_and_the_unknown_one_is_never_written():
    text = VERSES * 60
    vocabulary = Vocabulary.of(text, words=True, most=6)  # so few that most words are unknown
    model = LanguageModel(vocabulary, SMALL)
    history = model.fit(text)
    assert history["loss"][-1] < 0.5 * model.frequency_loss(text, text)
    assert UNKNOWN not in "".join(model.generate("The horse", 50, seed=0))


def test_a_prompt_is_checked_before_anything_is_written(writer):
    model, _ = writer
    with pytest.raises(ValueError, match="prompt: .* got 'X'"):
        model.generate("X")
    with pytest.raises(ValueError, match="length: expected at least 1, got 0"):
        model.generate("The", 0)


class Interrupt(fl.Callback):
    """Ctrl-C in the third epoch."""

    def on_batch_end(self, progress):
        if progress.epoch == 3:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_keeps_what_was_learned_and_resumed_it_ends_the_same(tmp_path):
    text = VERSES * 20
    whole, parted, resumed = (LanguageModel(Vocabulary.of(text), SMALL) for _ in range(3))
    history = whole.fit(text, VERSES)
    assert parted.fit(text, VERSES, callbacks=[Interrupt()], resume=tmp_path).epochs == 2 and parted.interrupted
    assert parted.loss(VERSES) < history["val_loss"][0]
    assert dict(resumed.fit(text, VERSES, resume=tmp_path)) == dict(history) and not resumed.interrupted
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert a.value.tobytes() == b.value.tobytes()


def test_a_short_text_gets_fewer_streams_and_more_epochs():
    recipe = Recipe(window=64, batch_size=32)
    assert recipe.streams(10**6) == 32 and recipe.epochs_of(10**6) == 10
    assert recipe.streams(300) == 1 and recipe.epochs_of(300) * recipe.steps(300) >= 2000
    assert Recipe(epochs=3).epochs_of(300) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size: expected at least 1, got 0"),
        ({"dropout": 1.0}, "dropout: expected at least 0 and below 1, got 1.0"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"warmup": 1.0}, "warmup: expected at least 0 and below 1"),
        ({"precision": "half"}, "precision: expected 'bfloat16' or None, got 'half'"),
    ],
)
def test_wrong_recipes_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)


# files


def test_a_model_with_its_vocabulary_and_recipe_comes_back(writer, tmp_path):
    model, _ = writer
    model.save(tmp_path / "m.safetensors", note="mine")
    again = LanguageModel.load(tmp_path / "m.safetensors")
    assert again.vocabulary.tokens == model.vocabulary.tokens and again.recipe == SMALL
    assert "".join(again.generate("The", 30, seed=1)) == "".join(model.generate("The", 30, seed=1))
    assert fl.io.native.read_metadata(tmp_path / "m.safetensors")["note"] == "mine"


def test_a_file_without_a_vocabulary_or_with_another_is_an_error(writer, tmp_path):
    model, _ = writer
    fl.save(model.model, tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match="holds a model, but no vocabulary"):
        LanguageModel.load(tmp_path / "plain.safetensors")
    words = {"text": json.dumps({"vocabulary": {"tokens": ["a", "b"]}, "recipe": {}})}
    fl.save(model.model, tmp_path / "other.safetensors", metadata=words)
    with pytest.raises(ValueError, match="damaged: model: expected one from 2 tokens to 2 scores"):
        LanguageModel.load(tmp_path / "other.safetensors")
    fl.save(model.model, tmp_path / "broken.safetensors", metadata={"text": "{"})
    with pytest.raises(ValueError, match="damaged"):
        LanguageModel.load(tmp_path / "broken.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a text, got an empty file"),
        (b" \n" * 300, "expected a text, got an empty file"),
        (b"short", "expected at least 200 characters to learn from, got 5"),
        (b"x" * 300 + b"\xe9t\xe9", "expected UTF-8, got the byte 0xe9 at 300"),
    ],
)
def test_files_that_cannot_be_learned_from_are_errors(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_text(tmp_path / "a.txt")


def test_line_ends_and_a_byte_order_mark_do_not_count(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeff".encode() + b"line\r\nline\rline\n" * 20)
    assert read_text(tmp_path / "a.txt") == "line\n" * 60


def test_the_usual_split_of_tinyshakespeare(data_file):
    text = read_text(data_file("tinyshakespeare.txt"))
    train, validation = split(text)
    assert len(text) == 1115394 and len(train) == 1003854 and train + validation == text
    assert len(Vocabulary.of(text)) == 65


def test_a_part_of_tinyshakespeare_is_learned(data_file):
    text = read_text(data_file("tinyshakespeare.txt"))[:30_000]
    train, validation = split(text)
    recipe = Recipe(hidden_size=48, num_layers=1, embedding_size=16, window=32, learning_rate=0.01, epochs=4)
    model = LanguageModel(Vocabulary.of(text), recipe)
    history = model.fit(train, validation)
    assert history["val_loss"][-1] < 0.85 * model.frequency_loss(train, validation)


# the benchmark


# both trainings in one process, and the page
SMALL_BENCHMARK = """
import dataclasses, json, sys
from pathlib import Path
from bench.studies.text import ours, page, pytorch
from bench.studies.text.task import SAME, Task
recipe = dataclasses.replace(
    SAME, dropout=0.0, hidden_size=8, embedding_size=8, window=16, learning_rate=0.01, epochs=2
)
runs = {}
for name, module in (("fastlstm", ours), ("torch", pytorch)):
    runs[name] = [{**module.run(Task.of(recipe, 9000), 1), "recipe": recipe.config()}]
measured = {"machine": {"processor": "some"}, "threads": 1, "characters": 9000, "command": "test", "runs": runs}
page.write({"same": measured, "best": measured}, Path(sys.argv[1]))
Path(sys.argv[1], "runs.json").write_text(json.dumps(runs))
"""


def test_the_benchmark_trains_the_same_in_pytorch(data_file, tmp_path):
    """Without dropout both learn the same, step by step, and the page says so."""
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    data_file("tinyshakespeare.txt")
    if not (ROOT / "bench").exists():
        pytest.skip("the benchmark is not part of the package")
    subprocess.run([sys.executable, "-c", SMALL_BENCHMARK, str(tmp_path)], cwd=ROOT, check=True)
    runs = json.loads((tmp_path / "runs.json").read_text())
    ours, theirs = runs["fastlstm"][0], runs["torch"][0]
    for name in ("loss", "val_loss", "final", "parameters"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4)
    assert ours["loss"][1] < ours["loss"][0]
    page = (tmp_path / "text.md").read_text(encoding="utf-8")
    assert "| PyTorch |" in page and "nats a character" in page and "    ROMEO:" in page
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"text-same.png", "text-best.png"}


def test_several_seeds_tell_chance_from_a_difference(monkeypatch):
    if not (ROOT / "bench").exists():
        pytest.skip("the benchmark is not part of the package")
    monkeypatch.syspath_prepend(ROOT)
    from bench.studies.text import seeds

    runs = {"fastlstm": [{"final": 1.5}, {"final": 1.7}], "torch": [{"final": 1.4}, {"final": 1.2}]}
    said = seeds.report(runs)
    assert "| fastlstm | 1.6000 | 0.1414 | 1.5000 1.7000 |" in said
    assert "| PyTorch | 1.3000 | 0.1414 | 1.4000 1.2000 |" in said
    assert said.endswith("fastlstm less PyTorch: +0.3000, with a standard error of 0.2000 over 2 seeds.")


def test_the_page_says_what_the_benchmark_would_write(monkeypatch):
    """Its prose is the template's; only what was measured comes after it."""
    if not (ROOT / "bench").exists():
        pytest.skip("the benchmark is not part of the package")
    monkeypatch.syspath_prepend(ROOT)
    from bench.studies.text import page

    assert (ROOT / "docs" / "text.md").read_text(encoding="utf-8").startswith(page.PROSE)
