"""``fastlstm text``, from its arguments to its files."""

import os
import signal
import sys

import pytest

import fastlstm as fl
from fastlstm import cli
from fastlstm.callbacks import Callback
from fastlstm.text import LanguageModel

pytest.importorskip("matplotlib")

VERSES = "The cat sat on the mat, the dog sat on the log; 'tis so, said he.\n"
SMALL = ["--hidden", "16", "--layers", "1", "--window", "16"]


@pytest.fixture
def verses(tmp_path):
    path = tmp_path / "verses.txt"
    path.write_text(VERSES * 30, encoding="utf-8")
    return path


class Interrupt(Callback):
    """Ctrl-C in the third epoch."""

    def on_batch_end(self, progress):
        if progress.epoch == 3:
            signal.raise_signal(signal.SIGINT)


def run(capsys, *arguments, status=0):
    """What a command prints, with its status."""
    assert cli.main(list(map(str, arguments))) == status
    return capsys.readouterr().out


def error_of(capsys, *arguments, status=1):
    """The one line on stderr of a command that fails."""
    assert cli.main(list(map(str, arguments))) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("fastlstm: error: ")
    return lines[0]


def test_a_text_is_learned_and_written_on(verses, tmp_path, capsys):
    out = tmp_path / "out"
    printed = run(capsys, "text", "train", verses, *SMALL, "--epochs", 3, "--output", out)
    assert "Vocabulary: 20 characters." in printed and "3 epochs of" in printed
    assert "epoch 3 of 3: training" in printed and "bits)" in printed and "comes alone" in printed
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    options = ["text", "generate", out, "--prompt", "The cat", "--length", "50", "--seed", "1"]
    first, second = run(capsys, *options), run(capsys, *options)
    assert first == second and first.startswith("The cat") and len(first) == len("The cat") + 50 + 1
    assert first != run(capsys, *options[:-1], "2")
    assert run(capsys, *options, "--temperature", "0") == run(capsys, *options, "--top-k", "1")
    assert run(capsys, *options, "--top-p", "0") == run(capsys, *options, "--top-k", "1")
    assert len(run(capsys, "text", "generate", out / "model.safetensors", "--length", "5")) == 6


def test_words_are_learned_and_written(verses, tmp_path, capsys):
    out = tmp_path / "out"
    train = ["text", "train", verses, *SMALL, "--words", "--vocabulary", "10", "--epochs", "2", "--output", out]
    printed = run(capsys, *train)
    assert "Vocabulary: 10 words." in printed and "(perplexity " in printed
    assert LanguageModel.load(out / "model.safetensors").vocabulary.words
    assert run(capsys, "text", "generate", out, "--prompt", "The horse", "--length", "4").startswith("The horse")


def test_a_training_in_half_the_bits_keeps_its_recipe(verses, tmp_path, capsys):
    run(capsys, "text", "train", verses, *SMALL, "--epochs", 1, "--bfloat16", "--output", tmp_path / "out")
    assert LanguageModel.load(tmp_path / "out/model.safetensors").recipe.precision == "bfloat16"


def test_the_same_seed_learns_the_same(verses, tmp_path, capsys):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train = ["text", "train", verses, *SMALL, "--epochs", 1, "--seed", seed, "--output", tmp_path / name]
        run(capsys, *train)
    weights = [fl.load(tmp_path / name / "model.safetensors").parameters()[0].value.tobytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_minutes_become_epochs(verses, tmp_path, capsys):
    printed = run(capsys, "text", "train", verses, *SMALL, "--minutes", "1e-9", "--output", tmp_path / "out")
    assert ", 1 epochs of" in printed


def test_ctrl_c_keeps_what_was_learned_and_it_can_be_gone_on_with(verses, tmp_path, capsys, monkeypatch):
    def fit(self, *arguments, callbacks, **options):
        return learn(self, *arguments, callbacks=[*callbacks, Interrupt()], **options)

    learn = LanguageModel.fit
    train = ["text", "train", verses, "--output"]
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    run(capsys, *train, whole, *SMALL, "--epochs", 4)
    assert [path.name for path in sorted(whole.iterdir())] == ["curve.png", "model.safetensors"]
    with monkeypatch.context() as patch:
        patch.setattr(LanguageModel, "fit", fit)
        printed = run(capsys, *train, parted, *SMALL, "--epochs", 4, status=130)
    assert "epoch 2 of 4:" in printed and "epoch 3 of 4:" not in printed
    assert "Stopped after step 71 (epoch 3 of 4, batch 1 of 35)." in printed
    small = " ".join(SMALL)
    assert f"To go on: fastlstm text train {verses} --output {parted} {small} --epochs 4 --resume" in printed
    assert len(run(capsys, "text", "generate", parted / "unfinished/stopped.safetensors", "--length", "5")) == 6
    printed = run(capsys, *train, parted, "--resume")
    assert "epoch 2 of 4:" not in printed and "epoch 3 of 4:" in printed
    assert [path.name for path in sorted(parted.iterdir())] == ["curve.png", "model.safetensors"]
    generate = ["--length", "80", "--seed", "1"]
    assert run(capsys, "text", "generate", whole, *generate) == run(capsys, "text", "generate", parted, *generate)
    assert "there is no interrupted training to resume" in error_of(capsys, *train, parted, "--resume")


def test_a_reader_that_has_seen_enough_is_no_error(verses, tmp_path, capsys, monkeypatch):
    run(capsys, "text", "train", verses, *SMALL, "--epochs", 1, "--output", tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert cli.main(["text", "generate", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vocabulary", "5"], "vocabulary: expected with --words only"),
        (["--minutes", "0"], "minutes: expected above 0 and at most 1000000, got 0.0"),
        (["--minutes", "nan"], "minutes: expected above 0 and at most 1000000, got nan"),
        (["--dropout", "1"], "dropout: expected at least 0 and below 1, got 1.0"),
        (["--validation", "1"], "validation: expected above 0 and below 1, got 1.0"),
        (["--validation", "0"], "validation: expected above 0 and below 1, got 0.0"),
        (["--validation", "0.5", "--test", "0.5"], "test: expected below 1 together with validation=0.5, got 0.5"),
    ],
)
def test_wrong_options_of_training_are_errors(verses, tmp_path, capsys, arguments, message):
    train = ["text", "train", verses, *SMALL, *arguments, "--output", tmp_path / "out"]
    assert message in error_of(capsys, *train, status=2)
    assert not (tmp_path / "out").exists()


def test_wrong_files_and_prompts_are_errors(verses, tmp_path, capsys):
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    assert "expected a text, got an empty file" in error_of(capsys, "text", "train", empty)
    assert "nothing.txt: no such file" in error_of(capsys, "text", "train", tmp_path / "nothing.txt")
    assert "no such file" in error_of(capsys, "text", "generate", tmp_path)
    assert "not a safetensors file" in error_of(capsys, "text", "generate", verses)
    run(capsys, "text", "train", verses, *SMALL, "--epochs", 1, "--output", tmp_path)
    generate = ["text", "generate", tmp_path]
    assert "got 'X' at 0" in error_of(capsys, *generate, "--prompt", "X", status=2)
    assert "top_p: expected at least 0 and at most 1" in error_of(capsys, *generate, "--top-p", "2", status=2)


@pytest.mark.parametrize("arguments", [["text", "--help"], ["text", "train", "--help"], ["text", "generate", "--help"]])
def test_help_is_there(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    assert exit.value.code == 0 and "usage: fastlstm text" in capsys.readouterr().out
