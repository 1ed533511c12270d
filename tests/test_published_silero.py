"""Silero's voice activity detector, from the package silero-vad, beside ONNX Runtime and the package's own rules."""

import ast
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import lfilter

import fastlstm as fl
from fastlstm.cli import main
from fastlstm.speech import Segment, VoiceActivity
from fastlstm.speech.silero import network

ROOT = Path(__file__).parent.parent

RATE, CHUNK = 16_000, 512


def folder():
    spec = find_spec("silero_vad")
    if spec is None or find_spec("onnx") is None:
        pytest.skip("silero-vad or onnx is not installed")
    return Path(spec.submodule_search_locations[0])


VOWELS = [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]
"""Resonances of the throat, in Hz."""


def syllable(rng):
    """A vowel: pulses of a pitch that falls, through three resonances, behind a short noise."""
    samples = int(RATE * rng.uniform(0.12, 0.25))
    phase = np.cumsum(rng.uniform(100, 160) * np.linspace(1.1, 0.9, samples)) / RATE
    sound = np.diff(np.floor(phase), prepend=0) + 0.01 * rng.standard_normal(samples)
    for hertz, width in zip(VOWELS[rng.integers(len(VOWELS))], (80, 100, 140), strict=True):
        r = np.exp(-np.pi * width / RATE)
        sound = lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * hertz / RATE), r * r], sound)
    sound *= np.hanning(samples)
    return np.concatenate([0.02 * np.diff(rng.standard_normal(RATE // 20)), 0.3 * sound / np.abs(sound).max()])


def voice(seconds, seed=0):
    """Something that the detector takes for a voice: syllables and pauses, over a faint noise."""
    rng, samples, parts = np.random.default_rng(seed), int(seconds * RATE), []
    while sum(map(len, parts)) < samples:
        parts.append(np.zeros(int(RATE * rng.uniform(0.4, 1.2))) if rng.random() < 0.15 else syllable(rng))
    return (np.concatenate(parts)[:samples] + 0.0005 * rng.standard_normal(samples)).astype(np.float32)


def theirs(signal):
    """The probabilities by ONNX Runtime, with the ordinary model, chunk by chunk."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    session = runtime.InferenceSession(folder() / "data" / "silero_vad.onnx", providers=["CPUExecutionProvider"])
    state, before, found = np.zeros((2, 1, 128), "f4"), np.zeros((1, 64), "f4"), []
    for chunk in np.append(signal, np.zeros(-len(signal) % CHUNK, "f4")).reshape(-1, 1, CHUNK):
        x = np.concatenate([before, chunk], axis=1)
        y, state = session.run(None, {"input": x, "state": state, "sr": np.array(RATE)})
        before, found = x[:, -64:], [*found, y[0, 0]]
    return np.array(found)


@pytest.fixture(scope="module")
def silero():
    folder()
    return VoiceActivity.from_silero()


@pytest.fixture(scope="module")
def untrained():
    return VoiceActivity(fl.Model(network(), seed=0))


def test_probabilities_are_those_of_onnx_runtime(silero, isa):
    signal = voice(41.01)
    wanted = theirs(signal)
    assert wanted.max() > 0.9 and wanted.min() < 0.1, "the test hears no speech, or nothing else"
    np.testing.assert_allclose(silero.probabilities(signal), wanted, rtol=0, atol=1e-5)


@pytest.fixture
def study(monkeypatch):
    if not (ROOT / "bench").exists():
        pytest.skip("the benchmark, which has the network in PyTorch, is not part of the package")
    monkeypatch.syspath_prepend(ROOT)
    from bench.studies.published import silero

    return silero


def test_float64_is_what_pytorch_computes_in_float64(silero, study, isa):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    signal, double = voice(20.01), VoiceActivity.from_silero(dtype="float64")
    wanted = study.exact()(signal)
    np.testing.assert_allclose(double.probabilities(signal), wanted, rtol=0, atol=1e-6)
    stream = double.stream()
    found = [*(stream(signal[at : at + 700]) for at in range(0, len(signal), 700)), [stream.end()]]
    np.testing.assert_allclose(np.concatenate(found), wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(silero.probabilities(signal), wanted, rtol=0, atol=1e-4)
    np.testing.assert_allclose(double.probabilities(signal), theirs(signal), rtol=0, atol=1e-5)


def test_each_stage_rounds_a_little_in_float32(study, silero):
    found = study.rounding(voice(3))
    assert [*found] == [*study.STAGES, "all"]
    assert found["all"] > 0 and all(0 <= value < 1e-4 for value in found.values())
    assert sorted(place for places in study.STAGES.values() for place in places) == [*range(14)]


def test_a_stream_gives_the_same_whatever_the_pieces(silero, untrained):
    for activity, signal in ((untrained, voice(3.21)), (silero, voice(20.3))):
        whole, stream, found, at = activity.probabilities(signal), activity.stream(), [], 0
        for size in (1, 100, 511, 513, 5000, len(signal)):
            found.append(stream(signal[at : at + size]))
            at += size
        assert sum(map(len, found)) == len(signal) // CHUNK
        np.testing.assert_allclose(np.append(np.concatenate(found), stream.end()), whole, rtol=0, atol=1e-6)
        assert stream.end() is None
        np.testing.assert_allclose(stream(signal[:CHUNK]), whole[:1], rtol=0, atol=1e-6)  # a new sound


def their_rules():
    """`get_speech_timestamps_from_probs` of the package, whose module needs packages that may not be there."""
    text = (folder() / "utils_vad.py").read_text(encoding="utf-8")
    [function] = [one for one in ast.parse(text).body if getattr(one, "name", "") == "get_speech_timestamps_from_probs"]
    scope = {"List": list}
    exec(compile(ast.unparse(function), "utils_vad.py", "exec"), scope)
    return scope["get_speech_timestamps_from_probs"]


@pytest.mark.parametrize("seed", range(20))
def test_segments_follow_the_package_s_rules(untrained, monkeypatch, seed):
    rules, rng = their_rules(), np.random.default_rng(seed)
    length = int(rng.integers(1, 60_000))
    walk = np.cumsum(rng.normal(size=-(-length // CHUNK)) * rng.uniform(0.1, 1.0))
    probabilities = (1 / (1 + np.exp(-walk))).astype(np.float32)
    monkeypatch.setattr(untrained, "probabilities", lambda audio, rate: probabilities)
    numbers = {
        "threshold": rng.uniform(0.2, 0.8),
        "min_speech": rng.uniform(0, 0.4),
        "min_silence": rng.uniform(0, 0.3),
    }
    numbers["padding"] = rng.uniform(0, 0.2)
    if seed % 2:
        numbers["end_threshold"] = numbers["threshold"] * rng.uniform(0.3, 1)
    wanted = rules(
        probabilities.tolist(),
        threshold=numbers["threshold"],
        neg_threshold=numbers.get("end_threshold"),
        min_speech_duration_ms=1000 * numbers["min_speech"],
        min_silence_duration_ms=1000 * numbers["min_silence"],
        speech_pad_ms=1000 * numbers["padding"],
        audio_length_samples=length,
    )
    found = untrained.segments(np.zeros(length), **numbers)
    assert found == [Segment(one["start"] / RATE, one["end"] / RATE) for one in wanted]


def test_segments_of_a_sound_are_those_of_the_package(silero):
    signal = voice(30)
    wanted = their_rules()(theirs(signal).tolist(), audio_length_samples=len(signal))
    assert len(wanted) > 2
    assert silero.segments(signal) == [Segment(one["start"] / RATE, one["end"] / RATE) for one in wanted]


def test_a_file_of_one_s_own_needs_no_package(silero, tmp_path):
    signal = voice(2)
    silero.save(tmp_path / "vad.safetensors")
    np.testing.assert_array_equal(
        VoiceActivity.load(tmp_path / "vad.safetensors").probabilities(signal), silero.probabilities(signal)
    )


def test_weights_in_safetensors_are_read_too():
    older = VoiceActivity.from_silero(folder() / "data" / "silero_vad_16k.safetensors")
    found = older.probabilities(voice(8))
    assert found.max() > 0.5 and found.min() < 0.1


def test_the_command_prints_where_there_is_speech(silero, tmp_path, capsys):
    sound = voice(12)
    wavfile.write(tmp_path / "a.wav", RATE, sound)
    wavfile.write(tmp_path / "b.wav", RATE, np.zeros(RATE, "f4"))
    wanted = "".join(f"{begin:.3f} {end:.3f}\n" for begin, end in silero.segments(sound))
    assert wanted and main(["speech", "vad", str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out == wanted
    assert main(["speech", "vad", str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path}/a.wav: ") and "b.wav: no speech found" in err
    assert main(["speech", "vad", str(tmp_path / "a.wav"), "--threshold", "2"]) == 2
    assert "threshold: expected at least 0 and at most 1, got 2" in capsys.readouterr().err


def test_without_the_package_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setattr("fastlstm.speech.silero.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="are in the package silero-vad: pip install silero-vad"):
        VoiceActivity.from_silero()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda one: one.probabilities(np.zeros(9), 8000), ValueError, r"rate: expected 16000, got 8000.*read_wav"),
        (lambda one: one.probabilities(np.zeros((2, 9))), ValueError, r"audio: expected .*one channel.*got \(2, 9\)"),
        (lambda one: one.probabilities([1, 2]), TypeError, "audio: expected samples from -1 to 1, got dtype int"),
        (lambda one: one.probabilities([0.0, np.nan]), ValueError, r"audio: expected finite numbers, got nan at \[1\]"),
        (lambda one: one.segments([0.0], threshold=2), ValueError, "threshold: expected at least 0 and at most 1"),
        (lambda one: one.segments([0.0], end_threshold="x"), TypeError, "end_threshold: expected a number, got 'x'"),
        (lambda one: one.segments([0.0], padding=-1), ValueError, "padding: expected at least 0, got -1"),
        (
            lambda one: VoiceActivity.from_silero(dtype="int8"),
            TypeError,
            "dtype: expected 'float32' or 'float64', got 'int8'",
        ),
        (lambda one: VoiceActivity(3), TypeError, "model: expected a Model, got 3"),
        (
            lambda one: VoiceActivity(fl.Model([fl.LSTM(3, 1)])),
            ValueError,
            r"model: expected the layers of .*network\(\), EachStep.* at 0, got LSTM\(input_size=3",
        ),
    ],
)
def test_bad_arguments(untrained, call, error, message):
    with pytest.raises(error, match=message):
        call(untrained)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers: [fl.Dense(640, 1)], r"EachStep.* at 0, got Dense\(input_size=640"),
        (lambda layers: [fl.LSTM(640, 128), *layers[2:]], r"EachStep.* at 0, got LSTM\(input_size=640"),
        (lambda layers: layers[:-1], r"Activation\(function='sigmoid'\) at 4, got no layer"),
        (lambda layers: [*layers, fl.Dropout(0.5)], r"no layer at 5, got Dropout"),
        (
            lambda layers: [layers[0], fl.LSTM(128, 128, clip=1.0), *layers[2:]],
            r"LSTM\(.*two_biases=True.*\) at 1, got LSTM\(.*clip=1.0",
        ),
        (
            lambda layers: [fl.EachStep([*layers[0].chains[0].layers[:-1], fl.Softmax()], 5, 128), *layers[1:]],
            r"Activation\(function='relu'\) at 0.9, got Softmax\(\)",
        ),
    ],
)
def test_models_with_other_layers_are_refused(change, message):
    with pytest.raises(ValueError, match=rf"model: expected the layers of .*silero.network\(\), .*{message}"):
        VoiceActivity(fl.Model(change(network()), seed=0))


def test_weights_may_have_fewer_bits_and_learn_otherwise():
    model = fl.Model(network(), seed=0)
    fl.quantize(model)
    model.layers[1].trainable = False
    VoiceActivity(model)


def test_no_sound_gives_nothing(untrained):
    assert untrained.probabilities(np.zeros(0)).shape == (0,)
    assert untrained.segments(np.zeros(0)) == []


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_other_files_are_refused_with_their_name(tmp_path, suffix):
    folder()
    (tmp_path / f"a{suffix}").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=f"a{suffix}: "):
        VoiceActivity.from_silero(tmp_path / f"a{suffix}")
    with pytest.raises(OSError, match="b"):
        VoiceActivity.from_silero(tmp_path / f"b{suffix}")


def test_weights_of_another_network_are_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"stft_conv.weight": np.zeros((3, 1, 4), "f4")}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"stft.forward_basis_buffer: expected float32 \(258, 1, 256\), got"):
        VoiceActivity.from_silero(tmp_path / "a.safetensors")
