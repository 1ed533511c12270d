"""Files that are hostile or damaged: a ValueError that names the file, before anything is built from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from damaging import edit_json, header_of, overwrite, renewed, rewrite, with_header
from fuzzing.judging import attempt
from fuzzing.kinds import KINDS, Kind, read_run, streamed, train, whole_files
from fuzzing.seeded import damaged

import fastlstm as fl
from fastlstm import snapshot, tensors
from fastlstm.callbacks import Checkpoint
from fastlstm.callbacks.checkpoint import checkpoints
from fastlstm.classification import Classifier
from fastlstm.forecasting import LSTMForecaster
from fastlstm.speech import StringReader, VoiceActivity, WordClassifier
from fastlstm.text import LanguageModel

SAVED = {kind.name: kind for kind in KINDS if kind.suffix == ".safetensors"}
LOADERS = {
    "model": fl.load,
    "stream": lambda path: streamed().load(path),
    "checkpoint": snapshot.read,
    "forecaster": LSTMForecaster.load,
    "panel": LSTMForecaster.load,
    "classifier": Classifier.load,
    "text": LanguageModel.load,
    "speech": WordClassifier.load,
    "activity": VoiceActivity.load,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole file of each kind that is saved."""
    return {name: whole_files(kind, tmp_path_factory.mktemp(name))[0] for name, kind in SAVED.items()}


@pytest.fixture
def saved(whole, tmp_path):
    """A function from a kind to the path of such a file."""

    def write(name):
        path = tmp_path / "m.safetensors"
        path.write_bytes(whole[name])
        return path

    return write


# the header against the arrays


@pytest.mark.parametrize(
    "layer",
    [
        lambda: fl.LSTM(2, 3, num_layers=2, bidirectional=True),
        lambda: fl.GRU(2, 3),
        lambda: fl.SimpleRNN(2, 3),
        lambda: fl.Decoder(2, 3, num_tokens=4, max_steps=3, end_token=3),
    ],
)
@pytest.mark.parametrize("asked", [10**3, 10**8, 10**400])
def test_a_header_that_asks_for_more_layers_than_there_are_arrays_builds_none(tmp_path, layer, asked):
    fl.save(fl.Model([layer()], seed=0), tmp_path / "m")
    edit_json(tmp_path / "m", "model", lambda model: model["layers"][0]["config"].update(num_layers=asked))
    with pytest.raises(ValueError, match=r"m: damaged: layer 0 \(\w+\): num_layers: expected at most \d+ for the arr"):
        fl.load(tmp_path / "m")


def test_a_model_of_more_than_a_thousand_layers_is_neither_loaded_nor_saved(tmp_path):
    fl.save(fl.Model([fl.Dropout(0.1)], seed=0), tmp_path / "m")
    edit_json(tmp_path / "m", "model", lambda model: model.update(layers=model["layers"] * 30_000))
    with pytest.raises(ValueError, match="m: damaged: layers: expected at most 1000, got 30000"):
        fl.load(tmp_path / "m")
    with pytest.raises(ValueError, match="layers: expected at most 1000, got 1001"):
        fl.save(fl.Model([fl.Dropout(0.1) for _ in range(1001)]), tmp_path / "more")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_of_a_config_are_finite(tmp_path, value):
    fl.save(fl.Model([fl.LayerNorm(2)], seed=0), tmp_path / "m")
    edit_json(tmp_path / "m", "model", lambda model: model["layers"][0]["config"].update(eps=value))
    with pytest.raises(ValueError, match="m: damaged: expected finite numbers, got"):
        fl.load(tmp_path / "m")
    with pytest.raises(ValueError, match=r"layer 0 \(LayerNorm\): eps: expected a finite number, got inf"):
        fl.save(fl.Model([fl.LayerNorm(2, eps=float("inf"))]), tmp_path / "m")


