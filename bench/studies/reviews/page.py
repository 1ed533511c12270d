"""docs/classification.md from the figures of `bench.studies.reviews`: python -m bench.studies.reviews docs imdb.json"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from bench.studies import DOCS

PICTURE, GATES = "classification-words.png", "classification-gates.png"

REVIEW = (
    "I wanted to like this film. The first half hour is lovely, with a quiet, funny performance from the two leads, "
    "and the music is wonderful. But then the plot falls apart, the jokes get tired, and the ending is a dull, "
    "predictable mess. Not terrible, but what a waste of a great cast!"
)
"""Written for the picture."""

PAGE = Template("""\
# Classification of texts

`fastlstm classify` learns from labelled texts which of some classes a text belongs to: reviews that praise or
criticise, mails by their department, questions by their topic.

    fastlstm classify train reviews --output reviews-model
    fastlstm classify predict reviews-model "What a waste of two hours." review.txt
    fastlstm classify predict reviews-model review.txt --explain

`reviews` is a folder with a subfolder of files `*.txt` for each class, or a CSV file with the columns `text` and
`label`, which may be packed as `.gz`, `.bz2` or `.xz` and take 128 MB unpacked; `--max-megabytes`, in Python
`read_texts(path, max_bytes=...)`, allows more. Columns of other names are found, or
named by `--text` and `--label`.

Two tenths of each class are not learned from. One is the validation part: it is classified after each epoch, and the
network of the best epoch is kept. Its share of right answers flatters the network, which was chosen by it. The other is
the test part: it is classified once, at the end, and says what to expect of other texts of the same kind. A model that
is there already is replaced only with `--force`, and `--resume` goes on after Ctrl-C.

From Python:

```python
from fastlstm.classification import Classifier, Recipe

texts = ["a fine film", "a dull film", "what a fine day", "how dull it was"] * 8
classifier = Classifier(Recipe(embedding_size=8, hidden_size=8, batch_size=8, learning_rate=0.02, epochs=20))
classifier.fit(texts, ["good", "bad"] * 16, progress=False)
print(classifier.predict(["what a dull film"]))
classifier.save("model.safetensors")
```

The figures of this page are made by

    pip install '.[bench]'
    python -m bench.studies.reviews --json imdb.json
    python -m bench.studies.reviews docs imdb.json

from two public sets of film reviews in the folder that the variable `FASTLSTM_DATA` names. Unlike the command, they
choose no epoch: every network is that of its last epoch. They were measured on $threads threads of this machine:

$machine

## 50,000 reviews, in the network of the textbooks

The set of Maas et al. (2011) in its usual parts: 20,000 reviews to learn from, 5,000 to choose by, 25,000 to test on,
half of them positive. The network that textbooks and tutorials show for it is a word vector of 32 numbers, an LSTM of
100 units and one output, for the 5,000 most frequent words and the last 500 words of each review, in 3 epochs of
batches of 64 with Adam at 0.001.

As in the textbooks, shorter reviews are filled up in front with the token 0, which both libraries read like a word:
there is no mask, and each batch is 500 steps long. fastlstm and Keras begin with the same weights, see the same batches
in the same order, and do the same work; only Adam's epsilon stands in another place. Each is trained in fresh
processes, $seeds seeds in turn.

$textbook

$verdict

The last line is fastlstm as it is meant to be used: given the reviews' lengths, it reads no padding, and batches hold
reviews of similar lengths. Reading the archive took $archive, numbering its words $numbering; neither is in these
times.

## A better network, and the honest baseline

Is an LSTM worth it? A bag of words, which knows no order at all, is the baseline: logistic regression on TF-IDF, the
longest n-grams and the strength of the regularization chosen on the 5,000 reviews of the validation part: $bag.

Beside it stands the recipe of `fastlstm classify` with its defaults: $recipe

The recipe was chosen on the validation part too. Then both learned from training and validation part together, and were
tested once.

$better

$better_text

What the $nets networks together said of the 25,000 test reviews:

$confusion

The next picture shows which words counted, in a review written for this page ($explained). Each word is replaced by an
unknown one in turn; what the logarithm of the odds loses by that is what the word said. Blue words speak for the class,
orange ones against.

![what each word says](pictures/$picture)

This one shows what the gates of its LSTM do at each word, in the direction that reads from the first on
(`Classifier.gates`): the 24 units whose cells vary most.

![the gates at each word](pictures/$gates)

## 2,000 reviews

With few texts the answer may be another one. The 2,000 reviews of Pang and Lee (2004) come in ten folds by the number
of the file, as in their paper: nine to learn from, one to test on.

$polarity

$polarity_text

