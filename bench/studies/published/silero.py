"""Silero's voice activity detector: sound of an hour to probabilities of speech, by three programs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

import fastlstm as fl
from fastlstm.speech import VoiceActivity, read_recordings

RATE, CHUNK, CONTEXT, BLOCK = 16_000, 512, 64, 512


def sound(archive, seconds):
    """Spoken digits with pauses, at 16 kHz."""
    recordings, rng = read_recordings(archive), np.random.default_rng(0)
    parts, samples = [], 0
    while samples < seconds * RATE:
        spoken = resample_poly(recordings[rng.integers(len(recordings))].signal, 2, 1)
        parts += [spoken.astype(np.float32), np.zeros(int(RATE * rng.uniform(0.05, 0.8)), np.float32)]
        samples += len(parts[-2]) + len(parts[-1])
    return np.concatenate(parts)[: int(seconds * RATE)]


def ours():
    fl.set_num_threads(1)
    return VoiceActivity.from_silero().probabilities


def ours_streamed():
    fl.set_num_threads(1)
    activity = VoiceActivity.from_silero()

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