FORECASTERS = [
    (lambda s: s["scaling"].update(input_scale=[float("nan")]), "expected finite numbers, got NaN"),
    (lambda s: s["scaling"].update(target_scale=[0.0]), "target_scale: expected numbers from 1e-300 on, got 0"),
    (lambda s: s["scaling"].update(target_scale=[1.0, 1.0]), r"target_scale: expected shape \(1,\), got \(2,\)"),
    (lambda s: s["scaling"].update(window=10**8), "window: expected at most 10000000, got 100000000"),
    (
        lambda s: [s[part].update(window=10) for part in ("options", "scaling")],
        "window: expected a multiple of patch=3",
    ),
    (lambda s: s["scaling"].update(window=15), "window: expected 15, as it was learned with, got 12"),
    (lambda s: [s[part].update(horizon=10**7) for part in ("options", "scaling")], r"band: expected shape \(1, 10"),
    (lambda s: [s[part].update(season=10**12) for part in ("options", "scaling")], "season: expected at most 10000000"),
    (lambda s: [s[part].update(patch=1) for part in ("options", "scaling")], "model: expected one from 1 features"),
    (lambda s: s["options"].update(season=7), "season: expected 6, as it was learned with, got 7"),
    (lambda s: s["options"].update(hidden_size=10**9), r"hidden_size: expected that of the network, \[3\]"),
    (lambda s: s["options"].update(log=3), "log: expected True or False, got 3"),
    (lambda s: s["options"].update(seed=-1), "random_state: expected at least 0, got -1"),
    (lambda s: s["options"].pop("horizon"), "there is no 'horizon'"),
    (lambda s: s.pop("scaling"), "there is no 'past_covariates'"),
    (lambda s: s["scaling"].pop("patch"), "there is no 'patch'"),
    (lambda s: s.update(band=[[-1.0, 1.0]]), "band: expected numbers from 0 on, got -1"),
    (lambda s: s.update(band=[[1.0]]), r"band: expected shape \(1, 2\), got \(1, 1\)"),
    (lambda s: s.update(band="x"), "band: expected real numbers, got dtype <U1"),
    (lambda s: s.update(options=[]), "list indices must be integers"),
]


@pytest.mark.parametrize(("edit", "message"), FORECASTERS)
def test_a_damaged_forecaster_says_what_is_wrong(saved, edit, message):
    path = saved("forecaster")
    edit_json(path, "user.forecaster", edit)
    with pytest.raises(ValueError, match=f"m.safetensors: damaged: .*{message}"):
        LSTMForecaster.load(path)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"stack": 10**9}, "stack: expected at most 1000, got 1000000000"),
        ({"stack": 3}, r"model: expected one from \('N', 'T', 15\)"),
        ({"shift": 10**9}, "shift: expected at most 1000"),
        ({"window": 10**9}, "window: expected at most 1000"),
        ({"bands": 10**9}, "bands: expected at most 1000"),
        ({"depth": 1e300}, "depth: expected at least 1 and at most 1000"),
    ],
)
def test_features_that_no_sound_could_have_are_refused(saved, features, message):
    path = saved("speech")
    edit_json(path, "user.speech", lambda state: state["features"].update(features))
    with pytest.raises(ValueError, match=f"m.safetensors: damaged: {message}"):
        WordClassifier.load(path)


@pytest.mark.parametrize("words", [["no", "no"], ["no", 3], "no", []])
def test_the_words_of_a_recogniser_are_words_each_once(saved, words):
    path = saved("speech")
    edit_json(path, "user.speech", lambda state: state.update(words=words))
    with pytest.raises(ValueError, match="m.safetensors: damaged: words: expected"):
        WordClassifier.load(path)