The bag of words here always has 1-grams and 2-grams and C = 10, the network the defaults of `fastlstm classify`. Its
learning rate was chosen by the first of these folds, fold 0, among others; the nine after it were never looked at.
""")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.studies.reviews docs", description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--folder", type=Path, default=DOCS, help="where to write (default: docs)")
    options = parser.parse_args(argv)
    result = json.loads(options.figures.read_text(encoding="utf-8"))
    (options.folder / "pictures").mkdir(exist_ok=True)
    picture(result["better"]["explained"], options.folder / "pictures" / PICTURE)
    gates_picture(result["better"]["explained"], options.folder / "pictures" / GATES)
    (options.folder / "classification.md").write_text(page(result), encoding="utf-8")
    return 0


def page(result: dict[str, Any]) -> str:
    nets, together, bag = result["better"]["nets"], result["better"]["together"], result["words"]
    explained = result["better"]["explained"]
    ours, words = result["polarity"]["ours"], result["polarity"]["words"]
    written = PAGE.substitute(
        threads=result["threads"],
        machine="\n".join(f"- {name}: {text}" for name, text in result["machine"].items()),
        seeds=len(result["textbook"]["ours"]),
        textbook=textbook_table(result["textbook"]),
        archive=seconds(result["reading"]["archive"]),
        numbering=seconds(result["reading"]["textbook"]),
        verdict=verdict(result["textbook"]),
        bag=f"up to {bag['ngrams']} words, C = {bag['strength']:g}, {bag['features']:,} features",
        recipe=recipe_text(nets[0]["parameters"]),
        better=better_table(result),
        better_text=beaten(bag["accuracy"], together["accuracy"]),
        nets=len(nets),
        confusion=confusion_table(together["confusion"]),
        explained=f"{percent(explained['probability'])} {explained['class']}",
        picture=PICTURE,
        gates=GATES,
        polarity=table(
            ["", "right of a fold", "folds 1 to 9", "time of all ten"],
            [
                ["fastlstm", spread(ours["folds"]), spread(ours["folds"][1:]), seconds(ours["train_seconds"])],
                ["bag of words", spread(words["folds"]), spread(words["folds"][1:]), seconds(words["train_seconds"])],
            ],
        ),
        polarity_text=small_text(float(np.mean(ours["folds"])), float(np.mean(words["folds"]))),
    )
    return "\n".join(line if line.startswith("|") else textwrap.fill(line, 120) for line in written.split("\n"))


NAMES = {
    "ours": "fastlstm",
    "keras": "Keras on TensorFlow",
    "ours_lengths": "fastlstm, with lengths",
}


def textbook_table(found: dict[str, Any]) -> str:
    return table(
        ["", "right of the test reviews", "training", "loss of each epoch (first seed)"],
        [
            [
                name,
                spread([one["accuracy"] for one in found[key]]),
                seconds(min(one["train_seconds"] for one in found[key])),
                ", ".join(f"{loss:.3f}" for loss in found[key][0]["losses"]),
            ]
            for key, name in NAMES.items()
            if key in found
        ],
    )


def verdict(found: dict[str, Any]) -> str:
    if "keras" not in found:
        return ""
    best = {key: min(one["train_seconds"] for one in runs) for key, runs in found.items()}
    share = best["ours"] / best["keras"]
    text = f"The time is the best of the seeds'. fastlstm takes {share:.2f} of Keras' time over the same batches"
    if "ours_lengths" in best:
        text += f", and {best['ours_lengths'] / best['keras']:.2f} of it with lengths"
    return text + "."


def better_table(result: dict[str, Any]) -> str:
    nets, together, bag = result["better"]["nets"], result["better"]["together"], result["words"]
    total = sum(net["train_seconds"] for net in nets)
    return table(
        ["", "validation", "test", "learning from both parts"],
        [
            ["bag of words", percent(bag["val_accuracy"]), percent(bag["accuracy"]), seconds(bag["train_seconds"])],
            [
                "fastlstm, one network",
                spread([net["val_accuracy"] for net in nets]),
                spread([net["accuracy"] for net in nets]),
                seconds(total / len(nets)),
            ],
            [
                f"fastlstm, mean of {len(nets)} networks",
                percent(together["val_accuracy"]),
                percent(together["accuracy"]),
                seconds(total),
            ],
        ],
    )


def recipe_text(parameters: int) -> str:
    from fastlstm.classification import Recipe

    recipe = Recipe()
    return (
        f"the {recipe.vocabulary:,} most frequent words, the last {recipe.length} of each review, vectors of "
        f"{recipe.embedding_size} numbers that begin where the words beside each word put them, "
        f"{recipe.hidden_size} LSTM units in each direction, of each unit the largest output over all words, "
        f"{percent(recipe.word_dropout)} of the words unknown in each epoch, dropout of {recipe.dropout} before and "
        "after, "
        f"{recipe.epochs_of(25_000)} epochs; {parameters:,} parameters."
    )


def beaten(bag: float, ours: float) -> str:
    how = "is ahead of" if ours > bag else "stays behind"
    return f"The mean of the networks {how} the bag of words, by {abs(ours - bag) * 100:.1f} points."


def small_text(ours: float, words: float) -> str:
    if ours < words:
        return (
            "The bag of words wins, as expected: 1,800 texts are too few to learn word vectors and an "
            "order from. With so few texts take the simpler tool."
        )
    return "The network is ahead even here."


def confusion_table(rows: list[list[int]]) -> str:
    named = zip(("negative", "positive"), rows, strict=True)
    return table(["", "said negative", "said positive"], [[name, *(f"{n:,}" for n in row)] for name, row in named])


def picture(explained: dict[str, Any], path: Path) -> None:
    from fastlstm import plot

    figure = plot.tokens_figure(
        explained["words"],
        explained["effects"],
        title=f"{explained['class']}, {percent(explained['probability'])}: what each word says for it",
        label="log-odds lost without the word",
        signed=True,
    )
    plot.save_figure(figure, path)


def gates_picture(explained: dict[str, Any], path: Path) -> None:
    from fastlstm import plot
    from fastlstm.layers import Gates

    gates = Gates(**{name: np.array(values, np.float32) for name, values in explained["gates"].items()})
    plot.save_figure(
        plot.gates_figure(gates, tokens=explained["words"], title="The gates of an LSTM over a review"), path
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def spread(shares: list[float]) -> str:
    """Mean and standard deviation."""
    deviation = f" ± {100 * float(np.std(shares, ddof=1)):.1f}" if len(shares) > 1 else ""
    return f"{100 * float(np.mean(shares)):.1f}{deviation} %"


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"
