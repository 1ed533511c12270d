"""What is no file is neither read nor replaced; what may not be read says so."""

import os
import socket
import threading
from contextlib import contextmanager

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import files, snapshot
from fastlstm.callbacks import Checkpoint, CSVLog
from fastlstm.callbacks.checkpoint import checkpoints
from fastlstm.classification import Classifier, read_texts
from fastlstm.forecasting import LSTMForecaster
from fastlstm.speech import WordClassifier
from fastlstm.text import LanguageModel, read_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="FIFOs, devices, links and modes of POSIX")

READERS = {
    "load": fl.load,
    "metadata": fl.io.native.read_metadata,
    "checkpoint": snapshot.read,
    "forecaster": LSTMForecaster.load,
    "classifier": Classifier.load,
    "text": LanguageModel.load,
    "speech": WordClassifier.load,
    "a text": read_text,
    "labelled texts": read_texts,
}
WRITERS = {
    "save": lambda path: fl.save(model(), path),
    "checkpoint": lambda path: snapshot.write(path, {"seed": 0}),
    "log": lambda path: train(CSVLog(path)),
}
KINDS = ["a FIFO", "a socket", "a device"]


def model():
    return fl.Model([fl.LSTM(1, 2), fl.Dense(2, 1)], seed=0)


def train(*callbacks, **options):
    x = np.ones((4, 3, 1))
    return fl.Trainer(model(), "mse", callbacks=callbacks).fit(x, x, epochs=1, progress=False, **options)


@contextmanager
def strange(kind, folder):
    """The path of something that is no file."""
    path = folder / "strange"
    if kind == "a FIFO":
        os.mkfifo(path)
        yield path
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as one:
            before = os.getcwd()
            os.chdir(folder)  # the path of a socket may not be long
            try:
                one.bind("strange")
            finally:
                os.chdir(before)
            yield path
    else:
        path.symlink_to("/dev/null")
        yield path