def test_a_network_for_single_words_reads_no_strings(saved):
    path = saved("speech")
    edit_json(path, "user.speech", lambda state: state.update(kind="strings", words=["no"]))
    with pytest.raises(ValueError, match="m.safetensors: damaged: model: expected one from"):
        StringReader.load(path)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"window": 10**12}, "window: expected at most 2147483647"),
        ({"num_layers": 10**8}, "num_layers: expected at most 1000"),
        ({"learning_rate": "fast"}, "learning_rate: expected a number, got 'fast'"),
        ({"betas": [0.9]}, "betas: expected two numbers, got 1"),
        ({"betas": [0.9, 2.0]}, "betas: expected at least 0 and below 1, got 2.0"),
        ({"seed": "x"}, "seed: expected a whole number or None, got 'x'"),
    ],
)
def test_a_damaged_recipe_of_a_writer_is_named(saved, recipe, message):
    path = saved("text")
    edit_json(path, "user.text", lambda state: state["recipe"].update(recipe))
    with pytest.raises(ValueError, match=f"m.safetensors: damaged: {message}"):
        LanguageModel.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": [1, 2]}, "words: expected str, got 1"),
        ({"classes": ["bad", "bad"]}, "classes: expected one for each output, got 1"),
        ({"recipe": {"length": 10**12}}, "length: expected at most 2147483647"),
        ({"recipe": {"seed": "x"}}, "seed: expected a whole number or None, got 'x'"),
    ],
)
def test_damaged_words_and_classes_are_named(saved, change, message):
    path = saved("classifier")
    edit_json(path, "user.classifier", lambda state: state.update(change))
    with pytest.raises(ValueError, match=f"m.safetensors: damaged: {message}"):
        Classifier.load(path)


# the state of a training


def edit_state(path, edit):
    """Change the state of a training that is in a file, in place."""
    state = snapshot.read(path)
    del state["path"]
    edit(state)
    snapshot.write(path, state)


STATES = [
    (lambda s: s.pop("optimizer"), "there is no 'optimizer'"),
    (lambda s: s.update(epoch="2"), "epoch: expected int, got '2'"),
    (lambda s: s.update(step=True), "step: expected int, got True"),
    (lambda s: s.update(batch=-1), "batch: expected 0 to 1000000000000, got -1"),
    (lambda s: s.update(epoch=10**30), "epoch: expected 0 to 1000000000000, got 1000"),
    (lambda s: s.update(callbacks=[3]), "callbacks: expected names with their states, got 3"),
    (lambda s: s["parameters"].update({"0.bias_l0": 3.0}), "parameters: expected arrays, got 3.0 for '0.bias_l0'"),
    (lambda s: s["parameters"].update({"0.bias_l0": np.full(12, np.nan, "f4")}), "parameters 2: expected finite"),
    (lambda s: s["optimizer"].update(lr=float("nan")), "optimizer lr: expected at least 0 and at most 1e"),
    (lambda s: s["optimizer"].update(steps=10**30), "optimizer steps: expected 0 to"),
    (lambda s: s["optimizer"].update(slots=[{}]), "optimizer slots: expected 5, got 1"),
    (lambda s: s["optimizer"]["slots"][2].pop("mean"), r"optimizer slots: expected \['mean', 'square'\], got"),
    (lambda s: s["optimizer"]["slots"][2].update(mean=np.zeros(3, "f4")), r"l0 0: expected shape \(12,\), got \(3,\)"),
    (lambda s: s["optimizer"]["slots"][2].update(mean=np.zeros(12)), "l0: expected arrays of float32, got float64"),
    (lambda s: s["tape"].update(workspaces=[]), "tape workspaces: expected 4, got 0"),
    (lambda s: s["tape"]["workspaces"][1]["lasting"].update(key=1 << 64), "tape of layer 1: key: expected 0 to"),
    (lambda s: s["tape"]["workspaces"][1]["lasting"].update(key=0.5), "tape of layer 1: key: expected a whole number"),
    (lambda s: s["tape"]["workspaces"][1]["lasting"].update(calls=1 << 64), "tape of layer 1: calls: expected 0 to"),
    (lambda s: s["tape"]["workspaces"][1]["lasting"].pop("calls"), "there is no 'calls'"),
    (lambda s: s["tape"]["workspaces"][1]["lasting"].update(more="x"), "layer 1: more: expected a number or arrays"),
    (lambda s: s.update(good=s["good"][:1]), "good: expected 5 arrays or none, got 1"),
    (lambda s: s["figures"].update({"loss.sums": np.zeros((2, 2))}), "figures loss.sums: expected 1 axes of float64"),
    (lambda s: s["history"].update(loss=3), "figures: expected lists of numbers by name"),
    (lambda s: s["callbacks"][0][1].update(averages=[np.zeros(3)]), "averages: expected 5 arrays or none, got 1"),
    (lambda s: s["callbacks"][0][1].update(count="many"), "count: expected a number, got 'many'"),
    (lambda s: s["callbacks"][1][1].update(peak=-1.0), "peak: expected at least 0 and at most 1e.30, got -1.0"),
    (lambda s: s["callbacks"][2][1].update(values=[None] * 5), "values: expected arrays of float32, got NoneType"),
    (lambda s: s["callbacks"][2][1].update(best=float("nan")), "best: expected at least -inf, got nan"),
    (lambda s: s["callbacks"][3][1].update(norms=["x"]), "norms: expected numbers, got 'x'"),
    (lambda s: s["callbacks"][4][1].update(rows=[3]), "rows: expected dicts, got 3"),
]


