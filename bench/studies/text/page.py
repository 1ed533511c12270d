"""docs/text.md and its picture, from what `python -m bench.studies.text` has measured."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

COLORS = {"fastlstm": "#c8382c", "torch": "#8a8f98"}
NAMES = {"fastlstm": "fastlstm", "torch": "PyTorch", "bfloat16": "fastlstm in bfloat16"}

PROSE = """# Text

`fastlstm text` trains a language model: a network that reads a text, learns at each character or word what comes next,
and then goes on writing.

```sh
fastlstm text train shakespeare.txt --minutes 5 --output shakespeare
fastlstm text generate shakespeare --prompt "ROMEO:" --length 1000
```

`text train` learns from any file in UTF-8, and holds out its last 15 %. Two thirds of these are the validation part:
after each epoch the command says how well it is predicted, and it keeps the network of the best epoch. The rest is the
test part, by which nothing is chosen: at the end the command says how well the network predicts it. It writes
`model.safetensors` (the vocabulary is in it) and `curve.png`.

- A model that is there already is replaced only with `--force`.
- Ctrl-C ends the training and leaves what it has learned in `unfinished/`, beside an earlier model. `--resume` goes on
  from there, to the same end as without a pause.
- `--words` learns words and punctuation instead of characters.

`text generate` writes to the terminal, each character as it is drawn. A [stream](lstm.md#streams) keeps the network's
state, so that a step costs the same however long the text is.

## What the figures mean

The loss is the mean of -log p of the character that came, in nats; divided by log 2 it is bits a character. For words
there is also its exponential, the perplexity: among how many words, all as likely, the network would be as unsure.
Beside it stands the loss of somebody who only knows how often each character comes.

The loss is measured on held-out text. After each epoch, the command takes as many streams as it learns from, each from
a zero state. On the test part, in `LanguageModel.loss` and in the tables below, the state is carried through from the
beginning of the part. The tables hold out one part, the last tenth, and choose no epoch by it.

## What is drawn

| option | what it does |
|---|---|
| `--temperature T` | scores are divided by T: below 1 the likely becomes likelier, at 0 only the likeliest is written |
| `--top-k K` | a draw from the K likeliest only |
| `--top-p P` | a draw from the nucleus, the fewest likeliest that add up to P (Holtzman et al. 2020) |
| `--seed N` | the same seed, the same text |

The characters of a prompt must have been in the text. A word that was not in the text is unknown, and the unknown word
is never written.

## In Python

```python
from fastlstm.text import LanguageModel, Recipe, Vocabulary, split

text = "Full fathom five thy father lies; of his bones are coral made. " * 50
train, held_out = split(text)

recipe = Recipe(hidden_size=32, num_layers=1, window=16, epochs=6, learning_rate=0.02)
writer = LanguageModel(Vocabulary.of(text), recipe)
history = writer.fit(train, held_out)
print(writer.loss(held_out), "nats a character")
for piece in writer.generate("Full", 60, temperature=0.8, top_p=0.9, seed=0):
    print(piece, end="", flush=True)

writer.save("coral.safetensors")
again = LanguageModel.load("coral.safetensors")
```

`fastlstm.text.Recipe` has all numbers of a training. It trains by AdamW, with a learning rate that rises and falls
along half a cosine, the gradient's norm clipped, dropout on the output of each LSTM layer, and truncated
back-propagation through time, the state carried from window to window. `fastlstm.text.probabilities` and
`fastlstm.text.Sampler` work on the scores of any model.
"""

SAME = """## The same training in PyTorch

Both libraries learn tinyshakespeare, {characters} characters, the first nine tenths to train on. The network is an
embedding of {embedding_size}, an LSTM of {num_layers} layers of {hidden_size} units, dropout {dropout:g} on each
layer's output, and a dense layer: {parameters:,} parameters. The training is {epochs} epochs of {batch_size} streams in
windows of {window} steps, the state carried; Adam with a peak rate of {learning_rate:g}, warm-up and half a cosine; the
gradient's norm clipped to {clip_norm:g} in both libraries. They begin from the same weights, see the same batches in
the same order and run on {threads} threads, in fresh processes in turn. PyTorch runs `torch.nn.LSTM` as it comes, time
first, its second bias held at zero; only the dropout masks differ. Times are of training alone, without the validation.

"""

BEST = """## The best recipe in a quarter of an hour

This recipe was found by hand within 15 minutes of training on two cores: {num_layers} layers of {hidden_size} units,
{parameters:,} parameters, an embedding of {embedding_size}, dropout {dropout:g}; {epochs} epochs of {batch_size}
streams in windows of {window} steps; AdamW with a peak rate of {learning_rate:g} and a decay of {weight_decay:g}; the
network of the last epoch, not of the best.

"""


def write(results: dict[str, Any], folder: Path) -> Path:
    """The page and its picture; says where the page is."""
    parts = [PROSE]
    for name, part in (("same", same), ("best", best)):
        if name in results:
            parts.append(part(results[name], folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.md").write_text("\n".join(parts), encoding="utf-8")
    return folder / "text.md"


def same(measured: dict[str, Any], folder: Path) -> str:
    fastest = {name: min(runs, key=lambda run: run["seconds"][-1]) for name, runs in measured["runs"].items()}
    lines = ["| | training | an epoch | validation loss | bits a character |", "|---|---:|---:|---:|---:|"]
    for name, run in fastest.items():
        final, seconds = run["final"], run["seconds"]
        lines.append(
            f"| {NAMES[name]} | {seconds[-1]:.0f} s | {seconds[-1] / len(seconds):.1f} s | {final:.4f} | "
            f"{final / math.log(2):.3f} |"
        )
    ours, theirs = fastest["fastlstm"], fastest["torch"]
    ratio, apart = theirs["seconds"][-1] / ours["seconds"][-1], abs(ours["final"] / theirs["final"] - 1)
    lines += ["", f"PyTorch takes {ratio:.2f} times as long; the losses are {apart:.2%} apart."]
    rounds = len(measured["runs"]["fastlstm"])
    if rounds > 1:
        lines[-1] += f" The fastest of {rounds} trainings of each counts."
    picture = draw(fastest, folder / "pictures" / "text-same.png", "The same training, on a clock")
    return filled(SAME, facts(measured, ours)) + "\n".join(lines) + after(measured, picture)


def best(measured: dict[str, Any], folder: Path) -> str:
    run = min(measured["runs"]["fastlstm"], key=lambda run: run["wall"])
    final = run["final"]
    words = (
        f"**{final:.4f} nats a character** ({final / math.log(2):.3f} bits) on the held-out tenth after "
        f"{run['wall'] / 60:.1f} minutes on {measured['threads']} threads, the validations among them "
        f"({run['seconds'][-1] / 60:.1f} without)."
    )
    picture = draw({"fastlstm": run}, folder / "pictures" / "text-best.png", "The best recipe")
    sample = textwrap.indent("ROMEO:\n" + run["sample"].rstrip(), "    ", lambda line: True)
    sample = "\n".join(line.rstrip() for line in sample.splitlines())
    sample = f"<!-- codespell:ignore-begin -->\n\n{sample}\n\n<!-- codespell:ignore-end -->"  # its words are its own
    asked = f"\nWhat it writes, asked for what comes after `ROMEO:` (temperature 0.8, seed 0):\n\n{sample}\n"
    return filled(BEST, facts(measured, run)) + textwrap.fill(words, 120) + after(measured, picture) + asked


def facts(measured: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """What the prose speaks of."""
    count = f"the first {measured['characters']:,}" if measured["characters"] else "all 1,115,394"
    epochs = len(run["loss"])
    return {**run["recipe"], **run, "threads": measured["threads"], "characters": count, "epochs": epochs}


def filled(prose: str, known: dict[str, Any]) -> str:
    """Prose with its facts, in lines of one length."""
    return "\n\n".join(textwrap.fill(part, 120) for part in prose.strip().format(**known).split("\n\n")) + "\n\n"


def after(measured: dict[str, Any], picture: Path) -> str:
    """The picture, the command and the machine."""
    machine = "".join(f"- {name}: {text}\n" for name, text in measured["machine"].items())
    return f"\n\n![Loss by seconds of training](pictures/{picture.name})\n\nBy `{measured['command']}` on\n\n{machine}"


def draw(runs: dict[str, dict[str, Any]], path: Path, title: str) -> Path:
    """The losses of each contender by its seconds of training."""
    from fastlstm.plot.figure import finish, new_figure, save_figure

    figure = new_figure()
    axes = figure.add_subplot()
    for name, run in runs.items():
        color = COLORS[name]
        axes.plot(
            run["seconds"], run["val_loss"], color=color, lw=1.8, marker="o", ms=4, label=f"{NAMES[name]}, validation"
        )
        axes.plot(run["seconds"], run["loss"], color=color, lw=1, ls="--", label=f"{NAMES[name]}, training")
    finish(axes, title, "nats a character", "seconds of training")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
    return path
