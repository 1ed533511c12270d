"""Dropout's masks: Philox against its own definition, and what a mask should look like."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm._kernels import dropout as kernel
from fastlstm.layers.dropout import drop, drop_backward
from fastlstm.workspace import Workspace

LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


pytestmark = pytest.mark.usefixtures("default_threads")


def philox(counters, key):
    """Philox4x32-10 (Salmon et al. 2011) of counters (n, 4), uint64 that hold 32 bits."""
    x0, x1, x2, x3 = counters.T
    k0, k1 = np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32)
    for _ in range(10):
        p0, p1 = x0 * np.uint64(0xD2511F53), x2 * np.uint64(0xCD9E8D57)
        x0, x1, x2, x3 = (p1 >> HALF) ^ x1 ^ k0, p1 & LOW, (p0 >> HALF) ^ x3 ^ k1, p0 & LOW
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & LOW, (k1 + np.uint64(0xBB67AE85)) & LOW
    return np.stack([x0, x1, x2, x3], 1)


def words(size, key, call):
    """The word of each of so many numbers: eight counters are 32 of them, two and two words side by side."""
    n = -(-size // 32) * 8
    counters = np.zeros((n, 4), np.uint64)
    counters[:, 0], counters[:, 2], counters[:, 3] = np.arange(n), call & 0xFFFFFFFF, call >> 32
    return philox(counters, key).reshape(-1, 8, 2, 2).transpose(0, 2, 1, 3).reshape(-1)[:size]


def test_the_reference_is_philox():
    """The known answers that come with Random123."""
    ones = np.full((1, 4), 0xFFFFFFFF, np.uint64)
    assert [
        f"{x:08x}" for x in philox(np.zeros((1, 4), np.uint64), 0)[0]
    ] == "6627e8d5 e169c58d bc57ac4c 9b00dbd8".split()
    assert [f"{x:08x}" for x in philox(ones, 2**64 - 1)[0]] == "408f276d 41c83b0e a20bc7c6 6d5451fd".split()


@pytest.mark.parametrize("size", [1, 3, 17, 33, 511, 513, 5000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_are_philox_on_every_instruction_set(isa, size, dtype):
    x = np.random.default_rng(0).normal(size=size).astype(dtype)
    x[0] = np.nan
    y = np.full_like(x, np.nan)
    for rate, key, call in ((0.3, 123456789012345678, 7), (0.9999, 2**64 - 1, 2**40 + 5), (1e-12, 0, 0)):
        kernel.drop(x, y, rate, key, call)
        dropped = words(size, key, call) < int(rate * 2**32)
        np.testing.assert_array_equal(y, np.where(dropped, 0, x * np.dtype(dtype).type(1 / (1 - rate))))


def test_same_bits_on_any_number_of_threads(isa):
    x = np.ones((333, 501), "f4")
    found = []
    for count in (1, 2, 3):
        fl.set_num_threads(count)
        found.append(np.empty_like(x))
        kernel.drop(x, found[-1], 0.5, 11, 3)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_masks_are_like_independent_draws(rate):
    """Means and correlations within five standard deviations, for the one seed."""
    tape, size = Workspace(0), 1 << 18
    masks = [drop(np.ones((size // 64, 64), "f4"), rate, tape).reshape(-1) > 0 for _ in range(4)]
    other = drop(np.ones((size // 64, 64), "f4"), rate, Workspace(1)).reshape(-1) > 0
    bound = 5 / size**0.5

    def correlation(a, b):
        return ((a - (1 - rate)) * (b - (1 - rate))).mean() / (rate * (1 - rate))

    for mask in (*masks, other):
        assert abs(mask.mean() - (1 - rate)) < bound * (rate * (1 - rate)) ** 0.5
        for apart in (1, 2, 3, 4, 8, 16, 32, 64, 512):  # neighbours, words of one counter, rows, parts
            assert abs(correlation(mask[apart:], mask[:-apart])) < 1.1 * bound
    for a, b in ((0, 1), (1, 2), (0, 3)):
        assert abs(correlation(masks[a], masks[b])) < bound
    assert abs(correlation(masks[0], other)) < bound


def test_backward_has_the_mask_of_its_forward():
    tape = Workspace(3)
    x = np.ones((7, 5), "f4")
    first, second = drop(x, 0.5, tape, "a").copy(), drop(x, 0.5, tape, "b").copy()
    assert (first != second).any()
    np.testing.assert_array_equal(drop_backward(x, tape, "a"), first)
    np.testing.assert_array_equal(drop_backward(x, tape, "b"), second)


def test_the_key_and_the_count_are_enough_to_go_on():
    x = np.ones((7, 5), "f4")
    tape, resumed = Workspace(3), Workspace(99)
    for _ in range(3):
        drop(x, 0.5, tape)
    resumed.lasting.update(key=tape.lasting["key"], calls=tape.lasting["calls"])
    np.testing.assert_array_equal(drop(x, 0.5, resumed), drop(x, 0.5, tape))


def test_numbers_that_lie_apart_are_taken():
    wide = np.arange(40, dtype="f4").reshape(4, 10) + 1
    whole = drop(np.ascontiguousarray(wide[:, ::2]), 0.5, Workspace(0))
    np.testing.assert_array_equal(drop(wide[:, ::2], 0.5, Workspace(0)), whole)


def test_what_cannot_be_is_refused():
    for x, y, rate in (
        (np.ones(3), np.ones(4), 0.5),
        (np.ones(3, int), np.ones(3), 0.5),
        (np.ones(3), np.ones(3), 1.0),
    ):
        with pytest.raises(ValueError, match="drop: expected|do not agree"):
            kernel.drop(x, y, rate, 0, 0)


@pytest.mark.parametrize("first", [1, 31, 32, 45, 512, 5000])
@pytest.mark.parametrize("size", [1, 33, 700])
def test_a_part_of_an_array_has_the_mask_of_its_place(isa, first, size):
    x = np.ones(size)
    y = np.full_like(x, np.nan)
    kernel.drop(x, y, 0.3, 77, 5, first)
    np.testing.assert_array_equal(y == 0, words(first + size, 77, 5)[first:] < int(0.3 * 2**32))
