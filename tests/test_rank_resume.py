"""A training on several ranks that is interrupted goes on to the same bits, on as many ranks or another number."""

import numpy as np
import pytest
from rank_cases import on_ranks
from test_ranks import FITS, NORMED, Fit, assert_close, assert_same, per_step

import fastlstm as fl
from fastlstm import snapshot
from fastlstm.callbacks import EMA, Checkpoint, CSVLog, EarlyStopping, GradientNorms
from fastlstm.callbacks.checkpoint import checkpoints


class Crash(Exception):
    pass


class CrashAt(fl.Callback):
    """All ranks fail after so many batches, as if they were killed."""

    def __init__(self, batches):
        self.left = batches

    def on_batch_end(self, progress):
        self.left -= 1
        if self.left == 0:
            raise Crash


CASES = FITS | NORMED


def callbacks(folder, crash=None):
    own = [Checkpoint(folder, every_steps=1, keep=100), GradientNorms(), EMA(0.5), EarlyStopping(monitor="loss")]
    return own + ([CrashAt(crash)] if crash else [])


def interrupted(fit, folder, size, batches, **options):
    """Crash after so many batches. The checkpoint of a step is written before the callback raises or after."""
    with pytest.raises(Crash):
        on_ranks(size, lambda ranks: fit(ranks, callbacks(folder, batches), {"resume": folder}, **options))


def gone_on(fit, folder, size, **options):
    if size == 0:
        return [fit(None, callbacks(folder), {"resume": folder}, **options)]
    return on_ranks(size, lambda ranks: fit(ranks, callbacks(folder), {"resume": folder}, **options))


@pytest.mark.parametrize("batches", [4, 7])
@pytest.mark.parametrize(
    "name",
    ["full", "ragged dropout", "accumulate", "classes", "batches", "sequence", "sequence with dropout", "batch norm"],
)
def test_as_many_ranks_end_at_the_same_bits(name, batches, tmp_path):
    fit = CASES[name]
    expected = on_ranks(2, lambda ranks: fit(ranks, callbacks(tmp_path / "whole")))
    interrupted(fit, tmp_path / "run", 2, batches)
    for found, wanted in zip(gone_on(fit, tmp_path / "run", 2), expected, strict=True):
        assert_same(found, wanted)
        assert [*found[1].to_dict().values()] == [*wanted[1].to_dict().values()]


@pytest.mark.parametrize("size", [0, 3])
@pytest.mark.parametrize("name", ["ragged dropout", "accumulate", "classes", "sequence with dropout", "batch norm"])
def test_another_number_of_ranks_goes_on(name, size, tmp_path):
    """One process, too. The sums are then added up in another order."""
    fit = CASES[name]
    expected = fit(None, callbacks(tmp_path / "whole"))
    interrupted(fit, tmp_path / "run", 2, 4)
    for found in gone_on(fit, tmp_path / "run", size):
        assert_close(found, expected, 1e-11)


@pytest.mark.parametrize("name", ["ragged dropout", "accumulate", "classes", "sequence with dropout", "batches"])
def test_with_reproducible_another_number_of_ranks_ends_at_the_same_bits(name, tmp_path):
    fit = CASES[name]
    expected = fit(None, callbacks(tmp_path / "whole"), reproducible=True)
    folder = tmp_path / "run"
    interrupted(fit, folder, 2, 3, reproducible=True)
    interrupted(fit, folder, 3, 3, reproducible=True)
    for size in (1, 4, 0):
        copied = tmp_path / f"run {size}"
        copied.mkdir()
        for path in checkpoints(folder):
            (copied / path.name).write_bytes(path.read_bytes())
        for found in gone_on(fit, copied, size, reproducible=True):
            assert_same(found, expected)


@pytest.mark.parametrize("size", [2, 3])
def test_what_16_bits_have_lost_is_not_forgotten(size, tmp_path):
    fit = CASES["ragged"]
    expected = on_ranks(2, lambda ranks: fit(ranks, callbacks(tmp_path / "whole"), wire="bfloat16"))
    interrupted(fit, tmp_path / "run", 2, 5, wire="bfloat16")
    for found in gone_on(fit, tmp_path / "run", size, wire="bfloat16"):
        if size == 2:
            assert_same(found, expected[0])
        else:
            assert found[1]["loss"] == pytest.approx(expected[0][1]["loss"], rel=0.01)


