"""docs/music.md and its picture: an LSTM on Bach's chorales. python -m bench.studies.chorales [--folder docs]"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlstm as fl
from bench import machine
from bench.studies import DOCS, data
from fastlstm import plot
from fastlstm.callbacks import EarlyStopping
from fastlstm.schedules import Cosine

Array = NDArray[Any]
Chorale = list[list[int]]
FILE = "jsb-chorales-quarter.json"
KEYS, LOWEST = 88, 21
"""Keys of a piano, and MIDI's number of the first."""


@dataclass(frozen=True)
class Settings:
    """Of the network and its training; chosen by the loss on the validation split."""

    hidden: int = 256
    dropout: float = 0.4
    lr: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    batch: int = 16
    epochs: int = 20
    warmup: int = 100
    semitones: int = 5
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass
class Rolls:
    """Chorales as piano rolls: inputs and targets (N, T, 88) of zeros and ones, and real steps (N,)."""

    x: Array
    y: Array
    lengths: Array

    @property
    def steps(self) -> int:
        return int(self.lengths.sum())


@dataclass
class Fit:
    """A training: negative log likelihoods in nats a step."""

    seed: int
    model: fl.Model
    valid: list[float]
    test: float

    @property
    def best(self) -> float:
        return min(self.valid)


def rolls(chorales: list[Chorale], semitones: int = 0) -> Rolls:
    """Piano rolls, moved up by so many semitones; the targets are the next step's keys."""
    lengths = np.array([len(chorale) for chorale in chorales])
    roll = np.zeros((len(chorales), lengths.max(), KEYS), np.float32)
    for row, chorale in zip(roll, chorales, strict=True):
        for step, notes in zip(row, chorale, strict=False):
            step[[note - LOWEST + semitones for note in notes]] = 1
    return Rolls(roll[:, :-1], roll[:, 1:], lengths - 1)


def transposed(chorales: list[Chorale], semitones: int) -> Rolls:
    """The rolls in every key from so many semitones down to as many up."""
    moved = [rolls(chorales, by) for by in range(-semitones, semitones + 1)]
    return Rolls(
        *(np.concatenate([part.x for part in moved]), np.concatenate([part.y for part in moved])),
        np.concatenate([part.lengths for part in moved]),
    )


def nll(model: fl.Model, part: Rolls) -> float:
    """-Σ (y log p + (1 - y) log(1 - p)) over the keys, a mean over all steps of all chorales (Bai et al. 2018)."""
    return KEYS * fl.Trainer(model, "sigmoid_cross_entropy").evaluate(part.x, part.y, lengths=part.lengths)["loss"]


def fit(train: Rolls, valid: Rolls, test: Rolls, seed: int, settings: Settings) -> Fit:
    """Train, go back to the best epoch on the validation split, and look at the test split once."""
    layers = [fl.LSTM(KEYS, settings.hidden), fl.Dropout(settings.dropout), fl.Dense(settings.hidden, KEYS)]
    model = fl.Model(layers, seed=seed)
    trainer = fl.Trainer(
        model,
        "sigmoid_cross_entropy",
        fl.AdamW(settings.lr, weight_decay=settings.weight_decay),
        clip_norm=settings.clip,
        callbacks=[Cosine(warmup=settings.warmup), EarlyStopping(patience=settings.epochs)],
    )
    history = trainer.fit(
        *(train.x, train.y),
        lengths=train.lengths,
        epochs=settings.epochs,
        batch_size=settings.batch,
        validation=(valid.x, valid.y, valid.lengths),
        bucket=True,
        seed=seed,
        progress=False,
    )
    return Fit(seed, model, [KEYS * loss for loss in history["val_loss"]], nll(model, test))


def sample(model: fl.Model, start: Array, steps: int, seed: int) -> Array:
    """A chorale (steps, 88) that goes on from `start` (T, 88): each key is drawn by its own probability."""
    rng, stream = np.random.default_rng(seed), model.stream()
    scores = stream.run(start[None])[0, -1]
    played = []
    for _ in range(steps):
        keys = (rng.random(KEYS) < fl.sigmoid(scores)).astype(np.float32)
        played.append(keys)
        scores = stream.step(keys)[0]
    return np.array(played)


def rolls_figure(truth: Array, probabilities: Array, sampled: Array, start: int) -> Any:
    """Three piano rolls: a chorale, what the network expects at each of its steps, and one that it plays itself."""
    figure = plot.new_figure()
    figure.set_size_inches(11, 9)
    keys = slice(36 - LOWEST, 101 - LOWEST)
    panels = figure.subplots(3, 1, sharex=True)
    titles = (
        "a chorale of the test split",
        "what the network expects, one step ahead",
        "the network plays on by itself",
    )
    for axes, roll, title in zip(panels, (truth, probabilities, sampled), titles, strict=True):
        image = axes.imshow(
            roll[:, keys].T, origin="lower", aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest"
        )
        axes.set_title(title, loc="left", fontsize=12)
        octaves = [note for note in range(24, 109, 12) if keys.start <= note - LOWEST < keys.stop]
        axes.set_yticks([note - LOWEST - keys.start for note in octaves], [f"C{note // 12 - 1}" for note in octaves])
    panels[2].axvline(start - 0.5, color="#c8382c", lw=1.2)
    panels[2].set_xlabel("step (a quarter note)", fontsize=12)
    figure.colorbar(image, ax=panels, pad=0.01, label="probability")
    return figure


