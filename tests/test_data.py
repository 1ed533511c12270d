"""Data on its way to a training: windows, splits, batches out of files, reading ahead."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.data import Arrays, Frames, FromGenerator, prefetch, split, windows

pd = pytest.importorskip("pandas")

SERIES = np.arange(30.0).reshape(10, 3)


def lists(batches):
    """Batches as lists, which can be compared."""
    return [tuple(part if part is None else part.tolist() for part in batch) for batch in batches]


# --- windows


@pytest.mark.parametrize(("columns", "found"), [(1, [1]), (slice(1, 3), [1, 2]), ([2, 0], [2, 0]), (None, [0, 1, 2])])
def test_windows_of_some_columns(columns, found):
    x, y = windows(SERIES, 3, 2, 2, inputs=columns)
    assert np.array_equal(x[1], SERIES[2:5][:, found]) and np.array_equal(y[1], SERIES[5:7])
    x, y = windows(SERIES, 3, 2, 2, targets=columns)
    assert np.array_equal(x[1], SERIES[2:5]) and np.array_equal(y[1], SERIES[5:7][:, found])
    assert len(x) == len(y) == 3
    if not isinstance(columns, list):
        assert np.shares_memory(y, SERIES)


@pytest.mark.parametrize("second", [np.arange(10), np.arange(20).reshape(10, 2), pd.DataFrame({"a": range(10)})])
def test_windows_followed_by_a_second_series(second):
    x, y = windows(SERIES, 4, 1, targets=second)
    array = np.asarray(second).reshape(10, -1)
    assert len(x) == len(y) == 6
    for k in range(6):
        assert np.array_equal(x[k], SERIES[k : k + 4]) and np.array_equal(y[k], array[k + 4 : k + 5])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"inputs": 3}, ValueError, "inputs: expected columns from 0 to 2, got 3"),
        ({"targets": -1}, ValueError, "targets: expected columns from 0 to 2, got -1"),
        ({"targets": []}, ValueError, "targets: expected at least one column, got none"),
        ({"inputs": slice(5, 9)}, ValueError, "inputs: expected some of the columns 0 to 2, got none"),
        ({"inputs": ["a"]}, TypeError, "inputs: expected columns by their numbers, got 'a'"),
        ({"targets": [0.5]}, TypeError, "targets: expected columns by their numbers, or a second series as an array"),
        ({"targets": np.zeros(9)}, ValueError, "targets: expected 10 steps as in the series, got 9"),
    ],
)
def test_windows_say_which_columns_there_are(options, error, message):
    with pytest.raises(error, match=message):
        windows(SERIES, 3, 2, **options)


# --- splits


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"test": 0.2}, [(0, 80), (80, 80), (80, 100)]),
        ({"train": 0.7, "validation": 0.1, "test": 0.2}, [(0, 70), (70, 80), (80, 100)]),
        ({"train": 60, "validation": 15}, [(0, 60), (60, 75), (75, 100)]),
        ({"train": 50, "test": 20}, [(30, 80), (80, 80), (80, 100)]),
        ({"validation": 10, "test": 20, "gap": 5}, [(0, 60), (65, 75), (80, 100)]),
        ({"validation": 10, "test": 20, "overlap": 7}, [(0, 70), (63, 80), (73, 100)]),
        ({"validation": 10, "test": 20, "gap": 5, "overlap": 7}, [(0, 60), (58, 75), (73, 100)]),
        ({"train": 0.5, "test": 0.5, "gap": 10}, [(0, 45), (45, 45), (55, 100)]),
    ],
)
def test_parts_come_in_order_of_time(options, expected):
    assert [(part.start, part.stop) for part in split(100, **options)] == expected


@pytest.mark.parametrize("total", range(3, 40))
def test_shares_of_a_whole_lose_no_step(total):
    train, validation, test = split(total, train=1 / 3, validation=1 / 3, test=1 / 3)
    assert (train.start, train.stop, validation.stop, test.stop) == (0, validation.start, test.start, total)


def test_a_number_of_steps_is_a_whole_one():
    assert split(np.int64(10), test=3).test == slice(7, 10)
    for series in (True, 10.0, None):
        with pytest.raises(TypeError, match="series: expected a series or its number of steps, got"):
            split(series, test=3)


def test_pieces_are_views_or_frames():
    pieces = split(SERIES, test=3)
    assert [len(piece) for piece in pieces] == [7, 0, 3] and np.shares_memory(pieces.test, SERIES)
    frame = pd.DataFrame(SERIES, index=range(100, 110))
    assert split(frame, test=3).test.index.tolist() == [107, 108, 109]


def test_windows_of_the_parts_share_no_target():
    length, horizon = 4, 2
    parts = split(np.arange(60), validation=12, test=12, overlap=length)
    targets = [set(windows(part, length, horizon)[1].ravel().tolist()) for part in parts]
    assert not targets[0] & targets[1] and not targets[1] & targets[2]
    assert min(targets[1]) == 36 and min(targets[2]) == 48 and max(targets[2]) == 59


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "split: expected train or test, got neither"),
        ({"train": 8, "test": 3}, "split: expected parts of at most 10 steps together, got train=8, validation=0"),
        ({"test": 10}, "train: expected at least one step of 10, got 0"),
        ({"test": 0.01}, "test: expected at least one step of 10, got 0"),
        ({"test": -1}, "test: expected at least 0, got -1"),
        ({"test": 2.5}, r"test: expected a whole number of steps or a share below 1, got 2\.5"),
        ({"test": 2, "overlap": 9}, "overlap: expected at most 8, the steps before test, got 9"),
        ({"test": 2, "gap": -1}, "gap: expected at least 1, got -1"),
        ({"test": 2, "gap": 8}, "train: expected at least one step of 2, got 0"),
        ({"test": 2, "gap": 12}, "split: expected parts of at most 0 steps together"),
    ],
)  # fmt: skip
def test_splits_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        split(10, **options)


# --- arrays


def arrays(**options):
    x = np.arange(11 * 4).reshape(11, 4, 1)
    return Arrays(x, np.arange(11), **{"batch_size": 4, **options})


def seen(batches):
    return [y.tolist() for _, y, *_ in batches]


@pytest.mark.parametrize("block", [None, 1, 3, 100])
def test_each_epoch_has_every_sequence_once_in_an_order_of_its_own(block):
    batches = arrays(block=block)
    first, second = seen(batches), seen(batches)
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(11))
    assert first != second and [len(batch) for batch in first] == [4, 4, 3] and len(batches) == 3
    for x, y in batches:
        assert np.array_equal(x[:, 0, 0], 4 * y)


def test_blocks_stay_together():
    order = sum(seen(arrays(block=4, batch_size=1)), [])
    assert order != list(range(11))
    for low, high in ((0, 4), (4, 8), (8, 11)):
        places = [k for k, item in enumerate(order) if low <= item < high]
        assert places == list(range(places[0], places[0] + high - low))


def test_an_epoch_is_the_same_whenever_it_is_asked_for():
    batches, twin = arrays(seed=3), arrays(seed=3)
    epochs = [seen(batches) for _ in range(3)]
    assert seen(twin.at(3)) == epochs[2] and seen(twin.at(1)) == epochs[0]
    twin.epoch = 1
    assert seen(twin) == epochs[1] and twin.epoch == 2
    assert seen(arrays(seed=4)) != epochs[0]
    with pytest.raises(ValueError, match="epoch: expected a whole number of at least 0, got -1"):
        twin.at(-1)


def test_a_seed_that_nobody_chose_stays_the_same_for_all_epochs():
    batches = arrays(seed=None)
    assert seen(batches.at(2)) == seen(batches.at(2))


def test_without_shuffling_the_order_is_that_of_the_data():
    assert seen(arrays(shuffle=False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_batches_have_what_was_given():
    lengths, weight = np.arange(11) % 4 + 1, np.arange(11) / 10
    assert [len(batch) for batch in arrays(lengths=lengths)] == [3] * 3
    x, y, found, of = next(iter(arrays(lengths=lengths, weight=weight)))
    assert np.array_equal(found, lengths[y]) and np.array_equal(of, weight[y]) and x.shape[1] == 4
    assert next(iter(arrays(weight=weight)))[2] is None


def test_batches_are_read_to_their_longest_sequence_on_request():
    lengths, steps = [2, 1, 4, 3], np.arange(16).reshape(4, 4)
    batches = Arrays(steps, steps, 2, lengths=lengths, weight=steps, shuffle=False, trim=True)
    assert [[part.shape for part in batch] for batch in batches] == [
        [(2, 2), (2, 2), (2,), (2, 2)],
        [(2, 4), (2, 4), (2,), (2, 4)],
    ]
    once = Arrays(steps, [1, 2, 3, 4], 2, lengths=lengths, shuffle=False, trim=True)
    assert next(iter(once))[1].tolist() == [1, 2]


class OnDisk:
    """What h5py's datasets take: rising indices."""

    def __init__(self, array):
        self.array, self.shape, self.read = array, array.shape, 0

    def __len__(self):
        return len(self.array)

    def __getitem__(self, chosen):
        assert (np.diff(chosen) > 0).all()
        self.read += len(chosen)
        return self.array[chosen]


