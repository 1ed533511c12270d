"""A training that is interrupted goes on to the same bits."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.callbacks import EMA, SWA, Callback, Checkpoint, CSVLog, EarlyStopping, GradientNorms
from fastlstm.callbacks.checkpoint import checkpoints
from fastlstm.schedules import Cosine, OneCycle, ReduceOnPlateau


class Stop(Exception):
    pass


class StopAt(Callback):
    """Raises after so many batches, as a crash would."""

    def __init__(self, batches):
        self.left = batches

    def on_batch_end(self, progress):
        self.left -= 1
        if self.left == 0:
            raise Stop


def sums(n=45, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 6, 1))
    return x, x.sum(1)


def fit(trainer, **options):
    x, y = sums()
    return trainer.fit(x, y, epochs=4, batch_size=8, validation=sums(16, seed=1), **options)


def fit_ragged(trainer, **options):
    x, y = sums()
    lengths = np.random.default_rng(1).integers(1, 7, 45)
    return trainer.fit(x, y, epochs=4, batch_size=8, lengths=lengths, bucket=True, **options)


def fit_batches(trainer, **options):
    def batches(epoch):
        rng = np.random.default_rng(epoch)
        for size in (8, 8, 3):
            x = rng.normal(size=(size, 6, 1))
            yield x, x.sum(1)

    return trainer.fit_batches(batches, epochs=4, batches_per_epoch=3, validation=sums(16, seed=1), **options)


def fit_sequence(trainer, **options):
    x = np.random.default_rng(0).normal(size=(70, 1))
    validation = x[:30], x[:30] * 2
    return trainer.fit_sequence(
        x, x * 2, window=6, batch_size=2, epochs=4, starts=[11, 40], validation=validation, **options
    )


WAYS = {"fit": fit, "ragged": fit_ragged, "batches": fit_batches, "sequence": fit_sequence}

SETUPS = {
    "plain": lambda: {},
    "cosine, EMA and early stopping": lambda: {
        "callbacks": [Cosine(warmup=3), EMA(0.9), EarlyStopping(patience=2, monitor="loss"), GradientNorms()],
        "clip_norm": 0.5,
    },
    "one cycle, SWA, gradients added up": lambda: {
        "callbacks": [OneCycle(), SWA(2)],
        "accumulate": 2,
        "clip_value": 0.1,
    },
    "plateau": lambda: {"callbacks": [ReduceOnPlateau(0.5, 1, "loss")], "metrics": ["mae"]},
}


def lstm():
    return fl.LSTM(1, 5, num_layers=2, dropout=0.3)


def trainer_of(way, setup, more=(), recurrent=lstm):
    middle = [] if way == "sequence" else [fl.Last()]
    model = fl.Model([recurrent(), fl.Dropout(0.2), *middle, fl.Dense(5, 1)], seed=0)
    options = SETUPS[setup]()
    options["callbacks"] = [*options.get("callbacks", []), *more]
    return fl.Trainer(model, fl.mse, fl.Adam(0.02), **options)


def bits(trainer):
    return [parameter.value.tobytes() for parameter in trainer.model.parameters()]


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("way", WAYS)
def test_a_training_goes_on_to_the_same_bits(way, setup, tmp_path):
    whole = trainer_of(way, setup)
    expected = WAYS[way](whole)
    for round_, after in enumerate((1, 2, 4, 6)):
        crash = trainer_of(way, setup, [StopAt(after), Checkpoint(tmp_path, every_steps=1)])
        with pytest.raises(Stop):
            WAYS[way](crash, resume=tmp_path)
        assert len(checkpoints(tmp_path)) == min(2, after - 1 if round_ == 0 else 2) or round_
    last = trainer_of(way, setup, [Checkpoint(tmp_path, every_steps=1)])
    found = WAYS[way](last, resume=tmp_path)
    assert dict(found) == dict(expected)
    assert bits(last) == bits(whole)
    again = trainer_of(way, setup)
    assert dict(WAYS[way](again, resume=tmp_path)) == dict(expected)  # nothing is left to be done
    assert bits(again) == bits(whole)
    for a, b in zip(whole.callbacks, last.callbacks, strict=False):
        if isinstance(a, GradientNorms):
            assert a.norms == b.norms


@pytest.mark.parametrize("kind", [fl.GRU, fl.SimpleRNN])
def test_every_layer_with_a_running_state_goes_on_with_it(tmp_path, kind):
    def trainer(*more):
        return trainer_of("sequence", "plain", more, lambda: kind(1, 5))

    whole = trainer()
    expected = fit_sequence(whole)
    for after in (3, 6):
        with pytest.raises(Stop):
            fit_sequence(trainer(StopAt(after), Checkpoint(tmp_path, every_steps=1)), resume=tmp_path)
    last = trainer()
    assert dict(fit_sequence(last, resume=tmp_path)) == dict(expected)
    assert bits(last) == bits(whole)


def test_more_epochs_go_on_with_a_training_that_had_ended(tmp_path):
    x, y = sums()
    whole, parts = trainer_of("fit", "plain"), trainer_of("fit", "plain")
    expected = whole.fit(x, y, epochs=5)
    parts.fit(x, y, epochs=2, resume=tmp_path)
    parts = trainer_of("fit", "plain")
    assert dict(parts.fit(x, y, epochs=5, resume=tmp_path)) == dict(expected)
    assert bits(parts) == bits(whole)


def test_an_early_stop_is_an_end(tmp_path):
    def stopped():
        stopping = EarlyStopping(patience=1, monitor="loss", least=10.0)
        return trainer_of("fit", "plain", [stopping])

    first, second = stopped(), stopped()
    history = fit(first, resume=tmp_path)
    assert history.epochs == 2
    assert dict(fit(second, resume=tmp_path)) == dict(history)
    assert bits(first) == bits(second)


def test_a_log_goes_on_where_it_was(tmp_path):
    crash = trainer_of("fit", "plain", [CSVLog(tmp_path / "log.csv"), StopAt(15), Checkpoint(tmp_path, every_steps=1)])
    with pytest.raises(Stop):
        fit(crash, resume=tmp_path)
    last = trainer_of("fit", "plain", [CSVLog(tmp_path / "log.csv")])
    history = fit(last, resume=tmp_path)
    lines = (tmp_path / "log.csv").read_text().split()
    assert lines[0] == "epoch,step,lr,loss,val_loss"
    rows = [line.split(",") for line in lines[1:]]
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4]
    assert [int(row[1]) for row in rows] == [6, 12, 18, 24]
    assert [float(row[3]) for row in rows] == history["loss"]


CHILD = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
import fastlstm as fl
from fastlstm.callbacks import Checkpoint, EMA
from fastlstm.schedules import Cosine
x = np.random.default_rng(0).normal(size=(200, 8, 1))
model = fl.Model([fl.LSTM(1, 8), fl.Dropout(0.3), fl.Last(), fl.Dense(8, 1)], seed=0)
folder = sys.argv[1]
class Say(fl.Callback):
    def on_epoch_begin(self, progress):
        print("learns", flush=True)
callbacks = [Say(), Cosine(warmup=10), EMA(0.99), Checkpoint(folder, every_steps=int(sys.argv[2]))]
trainer = fl.Trainer(model, "mse", fl.Adam(0.01), callbacks=callbacks, clip_norm=1.0)
print("begins", flush=True)
trainer.fit(x, x.sum(1), epochs=int(sys.argv[3]), batch_size=4, resume=folder, validation=(x, x.sum(1)))
fl.save(model, folder + "/final.safetensors")
if trainer.interrupted:
    sys.exit(7)
"""