DAMAGED = {
    "ranks: expected a list of dicts, got 'xx'": lambda ranks: "xx",
    "damaged": lambda ranks: [1, 2],
    "there is no 'wire'": lambda ranks: [{"figures": each["figures"]} for each in ranks],
    "figures rmse.sums: expected 1 axes of float64, got 2": lambda ranks: [
        {**each, "figures": {**each["figures"], "rmse.sums": np.zeros((7, 5))}} for each in ranks
    ],
    "wire of rank 0: expected finite|wire of rank 0 0: expected": lambda ranks: [
        {**each, "wire": {**each["wire"], "sent": each["wire"]["sent"] * np.nan}} for each in ranks
    ],
    "wire of rank 0 1: expected shape": lambda ranks: [
        {**each, "wire": {**each["wire"], "summed": np.zeros(5)}} for each in ranks
    ],
    "wire of rank 0: expected the errors of": lambda ranks: [
        {**each, "wire": {**each["wire"], "size": 7}} for each in ranks
    ],
}


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("message", DAMAGED)
def test_what_ranks_had_for_themselves_is_checked(message, size, tmp_path):
    interrupted(CASES["ragged"], tmp_path, 2, 5, wire="bfloat16")
    newest = checkpoints(tmp_path)[-1]
    state = snapshot.read(newest)
    state["ranks"] = DAMAGED[message](state["ranks"])
    snapshot.write(newest, {name: part for name, part in state.items() if name != "path"})
    with pytest.raises(ValueError, match=message):
        gone_on(CASES["ragged"], tmp_path, size, wire="bfloat16")
    assert on_ranks.aborted is None


def test_ranks_that_average_write_their_state_when_they_are_the_same(tmp_path):
    fit = CASES["ragged"]
    expected = on_ranks(2, lambda ranks: fit(ranks, callbacks(tmp_path / "whole"), average_every=4))
    interrupted(fit, tmp_path / "run", 2, 11, average_every=4)
    steps = [int(path.name[5:14]) for path in checkpoints(tmp_path / "run")]
    assert steps == [4, 6, 10]  # there are 6 in an epoch, at whose end the mean is taken, too
    for found, wanted in zip(gone_on(fit, tmp_path / "run", 2, average_every=4), expected, strict=True):
        assert_same(found, wanted)


def test_other_settings_are_refused_on_every_rank(tmp_path):
    interrupted(CASES["full"], tmp_path, 2, 3)
    with pytest.raises(ValueError, match="wire: expected None, that of the interrupted training, got 'float16'"):
        gone_on(CASES["full"], tmp_path, 2, wire="float16")
    assert all(isinstance(error, ValueError) for error in on_ranks.errors)


def test_a_folder_in_use_is_refused_on_every_rank(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        gone_on(CASES["full"], tmp_path / "file", 2)
    assert [type(error).__name__ for error in on_ranks.errors] == ["NotADirectoryError", "RankError"]
    assert "rank 0 of 2 has failed at reading the state of the training" in str(on_ranks.errors[1])


def test_one_rank_writes_one_file_of_each_kind(tmp_path):
    def act(ranks):
        log = CSVLog(tmp_path / f"log of {ranks.rank}.csv")
        fit = Fit(per_step)
        return fit(ranks, [log, Checkpoint(tmp_path / f"folder of {ranks.rank}")])

    on_ranks(3, act)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder of 0", "log of 0.csv"]
    assert len((tmp_path / "log of 0.csv").read_text().splitlines()) == 3


def test_a_state_of_an_earlier_version_is_resumed_by_ranks(tmp_path):
    """One that a single process has written, which knew nothing of ranks."""
    fit = CASES["full"]
    expected = fit(None, callbacks(tmp_path / "whole"))
    with pytest.raises(Crash):
        fit(None, callbacks(tmp_path / "run", 5), {"resume": tmp_path / "run"})
    for found in gone_on(fit, tmp_path / "run", 2):
        assert_close(found, expected, 1e-11)
    assert np.isfinite(expected[1]["loss"]).all()
