"""Whose a resume folder is, and what a training that goes on must be told again."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.callbacks import Callback, Checkpoint
from fastlstm.callbacks.checkpoint import checkpoints
from fastlstm.schedules import Cosine
from fastlstm.training import folder as folders
from fastlstm.training.resume import Run

X = np.random.default_rng(0).normal(size=(40, 6, 1))
Y = X.sum(1)


def model():
    return fl.Model([fl.LSTM(1, 5), fl.Last(), fl.Dense(5, 1)], seed=0)


def fit(folder, optimizer=None, loss="mse", callbacks=(), metrics=(), clip_norm=None, clip_value=None, **options):
    trainer = fl.Trainer(
        *(model(), loss, optimizer or fl.Adam(0.01)),
        callbacks=callbacks,
        metrics=metrics,
        clip_norm=clip_norm,
        clip_value=clip_value,
    )
    trainer.fit(X, Y, **{"epochs": 2, "batch_size": 8, "resume": folder, **options})
    return [parameter.value.tobytes() for parameter in trainer.model.parameters()]


OTHERS = {
    "lr: expected 0.01, that of the interrupted training, got 0.02": {"optimizer": fl.Adam(0.02)},
    r"betas: expected \[0.9, 0.999\], that .* got \[0.8, 0.999\]": {"optimizer": fl.Adam(0.01, betas=(0.8, 0.999))},
    "eps: expected 1e-08, that .* got 0.1": {"optimizer": fl.Adam(0.01, eps=0.1)},
    "optimizer: expected 'Adam', that .* got 'AdamW'": {"optimizer": fl.AdamW(0.01)},
    r"loss: expected \"mse\(time='mean'\)\", that .* got \"mae\(time='mean'\)\"": {"loss": "mae"},
    r"metrics: expected \[\], that .* got \['mae'\]": {"metrics": ["mae"]},
    "clip_norm: expected None, that .* got 1.0": {"clip_norm": 1},
    "clip_value: expected None, that .* got 0.5": {"clip_value": 0.5},
    "batch_size: expected 8, that .* got 9": {"batch_size": 9},
    "shuffle: expected True, that .* got False": {"shuffle": False},
    "validation: expected False, that .* got True": {"validation": (X, Y)},
}


@pytest.mark.parametrize("message", OTHERS)
def test_another_setting_than_the_interrupted_trainings_is_refused(message, tmp_path):
    fit(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match=message) as caught:
        fit(tmp_path, epochs=4, **OTHERS[message])
    assert "another folder as resume" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert fit(tmp_path, epochs=4) == fit(tmp_path / "whole", epochs=4)


def test_class_weights_are_a_setting(tmp_path):
    def classify(**options):
        network = fl.Model([fl.LSTM(1, 5), fl.Last(), fl.Dense(5, 2)], seed=0)
        trainer = fl.Trainer(network, "softmax_cross_entropy")
        trainer.fit(X, (Y[:, 0] > 0).astype(int), epochs=1, resume=tmp_path, **options)

    classify(class_weight={0: 1.0, 1: 2.0})
    classify(class_weight={0: 1.0, 1: 2.0})
    with pytest.raises(ValueError, match=r"class_weight: expected '\{0: 1.0, 1: 2.0\}', that .* got 'balanced'"):
        classify(class_weight="balanced")


def test_a_window_of_another_length_is_refused(tmp_path):
    def learn(window):
        network = fl.Model([fl.LSTM(1, 5), fl.Dense(5, 1)], seed=0)
        fl.Trainer(network, "mse").fit_sequence(X[:, 0], X[:, 1], window=window, resume=tmp_path)

    learn(12)
    with pytest.raises(ValueError, match="window: expected 12, that of the interrupted training, got 13"):
        learn(13)


def test_a_schedule_is_no_other_learning_rate(tmp_path):
    def scheduled(folder, epochs):
        return fit(folder, callbacks=[Cosine(warmup=3), Checkpoint(folder, every_steps=1)], epochs=epochs)

    scheduled(tmp_path, 2)
    scheduled(tmp_path, 4)
    trainer = fl.Trainer(model(), "mse", fl.Adam(0.01), callbacks=[Cosine(warmup=3)])
    for epochs in (1, 2):
        trainer.fit(X, Y, epochs=epochs, resume=tmp_path / "same process")


def test_a_state_of_an_earlier_version_knows_no_settings(tmp_path):
    fit(tmp_path)
    path = checkpoints(tmp_path)[-1]
    state = fl.snapshot.read(path)
    del state["settings"]
    fl.snapshot.write(path, state)
    fit(tmp_path, optimizer=fl.Adam(0.5), epochs=2)
    fl.snapshot.write(path, {**state, "settings": [1]})
    with pytest.raises(ValueError, match=r"resume: expected the settings of a training in its state, got \[1\]"):
        fit(tmp_path)


class Nested(Callback):
    """Begins another training from within a training."""

    def __init__(self, folder):
        self.folder = folder

    def on_epoch_begin(self, progress):
        fit(self.folder)


@pytest.mark.parametrize("options", [{}, {"callbacks": "checkpoint", "resume": None}])
def test_a_second_training_in_the_folder_is_refused(tmp_path, options):
    folder, other = tmp_path / "run", tmp_path / "other"
    (tmp_path / "link").symlink_to(folder)
    own = [Checkpoint(folder)] if options else []
    options = {**options, "callbacks": [*own, Nested(tmp_path / "link")]}
    with pytest.raises(BlockingIOError, match=r"using the folder .*run \(process \d+\): wait .* folder of its own"):
        fit(folder, **options)
    fit(folder)  # the first one has ended
    assert [path.name for path in folder.iterdir() if path.suffix != ".safetensors"] == []
    fit(folder, callbacks=[Nested(other)], epochs=3)


def test_what_another_training_has_just_written_is_not_overwritten(tmp_path):
    run = Run(tmp_path)
    fit(tmp_path)
    with pytest.raises(BlockingIOError, match="has just written into the folder .*; call again"), run.alone([]):
        pytest.fail("it went on from an older state")


CHILD = """
import os, sys, time
import numpy as np
import fastlstm as fl
class Wait(fl.Callback):
    def on_epoch_begin(self, progress):
        if sys.argv[2] == "fork" and os.fork() == 0:
            os.close(1)
            time.sleep(60)
            os._exit(0)
        print("learns", flush=True)
        time.sleep(60)
