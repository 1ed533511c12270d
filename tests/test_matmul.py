"""Matrix products on the tile, against NumPy in float64."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm._kernels import cpu, matmul

SIZES = [(1, 1, 1), (3, 5, 7), (6, 64, 33), (17, 33, 65), (130, 70, 600), (70, 17, 1025), (300, 257, 40), (600, 3, 50)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_any_layout(packed_isa, size, dtype):
    m, n, k = size
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    expected = a.astype("f8") @ b
    tolerance = k * (1e-6 if dtype == "float32" else 1e-14)
    for left in (a, np.asfortranarray(a)):
        for right in (b, np.asfortranarray(b)):
            found, added, threaded = np.full_like(c, np.nan), c.copy(), np.empty_like(c)
            matmul.multiply(left, right, found, False, 1)
            matmul.multiply(left, right, added, True, 1)
            matmul.multiply(left, right, threaded, False, 3)
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
            np.testing.assert_allclose(added, expected + c, rtol=0, atol=tolerance)
            np.testing.assert_array_equal(threaded, found)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_on_packed_weights(packed_isa, size, dtype):
    m, n, k = size
    layer = fl.Dense(k, n, dtype=dtype, seed=0)
    layer.parameter("bias").value = np.arange(n)
    x = np.random.default_rng(0).standard_normal((m, k)).astype(dtype)
    expected = x.astype("f8") @ layer.parameter("weight").value.T + np.arange(n)
    np.testing.assert_allclose(layer(x), expected, rtol=k * (1e-6 if dtype == "float32" else 1e-14), atol=1e-5)
    some = layer(x[: m // 2 + 1])
    np.testing.assert_array_equal(some, layer(x)[: m // 2 + 1])


def test_dense_sees_a_changed_weight(packed_isa):
    layer = fl.Dense(3, 2, dtype="float64", seed=0)
    before = layer(np.ones((1, 3)))
    layer.parameter("weight").value = layer.parameter("weight").value + 1
    np.testing.assert_allclose(layer(np.ones((1, 3))), before + 3)


@pytest.mark.skipif(cpu.isa() == "plain", reason="no packed kernels here")
def test_sizes_that_do_not_agree():
    a, b = np.ones((3, 4)), np.ones((4, 5))
    for wrong in ((a, b, np.ones((3, 4))), (a, a, np.ones((3, 4))), (a[:, ::2], b[:2], np.ones((3, 5)))):
        with pytest.raises(ValueError, match=r"matmul\.multiply"):
            matmul.multiply(*wrong, False, 1)
    lanes = cpu.lanes("float64")
    with pytest.raises(ValueError, match=r"matmul\.pack"):
        matmul.pack(np.ones(4), np.ones(1), np.ones((2, 4)), np.ones(2))
    with pytest.raises(ValueError, match=r"matmul\.affine"):
        matmul.affine(a, np.ones(4 * lanes), np.ones(lanes), np.ones((2, 1)), 1)
