"""Silero's voice activity detector: sound of an hour to probabilities of speech, by three programs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

import fastlstm as fl
from fastlstm.speech import VoiceActivity, read_recordings

RATE, CHUNK, CONTEXT, BLOCK = 16_000, 512, 64, 512

DIGITS = "free-spoken-digits.tar.gz"


STAGES = {
    "spectrum": [0],
    "magnitudes": [1],
    **{f"convolution {k}": [2 * k, 2 * k + 1] for k in range(1, 5)},
    "LSTM": [10],
    "output": [11, 12, 13],
}
"""The layers of each part of the network, those of the encoder first."""


def sound(archive, seconds):
    """Spoken digits with pauses, at 16 kHz, louder and softer, with noise of several levels over parts of it."""
    recordings, rng = read_recordings(archive), np.random.default_rng(0)
    parts, samples = [], 0
    while samples < seconds * RATE:
        spoken = resample_poly(recordings[rng.integers(len(recordings))].signal, 2, 1)
        parts += [spoken.astype(np.float32), np.zeros(int(RATE * rng.uniform(0.05, 0.8)), np.float32)]
        samples += len(parts[-2]) + len(parts[-1])
    signal, at = np.concatenate(parts)[: int(seconds * RATE)], 0
    while at < len(signal):
        part = signal[at : at + int(RATE * rng.uniform(2, 20))]
        part *= np.float32(rng.uniform(0.05, 1.5))
        part += np.float32(rng.choice([0, 1e-4, 1e-3, 1e-2, 5e-2])) * rng.standard_normal(len(part), np.float32)
        at += len(part)
    return np.clip(signal, -1, 1)


def ours(dtype="float32"):
    fl.set_num_threads(1)
    return VoiceActivity.from_silero(dtype=dtype).probabilities


def ours_streamed(dtype="float32"):
    fl.set_num_threads(1)
    activity = VoiceActivity.from_silero(dtype=dtype)

    def run(signal):
        stream = activity.stream()
        found = [stream(signal[at : at + CHUNK]) for at in range(0, len(signal), CHUNK)]
        rest = stream.end()
        return np.concatenate([*found, [] if rest is None else [rest]])

    return run


def session_of(name):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1  # as the package has it
    path = Path(find_spec("silero_vad").submodule_search_locations[0]) / "data" / name
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def chunked(signal):
    """(chunks, 576): each chunk behind the 64 samples before it."""
    whole = np.concatenate([np.zeros(CONTEXT, np.float32), signal, np.zeros(-len(signal) % CHUNK, np.float32)])
    return np.lib.stride_tricks.sliding_window_view(whole, CONTEXT + CHUNK)[::CHUNK]


def runtime():
    """ONNX Runtime with the ordinary model, chunk by chunk, as `get_speech_timestamps` of the package calls it."""
    session, rate = session_of("silero_vad.onnx"), np.array(RATE)

    def run(signal):
        state, found = np.zeros((2, 1, 128), np.float32), []
        for chunk in chunked(signal):
            y, state = session.run(None, {"input": chunk[None], "state": state, "sr": rate})
            found.append(y[0, 0])
        return np.array(found)

    return run


def runtime_sequence():
    """ONNX Runtime with the model for sequences, in blocks, as `get_speech_timestamps_sequence` calls it."""
    session = session_of("silero_vad_16k_sequence.onnx")

    def run(signal):
        h = c = np.zeros((1, 1, 128), np.float32)
        found, steps = [], chunked(signal)
        for at in range(0, len(steps), BLOCK):
            y, h, c = session.run(None, {"input": np.ascontiguousarray(steps[at : at + BLOCK]), "h": h, "c": c})
            found.append(y.reshape(-1))
        return np.concatenate(found)

    return run


def exact():
    """PyTorch in float64, by its own convolutions and LSTM: what all others round."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)
    weights = {
        name: torch.from_numpy(parameter.value.astype(np.float64))
        for name, parameter in VoiceActivity.from_silero().model.named_parameters().items()
    }
    lstm = torch.nn.LSTM(128, 128, batch_first=True, dtype=torch.float64)
    lstm.load_state_dict({name[2:]: value for name, value in weights.items() if name.startswith("1.")})

    def encoded(steps):
        y = F.conv1d(torch.from_numpy(steps).reshape(-1, 5, 128).transpose(1, 2), weights["0.0.weight"])
        y = torch.hypot(y[:, :129], y[:, 129:])
        for place, stride in ((2, 1), (4, 2), (6, 2), (8, 1)):
            weight, bias = (weights[f"0.{place}.{part}"] for part in ("weight", "bias"))
            y = F.relu(F.conv1d(y, weight, bias, stride=stride, padding=1))
        return y[:, :, 0]

    def run(signal):
        with torch.no_grad():
            x = torch.cat([encoded(steps) for steps in mirrored(signal)])
            y = F.linear(F.relu(lstm(x[None])[0][0]), weights["3.weight"], weights["3.bias"])
            return torch.sigmoid(y[:, 0]).numpy()

    return run


def mirrored(signal):
    """Blocks of chunks as the network takes them (512, 640), in float64: with 64 samples mirrored at their end."""
    steps = chunked(signal)
    for at in range(0, len(steps), BLOCK):
        block = steps[at : at + BLOCK].astype(np.float64)
        yield np.concatenate([block, block[:, -2:-66:-1]], axis=1)


def rounding(signal):
    """How far float32 in one stage alone, all others in float64, moves a probability; and in all stages."""
    models = {dtype: VoiceActivity.from_silero(dtype=dtype).model for dtype in ("float64", "float32")}
    layers = {dtype: [*model.layers[0]._held().values(), *model.layers[1:]] for dtype, model in models.items()}
    alone = {dtype: [fl.Model([layer], dtype=dtype) for layer in own] for dtype, own in layers.items()}

    def probabilities(stages):
        rounded = {place for stage in stages for place in STAGES[stage]}

        def through(x, places):
            for place in places:
                dtype = "float32" if place in rounded else "float64"
                x = np.array(alone[dtype][place].predict(x.astype(dtype)))
            return x

        x = [through(steps.reshape(-1, 5, 128), range(10))[:, 0] for steps in mirrored(signal)]
        return through(np.concatenate(x)[None], range(10, 14))[0, :, 0].astype(np.float64)

    reference = probabilities([])
    found = {stage: probabilities([stage]) for stage in STAGES} | {"all": probabilities(STAGES)}
    return {stage: float(np.abs(y - reference).max()) for stage, y in found.items()}