model = fl.Model([fl.LSTM(1, 5), fl.Last(), fl.Dense(5, 1)], seed=0)
x = np.ones((4, 3, 1))
fl.Trainer(model, "mse", callbacks=[Wait()]).fit(x, x.sum(1), epochs=1, resume=sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("way", ["alone", "fork"])
def test_the_folder_is_free_when_the_process_is_killed(way, tmp_path):
    """Though a child of its own lives on."""
    command = [sys.executable, "-P", "-c", textwrap.dedent(CHILD), str(tmp_path), way]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert first.stdout.readline() == "learns\n"
        with pytest.raises(BlockingIOError, match=rf"resume: .* the folder {tmp_path} \(process {first.pid}\)"):
            fit(tmp_path)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        fit(tmp_path)
    finally:
        first.stdout.close()
        with contextlib.suppress(ProcessLookupError):  # where it had no child
            os.killpg(first.pid, signal.SIGKILL)
    assert len(checkpoints(tmp_path)) == 1


def test_many_that_want_a_folder_have_it_one_after_the_other(tmp_path):
    """Though each removes the file that the next one may have opened already."""
    code = """
import contextlib, sys
from pathlib import Path
from fastlstm.training.folder import held
folder, done = Path(sys.argv[1]), 0
while done < 150:
    with contextlib.suppress(BlockingIOError), held([folder]):
        (folder / "mine").open("x").close()
        (folder / "mine").unlink()
        done += 1
"""
    several = [subprocess.Popen([sys.executable, "-P", "-c", code, tmp_path], stderr=subprocess.PIPE) for _ in range(3)]
    for one in several:
        assert one.communicate()[1] == b""
        assert one.returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_cannot_train_in_its_parents_folder(tmp_path):
    with folders.held([tmp_path]):
        child = os.fork()
        if child == 0:
            try:
                with folders.held([tmp_path]):
                    os._exit(1)
            except BlockingIOError:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(BlockingIOError), folders.held([tmp_path]):
            pytest.fail("it has the folder twice")


def test_a_folder_on_a_file_system_without_locks_is_used(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "lockf", refuse)
    fit(tmp_path)
    assert checkpoints(tmp_path)


@pytest.mark.parametrize("way", ["resume", "callback"])
def test_a_folder_that_cannot_be_written_is_noticed_at_the_start(way, tmp_path, monkeypatch):
    class Learns(Callback):
        def on_batch_begin(self, progress):
            pytest.fail("it began to learn")

    def refuse(*_, dir):
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # who is root may write everywhere
    options = {"resume": tmp_path} if way == "resume" else {"resume": None}
    more = [] if way == "resume" else [Checkpoint(tmp_path)]
    with pytest.raises(PermissionError, match=f"resume: cannot write into the folder {tmp_path}: Permission denied"):
        fit(options.pop("resume"), callbacks=[Learns(), *more], **options)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here")
def test_a_folder_that_cannot_be_made_is_noticed_at_the_start():
    with pytest.raises(PermissionError, match="resume: cannot write into the folder /proc/self/run"):
        fit("/proc/self/run")


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_lock_that_is_no_file_is_refused_and_a_link_not_followed(kind, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock = tmp_path / "run/.lock"
    lock.parent.mkdir()
    make = {"link": lambda: lock.symlink_to(victim), "fifo": lambda: os.mkfifo(lock), "folder": lock.mkdir}
    make[kind]()
    with pytest.raises(FileExistsError, match=r"resume: expected a file or nothing at .*\.lock"):
        fit(tmp_path / "run")
    assert victim.read_text() == "precious"


def test_an_empty_path_is_no_folder():
    with pytest.raises(ValueError, match="resume: expected a folder, got an empty path"):
        fit("")
