"""A model as a function of arrays, tables and iterators, and as what a worker process gets."""

import os
import pickle
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from damaging import overwrite

import fastlstm as fl
from fastlstm import distributed, threads
from fastlstm.distributed import predictor as module
from fastlstm.distributed import source
from fastlstm.io import native, pickled

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 6, 2)).astype("f4")
TOKENS = RNG.integers(0, 20, (9, 6))
LENGTHS = np.array([6, 1, 2, 3, 4, 5, 6, 1, 2])


def three():
    return fl.Model([fl.LSTM(2, 8), fl.Last(), fl.Dense(8, 3)], seed=0)


def one(features=2):
    return fl.Model([fl.LSTM(features, 8), fl.Last(), fl.Dense(8, 1)], seed=0)


def each_step(outputs=3):
    return fl.Model([fl.LSTM(2, 8), fl.Dense(8, outputs)], seed=0)


def reader():
    return fl.Model([fl.Embedding(20, 4), fl.LSTM(4, 8), fl.Last(), fl.Dense(8, 3)], seed=0)


@pytest.fixture
def arrow():
    return pytest.importorskip("pyarrow", reason="PyArrow is not installed")


@pytest.fixture
def fresh():
    """A process that has loaded no model yet."""
    before = dict(source._models)
    source._models.clear()
    yield source._models
    source._models.clear()
    source._models.update(before)


def elsewhere(predictor):
    """What a worker process makes of it: as if it came from another machine."""
    other = pickle.loads(pickle.dumps(predictor))
    other._home = ("another machine", os.getpid())
    return other


