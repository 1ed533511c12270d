"""A model as a function of arrays and iterators, and as what a worker process gets."""

import os
import pickle
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from damaging import overwrite
from predictor_cases import LENGTHS, TOKENS, X, each_step, one, reader, same, three

import fastlstm as fl
from fastlstm import distributed, threads
from fastlstm.distributed import predictor as module
from fastlstm.distributed import source
from fastlstm.io import native, pickled


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


class Louder(fl.Model):
    """A model that answers otherwise."""

    def predict(self, x, batch_size=256, lengths=None):
        return 2 * super().predict(x, batch_size, lengths)


BAD = [
    (lambda: fl.Predictor(fl.LSTM(2, 8)), TypeError, "model: expected a Model or the path of its file, got LSTM"),
    (
        lambda: fl.Predictor(Louder([fl.LSTM(2, 3)])),
        TypeError,
        "model: expected a Model, got Louder with a predict of its",
    ),
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
