"""Training under mpiexec, and in a group of torch.distributed: as in one process, and nobody waits for ever."""

import os
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.callbacks.checkpoint import checkpoints

pytest.importorskip("mpi4py", reason="mpi4py is not installed", exc_type=ImportError)

BESIDE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
if MPIEXEC is None:
    pytest.skip("there is no mpiexec", allow_module_level=True)

SCRIPT = """
import os, signal, sys, time
import numpy as np
import fastlstm as fl

rng = np.random.default_rng(0)
x = rng.normal(size=(45, 6, 2))
y, lengths = x.cumsum(1)[..., :1], rng.integers(1, 7, 45)
"""

TRAIN = """
def train(ranks, folder, act=None, epochs=3, **options):
    class Act(fl.Callback):
        def on_batch_end(self, progress):
            if act is not None and progress.step == 8:
                act(progress)
    model = fl.Model([fl.Dropout(0.1), fl.LSTM(2, 5), fl.BatchNorm(5), fl.Dense(5, 1)], dtype="float64", seed=0)
    checkpoint = fl.Checkpoint(folder, every_steps=3, keep=100)
    callbacks = [checkpoint, Act()]
    trainer = fl.Trainer(
        model, "mse", fl.Adam(0.01), metrics=["rmse"], callbacks=callbacks, communicator=ranks, **options
    )
    history = trainer.fit(x, y, lengths=lengths, epochs=epochs, batch_size=8, seed=3, validation=(x[:10], y[:10]),
                          resume=folder, progress=True)
    return model, history
"""


def run(size, code, *words, seconds=60, **environment):
    """What `size` processes print that run this code, and their exit status."""
    command = [
        MPIEXEC,
        "-n",
        str(size),
        sys.executable,
        "-P",
        "-c",
        SCRIPT + TRAIN + textwrap.dedent(code),
        *map(str, words),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, env={**os.environ, **environment}, cwd="/"
    )


GO = """
model, history = train(fl.distributed.mpi(timeout=30), sys.argv[1], epochs=int(sys.argv[2]))
if fl.distributed.mpi().rank == 0:
    fl.save(model, sys.argv[1] + "/model.safetensors", metadata={"loss": repr(history["loss"])})
"""