@pytest.mark.parametrize(("edit", "message"), STATES)
def test_a_damaged_state_is_named_before_anything_goes_on_from_it(saved, edit, message):
    path = saved("checkpoint")
    edit_state(path, edit)
    with pytest.raises(ValueError, match=f"step-000000005.safetensors: damaged: .*{message}"):
        read_run(path)


def test_the_running_state_of_a_sequence_has_its_shape(tmp_path):
    train(True, tmp_path, [Checkpoint(tmp_path, every_steps=1)], epochs=2)
    path = checkpoints(tmp_path)[-1]
    edit_state(
        path, lambda state: state["tape"]["workspaces"][0]["lasting"].update(running=[np.zeros((1, 9, 3), "f4")] * 2)
    )
    with pytest.raises(ValueError, match=r"tape of layer 0 0: expected shape \(1, 2, 3\), got \(1, 9, 3\)"):
        train(True, tmp_path, epochs=3)
    edit_state(path, lambda state: state["tape"]["workspaces"][0]["lasting"].pop("running"))
    with pytest.raises(ValueError, match="damaged: there is no 'running'"):
        train(True, tmp_path, epochs=3)


def test_a_training_in_float64_is_not_gone_on_with_in_float32(tmp_path):
    x = np.ones((4, 3, 1))

    def fit(dtype):
        model = fl.Model([fl.LSTM(1, 2), fl.Dense(2, 1)], dtype=dtype, seed=0)
        fl.Trainer(model, "mse").fit(x, x, epochs=1, resume=tmp_path, progress=False)

    fit("float64")
    with pytest.raises(
        ValueError, match=r"expected the dtype of the interrupted training, \['float64'\], got \['float32"
    ):
        fit("float32")


# the checksum


@pytest.mark.parametrize("name", SAVED)
def test_no_file_loads_with_a_flipped_bit(whole, tmp_path, name):
    content, path = whole[name], tmp_path / "m.safetensors"
    rng = np.random.default_rng(0)
    for at in range(0, len(content), 1 + len(content) // 300):
        changed = bytearray(content)
        changed[at] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="m.safetensors: "):
            LOADERS[name](path)


@pytest.mark.parametrize("name", SAVED)
def test_files_without_a_checksum_are_of_earlier_versions_and_load(saved, name):
    path = saved(name)
    header, _ = header_of(path.read_bytes())
    assert header["__metadata__"].pop("checksum").startswith("sha256:")
    path.write_bytes(with_header(path.read_bytes(), header))
    SAVED[name].read(path)


def test_the_checksum_does_not_depend_on_the_order_of_the_header(saved):
    path = saved("model")
    content = path.read_bytes()
    header, _ = header_of(content)
    turned = dict(reversed(header.items()))
    turned["__metadata__"] = dict(reversed(header["__metadata__"].items()))
    path.write_bytes(with_header(content, turned))
    fl.load(path)
    assert header_of(renewed(content))[0] == header


def test_a_word_that_nobody_knows_may_have_been_the_checksum(saved):
    path = saved("model")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"checksum"', b'"chfcksum"'))
    with pytest.raises(ValueError, match="damaged: there is a word 'chfcksum' in its header that nobody knows"):
        fl.load(path)


def test_another_checksum_than_that_of_the_content_is_damage(saved):
    path = saved("forecaster")
    rewritten = path.read_bytes().replace(b"horizon", b"horizom")
    path.write_bytes(rewritten)
    for reader in (fl.load, fl.io.native.read_metadata, LSTMForecaster.load):
        with pytest.raises(ValueError, match="m.safetensors: damaged: its checksum is not that of its content"):
            reader(path)


