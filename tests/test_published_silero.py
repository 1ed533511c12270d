"""Voice activity by the network of silero-vad, beside ONNX Runtime on the same weights."""

import wave
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import tensors
from fastlstm.speech import VoiceActivity, silero

PACKAGE = find_spec("silero_vad")
needs_package = pytest.mark.skipif(PACKAGE is None, reason="silero-vad is not installed")
FOLDER = Path(PACKAGE.submodule_search_locations[0]) / "data" if PACKAGE else Path()


def sound(seconds, seed=0):
    """Something like syllables: pulses through the resonances of a vowel that changes, with pauses and noise."""
    t, rng = np.arange(int(16000 * seconds)) / 16000, np.random.default_rng(seed)
    phase = 2 * np.pi * np.cumsum(120 + 25 * np.sin(2 * np.pi * 1.3 * t)) / 16000
    voice = np.zeros(len(t))
    for k in range(1, 30):
        hertz = 120 * k
        vowel = [(700, 300), (1200 + 600 * np.sin(2 * np.pi * 2.1 * t), 400), (2600, 500)]
        voice += sum(np.exp(-(((hertz - centre) / width) ** 2)) for centre, width in vowel) * np.sin(k * phase)
    loud = (np.sin(2 * np.pi * 0.35 * t) > 0) * np.clip(np.sin(2 * np.pi * 4 * t) + 0.6, 0, 1)
    return (0.7 * voice * loud / np.abs(voice).max() + 0.002 * rng.standard_normal(len(t))).astype("f4")


def by_onnx_runtime(signal, name):
    """The probabilities that the ordinary model gives chunk by chunk, the state and 64 samples carried by hand."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    session = runtime.InferenceSession(str(FOLDER / name))
    state, context, found = np.zeros((2, 1, 128), "f4"), np.zeros((1, 64), "f4"), []
    for begin in range(0, len(signal), 512):
        window = np.concatenate([context, signal[None, begin : begin + 512]], axis=1)
        window = np.pad(window, [(0, 0), (0, 576 - window.shape[1])])
        y, state = session.run(None, {"input": window, "state": state, "sr": np.array(16000)})
        context = window[:, -64:]
        found.append(y[0, 0])
    return np.array(found)


@pytest.fixture(scope="module")
def activity():
    if PACKAGE is None:
        pytest.skip("silero-vad is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    return VoiceActivity.from_silero()


@pytest.mark.parametrize("name", ["silero_vad.onnx", "silero_vad_16k_op15.onnx"])
def test_probabilities_are_those_of_onnx_runtime(activity, name):
    signal = sound(40)[:-100]  # the last chunk is not whole
    expected = by_onnx_runtime(signal, name)
    found = activity.probabilities(signal)
    assert expected.max() > 0.9 and expected.min() < 0.1  # there is something to be found
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_probabilities_are_those_of_the_model_of_sequences(activity):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    signal = sound(5)[: 512 * 150]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(signal, (64, 0)), 576)[::512]
    session = runtime.InferenceSession(str(FOLDER / "silero_vad_16k_sequence.onnx"))
    zeros = np.zeros((1, 1, 128), "f4")
    expected = session.run(None, {"input": windows, "h": zeros, "c": zeros})[0]
    np.testing.assert_allclose(activity.probabilities(signal), expected, atol=1e-5)


def test_a_stream_gives_the_bits_of_the_whole(activity):
    signal = sound(3)[: 512 * 90]
    whole, stream = activity.probabilities(signal), activity.stream()
    for pieces in (512, 700, 100, 40000):
        found = [stream(signal[begin : begin + pieces]) for begin in range(0, len(signal), pieces)]
        assert stream.end() is None
        np.testing.assert_array_equal(np.concatenate(found), whole)
    stream(signal[:100])
    np.testing.assert_array_equal(stream.end(), activity.probabilities(signal[:100]))


@needs_package
def test_the_weights_in_safetensors_are_read_too():
    """These are other weights; the equations are those of the package's tinygrad_model.py, in NumPy."""
    activity = VoiceActivity.from_silero(FOLDER / "silero_vad_16k.safetensors")
    weights = {
        name: array.astype("f8") for name, array in tensors.read(FOLDER / "silero_vad_16k.safetensors")[1].items()
    }
    signal = sound(2)[: 512 * 60]

    def convolution(x, name, stride, padding):
        x, kernel = np.pad(x, [(0, 0), (padding, padding)]), weights[f"{name}.weight"]
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2], axis=1)[:, ::stride]
        return np.einsum("itk,oik->ot", windows, kernel) + weights.get(f"{name}.bias", np.zeros(len(kernel)))[:, None]

    h, c, expected = np.zeros(128), np.zeros(128), []
    padded = np.pad(signal.astype("f8"), (64, 0))
    for begin in range(0, len(signal), 512):
        x = np.pad(padded[begin : begin + 576], (0, 64), mode="reflect")[None]
        spectrum = convolution(x, "stft_conv", 128, 0)
        x = np.hypot(spectrum[:129], spectrum[129:])
        for k, stride in enumerate((1, 2, 2, 1), start=1):
            x = np.maximum(convolution(x, f"conv{k}", stride, 1), 0)
        sums = weights["lstm_cell.weight_ih"] @ x[:, 0] + weights["lstm_cell.weight_hh"] @ h
        i, f, g, o = np.split(sums + weights["lstm_cell.bias_ih"] + weights["lstm_cell.bias_hh"], 4)
        c = fl.sigmoid(f) * c + fl.sigmoid(i) * np.tanh(g)
        h = fl.sigmoid(o) * np.tanh(c)
        score = weights["final_conv.weight"][0, :, 0] @ np.maximum(h, 0) + weights["final_conv.bias"]
        expected.append(fl.sigmoid(score)[0])
    np.testing.assert_allclose(activity.probabilities(signal), expected, atol=1e-5)


