"""Arrays and tables of other libraries go in wherever those of NumPy do."""

import decimal

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import _check
from fastlstm.foreign import as_array

X = np.random.default_rng(0).normal(size=(4, 5, 3))
TOKENS = np.array([[3, 1, 4], [1, 5, 9]])
TABLE = {"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": [True, False, True]}


def model():
    return fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 1)], dtype="float64", seed=0)


def torch_tensors():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(X.copy())
    return {
        "plain": tensor,
        "with a gradient": tensor.clone().requires_grad_(),
        "a parameter": torch.nn.Parameter(tensor.clone()),
        "a list": list(tensor.clone().requires_grad_()),
        "a view": tensor.transpose(0, 1).contiguous().transpose(0, 1),
        "negative": torch._neg_view(-tensor),
        "sparse": tensor.to_sparse(),
    }


KINDS = ["plain", "with a gradient", "a parameter", "a list", "a view", "negative", "sparse"]


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_torch(kind):
    x = torch_tensors()[kind]
    assert np.array_equal(model().predict(x), model().predict(X))


def test_a_tensor_is_seen_where_it_lies():
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(2, 3, requires_grad=True)
    assert np.shares_memory(as_array(tensor, "x"), tensor.detach().numpy())


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_narrow_tensors_of_torch(kind):
    torch = pytest.importorskip("torch")
    narrow = torch.from_numpy(X).to(getattr(torch, kind))
    assert np.array_equal(as_array(narrow, "x"), narrow.float().numpy())


def test_all_that_a_training_takes_may_be_of_torch():
    torch = pytest.importorskip("torch")
    y, weight, lengths = X.sum(1)[:, :1], np.array([1.0, 2.0, 1.0, 0.5]), np.array([5, 4, 3, 5])

    def trained(convert):
        trainer = fl.Trainer(model(), "mse")
        x, target = convert(X), convert(y)
        given = {"sample_weight": convert(weight), "lengths": convert(lengths)}
        return trainer.fit(x, target, epochs=2, seed=0, validation=(x, target), **given).to_dict()

    assert trained(torch.from_numpy) == trained(np.asarray)


def test_a_tensor_without_values_is_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"^x: expected a tensor on the CPU, got one without values$"):
        model().predict(torch.empty(4, 5, 3, device="meta"))


def test_a_tensor_on_another_device_is_refused():
    class Device:
        type = "cuda"

        def __str__(self):
            return "cuda:0"

    base = type("Tensor", (), {"__module__": "torch", "device": Device()})
    with pytest.raises(TypeError, match=r"^x: expected a tensor on the CPU, got one on cuda:0; pass it with"):
        model().predict(base())


def test_an_array_that_numpy_cannot_read_is_named():
    class Remote:  # as CuPy's
        def __array__(self, dtype=None, copy=None):
            raise TypeError("implicit conversion is not allowed, use .get()")

    with pytest.raises(TypeError, match=r"^x: expected an array on the CPU, got \S*Remote: implicit.*\.get"):
        model().predict(Remote())


@pytest.mark.parametrize("error", [KeyError("k"), IndexError("i"), AttributeError("a"), RuntimeError("r")])
def test_an_array_whose_own_code_fails_is_named(error):
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise error

    for x in (Broken(), [Broken()]):
        with pytest.raises(TypeError, match=rf"^x: expected an array on the CPU, got .*: {error}$") as caught:
            model().predict(x)
        assert caught.value.__cause__ is error


def test_an_array_that_has_only_dlpack():
    class Tensor:
        def __dlpack__(self, **kwargs):
            return X.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return X.__dlpack_device__()

    assert np.shares_memory(as_array(Tensor(), "x"), X)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_arrays_of_jax(dtype):
    jnp = pytest.importorskip("jax.numpy")
    x = jnp.asarray(X * 4, dtype=dtype)
    found = _check.real_array(x, "x", np.dtype("float64"), (4, 5, 3))
    assert np.array_equal(found, np.asarray(x.astype("float32")))


BACKENDS = ["numpy", "numpy_nullable", "pyarrow", "polars"]