def test_what_other_tools_read_has_a_checksum_over_all_arrays():
    arrays = {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.zeros((0, 2)), "c": np.ones(1, bool)}
    first = tensors.checksum(arrays, {"x": "y"})
    assert first == tensors.checksum(dict(reversed(arrays.items())), {"x": "y"})
    assert first == tensors.checksum({**arrays, "a": arrays["a"].astype(">f4")}, {"x": "y"})
    others = [
        {**arrays, "a": arrays["a"].reshape(3, 2)},
        {**arrays, "b": np.zeros((0, 3))},
        {**arrays, "d": arrays["c"]},
    ]
    assert len({first, *(tensors.checksum(other, {"x": "y"}) for other in others)}) == 4
    assert first != tensors.checksum(arrays, {"x": "z"})


# nesting, sizes


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 900 + "]" * 900, '{"a":' * 50_000 + "1" + "}" * 50_000])
@pytest.mark.parametrize(
    ("name", "word"),
    [("model", "model"), ("checkpoint", "state"), ("forecaster", "user.forecaster"), ("text", "user.text")],
)
def test_words_that_are_nested_too_deep_are_damage(saved, name, word, text):
    path = saved(name)
    rewrite(path, lambda header: header["__metadata__"].update({word: text}))
    with pytest.raises(ValueError, match="m.safetensors: damaged: "):
        LOADERS[name](path)


def test_a_number_in_an_array_that_is_not_finite_is_damage(saved):
    path = saved("forecaster")
    overwrite(path, np.nan)
    with pytest.raises(ValueError, match="m.safetensors: damaged: .*expected finite numbers, got nan"):
        LSTMForecaster.load(path)


def test_a_file_that_promises_a_large_header_is_not_read_whole(tmp_path):
    path = tmp_path / "m"
    with open(path, "wb") as file:
        file.write((10**8).to_bytes(8, "little") + b"{")
        file.truncate(1 << 40)  # takes no room on most file systems
    with pytest.raises(ValueError, match="m: "):
        fl.load(path)
    path.write_bytes((2**40).to_bytes(8, "little") + b"{" + bytes(100))
    with pytest.raises(ValueError, match="m: not a safetensors file"):
        fl.load(path)


# the command that looks for more


@pytest.mark.parametrize("name", SAVED)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    kind = SAVED[name]
    whole = whole_files(kind, tmp_path / "whole")
    for number in range(100):
        with np.errstate(all="ignore"):
            content = damaged(kind, whole, 1, number)
            assert attempt(kind, content, tmp_path / "m.safetensors")[1] is None, number
    assert damaged(kind, whole, 1, 99) == content
    assert damaged(kind, whole, 2, 99) != content


def raises(error):
    def read(path):
        raise error

    return Kind("any", "", None, read)


def test_what_is_no_answer_to_a_damaged_file_is_a_hit(tmp_path):
    path = tmp_path / "m"
    for error in (ValueError("m"), FileNotFoundError("m"), json.JSONDecodeError("m", "", 0)):
        assert attempt(raises(error), b"", path) == (False, None)
    for error in (KeyError("m"), RecursionError(), AssertionError(), IndexError()):
        assert type(error).__name__ in attempt(raises(error), b"", path)[1]
    hidden = ValueError("m")
    hidden.__cause__ = MemoryError()
    assert "took more than 1024 MB" in attempt(raises(hidden), b"", path)[1]


@pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")
def test_the_command_reads_the_same_files_again_and_counts_them(tmp_path):
    here = Path(__file__).parent
    command = [sys.executable, "-m", "fuzzing", "--kind", "text", "--seed", "3"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(Path(fl.__file__).parents[1])])}

    def run(*options):
        done = subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    code, said, _ = run("--count", "40")
    assert code == 0 and "text: 40 damaged files, " in said and said.endswith("seed 3: 0 hits\n")
    code, said, error = run("--only", "7", "--keep", "kept")
    assert code == 0, error
    text = SAVED["text"]
    (kept,) = (tmp_path / "kept").iterdir()
    assert said.startswith(f"kept/{kept.name}\n")
    assert kept.read_bytes() == damaged(text, whole_files(text, tmp_path / "whole"), 3, 7)