def learned(folder):
    """The parameters and the losses that rank 0 has saved."""
    path = folder / "model.safetensors"
    values = [parameter.value for parameter in fl.load(path).parameters()]
    return values, fl.io.native.read_metadata(path)["loss"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What a single process learns."""
    space = {}
    exec(SCRIPT + TRAIN, space)  # noqa: S102
    return space["train"](None, tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder that so many processes have trained in, by their number, and what they have said."""

    @cache
    def trained(size):
        folder = tmp_path_factory.mktemp("together")
        found = run(size, GO, folder, 3)
        assert found.returncode == 0, found.stderr
        return folder, found.stderr

    return trained


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_mpiexec_trains_as_one_process_does(size, alone, together):
    folder, said = together(size)
    assert said.count("  0%|") == 1, "there is one bar"
    model, history = alone
    for a, b in zip(learned(folder)[0], model.parameters(), strict=True):
        np.testing.assert_allclose(a, b.value, rtol=1e-12, atol=1e-12)
    assert len(checkpoints(folder)) == 6


KILL = """
def act(progress):
    if progress.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)

train(fl.distributed.mpi(timeout=30), sys.argv[1], act)
"""

RAISE = """
def act(progress):
    if progress.rank == 1:
        raise OSError("no more room")

train(fl.distributed.mpi(timeout=30), sys.argv[1], act)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [KILL, RAISE], ids=["killed", "raised"])
def test_a_rank_that_fails_ends_all_and_the_training_goes_on_to_the_same_bits(code, together, tmp_path):
    folder = tmp_path / "run"
    found = run(2, code, folder, seconds=25)
    assert found.returncode != 0
    if code is RAISE:
        assert "fastlstm: rank 1 of 2 has failed: OSError: no more room; all ranks end" in found.stderr
    assert [path.name[10:14] for path in checkpoints(folder)] == ["0003", "0006"]
    assert run(2, GO, folder, 3).returncode == 0
    (values, losses), (expected, wanted) = learned(folder), learned(together(2)[0])
    for a, b in zip(values, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert losses == wanted


@pytest.mark.slow
def test_a_rank_that_hangs_is_named_by_the_time_limit(tmp_path):
    code = "train(fl.distributed.mpi(timeout=1), sys.argv[1], lambda p: time.sleep(20 * (p.rank == 1)))"
    found = run(2, code, tmp_path, seconds=18)
    assert found.returncode != 0
    assert "rank 0 of 2 has waited 1 s for the other ranks" in found.stderr


@pytest.mark.slow
def test_an_error_outside_the_training_ends_all_and_is_told_once():
    found = run(
        3,
        "ranks = fl.distributed.mpi()\nif ranks.rank == 2: raise LookupError('no data here')\ntime.sleep(30)",
        seconds=20,
    )
    assert found.returncode != 0
    assert found.stderr.count("fastlstm: rank 2 of 3 has failed: LookupError: no data here; all ranks end") == 1
    found = run(
        3, "x = x + fl.distributed.mpi().rank\ntrain(fl.distributed.mpi(), sys.argv[1])", "/tmp/none", seconds=20
    )
    assert found.returncode != 0
    assert found.stderr.count("Traceback") == 1, found.stderr
    assert "data: expected the same on every rank" in found.stderr


@pytest.mark.slow
def test_ranks_share_the_processors():
    code = "fl.distributed.mpi()\nprint(f'{fl.get_num_threads()}\\n', end='', flush=True)"
    clean = {"FASTLSTM_NUM_THREADS": "", "OMP_NUM_THREADS": ""}
    default = int(run(1, "print(fl.get_num_threads())", **clean).stdout)
    found = run(2, code, **clean).stdout.split()
    assert found == [str(max(1, default // 2))] * 2
    assert run(2, code, FASTLSTM_NUM_THREADS="3").stdout.split() == ["3", "3"]


@pytest.mark.slow
def test_a_command_under_mpiexec_is_one_training(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("".join(map(chr, np.random.default_rng(0).integers(97, 105, 9000))))

    def train(size, *words):
        command = [MPIEXEC, "-n", str(size), sys.executable, "-P", "-m", "fastlstm", "text", "train", str(file)]
        command += ["--hidden", "8", "--epochs", "2", "--output", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)

    one, two = train(1, "one"), train(2, "two")
    assert two.returncode == 0, two.stderr
    lines = [found.stdout.replace("one/", "two/").splitlines()[:4] for found in (one, two)]
    assert lines[0] == lines[1]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["curve.png", "model.safetensors"]
    again = train(2, "two")
    assert again.returncode == 1
    assert again.stderr.splitlines() == [
        "fastlstm: error: two/model.safetensors: is there already; --force replaces it, another --output keeps it"
    ]


def test_what_is_no_communicator():
    with pytest.raises(TypeError, match="comm: expected a communicator of mpi4py, got 3"):
        fl.distributed.mpi(3)
    with pytest.raises(ValueError, match="timeout: expected at least 0.1, got 0"):
        fl.distributed.mpi(timeout=0)
    with pytest.raises(TypeError, match="timeout: expected a number, got '1'"):
        fl.distributed.mpi(timeout="1")


def test_mpiexec_of_another_make_is_noticed(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "4")
    with pytest.raises(RuntimeError, match="mpiexec has started 4 processes, but each sees only itself: mpi4py uses"):
        fl.distributed.mpi()


TORCH = """
import torch.distributed as dist
rank = int(sys.argv[2])
dist.init_process_group("gloo", init_method="file://" + sys.argv[1] + "/meet", rank=rank, world_size=2)
options = eval(sys.argv[3])
model, history = train(fl.distributed.torch(timeout=30), sys.argv[1], **options)
if rank == 0:
    fl.save(model, sys.argv[1] + "/model.safetensors", metadata={"loss": repr(history["loss"])})
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"wire": "bfloat16"}], ids=str)
def test_a_group_of_torch_trains_as_one_process_does(options, alone, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    code = SCRIPT + TRAIN + TORCH
    ranks = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", code, str(tmp_path), str(rank), repr(options)], stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=90)
        assert rank.returncode == 0, errors.decode()
    rtol = 0.2 if options else 1e-12
    for a, b in zip(learned(tmp_path)[0], alone[0].parameters(), strict=True):
        np.testing.assert_allclose(a, b.value, rtol=rtol, atol=rtol)


def test_torch_without_a_group():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(RuntimeError, match=r"not initialised: call torch.distributed.init_process_group\('gloo'\)"):
        fl.distributed.torch()


@pytest.mark.parametrize("name, package", [("mpi", "mpi4py"), ("torch", "torch")])
def test_a_library_that_is_not_installed_is_named(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{name}\(\) needs .*pip install"):
        getattr(fl.distributed, name)()