def test_a_saved_model_needs_no_package(activity, tmp_path):
    activity.save(tmp_path / "vad.safetensors")
    again, signal = VoiceActivity.load(tmp_path / "vad.safetensors"), sound(2)
    np.testing.assert_array_equal(again.probabilities(signal), activity.probabilities(signal))


class Told(VoiceActivity):
    """Probabilities that are given."""

    def __init__(self, probabilities):
        self.told = np.array(probabilities, "f4")

    def probabilities(self, audio, rate=16000):
        return self.told


@pytest.mark.parametrize(
    ("probabilities", "options", "expected"),
    [
        ([0] * 10, {}, []),
        ([0] * 5 + [0.9] * 20 + [0] * 10, {"padding": 0}, [(5, 25)]),
        ([0] * 5 + [0.9] * 20, {"padding": 0}, [(5, 25)]),  # up to the end
        ([0] * 5 + [0.9] * 7 + [0] * 10, {"padding": 0}, []),  # too short
        ([0.9] * 10 + [0] * 3 + [0.9] * 10, {"padding": 0}, [(0, 23)]),  # a short pause
        ([0.9] * 10 + [0] * 4 + [0.9] * 10, {"padding": 0}, [(0, 24)]),
        ([0.9] * 10 + [0] * 5 + [0.9] * 10, {"padding": 0}, [(0, 10), (15, 25)]),
        ([0.9] * 10 + [0.4] * 9 + [0.9] * 10, {"padding": 0}, [(0, 29)]),  # between both thresholds
        ([0.9] * 10 + [0.4] * 9 + [0.2] * 5, {"padding": 0}, [(0, 19)]),
        ([0.6] * 10 + [0] * 9 + [0.9] * 10, {"padding": 0, "threshold": 0.8}, [(19, 29)]),
        ([0.9] * 10 + [0] * 5 + [0.9] * 10, {"padding": 1.0}, [(0, 12.5), (12.5, 25)]),  # half of the pause each
        ([0] * 5 + [0.9] * 10 + [0] * 5, {"padding": 0.064}, [(3, 17)]),
    ],
)
def test_segments(probabilities, options, expected):
    """Expected parts are in chunks of 32 milliseconds."""
    found = Told(probabilities).segments(np.zeros(512 * len(probabilities), "f4"), **options)
    np.testing.assert_allclose([*found], np.array(expected).reshape(-1, 2) * 0.032 if expected else [])


def test_the_command_prints_where_somebody_speaks(activity, tmp_path, capsys):
    from fastlstm.cli import main

    signal = sound(6)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((signal * 32767).astype("<i2").tobytes())
    assert main(["speech", "vad", str(tmp_path / "a.wav")]) == 0
    found = [[*map(float, line.split())] for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose(found, activity.segments(signal), atol=0.05)
    assert main(["speech", "vad", "--threshold", "1.5", str(tmp_path / "a.wav")]) == 2
    assert "threshold: expected" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["speech", "vad", "--treshold", "0.5", str(tmp_path / "a.wav")])
    assert "unrecognized arguments: --treshold" in capsys.readouterr().err


def test_errors(tmp_path, monkeypatch):
    untrained = VoiceActivity(fl.Model(silero.network(), seed=0))
    with pytest.raises(TypeError, match="model: expected a Model, got 3"):
        VoiceActivity(3)
    with pytest.raises(ValueError, match=r"model: expected one from \('N', 'T', 640\)"):
        VoiceActivity(fl.Model([fl.Dense(576, 2)]))
    with pytest.raises(ValueError, match="audio: expected samples of one channel"):
        untrained.probabilities(np.zeros((2, 512)))
    with pytest.raises(ValueError, match="rate: expected 16000, got 8000"):
        untrained.probabilities(np.zeros(512), 8000)
    with pytest.raises(ValueError, match="audio"):
        untrained.stream()(np.full(512, np.nan))
    with pytest.raises(ValueError, match="threshold"):
        untrained.segments(np.zeros(512), threshold=2)
    fl.save(untrained.model, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="are these weights of Silero's detector"):
        VoiceActivity.from_silero(tmp_path / "m.safetensors")
    (tmp_path / "m.onnx").write_bytes(b"nonsense" * 100)
    if find_spec("onnx") is not None:
        with pytest.raises(ValueError, match="not an ONNX file, or a damaged one"):
            VoiceActivity.from_silero(tmp_path / "m.onnx")
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install silero-vad"):
        VoiceActivity.from_silero()