def table(columns, backend):
    if backend == "polars":
        return pytest.importorskip("polars").DataFrame(columns, strict=False)
    pandas = pytest.importorskip("pandas")
    if backend == "pyarrow":
        pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(columns)
    return frame if backend == "numpy" else frame.convert_dtypes(dtype_backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_tables(backend):
    frame = table(TABLE, backend)
    assert as_array(frame, "x").tolist() == [[1, 0.5, 1], [2, 1.5, 0], [3, 2.5, 1]]
    assert as_array(frame[["a"]], "x").dtype == np.int64
    x, y = fl.data.windows(frame, 2, 1)
    assert x.shape == (1, 2, 3) and y.tolist() == [[[3, 2.5, 1]]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_columns(backend):
    frame = table(TABLE, backend)
    for name, values in TABLE.items():
        found = as_array(frame[name], "y")
        assert found.tolist() == values and found.dtype == np.asarray(values).dtype
    assert _check.lengths_of(frame["a"], 3, 5).tolist() == TABLE["a"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_missing_number_is_told_by_its_place(backend):
    frame = table({"a": [1, None, 3], "b": [1.5, 2.5, 3.5], "c": [True, None, False]}, backend)
    with pytest.raises(ValueError, match=r"^x: expected finite numbers, got nan at \[1, 0\]$"):
        _check.real_array(frame, "x", np.dtype("float64"), (3, 3))
    with pytest.raises(TypeError, match="^lengths: expected whole numbers, got a missing one$"):
        _check.lengths_of(frame["a"], 3, 5)
    with pytest.raises(ValueError, match=r"^y: expected finite numbers, got nan at \[1\]$"):
        _check.real_array(frame["c"], "y", np.dtype("float64"), (3,))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_column_of_words_is_named(backend):
    with pytest.raises(TypeError, match="^x: expected columns of numbers, got 'city' of "):
        as_array(table({"a": [1, 2], "city": ["Rome", "Bonn"]}, backend), "x")
    with pytest.raises(TypeError, match="^x: expected real numbers, got dtype"):
        _check.as_numbers(table({"city": ["Rome", "Bonn"]}, backend)["city"], "x", "f", "real numbers")


def test_decimals():
    frame = table({"a": [decimal.Decimal("1.5"), decimal.Decimal("2.25")], "b": [1, 2]}, "numpy")
    assert as_array(frame, "x").tolist() == [[1.5, 1], [2.25, 2]]


def test_a_table_that_is_not_computed_yet_is_refused():
    frame = table(TABLE, "polars").lazy()
    with pytest.raises(TypeError, match=r"^x: expected .*, got a polars LazyFrame; call collect\(\) on it first$"):
        as_array(frame, "x")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_table_as_sequences_is_told_what_to_do(backend):
    frame = table({name: X[0, :, k].tolist() for k, name in enumerate("abc")}, backend)
    with pytest.raises(ValueError) as caught:
        model().predict(frame)
    assert str(caught.value) == (
        "x: expected shape (N, T, 3), got (5, 3); one sequence of 5 steps is x.to_numpy()[None], and "
        "fastlstm.data.windows makes many of it"
    )
    assert np.array_equal(model().predict(as_array(frame, "x")[None]), model().predict(X[:1]))


def test_arrays_with_an_axis_too_few_are_told_what_to_do():
    with pytest.raises(ValueError, match=r"got \(5, 3\); one sequence of 5 steps is x\[None\], and fastlstm\.data\.w"):
        model().predict(X[0])
    with pytest.raises(ValueError, match=r"got \(4, 5\); 4 sequences of 5 numbers are x\[\.\.\., None\]$"):
        fl.Model([fl.LSTM(1, 2)]).predict(X[..., 0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_and_targets_may_be_columns_and_tables(backend):
    words = fl.Model([fl.Embedding(10, 3), fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 2)], seed=0)
    tokens = table({str(k): TOKENS[:, k].tolist() for k in range(3)}, backend)
    assert np.array_equal(words.predict(tokens), words.predict(TOKENS))
    labels = table({"label": [0, 1]}, backend)["label"]
    given = {"epochs": 1, "seed": 0, "class_weight": "balanced"}
    history = fl.Trainer(words, "softmax_cross_entropy").fit(tokens, labels, **given)
    assert history.epochs == 1
    loader = fl.data.Arrays(tokens, labels, 2, shuffle=False)
    (x, y), *_ = loader.at(1)
    assert x.tolist() == TOKENS.tolist() and y.tolist() == [0, 1]