def test_only_what_a_batch_holds_is_read():
    source = OnDisk(np.zeros((100, 2, 1)))
    batches = iter(Arrays(source, np.zeros(100), 10))
    next(batches), next(batches)
    assert source.read == 20


def test_files_and_views_of_files_are_mapped(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(60.0).reshape(20, 3, 1))
    np.save(tmp_path / "series.npy", np.arange(50.0))
    batches = Arrays(tmp_path / "x.npy", np.arange(20), 8)
    assert isinstance(batches._x, np.memmap)
    for x, y in batches:
        assert np.array_equal(x[:, 0, 0], 3 * y) and not isinstance(x, np.memmap) and x.flags.writeable
    series = np.load(tmp_path / "series.npy", mmap_mode="r")
    past, future = windows(series, 5, 1)
    assert np.shares_memory(past, series)
    x, y = next(iter(Arrays(past, future[:, 0], 8)))
    assert np.array_equal(x[:, -1] + 1, y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"y": np.zeros(10)}, ValueError, "y: expected 11 targets, one for each sequence of x, got 10"),
        ({"x": np.zeros((0, 2)), "y": []}, ValueError, "x: expected at least one sequence, got none"),
        ({"x": 3.0}, ValueError, "x: expected an array of N sequences, got a single number"),
        ({"x": "a.npz"}, ValueError, "x: expected a .npy file, which can be mapped, got 'a.npz'"),
        ({"lengths": [5] * 11}, ValueError, r"lengths: expected 0 to 4, got 5 at \[0\]"),
        ({"x": np.zeros(11), "lengths": [1] * 11}, ValueError, r"x: expected shape \(N, T, ...\) with lengths"),
        ({"weight": [1]}, ValueError, "weight: expected 11, one for each sequence of x, got 1"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
        ({"seed": 1.5}, TypeError, "seed: expected a whole number or None, got 1.5"),
    ],
)
def test_arrays_say_what_is_wrong(options, error, message):
    with pytest.raises(error, match=message):
        Arrays(**{"x": np.zeros((11, 4, 1)), "y": np.zeros(11), **options})