def same(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_it_is_public_in_both_places():
    assert fl.Predictor is distributed.Predictor
    assert "Predictor" in dir(fl)


@pytest.mark.parametrize("make", [three, one, each_step])
def test_arrays_give_what_the_model_gives(make):
    model = make()
    same(fl.Predictor(model)(X), model.predict(X))
    same(fl.Predictor(model, batch_size=4)(X, LENGTHS), model.predict(X, lengths=LENGTHS))
    same(fl.Predictor(model)(X, LENGTHS[:, None, None]), model.predict(X, lengths=LENGTHS))
    same(fl.Predictor(model)(X.tolist()), model.predict(X))


def test_tokens_give_what_the_model_gives():
    same(fl.Predictor(reader())(TOKENS), reader().predict(TOKENS))


@pytest.mark.parametrize(
    ("make", "shape", "expected"),
    [
        (three, (0, 6, 2), (0, 3)),
        (one, (0, 0, 0), (0, 1)),
        (each_step, (0, 6, 2), (0, 6, 3)),
        (each_step, (0, 0, 0), (0, 0, 3)),
        (reader, (0, 6), (0, 3)),
    ],
)
def test_no_sequences_give_no_outputs(make, shape, expected):
    found = fl.Predictor(make())(np.empty(shape))
    assert (found.shape, found.dtype) == (expected, np.float32)


def test_the_model_is_taken_as_it_is_when_the_predictor_is_made():
    model = three()
    expected, predictor = model.predict(X), fl.Predictor(model)
    model.parameters()[0].value = np.zeros((32, 2))
    same(predictor(X), expected)


def test_a_dict_of_arrays_gets_another_array():
    predictor, given = fl.Predictor(three(), lengths="n"), {"x": X, "n": LENGTHS}
    found = predictor(given)
    assert list(found) == ["x", "n", "prediction"] and list(given) == ["x", "n"]
    same(found["prediction"], three().predict(X, lengths=LENGTHS))
    same(fl.Predictor(one(), output="y")({"data": X})["y"], one().predict(X)[:, 0])
    same(fl.Predictor(each_step())({"data": X})["prediction"], each_step().predict(X))
    same(fl.Predictor(each_step(1))({"data": X})["prediction"], each_step(1).predict(X)[..., 0])


WIDE = [f"lag {i}" for i in range(12)]


@pytest.mark.parametrize("rows", [slice(None), slice(2, 7), slice(0, 0)])
def test_columns_of_numbers_in_pandas(rows):
    table = pd.DataFrame(X.reshape(9, 12), columns=WIDE, index=range(100, 109)).assign(shop=list("abcdefghi"))[rows]
    y = three().predict(X)[rows]
    found = fl.Predictor(three(), columns=WIDE, output=["low", "mid", "high"])(table)
    assert list(found.columns) == [*table.columns, "low", "mid", "high"] and found.index.equals(table.index)
    assert "low" not in table
    same(found[["low", "mid", "high"]].to_numpy(), y)
    found = fl.Predictor(one(), columns=WIDE)(table)["prediction"]
    same(found.to_numpy(), one().predict(X)[rows, 0])
    found = fl.Predictor(three(), columns=WIDE)(table)["prediction"]
    assert found.dtype == object and len(found) == len(y)
    for row, expected in zip(found, y, strict=True):
        same(row, expected)


LISTS = {
    "arrays": list(X),
    "lists": X.tolist(),
    "flat arrays": list(X.reshape(9, 12)),
    "flat lists": X.reshape(9, 12).tolist(),
    "lists of arrays": [list(row) for row in X],
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_column_of_lists_in_pandas(kind):
    table = pd.DataFrame({"x": pd.Series(LISTS[kind], dtype=object), "n": LENGTHS})
    y = three().predict(X)
    same(np.stack(fl.Predictor(three(), columns="x")(table)["prediction"]), y)
    y = each_step().predict(X, lengths=LENGTHS)
    found = fl.Predictor(each_step(), columns="x", lengths="n")(table)["prediction"]
    same(np.array([np.array(row) for row in found]), y)
    nothing = fl.Predictor(each_step(), columns="x", lengths="n")(table[:0])
    assert list(nothing.columns) == ["x", "n", "prediction"] and nothing["prediction"].dtype == object


def test_a_column_of_arrow_s_lists_in_pandas(arrow):
    kind = pd.ArrowDtype(arrow.list_(arrow.list_(arrow.float32())))
    table = pd.DataFrame({"x": pd.Series(X.tolist(), dtype=kind)})
    same(np.stack(fl.Predictor(three())(table)["prediction"]), three().predict(X))


def test_columns_of_lists_are_a_feature_each():
    table = pd.DataFrame({"warm": X[:, :, 0].tolist(), "wet": X[:, :, 1].tolist()})
    same(np.stack(fl.Predictor(three(), columns=["warm", "wet"])(table)["prediction"]), three().predict(X))


def test_columns_of_numbers_and_lists_of_tokens():
    wide = pd.DataFrame(TOKENS, columns=list("abcdef")).astype("Int64")
    y = reader().predict(TOKENS)
    same(np.stack(fl.Predictor(reader(), columns=list("abcdef"))(wide)["prediction"]), y)
    lists = pd.DataFrame({"x": TOKENS.tolist(), "other": 1})
    same(np.stack(fl.Predictor(reader())(lists)["prediction"]), y)


def ragged(x):
    return [row[:n].tolist() for row, n in zip(x, LENGTHS, strict=True)]


def test_rows_of_different_lengths(arrow):
    y = three().predict(X, lengths=LENGTHS)
    table = pd.DataFrame({"x": ragged(X), "n": LENGTHS})
    for lengths in (True, "n"):
        predictor = fl.Predictor(three(), columns="x", lengths=lengths)
        same(np.stack(predictor(table)["prediction"]), y)
        found = predictor(arrow.Table.from_pandas(table))["prediction"]
        same(np.array(found.to_pylist(), "f4"), y)
    short = fl.Predictor(three(), columns="x", lengths="n")(table.assign(n=1))["prediction"]
    same(np.stack(short), three().predict(X, lengths=np.ones(9, int)))
    flat = pd.DataFrame({"x": [np.ravel(row) for row in ragged(X)]})
    same(np.stack(fl.Predictor(three(), lengths=True)(flat)["prediction"]), y)
    tokens = pd.DataFrame({"x": ragged(TOKENS)})
    y = reader().predict(TOKENS, lengths=LENGTHS)
    same(np.stack(fl.Predictor(reader(), lengths=True)(tokens)["prediction"]), y)


def arrow_tables(pa):
    """The same rows in the forms in which Arrow may hold them."""
    flat, nested = X.reshape(9, 12), pa.array(X.tolist(), pa.list_(pa.list_(pa.float32())))
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(X)
    columns = {
        "lists": pa.array(flat.tolist(), pa.list_(pa.float32())),
        "large lists": pa.array(flat.tolist(), pa.large_list(pa.float32())),
        "lists of a fixed size": pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), 12),
        "lists of lists": nested,
        "tensors": tensors,
        "a slice": pa.concat_arrays([nested, nested]).slice(9),
    }
    for name, column in columns.items():
        yield name, pa.table({"x": column, "n": LENGTHS})
    yield "chunks", pa.table({"x": pa.chunked_array([nested[:4], nested[4:4], nested[4:]]), "n": LENGTHS})
    yield "chunks of tensors", pa.table({"x": pa.chunked_array([tensors[:4], tensors[4:]]), "n": LENGTHS})


