"""Files and parameters with fewer bits a number."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import instruction_sets
from safetensors.numpy import load_file, save_file

import fastlstm as fl
from fastlstm import tensors
from fastlstm.io import native
from fastlstm.layers.matrix import NARROW
from fastlstm.narrow import Narrow

kind = pytest.fixture(params=NARROW)(lambda request: request.param)
isa = instruction_sets(["avx512_bf16", "avx512_vnni", "avx512", "avx2", "armv8_6", "baseline", "plain"])


def model_of(kind, seed=0):
    embedding = fl.Embedding(300, 40)
    layers = [embedding, fl.LSTM(40, 48, num_layers=2), fl.GRU(48, 64), fl.Dense(64, 40), fl.TiedDense(embedding)]
    return fl.Model(layers, seed=seed, weights=kind)


def reloaded(model, folder, **options):
    fl.save(model, folder / "m.safetensors", **options)
    return fl.load(folder / "m.safetensors")


def test_predictions_are_the_same_bits_where_narrow_weights_are_used(isa, kind, tmp_path):
    model, x = model_of(kind), np.random.default_rng(0).integers(0, 300, (3, 7))
    small = reloaded(model, tmp_path, narrow=True)
    again = reloaded(small, tmp_path, narrow=True)
    whole = reloaded(small, tmp_path)
    assert [layer.weights for layer in small.layers[1:]] == [kind] * 4
    assert np.array_equal(again.predict(x), small.predict(x))
    assert np.array_equal(whole.predict(x), small.predict(x))
    middle = fl.Model(model.layers[1:4])  # without the table, which is looked up in float32
    z = np.random.default_rng(1).normal(size=(3, 7, 40))
    if isa != "plain" and all(packed.used() == kind for layer in middle.layers for packed in layer._matrices()):
        assert np.array_equal(fl.Model(small.layers[1:4]).predict(z), middle.predict(z))
    else:
        np.testing.assert_allclose(fl.Model(small.layers[1:4]).predict(z), middle.predict(z), atol=0.02)


def test_files_are_smaller_and_float32_is_made_when_it_is_wanted(kind, tmp_path):
    model = model_of(kind)
    fl.save(model, tmp_path / "whole")
    small = reloaded(model, tmp_path, narrow=True)
    share = os.path.getsize(tmp_path / "m.safetensors") / os.path.getsize(tmp_path / "whole")
    assert share < (0.56 if kind == "bfloat16" else 0.34)
    parameter = small.layers[1].parameter("weight_hh_l0")
    assert parameter._narrow is not None and parameter._value is None
    small.predict([[1, 2, 3]])
    assert parameter._narrow is not None or fl.config.config()["kernels"].startswith("plain")
    value, was = parameter.value, model.layers[1].parameter("weight_hh_l0").value
    assert value.dtype == np.float32 and np.abs(value - was).max() < 0.01 * np.abs(was).max()
    assert parameter._narrow is None and np.array_equal(parameter.value, value)
    assert np.array_equal(small.layers[1].parameter("bias_l0").value, model.layers[1].parameter("bias_l0").value)


def test_numbers_that_are_rounded_already_stay_as_they_are(kind):
    for scale in (1e-32, 1e-3, 1.0, 7e35):
        matrix = (np.random.default_rng(0).normal(size=(40, 33)) * scale).astype("f4")
        matrix[3] = 0
        once = Narrow.of(kind, matrix)
        twice = Narrow.of(kind, once.widened())
        assert np.array_equal(once.numbers, twice.numbers)
        assert once.scale is None or np.array_equal(once.scale, twice.scale)
        assert np.array_equal(once.widened(), twice.widened())
        step = 2.0**-8 * np.abs(matrix) if kind == "bfloat16" else np.abs(matrix).max(1, keepdims=True) / 250
        assert (np.abs(once.widened() - matrix) <= step + 1e-30).all()


def test_a_model_of_a_narrow_file_trains(kind, tmp_path):
    x = np.random.default_rng(0).integers(0, 300, (8, 7))
    found = []
    for narrow in (True, False):
        model = reloaded(reloaded(model_of(kind), tmp_path, narrow=True), tmp_path, narrow=narrow)
        history = fl.Trainer(model, "softmax_cross_entropy").fit(x, x, epochs=3, seed=0, progress=False)
        found.append(history["loss"])
    assert found[0] == found[1] and found[0][-1] < found[0][0]


def test_without_kinds_narrow_changes_nothing(tmp_path):
    model = fl.Model([fl.LSTM(3, 4)], seed=0)
    fl.save(model, tmp_path / "a")
    fl.save(model, tmp_path / "b", narrow=True)
    (words, arrays), (others, same) = tensors.read(tmp_path / "a"), tensors.read(tmp_path / "b")
    assert words == others and words["format_version"] == "1"
    assert all(np.array_equal(array, same[name]) for name, array in arrays.items())
    with pytest.raises(TypeError, match=r"narrow: expected True or False, got 'int8'"):
        fl.save(model, tmp_path / "a", narrow="int8")


def test_an_earlier_version_says_that_the_file_is_newer(kind, tmp_path):
    fl.save(model_of(kind), tmp_path / "m", narrow=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "FORMAT_VERSION", 1)
        with pytest.raises(ValueError, match=r"written by a newer fastlstm \(format 2, this one reads up to 1\)"):
            fl.load(tmp_path / "m")


def test_numbers_beyond_those_of_bfloat16_are_named(tmp_path):
    model = fl.Model([fl.Dense(64, 64)], seed=0, weights="bfloat16")
    model.parameters()[0].value = np.full((64, 64), np.finfo(np.float32).max)
    with pytest.raises(ValueError, match=r"0\.weight: expected finite numbers in bfloat16"):
        fl.save(model, tmp_path / "m", narrow=True)


NAME = "1.weight_hh_l0"
DAMAGE = [
    ("int8", NAME, lambda a: np.full_like(a, -128), r"1\.weight_hh_l0: expected finite numbers in int8, got others"),
    ("int8", NAME + ".scale", lambda a: a * np.nan, r"1\.weight_hh_l0: expected finite numbers in int8, got others"),
    ("int8", NAME + ".scale", lambda a: -a, r"1\.weight_hh_l0: expected finite numbers in int8, got others"),
    ("int8", NAME + ".scale", lambda a: a + 1e37, r"1\.weight_hh_l0: expected finite numbers in int8, got others"),
    (
        "int8",
        NAME + ".scale",
        lambda a: a[:-1],
        r"1\.weight_hh_l0: expected scales \(192,\) of float32 .*, got \(191,\)",
    ),
    (
        "int8",
        NAME + ".scale",
        lambda a: a.astype("f8"),
        r"1\.weight_hh_l0: expected scales .* of float32 .*, got \(192,\) of float64",
    ),
    ("int8", NAME, lambda a: a.astype("f4"), r"1\.weight_hh_l0|\.scale"),
    ("int8", NAME, lambda a: a[:-4], r"1\.weight_hh_l0"),
    (
        "int8",
        NAME,
        lambda a: a.reshape(-1),
        r"1\.weight_hh_l0: expected a matrix of uint16 or int8, got 1 axes of int8",
    ),
    ("bfloat16", NAME, lambda a: a | 0x7F80, r"1\.weight_hh_l0: expected finite numbers in bfloat16, got others"),
    ("bfloat16", NAME, lambda a: a.astype("u4"), r"1\.weight_hh_l0: expected float32, got uint32"),
    ("bfloat16", NAME, lambda a: a[:, :-1], r"1\.weight_hh_l0: expected shape"),
]


@pytest.mark.parametrize(("kind", "name", "change", "message"), DAMAGE)
def test_damage_is_named(kind, name, change, message, tmp_path):
    fl.save(model_of(kind), tmp_path / "m", narrow=True)
    words, arrays = tensors.read(tmp_path / "m")
    arrays[name] = np.ascontiguousarray(change(arrays[name]))
    save_file(arrays, tmp_path / "m", {key: word for key, word in words.items() if key != tensors.CHECKSUM})
    with pytest.raises(ValueError, match=message):
        fl.load(tmp_path / "m")


def test_a_file_of_the_first_version_has_no_narrow_numbers(tmp_path):
    fl.save(model_of("bfloat16"), tmp_path / "m", narrow=True)
    arrays = load_file(tmp_path / "m")
    words = {**tensors.read(tmp_path / "m")[0], "format_version": "1"}
    save_file(arrays, tmp_path / "m", {key: word for key, word in words.items() if key != tensors.CHECKSUM})
    with pytest.raises(ValueError, match=r"expected float32, got uint16"):
        fl.load(tmp_path / "m")


MEMORY = """
import sys, numpy as np, fastlstm as fl
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
before = resident()
model = fl.load(sys.argv[1])
model.predict(np.zeros((1, 2, 1024), "f4"))
print(resident() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux tells how much memory a process has")
def test_a_loaded_model_takes_less_memory(tmp_path):
    taken = {}
    for kind in (None, "int8"):
        model = fl.Model([fl.LSTM(1024, 1024, init="uniform")], seed=0, weights=kind)
        fl.save(model, tmp_path / "m", narrow=kind is not None)
        words = [sys.executable, "-P", "-c", MEMORY, str(tmp_path / "m")]
        taken[kind] = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert taken["int8"] < 0.75 * taken[None]