# --- frames

TABLE = pd.DataFrame({"a": np.arange(20.0), "b": np.arange(20.0) + 100, "name": list("uvvuv") * 4})
COLUMNS = {"inputs": ["b", "a"], "targets": "a"}


@pytest.fixture
def table(tmp_path):
    TABLE.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


@pytest.mark.parametrize("chunksize", [1, 3, 7, 100])
@pytest.mark.parametrize("stride", [1, 3, 9])
def test_windows_cross_the_borders_of_chunks(table, chunksize, stride):
    options = {**COLUMNS, "stride": stride, "shuffle": False, "batch_size": 4, "chunksize": chunksize}
    expected = windows(TABLE[["b", "a"]], 4, 2, stride, targets=1)
    for source in (table, TABLE):
        batches = list(Frames(source, 4, 2, **options))
        for found, wanted in zip(zip(*batches, strict=True), expected, strict=True):
            assert np.array_equal(np.concatenate(found), wanted)
        assert all(len(x) == 4 for x, _ in batches[:-1]) and batches[0][0].dtype == np.float32


def firsts(batches):
    return np.concatenate([x[:, 0, 1] for x, _ in batches]).tolist()


@pytest.mark.parametrize("chunksize", [2, 5, 100])
def test_groups_are_series_of_their_own(table, chunksize):
    batches = Frames(table, 3, 1, **COLUMNS, group="name", chunksize=chunksize, shuffle=False)
    rows = {name: TABLE.a[TABLE.name == name].tolist() for name in "uv"}
    expected = {tuple(values[k : k + 4]) for values in rows.values() for k in range(len(values) - 3)}
    found = [tuple(x[:, 1].tolist() + y[:, 0].tolist()) for xs, ys in batches for x, y in zip(xs, ys, strict=True)]
    assert len(found) == len(expected) and set(found) == expected