def test_tables_and_batches_of_arrow(arrow):
    for name, table in arrow_tables(arrow):
        for given in (table, *table.combine_chunks().to_batches()):
            found = fl.Predictor(three(), lengths="n")(given)
            assert type(found) is type(given), name
            assert found.schema == given.schema.append(arrow.field("prediction", arrow.list_(arrow.float32())))
            same(np.array(found["prediction"].to_pylist(), "f4"), three().predict(X, lengths=LENGTHS))
            found = fl.Predictor(each_step(), columns="x")(given)["prediction"]
            same(np.array(found.to_pylist(), "f4"), each_step().predict(X))
            found = fl.Predictor(three(), columns="x", output=list("abc"))(given)
            same(np.stack([found[key].to_numpy() for key in "abc"], 1), three().predict(X))


@pytest.mark.parametrize("make", [one, three, each_step])
def test_arrow_without_rows_has_the_same_schema(arrow, make):
    table = arrow.table({"x": arrow.array(X.tolist(), arrow.list_(arrow.list_(arrow.float32())))})
    predictor = fl.Predictor(make())
    assert predictor(table[:0]).schema == predictor(table).schema
    batch = arrow.RecordBatch.from_pylist([], table.schema)
    assert predictor(batch).schema == predictor(table).schema


def test_wide_tables_of_arrow(arrow):
    table = arrow.Table.from_pandas(pd.DataFrame(X.reshape(9, 12), columns=WIDE))
    found = fl.Predictor(one(), columns=WIDE)(table)["prediction"]
    same(found.to_numpy(), one().predict(X)[:, 0])


def test_a_dict_of_lists_of_different_lengths():
    found = fl.Predictor(three(), lengths=True)({"x": ragged(X)})["prediction"]
    same(found, three().predict(X, lengths=LENGTHS))


def test_an_iterator_gives_an_iterator_that_waits_to_be_asked():
    taken = []

    def parts():
        for part in (X[:4], X[:0], X[4:]):
            taken.append(len(part))
            yield part

    found = fl.Predictor(three())(parts())
    assert iter(found) is found and taken == []
    same(next(found), three().predict(X[:4]))
    assert taken == [4]
    same(np.concatenate(list(found)), three().predict(X[4:]))


class Unknown:
    pass


