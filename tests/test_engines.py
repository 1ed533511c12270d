"""The Predictor on the engines it is made for: each calls it in its workers, and gives the bits of one process."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import fastlstm as fl
from fastlstm.io import pickled

X = np.random.default_rng(0).normal(size=(100, 7, 2)).astype("f4")
LENGTHS = np.random.default_rng(1).integers(1, 8, 100)
WIDE = [f"c{i}" for i in range(14)]
ABC = ["a", "b", "c"]


def three():
    return fl.Model([fl.LSTM(2, 8), fl.Last(), fl.Dense(8, 3)], seed=0)


def each_step():
    return fl.Model([fl.LSTM(2, 8), fl.Dense(8, 3)], seed=0)


def wide():
    return pd.DataFrame(X.reshape(100, -1), columns=WIDE).assign(row=range(100))


def lists():
    return pd.DataFrame({"row": range(100), "x": X.reshape(100, -1).tolist()})


def same(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def dask_arrays():
    return pytest.importorskip("dask.array", reason="Dask is not installed")


def dask_frames():
    pytest.importorskip("pyarrow", reason="PyArrow is not installed")
    return pytest.importorskip("dask.dataframe", reason="Dask is not installed with its DataFrame")


def test_dask_maps_the_blocks_of_an_array():
    da = dask_arrays()
    x = da.from_array(X, chunks=(30, -1, -1))
    y = x.map_blocks(fl.Predictor(three()), dtype="f4", drop_axis=2, chunks=(x.chunks[0], (3,)))
    assert y.shape == (100, 3)
    same(y.compute(), three().predict(X))
    y = da.map_blocks(fl.Predictor(each_step()), x, dtype="f4", chunks=(*x.chunks[:2], (3,)))
    assert y.shape == (100, 7, 3) and y._meta.dtype == np.float32
    same(y.compute(), each_step().predict(X))
    lengths = da.from_array(LENGTHS, chunks=30)[:, None, None]
    y = da.map_blocks(fl.Predictor(each_step()), x, lengths, dtype="f4", chunks=(*x.chunks[:2], (3,)))
    same(y.compute(), each_step().predict(X, lengths=LENGTHS))


def test_dask_says_when_its_blocks_cut_sequences():
    da = dask_arrays()
    x = da.from_array(X, chunks=(30, 4, -1))
    y = da.map_blocks(fl.Predictor(each_step()), x, dtype="f4", chunks=(*x.chunks[:2], (3,)))
    with pytest.raises(ValueError, match=r"data: expected blocks with whole sequences, got axis 1 in 2 blocks"):
        y.compute()


def test_dask_maps_the_partitions_of_a_frame_and_finds_their_columns_itself():
    dd = dask_frames()
    table = dd.from_pandas(wide(), npartitions=4)
    found = table.map_partitions(fl.Predictor(three(), columns=WIDE, output=ABC))
    assert [*found.columns] == [*WIDE, "row", *ABC] and {*found.dtypes[ABC]} == {np.dtype("f4")}
    same(found.compute()[ABC].to_numpy(), three().predict(X))
    found = table.map_partitions(fl.Predictor(three(), columns=WIDE))
    same(np.stack(found.compute()["prediction"]), three().predict(X))
    nothing = table[table.row < 0].map_partitions(fl.Predictor(three(), columns=WIDE, output=ABC)).compute()
    assert len(nothing) == 0 and [*nothing.columns] == [*WIDE, "row", *ABC]


def test_dask_reads_lists_from_parquet(tmp_path):
    dd = dask_frames()
    for k in range(4):
        lists()[25 * k : 25 * (k + 1)].to_parquet(tmp_path / f"{k}.parquet")
    table, predictor = dd.read_parquet(tmp_path), fl.Predictor(three(), columns="x", output=ABC)
    found = table.map_partitions(predictor, meta=predictor(table._meta))
    assert {*found.dtypes[ABC]} == {np.dtype("f4")}
    found[["row", *ABC]].to_parquet(tmp_path / "found")
    same(pd.read_parquet(tmp_path / "found").sort_values("row")[ABC].to_numpy(), three().predict(X))


def test_dask_knows_the_same_work_again():
    tokenize = pytest.importorskip("dask.base", reason="Dask is not installed").tokenize
    again = pickle.loads(pickle.dumps(three()))
    assert tokenize(three()) == tokenize(again)
    assert tokenize(fl.Predictor(three())) == tokenize(fl.Predictor(again)) != tokenize(fl.Predictor(each_step()))


@pytest.mark.slow
def test_the_workers_of_dask(tmp_path):
    dd = dask_frames()
    distributed = pytest.importorskip("dask.distributed", reason="Dask is not installed with distributed")
    fl.save(three(), tmp_path / "m")
    options = {"dashboard_address": None, "local_directory": str(tmp_path / "dask")}

    def look():
        import os

        import fastlstm as fl

        return fl.get_num_threads(), os.environ.get("OMP_NUM_THREADS")

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        for model in (three(), tmp_path / "m"):
            predictor = fl.Predictor(model, columns=WIDE, output=ABC)
            found = dd.from_pandas(wide(), npartitions=8).map_partitions(predictor).compute()
            same(found[ABC].to_numpy(), three().predict(X))
        assert {*client.run(look).values()} == {(1, "1")}  # as Dask tells them: each of its threads is one


@pytest.mark.slow
def test_a_worker_of_dask_without_a_nanny_divides_its_processors(tmp_path):
    """Nobody tells it OMP_NUM_THREADS, and its threads call at the same time."""
    distributed = pytest.importorskip("dask.distributed", reason="Dask is not installed with distributed")
    variables = {"FASTLSTM_NUM_THREADS": "4"}
    command = [
        sys.executable,
        "-P",
        "-m",
        "distributed.cli.dask_worker",
        "--no-nanny",
        "--no-dashboard",
        "--nthreads",
        "2",
    ]
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        open(tmp_path / "log", "w") as log,
        subprocess.Popen([*command, cluster.scheduler_address], env={**os.environ, **variables}, stderr=log) as worker,
    ):
        try:
            client.wait_for_workers(1, timeout=60)
            same(client.submit(fl.Predictor(three()), X).result(timeout=60), three().predict(X))
            assert [*client.run(fl.get_num_threads).values()] == [2]
        finally:
            worker.terminate()


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql", reason="PySpark is not installed")
    before = os.environ.get("PYSPARK_PYTHON")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
    if before is None:
        del os.environ["PYSPARK_PYTHON"]
    else:
        os.environ["PYSPARK_PYTHON"] = before


SPARK_TABLES = {
    "flattened": ("row long, x array<float>", X.reshape(100, -1).tolist()),
    "nested": ("row long, x array<array<float>>", X.tolist()),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mapInPandas", "mapInArrow"])
@pytest.mark.parametrize("kind", SPARK_TABLES)
def test_spark_maps_its_partitions(spark, how, kind):
    schema, column = SPARK_TABLES[kind]
    table = spark.createDataFrame(list(enumerate(column)), schema=schema).repartition(3)
    predictor = fl.Predictor(three(), columns="x")
    found = getattr(table, how)(predictor, schema + ", prediction array<float>").orderBy("row").collect()
    same(np.array([row.prediction for row in found], "f4"), three().predict(X))
    predictor = fl.Predictor(three(), columns="x", output=ABC)
    found = getattr(table, how)(predictor, schema + ", a float, b float, c float").orderBy("row").collect()
    same(np.array([row[2:] for row in found], "f4"), three().predict(X))
    predictor = fl.Predictor(each_step(), columns="x")
    found = getattr(table, how)(predictor, schema + ", prediction array<array<float>>").orderBy("row").collect()
    same(np.array([row.prediction for row in found], "f4"), each_step().predict(X))
    nothing = getattr(table.filter("row < 0"), how)(predictor, schema + ", prediction array<array<float>>")
    assert nothing.count() == 0


@pytest.mark.slow
def test_a_worker_of_spark_has_one_processor_for_each_task(spark):
    def look(tables):
        import os

        import pandas

        import fastlstm as fl

        for _ in tables:
            pass
        yield pandas.DataFrame({"threads": [fl.get_num_threads()], "said": [os.environ["OMP_NUM_THREADS"]]})

    found = spark.range(10).repartition(2).mapInPandas(look, "threads int, said string").collect()
    assert {(row.threads, row.said) for row in found} == {(1, "1")}


@pytest.fixture(scope="module")
def ray():
    package = pytest.importorskip("ray", reason="Ray is not installed")
    data = pytest.importorskip("ray.data", reason="Ray is not installed with its Data")
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    package.init(num_cpus=2, runtime_env={"env_vars": variables}, **options)
    data.DataContext.get_current().enable_progress_bars = False
    yield package
    package.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["numpy", "pandas", "pyarrow"])
def test_ray_maps_its_batches(ray, form):
    options = {"batch_format": form, "batch_size": 30}
    tensors = ray.data.from_items([{"row": k, "x": X[k]} for k in range(100)])
    found = tensors.map_batches(fl.Predictor(three(), columns="x"), **options).take_all()
    found = sorted(found, key=lambda row: row["row"])
    same(np.array([row["prediction"] for row in found], "f4"), three().predict(X))
    for table, columns in ((lists(), "x"), (wide(), WIDE)):
        predictor = fl.Predictor(three(), columns=columns, output=ABC)
        found = ray.data.from_pandas(table).map_batches(predictor, **options).to_pandas().sort_values("row")
        same(found[ABC].to_numpy("f4"), three().predict(X))


@pytest.mark.slow
def test_a_worker_of_ray_has_as_many_processors_as_its_task(ray):
    predictor = fl.Predictor(three(), columns="x")

    def look(batch):
        import numpy as np

        import fastlstm as fl

        predictor(batch)
        return {"threads": np.array([fl.get_num_threads()])}

    table = ray.data.from_items([{"x": X[k]} for k in range(20)])
    most = fl.threads.default_num_threads()
    for processors in (1, 2, 1):
        found = table.map_batches(look, batch_format="numpy", num_cpus=processors).take_all()
        assert {row["threads"] for row in found} == {min(processors, most)}


def test_a_model_itself_goes_to_workers():
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    assert joblib.hash(three()) == joblib.hash(pickled.of_parts(*pickled.parts_of(three())))