def test_frames_are_series_of_their_own_unless_they_go_on():
    parts = [TABLE[:8], TABLE[8:]]
    options = {**COLUMNS, "shuffle": False}
    assert firsts(Frames(parts, 3, 1, **options)) == [*range(5), *range(8, 17)]
    assert firsts(Frames(parts, 3, 1, **options, continued=True)) == list(range(17))


@pytest.mark.parametrize("pool", [1, 6, 100])
def test_frames_have_an_order_of_their_own_in_each_epoch(table, pool):
    batches = Frames([table, TABLE + TABLE], 3, 1, **COLUMNS, batch_size=4, pool=pool)
    once, twice = firsts(batches), firsts(batches)
    assert once != twice and sorted(once) == sorted(twice) == sorted([*range(17), *range(0, 34, 2)])
    assert firsts(batches.at(2)) == twice
    again = Frames([table, TABLE + TABLE], 3, 1, **COLUMNS, batch_size=4, pool=pool, chunksize=3)
    assert firsts(again) == once


def test_chunks_are_prepared_and_more_goes_to_pandas(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("\n".join(f"{k};{k},5" for k in range(6)))
    batches = Frames(
        path, 2, 1, inputs="half", targets="v", shuffle=False, chunksize=2,
        prepare=lambda frame: frame.assign(half=frame.v / 2), sep=";", decimal=",", names=["k", "v"],
    )  # fmt: skip
    x, y = next(iter(batches))
    assert x[0, :, 0].tolist() == [0.25, 0.75] and y[:, 0, 0].tolist() == [2.5, 3.5, 4.5, 5.5]


def test_frames_say_what_is_wrong(table):
    holes = TABLE.assign(b=TABLE.b.where(TABLE.index != 13))
    for source, options, message in (
        (table, {"targets": "c"}, r"table.csv: expected a column 'c', got \['a', 'b', 'name'\]"),
        (table, {"inputs": ["name"]}, "table.csv, column 'name': expected numbers, got"),
        (holes, {"chunksize": 5}, "frame 1, row 14, column 'b': expected a value, got none; fill or drop it"),
        (table, {"inputs": []}, "inputs: expected at least one column, got none"),
    ):
        with pytest.raises(ValueError, match=message):
            list(Frames(source, 3, 1, **{**COLUMNS, **options}))


def test_without_pandas_that_is_said_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="reading CSV files needs pandas: pip install pandas"):
        Frames("a.csv", 3, 1, **COLUMNS)


# --- generators, map, prefetch


def test_generators_get_the_number_of_the_epoch():
    batches = FromGenerator(lambda epoch: ((k, epoch) for k in range(2)))
    assert list(batches) == [(0, 1), (1, 1)] and list(batches) == [(0, 2), (1, 2)] and list(batches.at(7))[0] == (0, 7)
    with pytest.raises(TypeError, match="function: expected a function of the number of the epoch, got"):
        FromGenerator([1])