BAD = [
    (lambda: fl.Predictor(fl.LSTM(2, 8)), TypeError, "model: expected a Model or the path of its file, got LSTM"),
    (lambda: fl.Predictor(None), TypeError, "model: expected a Model or the path of its file, got NoneType"),
    (lambda: fl.Predictor(three(), batch_size=0), ValueError, "batch_size: expected at least 1, got 0"),
    (lambda: fl.Predictor(three(), threads=1.5), TypeError, "threads: expected a whole number, got 1.5"),
    (lambda: fl.Predictor(three(), threads=257), ValueError, "threads: expected at most 256, got 257"),
    (
        lambda: fl.Predictor(three(), lengths=3),
        TypeError,
        "lengths: expected the name of a column, True or None, got 3",
    ),
    (lambda: fl.Predictor(three(), lengths=False), TypeError, "lengths: expected the name of a column, True or None"),
    (lambda: fl.Predictor(three(), columns=3), TypeError, "columns: expected a list of names of columns, got 3"),
    (
        lambda: fl.Predictor(three(), columns=[]),
        TypeError,
        r"columns: expected the name of a column or several, got \[\]",
    ),
    (
        lambda: fl.Predictor(three(), output=[1]),
        TypeError,
        r"output: expected the name of a column or several, got \[1\]",
    ),
    (lambda: fl.Predictor(three(), output=None), TypeError, "output: expected a list of names of columns, got None"),
    (lambda: fl.Predictor(three(), columns=["a", "a"]), ValueError, "columns: expected every name once"),
    (
        lambda: fl.Predictor(three())(Unknown()),
        TypeError,
        "data: expected an array, a dict of arrays, .*, got .*Unknown",
    ),
    (lambda: fl.Predictor(three())(3), TypeError, "data: expected an array, .*, got builtins.int"),
    (lambda: fl.Predictor(three())(X[:, :, :1]), ValueError, r"x: expected shape \(N, T, 2\), got \(9, 6, 1\)"),
    (lambda: fl.Predictor(three(), lengths="n")(X), ValueError, "lengths: expected those of the array's sequences"),
    (lambda: fl.Predictor(three())({"x": X}, LENGTHS), TypeError, "lengths: expected none with a table; name a column"),
    (lambda: fl.Predictor(three())({"x": X, "n": LENGTHS[1:]}), ValueError, "data: expected arrays of one length in"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_what_it_cannot_take_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def frame(**columns):
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


BAD_TABLES = [
    (
        {},
        frame(a=[1], b=[2]),
        ValueError,
        r"columns: expected the names of the input's columns, got none for columns \[",
    ),
    ({"columns": "y"}, frame(x=[1]), ValueError, r"columns: expected one named 'y', got columns \['x'\]"),
    ({"lengths": "n"}, frame(x=[1]), ValueError, r"columns: expected one named 'n', got columns \['x'\]"),
    (
        {"output": "x"},
        frame(x=[1]),
        ValueError,
        "output: expected the name of a new column, got 'x', which the table has",
    ),
    ({"output": ["a", "b"]}, frame(x=list(X)), ValueError, r"output: expected a name for each output .* \(N, 3\), got"),
    ({}, frame(x=["a", "b"]), TypeError, "column 'x': expected numbers or a list of numbers, got 'a' in row 0"),
    ({}, pd.DataFrame({"x": ["a"]}), TypeError, "column 'x': expected numbers or"),
    ({}, frame(x=[[1, 2], None]), ValueError, "column 'x': expected numbers, got a missing one in row 1"),
    ({}, frame(x=[[1, 2], ["a", "b"]]), TypeError, r"column 'x': .* got \['a', 'b'\] in row 1"),
    ({}, frame(x=[[1, 2], 3]), ValueError, r"column 'x': expected rows of one kind, got lists of \(\) and numbers"),
    (
        {},
        frame(x=[[[1, 2]], [[1, 2, 3]]]),
        ValueError,
        r"'x': expected rows of one kind, got lists of \(2,\) and lists",
    ),
    (
        {},
        frame(x=[[np.ones(2), np.ones(3)]]),
        ValueError,
        "column 'x': expected steps of one size, got others in row 0",
    ),
    ({}, frame(x=[[[1, 2], [1]]]), ValueError, "column 'x': expected steps of one size, got others in row 0"),
    ({}, frame(x=[[1, 2, 3]]), ValueError, "columns 'x': expected a multiple of 2 numbers, T times F, got 3"),
    (
        {"columns": ["a", "b", "c"]},
        pd.DataFrame(np.ones((2, 3)), columns=list("abc")),
        ValueError,
        "multiple of 2 numbers",
    ),
    (
        {},
        frame(x=ragged(X)),
        ValueError,
        "columns 'x': expected as many steps in every row, got 1 to 6; lengths=True takes",
    ),
    (
        {"columns": "x", "lengths": "n"},
        frame(x=ragged(X), n=LENGTHS + 1),
        ValueError,
        "lengths: expected at most 6 in row 0",
    ),
    ({"columns": ["a", "b"]}, frame(a=[[1, 2]], b=[3]), ValueError, "expected either numbers or lists in all of them"),
    (
        {"columns": ["a", "b"]},
        frame(a=[[1, 2]], b=[[3]]),
        ValueError,
        "lists of one length in a row, got 2 and 1 steps in",
    ),
    (
        {"columns": ["a", "b"]},
        frame(a=list(X), b=list(X)),
        ValueError,
        "lists of numbers, a feature each, got lists of",
    ),
    (
        {"columns": ["a", "b"], "lengths": True},
        frame(a=[1], b=[2]),
        ValueError,
        "lengths: True is for a column of lists",
    ),
    ({"columns": "a", "lengths": "b"}, frame(a=[[1, 2]], b=[[1]]), ValueError, "lengths: expected a column of numbers"),
    ({}, pd.DataFrame(np.ones((2, 2)), columns=["x", "x"]), ValueError, "column 'x': expected one of this name, got 2"),
]


@pytest.mark.parametrize(("options", "table", "kind", "message"), BAD_TABLES)
def test_a_table_that_does_not_fit_is_named(options, table, kind, message):
    with pytest.raises(kind, match=message):
        fl.Predictor(three(), **options)(table)


def test_arrow_that_does_not_fit_is_named(arrow):
    def refused(column, message, kind=ValueError):
        with pytest.raises(kind, match=message):
            fl.Predictor(three())(arrow.table({"x": column}))

    refused(arrow.array([[1.0, 2.0], None]), "column 'x': expected numbers, got a missing one in row 1")
    refused(arrow.array([[1.0, None]]), "column 'x': expected numbers, got a missing one in row 1")
    refused(arrow.array(["a"]), "column 'x': expected numbers or", TypeError)
    refused(arrow.array([["a"]]), "column 'x': expected numbers or", TypeError)
    refused(arrow.array([[[1.0, 2.0], [1.0]]]), "column 'x': expected steps of one size, got 1 to 2")
    refused(arrow.array([[1.0, 2.0], [1.0, 2.0, 3.0, 4.0]]), "as many steps in every row, got 1 to 2")


def test_blocks_of_dask_that_cut_sequences_are_refused():
    info = {0: {"num-chunks": (3, 2, 1)}, None: {}}
    with pytest.raises(ValueError, match=r"blocks with whole sequences, got axis 1 in 2 blocks; rechunk .* \{1: -1\}"):
        fl.Predictor(each_step())(X, block_info=info)
    same(fl.Predictor(each_step())(X, block_info={0: {"num-chunks": (3, 1, 1)}}), each_step().predict(X))


def test_a_file(tmp_path, monkeypatch, fresh):
    fl.save(three(), tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    predictor = fl.Predictor("m")
    monkeypatch.chdir("/")
    assert len(pickle.dumps(predictor)) < 1000 and str(tmp_path / "m") in repr(predictor)
    fresh.clear()
    same(elsewhere(predictor)(X), three().predict(X))
    os.remove(tmp_path / "m")
    same(elsewhere(predictor)(X), three().predict(X))  # this process has it
    fresh.clear()
    message = "m: no such file; every worker reads the file: put it where all of them see it, or pass the model itself"
    with pytest.raises(FileNotFoundError, match=message):
        elsewhere(predictor)(X)
    fl.save(each_step(), tmp_path / "m")
    with pytest.raises(ValueError, match="m: holds another model than when the Predictor was made; make a new one"):
        elsewhere(predictor)(X)


def test_a_file_that_cannot_be_used_is_named_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no such file"):
        fl.Predictor(tmp_path / "nothing")
    fl.save(three(), tmp_path / "m")
    overwrite(tmp_path / "m", np.nan)
    with pytest.raises(ValueError, match="m: damaged: .* expected finite numbers"):
        fl.Predictor(tmp_path / "m")
    (tmp_path / "m").write_bytes(b"PK\x03\x04 something else altogether")
    with pytest.raises(ValueError, match="m: not a safetensors file"):
        fl.Predictor(tmp_path / "m")


def test_a_process_loads_a_model_once_for_all_threads(monkeypatch, fresh):
    loads = []
    load = pickled.of_parts
    monkeypatch.setattr(pickled, "of_parts", lambda *parts: loads.append(1) or load(*parts))
    content, y = pickle.dumps(fl.Predictor(three())), three().predict(X)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: pickle.loads(content)(X), range(100)):
            same(found, y)
    assert loads == [1]


def test_a_process_keeps_the_models_that_were_used_last(tmp_path, fresh):
    predictors = []
    for seed in range(source.MOST_MODELS + 2):
        fl.save(fl.Model([fl.LSTM(2, 3)], seed=seed), tmp_path / str(seed))
        predictors.append(fl.Predictor(tmp_path / str(seed)))
        predictors[0](X)
    assert len(fresh) == source.MOST_MODELS
    assert predictors[0]._source._key in fresh and predictors[1]._source._key not in fresh


def test_files_of_earlier_versions_have_no_checksum(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(native.tensors, "to_bytes", without_checksum)
        fl.save(three(), tmp_path / "m")
    same(fl.Predictor(tmp_path / "m")(X), three().predict(X))


def without_checksum(arrays, words):
    from safetensors.numpy import save

    return save(dict(arrays), words)


@pytest.mark.usefixtures("default_threads")
def test_threads_are_set_in_workers_only():
    fl.set_num_threads(3)
    predictor = fl.Predictor(three(), threads=2)
    predictor(X)
    pickle.loads(pickle.dumps(predictor))(X)
    elsewhere(fl.Predictor(three()))(X)
    assert fl.get_num_threads() == 3
    elsewhere(predictor)(X)
    assert fl.get_num_threads() == 2


@pytest.mark.usefixtures("default_threads")
def test_a_worker_follows_what_its_engine_tells_it_later(monkeypatch):
    monkeypatch.delenv("FASTLSTM_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setattr(threads, "_quota", lambda _: 1 << 16)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fl.set_num_threads(None)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    predictor = fl.Predictor(three())
    predictor(X)
    assert fl.get_num_threads() == 1
    elsewhere(predictor)(X)
    assert fl.get_num_threads() == 2


@pytest.mark.usefixtures("default_threads")
def test_a_dask_worker_divides_its_processors_among_its_threads(monkeypatch):
    monkeypatch.setattr(module, "default_num_threads", lambda: 8)
    worker = types.SimpleNamespace(state=types.SimpleNamespace(nthreads=3))
    monkeypatch.setitem(sys.modules, "distributed", types.SimpleNamespace(get_worker=lambda: worker))
    fl.set_num_threads(8)
    for _ in range(3):
        elsewhere(fl.Predictor(three()))(X)
        assert fl.get_num_threads() == 2
    worker.state.nthreads = 20
    elsewhere(fl.Predictor(three()))(X)
    assert fl.get_num_threads() == 1


def fresh_process(code, **environment):
    environment = {**os.environ, **environment}
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_a_process_of_its_own_imports_no_package_of_tables(tmp_path):
    (tmp_path / "predictor").write_bytes(pickle.dumps(fl.Predictor(three(), threads=1)))
    np.save(tmp_path / "x.npy", X)
    code = (
        "import os, pickle, sys, numpy as np\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "y = pickle.loads(open('predictor', 'rb').read())(np.load('x.npy'))\n"
        "np.save('y.npy', y)\n"
        "import fastlstm\n"
        "print(fastlstm.get_num_threads(), *{'pandas', 'pyarrow', 'dask', 'distributed', 'joblib'} & {*sys.modules})"
    )
    assert fresh_process(code, FASTLSTM_NUM_THREADS="3").split() == ["1"]
    same(np.load(tmp_path / "y.npy"), three().predict(X))


def test_two_of_the_same_model_and_settings_are_one_to_dask():
    tokens = [fl.Predictor(three(), **more).__dask_tokenize__() for more in ({}, {}, {"columns": "x"})]
    assert tokens[0] == tokens[1] != tokens[2]
    assert fl.Predictor(one()).__dask_tokenize__() != tokens[0]


def test_it_says_what_it_is():
    said = repr(fl.Predictor(three(), columns="x", output=["a", "b"]))
    assert said == "Predictor(a model, columns=('x',), lengths=None, output=('a', 'b'))"