PAGE = """# Music

An LSTM learns J. S. Bach's chorales, predicts their next notes, and plays on by itself. The chorales are in quarter
notes (Boulanger-Lewandowski et al. 2012), with the usual split into {counts} chorales to train, validate and test. At
each step the network sees which of the piano's {keys} keys sound, and gives for each the probability that it sounds at
the next step. The measure is the negative log likelihood in nats a step: the cross-entropy summed over the keys,
averaged over all steps of all chorales. The LSTM of Bai et al. 2018 has 8.45.

This page is made by `python -m bench.studies.chorales`: {seconds:.0f} seconds on {processor}, with {threads}. All
numbers and the picture come from that run.

| seed | validation | test |
|---:|---:|---:|
{rows}
| mean | {mean_valid:.3f} | {mean_test:.3f} |
| worst | {worst_valid:.3f} | {worst_test:.3f} |

The network with the lowest loss on the validation split, that of seed {seed}, has **{test:.3f}** on the test split.
All choices, and the epoch of each training, were made by the validation split. In this run each trained network
saw the test split once. Before it, while the recipe was sought, three trainings were measured there, too.

The recipe: one LSTM of {hidden} units ({parameters:,} parameters); dropout of {dropout:g} on its outputs;
every training chorale in {moved} keys, from {semitones} semitones down to {semitones} up; AdamW with a weight
decay of {weight_decay:g}, a learning rate of {lr:g} that rises over {warmup} steps and falls as a cosine to
zero; gradients clipped to a norm of {clip:g}; batches of {batch}; {epochs} epochs, of which the best counts.

![Piano rolls](pictures/music-rolls.png)

The keys are drawn independently of each other, each by its own probability, which is what the likelihood above
assumes.

```python
import numpy as np

import fastlstm as fl

model = fl.Model([fl.LSTM(88, 16), fl.Dense(16, 88)], seed=0)  # train it as bench/studies/chorales.py does
rng, stream, keys = np.random.default_rng(0), model.stream(), np.zeros(88)
played = []
for _ in range(32):
    keys = rng.random(88) < fl.sigmoid(stream.step(keys)[0])
    played.append(np.flatnonzero(keys) + 21)  # numbers of MIDI
```

To listen, `pip install mido`, write a MIDI file, and open it in any player:

```py
import mido

file = mido.MidiFile()
track = file.add_track()
for notes in played:
    track.extend(mido.Message("note_on", note=int(note)) for note in notes)
    track.append(mido.Message("note_off", note=0, time=file.ticks_per_beat))  # a quarter note passes
    track.extend(mido.Message("note_off", note=int(note)) for note in notes)
file.save("chorale.mid")
```
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.studies.chorales", description=__doc__)
    parser.add_argument("--folder", type=Path, default=DOCS, help="where to write (default: docs)")
    options = parser.parse_args(argv)
    write(json.loads(data.find(FILE).read_text(encoding="utf-8")), Settings(), options.folder)
    return 0


def write(splits: dict[str, list[Chorale]], settings: Settings, folder: Path) -> list[Fit]:
    """The trainings of all seeds, and from them the page and its picture."""
    start = time.perf_counter()
    valid, test = rolls(splits["valid"]), rolls(splits["test"])
    train = transposed(splits["train"], settings.semitones)
    fits = [fit(train, valid, test, seed, settings) for seed in settings.seeds]
    chosen = min(fits, key=lambda one: one.best)
    length = min(48, int(test.lengths[0]))
    opening = test.x[0, : length // 3]
    sampled = np.concatenate([opening, sample(chosen.model, opening, length - len(opening), seed=0)])
    expected = fl.sigmoid(chosen.model.predict(test.x[:1, :length])[0])
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    figure = rolls_figure(test.y[0, :length], expected, sampled, len(opening))
    plot.save_figure(figure, folder / "pictures/music-rolls.png")
    (folder / "music.md").write_text(
        page(fits, chosen, splits, settings, time.perf_counter() - start), encoding="utf-8"
    )
    return fits


def page(fits: list[Fit], chosen: Fit, splits: dict[str, list[Chorale]], settings: Settings, seconds: float) -> str:
    facts, count = machine.describe(), fl.get_num_threads()
    valid, test = [one.best for one in fits], [one.test for one in fits]
    return PAGE.format(
        **{name: getattr(settings, name) for name in settings.__dataclass_fields__},
        seconds=seconds,
        processor=facts["processor"].partition(";")[0],
        threads=f"{count} thread{'s' * (count > 1)}, fastlstm {facts['fastlstm']}",
        counts=", ".join(str(len(splits[name])) for name in ("train", "valid", "test")),
        keys=KEYS,
        rows="\n".join(f"| {one.seed} | {one.best:.3f} | {one.test:.3f} |" for one in fits),
        **{"mean_valid": np.mean(valid), "mean_test": np.mean(test)},
        **{"worst_valid": max(valid), "worst_test": max(test)},
        **{"seed": chosen.seed, "test": chosen.test},
        parameters=chosen.model.num_parameters,
        moved=2 * settings.semitones + 1,
    )


if __name__ == "__main__":
    raise SystemExit(main())
