"""Resemblyzer's voice encoder: whose voice it is, as 256 numbers, from mel spectrograms of 1.6 s."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np

import fastlstm as fl

FRAMES, PER_FRAME = 160, 160
"""Frames of a part of a recording, and samples from one to the next."""


def folder() -> Path:
    """Where the package is, which need not be imported for that: it asks for librosa and webrtcvad."""
    return Path(find_spec("resemblyzer").submodule_search_locations[0])


class Encoder:
    """The encoder, of parts (N, 160, 40) and of whole recordings."""

    def __init__(self, path):
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        lstm = fl.io.from_torch({k[5:]: v for k, v in state.items() if k.startswith("lstm.")})
        self.model = fl.Model([lstm, fl.Last(), fl.Dense(256, 256), fl.Activation("relu")], dtype="float32")
        for name in ("weight", "bias"):
            self.model.layers[2].parameter(name).value = state[f"linear.{name}"].numpy()

    def __call__(self, mels):
        y = self.model.predict(mels)
        return y / np.linalg.norm(y, axis=1, keepdims=True)

    def utterance(self, mel, samples, rate=1.3, coverage=0.75):
        """The embedding of a recording of so many samples from its frames (T, 40), as many as its parts need."""
        step = round(16_000 / rate / PER_FRAME)
        frames = -(-(samples + 1) // PER_FRAME)
        starts = list(range(0, max(1, frames - FRAMES + step + 1), step))
        if len(starts) > 1 and (samples - starts[-1] * PER_FRAME) / (FRAMES * PER_FRAME) < coverage:
            starts.pop()
        mean = self(np.stack([mel[start : start + FRAMES] for start in starts])).mean(0)
        return mean / np.linalg.norm(mean)


def theirs(frames_of):
    """Their own class, with another function for the frames of a sound than that of librosa."""
    package, audio = ModuleType("resemblyzer"), ModuleType("resemblyzer.audio")
    package.__path__, package.audio = [str(folder())], audio
    audio.wav_to_mel_spectrogram = frames_of
    names = {"resemblyzer": package, "resemblyzer.audio": audio}
    with mock.patch.dict("sys.modules", names):
        made = import_module("resemblyzer.voice_encoder").VoiceEncoder("cpu", verbose=False)
    return made


def mels_of(parts, seed=0):
    """Something like mel spectrograms, (parts, 160, 40): powers, which are never below 0."""
    rng = np.random.default_rng(seed)
    return (rng.gamma(0.5, 0.05, (parts, FRAMES, 40)) * np.exp(-np.arange(40) / 15)).astype(np.float32)