def start(folder, every=1, epochs=10):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), str(every), str(epochs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


def final(folder):
    return [p.value.tobytes() for p in fl.load(folder / "final.safetensors").parameters()]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_at_the_same_bits(tmp_path):
    whole = start(tmp_path / "whole")
    assert whole.wait() == 0, whole.stderr.read()
    whole.communicate()
    expected = final(tmp_path / "whole")
    rng = np.random.default_rng()
    folder, steps = tmp_path / "killed", []
    for _ in range(10):
        child = start(folder)
        child.stdout.readline()
        try:
            child.wait(rng.uniform(0, 0.12))
        except subprocess.TimeoutExpired:
            child.kill()
        child.communicate()
        steps += [path.stem for path in checkpoints(folder)[-1:]]
    assert len(set(steps)) > 1  # it went on in between
    last = start(folder)
    assert last.communicate()[1] == ""
    assert last.returncode == 0
    assert final(folder) == expected
    assert not list(folder.glob(".*.part"))
    assert len(checkpoints(folder)) == 2


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_after_the_batch_says_how_to_go_on_and_does(tmp_path):
    whole = start(tmp_path / "whole", 1000)
    whole.communicate()
    child = start(tmp_path / "run", 1000)
    lines = [child.stdout.readline() for _ in range(4)]
    child.send_signal(signal.SIGINT)
    message = child.communicate()[1]
    assert lines == ["begins\n"] + ["learns\n"] * 3
    if child.returncode == 7:  # else it was faster than the signal
        assert "fastlstm: stopped after step" in message
        assert f"The same call with resume='{tmp_path / 'run'}' goes on from here." in message
        assert len(checkpoints(tmp_path / "run")) == 1
        child = start(tmp_path / "run", 1000)
        assert child.communicate()[1] == ""
    assert child.returncode == 0, message
    assert final(tmp_path / "whole") == final(tmp_path / "run")


class Interrupt(Callback):
    """Ctrl-C at a batch."""

    def __init__(self, batch, times=1):
        self.batch, self.times = batch, times

    def on_batch_begin(self, progress):
        if (progress.epoch, progress.batch) == (2, self.batch):
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


def test_after_ctrl_c_the_model_and_its_history_are_kept(capsys):
    x, y = sums()
    trainer = trainer_of("fit", "plain", [Interrupt(3)])
    before = signal.getsignal(signal.SIGINT)
    history = trainer.fit(x, y, epochs=5, batch_size=8)
    assert signal.getsignal(signal.SIGINT) is before
    assert trainer.interrupted
    assert history.epochs == 1
    message = capsys.readouterr().err
    assert "stopped after step 9 (epoch 2 of 5, batch 3 of 6); the model keeps what it has learned." in message
    assert "resume='some/folder'" in message
    trainer.callbacks.clear()
    trainer.fit(x, y, epochs=1)
    assert not trainer.interrupted


def test_a_second_ctrl_c_does_not_wait():
    x, y = sums()
    with pytest.raises(KeyboardInterrupt):
        trainer_of("fit", "plain", [Interrupt(3, times=2)]).fit(x, y, epochs=5, batch_size=8)


def test_in_the_same_process_fit_goes_on_with_the_same_call(tmp_path):
    x, y = sums()
    whole = trainer_of("fit", "cosine, EMA and early stopping")
    expected = whole.fit(x, y, epochs=5, batch_size=8)
    trainer = trainer_of("fit", "cosine, EMA and early stopping", [Interrupt(3)])
    trainer.fit(x, y, epochs=5, batch_size=8, resume=tmp_path)
    assert trainer.interrupted
    trainer.callbacks.pop()
    history = trainer.fit(x, y, epochs=5, batch_size=8, resume=tmp_path)
    assert dict(history) == dict(expected)
    assert bits(trainer) == bits(whole)


def test_what_does_not_belong_to_the_folder_is_told(tmp_path):
    x, y = sums()

    def go_on(model=None, x=x, y=y, callbacks=(), optimizer=None, folder=tmp_path, **options):
        model = model or fl.Model([fl.LSTM(1, 5), fl.Last(), fl.Dense(5, 1)], seed=0)
        trainer = fl.Trainer(model, "mse", optimizer or fl.Adam(), callbacks=callbacks)
        trainer.fit(x, y, **{"epochs": 2, "seed": 3, "resume": folder, **options})

    go_on()
    other = fl.Model([fl.LSTM(1, 6), fl.Last(), fl.Dense(6, 1)], seed=0)
    (tmp_path / "file").write_text("")
    for message, options in {
        "seed: expected 3, that of the interrupted training, got 4": {"seed": 4},
        "resume: expected the model of the interrupted training": {"model": other},
        "resume: expected the data of the interrupted training.*'size': 45.*got.*'size': 40": {
            "x": x[:40],
            "y": y[:40],
        },
        r"resume: expected the callbacks of the interrupted training, \[\], got \['EMA'\]": {"callbacks": [EMA()]},
        "optimizer: expected 'Adam', that of the interrupted training, got 'SGD'": {"optimizer": fl.SGD()},
    }.items():
        with pytest.raises(ValueError, match=message):
            go_on(**options)
    with pytest.raises(NotADirectoryError, match="resume: expected a folder, got the file"):
        go_on(folder=tmp_path / "file")
    with pytest.raises(TypeError, match="resume: expected a folder, got 3"):
        go_on(folder=3)
    newest = checkpoints(tmp_path)[-1]
    whole = newest.read_bytes()
    for damage in (b"", whole[:100], whole[:-20], b"x" * 200, whole.replace(b"fastlstm run", b"fastlstm won")):
        newest.write_bytes(damage)
        with pytest.raises(ValueError, match=newest.name):
            go_on()
    newest.write_bytes(whole.replace(b'"version":"1"', b'"version":"9"'))
    with pytest.raises(ValueError, match="expected version 1 of the format, got '9'"):
        go_on()


def test_only_the_last_states_are_kept_and_the_folder_is_made(tmp_path):
    folder = tmp_path / "a" / "b"
    trainer = trainer_of("fit", "plain", [Checkpoint(folder, every_steps=5, keep=3)])
    fit(trainer)
    assert [int(path.stem[5:]) for path in checkpoints(folder)] == [15, 20, 24]
