"""exp, sigmoid and tanh of the kernels against float64 and long double, in units in the last place (ulp)."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm._kernels import activations as kernels

EXACT = {
    "exp": np.exp,
    "sigmoid": lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(np.minimum(x, 0))), 1 / (1 + np.exp(-np.abs(x)))),
    "tanh": np.tanh,
}


def apply(name, x):
    y = np.empty_like(x)
    kernels.activate(name, x, y)
    return y


@pytest.mark.parametrize("name", EXACT)
def test_float32_within_three_ulp_over_all_its_numbers(isa, name):
    """Every 1009th bit pattern, four million numbers, against float64."""
    x = np.arange(0, 2**32, 1009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x)]
    y = apply(name, x)
    with np.errstate(over="ignore", under="ignore"):
        exact = EXACT[name](x.astype(np.float64))
        rounded = exact.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    error = np.abs(y[finite].astype(np.float64) - exact[finite]) / np.spacing(np.abs(rounded[finite])).astype(
        np.float64
    )
    assert error.max() < 3


@pytest.mark.parametrize("name", EXACT)
def test_float64_within_four_ulp_of_long_double(isa, name):
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("long double is no wider than double here")
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.uniform(-40, 40, 200_000), rng.uniform(-1, 1, 200_000), rng.uniform(-700, 700, 100_000)]
        + [sign * 10.0 ** rng.uniform(-300, 2, 50_000) for sign in (-1, 1)]
    )
    with np.errstate(over="ignore", under="ignore"):
        exact = EXACT[name](x.astype(np.longdouble))
    error = np.abs(apply(name, x) - exact) / np.spacing(np.abs(exact.astype(np.float64)))
    assert error.max() < 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges_are_exact(isa, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1000, -1000], dtype)
    nan = np.nan
    np.testing.assert_array_equal(apply("exp", x), np.array([nan, np.inf, 0, 1, 1, np.inf, 0], dtype))
    np.testing.assert_array_equal(apply("sigmoid", x), np.array([nan, 1, 0, 0.5, 0.5, 1, 0], dtype))
    y = apply("tanh", x)
    np.testing.assert_array_equal(y, np.array([nan, 1, -1, 0, 0, 1, -1], dtype))
    assert np.signbit(y[4])
    tiny = np.array([np.finfo(dtype).tiny, -np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal], dtype)
    np.testing.assert_array_equal(apply("tanh", tiny), tiny)


@pytest.mark.parametrize("shape", [(3, 1), (4, 17), (2, 3, 33), (5,)])
def test_softmax(isa, shape):
    x = np.random.default_rng(0).normal(0, 50, shape)
    e = np.exp(x - x.max(-1, keepdims=True))
    np.testing.assert_allclose(fl.softmax(x), e / e.sum(-1, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(fl.softmax(x.astype("f4")).sum(-1), 1, rtol=1e-6)
    assert fl.softmax(x.astype("f4")).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 5, 64, 300, 1025])
def test_a_row_of_softmax_has_the_same_bits_among_others_and_in_place(isa, default_threads, width, dtype):
    x = np.random.default_rng(0).normal(0, 5, (40, width)).astype(dtype)
    expected = np.concatenate([fl.softmax(row[None]) for row in x])
    for threads in (1, 2, 3):
        fl.set_num_threads(threads)
        np.testing.assert_array_equal(fl.softmax(x), expected)
    kernels.softmax(x, x)
    np.testing.assert_array_equal(x, expected)


def test_scores_that_are_no_number_show(isa):
    x = np.array([[1, np.nan, 2], [1, -np.inf, 2], [1, np.inf, 2], [-np.inf, -np.inf, -np.inf]])
    y = fl.softmax(x)
    assert np.isnan(y[[0, 2, 3]]).all()
    np.testing.assert_allclose(y[1], [1 / (1 + np.e), 0, np.e / (1 + np.e)], rtol=1e-15)


@pytest.mark.parametrize("name", EXACT)
def test_activations_in_place(isa, name):
    x = np.random.default_rng(0).normal(size=1000)
    expected = apply(name, x)
    kernels.activate(name, x, x)
    np.testing.assert_array_equal(x, expected)


def test_sigmoid_takes_any_shape():
    assert fl.sigmoid(0) == 0.5
    assert fl.sigmoid(0).shape == ()
    np.testing.assert_allclose(fl.sigmoid([[1, -1]]), [[1 / (1 + np.exp(-1)), 1 / (1 + np.e)]], rtol=1e-15)


def test_no_classes_and_words_are_named():
    with pytest.raises(ValueError, match="x: expected at least one class"):
        fl.softmax([])
    with pytest.raises(TypeError, match="x: expected real numbers, got dtype <U1"):
        fl.sigmoid(["a"])
