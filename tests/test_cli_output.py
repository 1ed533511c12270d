"""What every command promises of the files that it writes, of Ctrl-C, and of whatever is typed."""

import argparse
import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import cli
from fastlstm.classification import Classifier
from fastlstm.cli.output import Output
from fastlstm.cli.report import Report
from fastlstm.model import memory
from fastlstm.speech import StringReader
from fastlstm.text import LanguageModel
from fastlstm.training.folder import held
from fastlstm.training.loop import Loop
from fastlstm.training.ranks import Ranks

pytest.importorskip("pandas")
pytest.importorskip("matplotlib")
wavfile = pytest.importorskip("scipy.io.wavfile")

COMMANDS = ("forecast", "text", "classify", "speech")
MODELS = {name: "speech.safetensors" if name == "speech" else "model.safetensors" for name in (*COMMANDS, "demo")}


@pytest.fixture
def data(tmp_path):
    """Something to learn from for each command."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(240)
    (tmp_path / "x.csv").write_text("x\n" + "\n".join(f"{np.sin(k / 2) + noise[k]:.3f}" for k in range(240)))
    (tmp_path / "verses.txt").write_text("The cat sat on the mat, the dog sat on the log.\n" * 40)
    words = {"good": ("fine", "great"), "bad": ("dull", "awful")}
    rows = [f"the film {k} was {rng.choice(words[label])},{label}" for k in range(20) for label in words]
    (tmp_path / "mails.csv").write_text("\n".join(["text,label", *rows]))
    (tmp_path / "words").mkdir()
    for word, hertz in (("do", 300), ("mi", 1500)):
        for k in range(4):
            tone = np.sin(2 * np.pi * hertz * np.arange(1600) / 8000) * rng.uniform(0.5, 1)
            wavfile.write(tmp_path / "words" / f"{word}_{k}.wav", 8000, tone.astype(np.float32))
    return tmp_path


@pytest.fixture
def line(data, monkeypatch):
    """A function from the name of a command to a command line of a small training of three epochs, without --output."""
    pytest.importorskip("kaldi_native_fbank")
    monkeypatch.setattr(cli.speech, "TEST_STRINGS", 3)
    monkeypatch.setattr(StringReader.__init__, "__kwdefaults__", {"strings": None, "per_epoch": 32})
    small = ["--hidden", "4", "--epochs", "3"]
    lines = {
        "forecast": ["forecast", data / "x.csv", "--target", "x", "--horizon", "4", *small],
        "text": ["text", "train", data / "verses.txt", "--layers", "1", "--window", "16", *small],
        "classify": ["classify", "train", data / "mails.csv", *small],
        "speech": ["speech", "train", data / "words", *small],
        "demo": ["demo"],
    }
    return lambda name: [str(word) for word in lines[name]]


@pytest.fixture
def no_training(monkeypatch):
    """No step is taken."""

    def run(self, state=None):
        raise AssertionError("a training has begun")

    monkeypatch.setattr(Loop, "run", run)


def error_of(capsys, *arguments, status=1):
    """The one line on stderr of a command that fails."""
    assert cli.main(list(map(str, arguments))) == status
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("fastlstm: error: ")
    return line


@pytest.mark.parametrize("name", [*COMMANDS, "demo"])
def test_a_model_that_is_there_is_not_replaced_unasked(name, line, tmp_path, capsys, no_training):
    model = tmp_path / "out" / MODELS[name]
    model.parent.mkdir()
    model.write_bytes(b"a good model")
    message = error_of(capsys, *line(name), "--output", model.parent)
    assert message == f"fastlstm: error: {model}: is there already; --force replaces it, another --output keeps it"
    assert model.read_bytes() == b"a good model" and list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize("name", COMMANDS)
def test_with_force_it_is_replaced(name, line, tmp_path, capsys):
    model = tmp_path / "out" / MODELS[name]
    model.parent.mkdir()
    model.write_bytes(b"an old model")
    assert cli.main([*line(name), "--output", str(model.parent), "--force"]) == 0
    assert model.stat().st_size > 1000 and not (model.parent / "unfinished").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_keeps_the_earlier_model_and_names_a_command_that_goes_on(name, line, tmp_path, capsys, monkeypatch):
    def interrupt(self, progress):
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    whole, out = tmp_path / "whole", tmp_path / "parted"
    assert cli.main([*line(name), "--output", str(whole)]) == 0
    out.mkdir()
    (out / MODELS[name]).write_bytes(b"a good model")
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(Report, "on_batch_end", interrupt)
        assert cli.main([*line(name), "--output", str(out), "--force"]) == 130
    printed = capsys.readouterr()
    assert (out / MODELS[name]).read_bytes() == b"a good model" and printed.err == ""
    assert {path.name for path in out.iterdir()} == {MODELS[name], "unfinished"}
    assert (out / "unfinished/stopped.safetensors").stat().st_size > 1000
    assert "Stopped after step " in printed.out and f"{MODELS[name]} is still the earlier one." in printed.out
    _, _, again = printed.out.partition("To go on: fastlstm ")
    assert cli.main(shlex.split(again)) == 0
    assert arrays(out / MODELS[name]) == arrays(whole / MODELS[name])
    assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}


def arrays(path):
    """The bits of a model, by name."""
    return {name: parameter.value.tobytes() for name, parameter in fl.load(path).named_parameters().items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_training_is_not_thrown_away_unasked(name, line, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Report, "on_batch_end", lambda self, progress: signal.raise_signal(signal.SIGINT))
        assert cli.main([*line(name), "--output", str(out)]) == 130
    capsys.readouterr()
    message = error_of(capsys, *line(name), "--output", out)
    assert "unfinished: holds an interrupted training; --resume goes on with it, --force begins anew" in message
    if name != "text":  # which keeps what it was begun with
        other = [*line(name), "--output", out, "--resume", "--hidden", "5"]
        assert "hidden: expected 4, as the training was begun with, got 5" in error_of(capsys, *other, status=2)
    assert cli.main([*line(name), "--output", str(out), "--force"]) == 0
    assert not (out / "unfinished").exists()


def test_what_an_interrupted_training_leaves_can_be_used(line, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Report, "on_batch_end", lambda self, progress: signal.raise_signal(signal.SIGINT))
    for name, use in (("classify", "fastlstm classify predict"), ("text", "fastlstm text generate")):
        assert cli.main([*line(name), "--output", str(tmp_path / name)]) == 130
        _, _, rest = capsys.readouterr().out.partition("To use it: fastlstm ")
        assert f"fastlstm {rest}".startswith(use)
        assert cli.main(shlex.split(rest.partition("\n")[0])) == 0


def test_ctrl_c_after_the_training_names_the_command_that_goes_on(line, tmp_path, capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModel, "loss", interrupt)
        assert cli.main([*line("text"), "--output", str(tmp_path / "out")]) == 130
    again = capsys.readouterr().err.splitlines()[-1]
    assert again.startswith("fastlstm: stopped. To go on: fastlstm text train ")
    assert cli.main(shlex.split(again.partition("To go on: fastlstm ")[2])) == 0


@pytest.mark.parametrize("name", [*COMMANDS, "demo"])
def test_a_folder_that_cannot_be_written_to_is_told_at_the_start(name, line, data, capsys, no_training, monkeypatch):
    assert "expected a folder, got the file" in error_of(capsys, *line(name), "--output", data / "x.csv")
    below = data / "x.csv" / "below"
    assert f"output: cannot write to {below}: " in error_of(capsys, *line(name), "--output", below)
    with monkeypatch.context() as patch:
        patch.setattr("fastlstm.cli.output.TemporaryFile", full)
        out = data / "new" / "out"
        message = error_of(capsys, *line(name), "--output", out)
        assert f"output: cannot write to {out}: No space left on device" in message and not out.parent.exists()
    (data / "loop").mkdir()
    (data / "loop" / MODELS[name]).symlink_to(data / "loop" / MODELS[name])
    assert "expected a file to write to, got something else" in error_of(capsys, *line(name), "--output", data / "loop")
    (data / "taken" / MODELS[name]).mkdir(parents=True)
    assert "expected a file to write to, got a folder" in error_of(capsys, *line(name), "--output", data / "taken")


def full(**options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_demo_s_own_folder_is_written_to_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.forecast, "LSTMForecaster", few_epochs(cli.forecast.LSTMForecaster))
    for _ in range(2):
        assert cli.main(["demo"]) in (0, 1)
        assert capsys.readouterr().err == ""
    assert {path.name for path in Path("fastlstm-demo").iterdir()} == {"forecast.png", "model.safetensors"}


def few_epochs(forecaster):
    return lambda *arguments, **options: forecaster(*arguments, **{**options, "epochs": 2})


def test_pictures_of_words_are_not_replaced_unasked(line, tmp_path, capsys):
    model, pictures = tmp_path / "out", tmp_path / "pictures"
    assert cli.main([*line("classify"), "--output", str(model)]) == 0
    explain = ["classify", "predict", str(model), "the film was dull", "--explain", "--output", str(pictures)]
    assert cli.main(explain) == 0
    capsys.readouterr()
    (pictures / "gates-1.png").write_bytes(b"mine")
    (pictures / "words-1.png").unlink()
    assert "gates-1.png: is there already; --force replaces it" in error_of(capsys, *explain)
    assert (pictures / "gates-1.png").read_bytes() == b"mine" and not (pictures / "words-1.png").exists()
    assert cli.main([*explain, "--force"]) == 0
    assert (pictures / "gates-1.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_of_a_classifier_is_of_texts_that_chose_nothing(line, tmp_path, monkeypatch, capsys):
    seen, fit, predict = {}, Classifier.fit, Classifier.predict

    def spy_fit(self, texts, labels, validation, **options):
        seen.update(learned=set(texts), validation=set(validation[0]))
        return fit(self, texts, labels, validation, **options)

    def spy_predict(self, texts):
        seen.update(test=set(texts))
        return predict(self, texts)

    monkeypatch.setattr(Classifier, "fit", spy_fit)
    monkeypatch.setattr(Classifier, "predict", spy_predict)
    assert cli.main([*line("classify"), "--test", "0.2", "--output", str(tmp_path / "out")]) == 0
    assert [len(seen[part]) for part in ("learned", "validation", "test")] == [28, 4, 8]
    assert len(set.union(*seen.values())) == 40
    assert "Right of the 8 held-out texts: " in capsys.readouterr().out


def test_the_figure_of_a_text_is_of_a_part_that_chose_nothing(line, data, tmp_path, monkeypatch, capsys):
    seen, fit, loss = {}, LanguageModel.fit, LanguageModel.loss

    def spy_fit(self, learned, validation, **options):
        seen.update(learned=learned, validation=validation)
        return fit(self, learned, validation, **options)

    def spy_loss(self, text):
        seen.update(test=text)
        return loss(self, text)

    monkeypatch.setattr(LanguageModel, "fit", spy_fit)
    monkeypatch.setattr(LanguageModel, "loss", spy_loss)
    assert cli.main([*line("text"), "--test", "0.2", "--output", str(tmp_path / "out")]) == 0
    whole = (data / "verses.txt").read_text()
    assert seen["learned"] + seen["validation"] + seen["test"] == whole
    assert len(seen["validation"]) == round(0.1 * len(whole)) and len(seen["test"]) == round(0.2 * len(whole))
    assert f"Test: {loss(LanguageModel.load(tmp_path / 'out/model.safetensors'), seen['test']):.3f} nats" in (
        capsys.readouterr().out
    )


def test_a_class_of_two_texts_is_too_few(data, capsys):
    (data / "few.csv").write_text("text,label\n" + "a film,good\n" * 5 + "b film,bad\n" * 2)
    message = error_of(capsys, "classify", "train", data / "few.csv", "--output", data / "out")
    assert "expected at least 3 texts of each class, to learn from, to choose the epoch by and to test on" in message
    assert "got 2 of 'bad'" in message


def test_a_folder_of_other_sounds_is_refused_before_the_training(data, capsys, no_training):
    words, stray = data / "words", data / "stray"
    stray.mkdir()
    for name in ("kick_01", "piano_c4", "take2_final"):
        shutil.copy(words / "do_0.wav", stray / f"{name}.wav")
    message = error_of(capsys, "speech", "train", stray, "--output", data / "out")
    assert "expected recordings of at least two words, 3 or more of each, named label_anything.wav" in message
    assert message.endswith("got fewer of 3 of the 3 labels: 'kick', 'piano', 'take2'")
    shutil.copy(words / "do_0.wav", words / "noise_1.wav")
    message = error_of(capsys, "speech", "train", words, "--output", data / "out")
    assert message.endswith("got fewer of 1 of the 3 labels: 'noise'")
    for path in stray.iterdir():
        path.rename(stray / f"rec_{path.name}")
    assert error_of(capsys, "speech", "train", stray, "--output", data / "out").endswith("got the label 'rec' alone")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_network_that_does_not_fit_is_refused_in_one_sentence(name, line, tmp_path, capsys, no_training):
    message = error_of(capsys, *line(name), "--hidden", "100000", "--output", tmp_path / "out")
    assert "out of memory: training this network of " in message and " GB are free" in message
    assert cli.main([*line(name), "--hidden", "1000000000", "--output", str(tmp_path / "new")]) == 1


def test_memory_is_asked_of_batches_too_and_of_numpy_s_errors(line, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: 10**6)
    message = error_of(capsys, *line("text"), "--window", "100000", "--output", tmp_path / "out")
    assert "on batches of 1 x 1,6" in message and "0.0 GB are free" in message

    def run(self, state=None):
        raise MemoryError

    monkeypatch.undo()
    monkeypatch.setattr(Loop, "run", run)
    message = error_of(capsys, "forecast", *line("forecast")[1:], "--output", tmp_path / "other")
    assert message == "fastlstm: error: out of memory: a smaller network, batch or window needs less"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_training_that_fails_leaves_nothing_behind(name, line, tmp_path, capsys, monkeypatch):
    def run(self, state=None):
        raise FloatingPointError("the loss is nan")

    monkeypatch.setattr(Loop, "run", run)
    assert error_of(capsys, *line(name), "--output", tmp_path / "out") == "fastlstm: error: the loss is nan"
    assert not (tmp_path / "out").exists()


def test_what_another_training_is_writing_is_left_alone(line, tmp_path, capsys):
    folder = tmp_path / "out/unfinished"
    with held([folder]):
        assert "another training is using the folder" in error_of(capsys, *line("speech"), "--output", tmp_path / "out")
        assert (folder / ".lock").exists()


def test_a_horizon_beyond_all_measure_is_answered_at_once(data, capsys):
    options = ["--target", "x", "--holdout", "10", "--horizon", "100000"]
    assert "horizon: expected less than the 240 values" in error_of(capsys, "forecast", data / "x.csv", *options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forecast", "", "--target", "x", "--horizon", "1"], "argument FILE: expected a path, got ''"),
        (["forecast", "/dev/zero", "--target", "x", "--horizon", "1"], "expected a file, got the device /dev/zero"),
        (["text", "train", "/dev/zero"], "argument FILE: expected a file, got the device /dev/zero"),
        (["text", "train", "a", "--layers", "100000000"], "--layers: expected a whole number from 1 to 64"),
        (["text", "train", "a", "--hidden", "9" * 5000], "--hidden: expected a whole number from 1 to 1000000000, got"),
        (["demo", "--seed", "9" * 5000], "--seed: expected a whole number from 0 to 2**64 - 1, got '999"),
        (["demo", "--output", ""], "--output: expected a path, got ''"),
        (["classify", "predict", "", "a text"], "argument DIR: expected a path, got ''"),
        (["speech", "a.wav", "--beam", "1000000000"], "--beam: expected a whole number from 1 to 1000"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    line = capsys.readouterr().err.splitlines()[-1]
    assert exit.value.code == 2 and message in line and len(line) < 300


def test_no_text_is_wrong_usage_and_a_folder_or_device_is_no_text(tmp_path, capsys):
    for nothing in ("", " \n"):
        message = error_of(capsys, "classify", "predict", tmp_path, nothing, status=2)
        assert message == f"fastlstm: error: texts: expected a text or a file, got {nothing!r}"
    assert "expected a text or a file, got a folder" in error_of(capsys, "classify", "predict", tmp_path, tmp_path)
    assert "expected a text or a file, got a device" in error_of(capsys, "classify", "predict", tmp_path, "/dev/zero")


def test_options_of_an_interrupted_training_that_are_damaged_are_named(line, tmp_path, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Report, "on_batch_end", lambda self, progress: signal.raise_signal(signal.SIGINT))
        assert cli.main([*line("forecast"), "--output", str(tmp_path / "out")]) == 130
    capsys.readouterr()
    for content in (b"\xff", b"{", b"[1]", b"[" * 100_000):
        (tmp_path / "out/unfinished/settings.json").write_bytes(content)
        message = error_of(capsys, *line("forecast"), "--output", tmp_path / "out", "--resume")
        assert "settings.json: damaged: expected the options of a training as JSON" in message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_stdout_is_one_line_too(line, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "fastlstm", *line("forecast"), "--output", tmp_path / "out"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["fastlstm: error: [Errno 28] No space left on device"]


@pytest.mark.parametrize(
    ("line", "again"),
    [
        (["forecast", "a.csv"], "fastlstm forecast a.csv --resume"),
        (["forecast", "--epochs", "3", "--", "-a.csv"], "fastlstm forecast --epochs 3 --resume -- -a.csv"),
    ],
)
def test_the_command_that_goes_on_has_its_option_before_the_names(line, again, tmp_path):
    options = argparse.Namespace(output=tmp_path / "out", resume=False, force=False, line=line)
    options.ranks, options.communicator = Ranks(), None
    output = Output(options, ["model.safetensors"])
    assert output.again == again
    options.ranks.size = 3
    assert output.again == "mpiexec -n 3 " + again