def test_map_keeps_epochs_and_length():
    batches = arrays().map(lambda x, y: (x, -y))
    assert len(batches) == 3 and seen(batches) == [[-k for k in part] for part in seen(arrays())]
    assert seen(batches.at(5)) == [[-k for k in part] for part in seen(arrays().at(5))]


def reading():
    return [thread for thread in threading.enumerate() if thread.name == "fastlstm-prefetch"]


@pytest.mark.parametrize("ahead", [1, 2, 50])
def test_prefetching_changes_nothing(ahead):
    batches = prefetch(arrays(), ahead)
    plain = arrays()
    assert [seen(batches), seen(batches)] == [seen(plain), seen(plain)]
    assert seen(batches.at(9)) == seen(plain.at(9)) and len(batches) == 3
    assert not reading()


def test_prefetching_without_epochs_has_none():
    batches = prefetch([1, 2, 3])
    assert list(batches) == list(batches) == [1, 2, 3] and not hasattr(batches, "at")
    assert list(prefetch(k for k in range(3))) == [0, 1, 2]
    assert not hasattr(prefetch(iter([])), "__len__")
    drawn = FromGenerator(lambda epoch: [(epoch, 1)])
    for batches in (drawn, drawn.map(max), prefetch(drawn)):
        assert hasattr(batches, "at") and not hasattr(batches, "__len__")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_errors_come_where_the_batch_would_have_come(error):
    def failing():
        yield 1
        yield 2
        raise error("the disk is gone")

    got = []
    with pytest.raises(error, match="the disk is gone"):
        for item in prefetch(failing(), 5):
            got.append(item)
    assert got == [1, 2] and not reading()


def test_leaving_early_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def endless():
        try:
            k = 0
            while True:
                yield k
                k += 1
        finally:
            closed.set()

    batches = iter(prefetch(endless(), 2))
    assert [next(batches), next(batches)] == [0, 1]
    assert reading()
    batches.close()
    assert closed.is_set() and not reading()


def test_leaving_by_an_error_or_not_beginning_at_all_leaves_no_thread():
    with pytest.raises(ZeroDivisionError):
        for _ in prefetch(arrays(), 1):
            raise ZeroDivisionError
    iter(prefetch(arrays(), 1))
    assert not reading()


def test_a_program_that_leaves_an_epoch_unfinished_ends(tmp_path):
    lines = (
        "from itertools import count",
        "from fastlstm.data import prefetch",
        "batches = iter(prefetch(count()))",
        "print(next(batches))",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)


def test_no_more_is_read_than_asked_for():
    given, far = [], threading.Event()

    def source():
        for k in range(100):
            given.append(k)
            if k == 3:
                far.set()
            yield k

    batches = iter(prefetch(source(), 3))
    next(batches)
    assert far.wait(60)
    batches.close()
    assert len(given) <= 5  # the one in use, three ahead, and one that waits for room


def test_a_model_learns_from_files_read_ahead(tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 5, 1)).astype("f4")
    np.save(tmp_path / "x.npy", x)
    found = []
    for wrap in (lambda batches: batches, prefetch):
        model = fl.Model([fl.LSTM(1, 8), fl.Last(), fl.Dense(8, 1)], seed=0)
        trainer = fl.Trainer(model, fl.mse, fl.Adam(0.02))
        history = trainer.fit_batches(wrap(Arrays(tmp_path / "x.npy", x.sum(1), 16)), epochs=15, progress=False)
        found.append(history["loss"])
    assert found[0] == found[1] and found[0][-1] < 0.2 * found[0][0]


def test_a_model_learns_from_frames():
    frame = pd.DataFrame({"v": np.sin(np.arange(300) / 5)})
    model = fl.Model([fl.LSTM(1, 8), fl.Last(), fl.Dense(8, 1)], seed=0)
    batches = Frames(frame, 10, 1, inputs="v", targets="v").map(lambda x, y: (x, y[:, 0]))
    history = fl.Trainer(model, fl.mse, fl.Adam(0.02)).fit_batches(batches, epochs=15, progress=False)
    assert history["loss"][-1] < 0.1 * history["loss"][0]
