"""Tables through a `Predictor`: sequences in their columns, and predictions beside these."""

import numpy as np
import pandas as pd
import pytest
from predictor_cases import LENGTHS, TOKENS, X, each_step, one, reader, same, three

import fastlstm as fl


@pytest.fixture
def arrow():
    return pytest.importorskip("pyarrow", reason="PyArrow is not installed")


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