@contextmanager
def nobody():
    """Whoever may not read the files of others, which root may."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def soon(call):
    """What it raises, from another thread, so that a call that would wait for ever fails."""
    found = []

    def run():
        try:
            call()
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert found, "it has not refused"
    raise found[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_not_read(name, kind, tmp_path):
    with strange(kind, tmp_path) as path:
        with pytest.raises(OSError, match=f"strange: expected a (file|folder or a CSV file), got {kind}"):
            soon(lambda: READERS[name](path))


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRITERS)
def test_what_is_no_file_is_not_replaced(name, kind, link, tmp_path):
    with strange(kind, tmp_path) as path:
        if link:
            (tmp_path / "link").symlink_to(path)
        before = path.stat().st_mode, path.stat().st_ino
        with pytest.raises(FileExistsError, match=f"{'link' if link else 'strange'}: expected a file, got {kind}"):
            soon(lambda: WRITERS[name](tmp_path / "link" if link else path))
        assert (path.stat().st_mode, path.stat().st_ino) == before
        assert not list(tmp_path.glob(".*.part"))


def test_a_log_that_cannot_be_written_is_told_before_the_training(tmp_path):
    os.mkfifo(tmp_path / "log.csv")

    class Never(fl.Callback):
        def on_batch_begin(self, progress):
            raise AssertionError("it has begun")

    with pytest.raises(FileExistsError, match="log.csv: expected a file, got a FIFO"):
        train(CSVLog(tmp_path / "log.csv"), Never())


def test_a_checkpoint_is_neither_read_from_a_fifo_nor_written_to_one(tmp_path):
    os.mkfifo(tmp_path / "step-000000001.safetensors")
    with pytest.raises(OSError, match="step-000000001.safetensors: expected a file, got a FIFO"):
        soon(lambda: train(resume=tmp_path))
    with pytest.raises(FileExistsError, match="step-000000001.safetensors: expected a file, got a FIFO"):
        soon(lambda: train(Checkpoint(tmp_path)))


def test_a_folder_of_texts_names_the_one_that_is_no_file(tmp_path):
    for label in ("good", "bad"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.txt").write_text("a film")
    os.mkfifo(tmp_path / "good" / "2.txt")
    with pytest.raises(OSError, match="2.txt: expected a file, got a FIFO"):
        soon(lambda: read_texts(tmp_path))


def test_a_file_that_was_exchanged_for_a_fifo_just_now_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "m")
    whole = tmp_path / "whole"
    whole.write_text("x")
    monkeypatch.setattr(os, "stat", lambda path, **options: os.lstat(whole))
    with pytest.raises(OSError, match="m: expected a file, got a FIFO"):
        soon(lambda: files.read_bytes(tmp_path / "m"))


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_may_not_be_read_is_not_called_missing(name, tmp_path):
    path = tmp_path / "closed"
    fl.save(model(), path)
    fl.load(path)
    path.chmod(0)
    with nobody(), pytest.raises(PermissionError, match="closed"):
        READERS[name](path)


def test_a_folder_of_checkpoints_that_may_not_be_read_is_not_called_empty(tmp_path):
    folder = tmp_path / "closed"
    train(Checkpoint(folder))
    folder.chmod(0)
    with nobody(), pytest.raises(PermissionError, match="closed"):
        train(resume=folder)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_and_nothing_are_told_apart(name, tmp_path):
    if name != "labelled texts":
        with pytest.raises(IsADirectoryError, match="expected a file, got a folder"):
            READERS[name](tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing: no such file"):
        READERS[name](tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file"):
        READERS[name](tmp_path / "file" / "below")


def test_a_folder_is_not_replaced_and_links_in_a_circle_are_told(tmp_path):
    with pytest.raises(IsADirectoryError, match="expected a file, got a folder"):
        fl.save(model(), tmp_path)
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for call in (lambda: fl.save(model(), tmp_path / "a"), lambda: fl.load(tmp_path / "a")):
        with pytest.raises(OSError, match="symbolic links"):
            call()


def test_a_link_to_what_is_not_there_yet_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fl.save(model(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    fl.load(tmp_path / "real")


def test_only_our_own_parts_are_swept(tmp_path):
    ours, others = [".m.12.0.part", ".step-000000001.safetensors.7.13.part"], [".film.part", "m.1.1.part"]
    for name in ours + others:
        (tmp_path / name).write_text("")
    (tmp_path / ".folder.1.1.part").mkdir()
    files.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, ".folder.1.1.part"])


def test_only_files_count_as_old_checkpoints(tmp_path):
    (tmp_path / "step-000000000.safetensors").mkdir()
    train(Checkpoint(tmp_path, every_steps=1, keep=1))
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000000000.safetensors", "step-000000001.safetensors"]


def test_what_goes_wrong_with_the_content_of_a_file_names_it():
    for error, message in {
        KeyError("band"): "m: damaged: there is no 'band'",
        IndexError("out of range"): "m: damaged: out of range",
        RecursionError("maximum"): "m: damaged: nested too deep",
        MemoryError(): "m: asks for more memory than there is",
        OverflowError("x" * 5000): "m: damaged: " + "x" * 500 + " ...",
        ZeroDivisionError(): "m: damaged: ZeroDivisionError",
    }.items():
        with pytest.raises(ValueError) as caught, files.reading("m"):
            raise error
        assert str(caught.value) == message and caught.value.__cause__ is error
    with pytest.raises(ValueError, match="^n: damaged: no number$"), files.reading("m"), files.reading("n"):
        raise ValueError("no number")
    with pytest.raises(FileNotFoundError, match="^gone$"), files.reading("m"):
        raise FileNotFoundError("gone")
    with pytest.raises(ValueError, match="^m: damaged: of its own$"), files.reading("m", LookupWarning):
        raise LookupWarning("of its own")


class LookupWarning(Exception):
    """Of a library that a reader uses."""


def test_an_empty_path_is_told_before_anything_is_written(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(FileNotFoundError, match="path: expected a file, got an empty path"):
        fl.save(model(), "")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "here"]


@pytest.mark.parametrize("path", [True, 3, None, 1.5, [], b"model"])
def test_the_number_of_an_open_file_is_no_path(path, tmp_path):
    model = fl.Model([fl.LSTM(2, 3)], seed=0)
    for call in (fl.load, lambda path: fl.save(model, path)):
        with pytest.raises(TypeError, match="path: expected a str or a path, got"):
            call(path)
    os.fstat(1)  # it is still open


@pytest.mark.parametrize("metadata", [3, "x", [("a", "b")], {"a": 1}, np.zeros(0)])
def test_metadata_that_is_no_dict_of_words_is_refused(metadata, tmp_path):
    model = fl.Model([fl.LSTM(2, 3)], seed=0)
    with pytest.raises(TypeError, match=r"metadata: expected words \(str\) for words, got"):
        fl.save(model, tmp_path / "m.safetensors", metadata=metadata)
