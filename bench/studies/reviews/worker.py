"""One process of the benchmark on reviews: trains and measures one net, and writes its figures as JSON.

    python -m bench.studies.reviews.worker TASK SEED THREADS FOLDER FIGURES.json

The folder holds what `bench.studies.reviews` has read: arrays for the nets of the textbooks, texts for the others.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.studies.reviews.archives import FOLDS, Reviews

Array = NDArray[Any]
Figures = dict[str, Any]

WORDS, EMBEDDING, HIDDEN, LENGTH = 5000, 32, 100, 500
BATCH, EPOCHS, LEARNING_RATE = 64, 3, 1e-3

NGRAMS, STRENGTHS = ((1, 1), (1, 2)), (1.0, 3.0, 10.0, 30.0)
"""Of the bag of words: which n-grams, and C, the inverse of the regularization; chosen on the validation part."""


def start_values(seed: int) -> dict[str, Array]:
    """Parameters as Keras starts them, gates in the order i, f, g, o, one row for each output."""
    rng = np.random.default_rng(seed)

    def glorot(rows: int, columns: int) -> Array:
        bound = (6 / (rows + columns)) ** 0.5
        return rng.uniform(-bound, bound, (rows, columns))

    bias = np.zeros(4 * HIDDEN)
    bias[HIDDEN : 2 * HIDDEN] = 1  # of the forget gate
    recurrent, _ = np.linalg.qr(rng.standard_normal((4 * HIDDEN, HIDDEN)))
    values = {
        "embedding": rng.uniform(-0.05, 0.05, (WORDS, EMBEDDING)),
        "weight_ih": glorot(4 * HIDDEN, EMBEDDING),
        "weight_hh": recurrent,
        "bias": bias,
        "weight": glorot(1, HIDDEN),
        "bias_out": np.zeros(1),
    }
    return {name: value.astype(np.float32) for name, value in values.items()}


def orders(seed: int, count: int) -> Iterator[Array]:
    """The order of the reviews in each epoch, the same for every contender."""
    for epoch in range(EPOCHS):
        yield np.random.default_rng([seed, epoch]).permutation(count)


def textbook(folder: Path) -> dict[str, tuple[Array, Array, Array]]:
    """x, lengths and y of the parts."""
    with np.load(folder / "textbook.npz") as arrays:
        return {
            part: (arrays[f"{part}_x"], arrays[f"{part}_lengths"], arrays[f"{part}_y"].astype(np.float32)[:, None])
            for part in ("train", "test")
        }


def our_net(seed: int) -> Any:
    import fastlstm as fl

    model = fl.Model(
        [fl.Embedding(WORDS, EMBEDDING), fl.LSTM(EMBEDDING, HIDDEN), fl.Last(), fl.Dense(HIDDEN, 1)], seed=0
    )
    given = start_values(seed)
    names = {
        "0.weight": "embedding",
        "1.weight_ih_l0": "weight_ih",
        "1.weight_hh_l0": "weight_hh",
        "1.bias_l0": "bias",
        "3.weight": "weight",
        "3.bias": "bias_out",
    }
    for name, parameter in model.named_parameters().items():
        parameter.value = given[names[name]]
    return model


def ours(seed: int, folder: Path) -> Figures:
    """The textbook's net in fastlstm, over the same padded batches as Keras."""
    import fastlstm as fl

    parts = textbook(folder)
    x, _, y = parts["train"]
    model = our_net(seed)
    trainer = fl.Trainer(model, fl.sigmoid_cross_entropy, fl.Adam(LEARNING_RATE, eps=1e-7))
    order = list(orders(seed, len(x)))

    def batches(epoch: int) -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(x), BATCH):
            rows = order[epoch - 1][start : start + BATCH]
            yield x[rows], y[rows]

    began = time.perf_counter()
    history = trainer.fit_batches(batches, epochs=EPOCHS, batches_per_epoch=-(-len(x) // BATCH), progress=False)
    trained = time.perf_counter()
    found = model.predict(parts["test"][0])[:, 0] > 0
    return figures(began, trained, found, parts["test"][2], history["loss"])


def ours_lengths(seed: int, folder: Path) -> Figures:
    """The same net over the reviews as long as they are, batches of similar lengths."""
    import fastlstm as fl

    parts = {part: (padded_behind(x, lengths), lengths, y) for part, (x, lengths, y) in textbook(folder).items()}
    x, lengths, y = parts["train"]
    model = our_net(seed)
    trainer = fl.Trainer(model, fl.sigmoid_cross_entropy, fl.Adam(LEARNING_RATE, eps=1e-7))
    began = time.perf_counter()
    history = trainer.fit(
        x, y, lengths=lengths, bucket=True, batch_size=BATCH, epochs=EPOCHS, seed=seed, progress=False
    )
    trained = time.perf_counter()
    x, lengths, y = parts["test"]
    found, order = np.empty(len(x), bool), np.argsort(lengths, kind="stable")
    for rows in np.array_split(order, -(-len(x) // 256)):
        found[rows] = model.predict(x[rows, : lengths[rows].max()], lengths=lengths[rows])[:, 0] > 0
    return figures(began, trained, found, y, history["loss"])


def padded_behind(x: Array, lengths: Array) -> Array:
    turned = np.zeros_like(x)
    for new, old, length in zip(turned, x, lengths, strict=True):
        new[:length] = old[len(old) - length :]
    return turned


def keras_net(seed: int, folder: Path) -> Figures:
    """The textbook's net in Keras on TensorFlow."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from bench.contenders.keras_tensorflow import set_threads

    set_threads(int(os.environ["OMP_NUM_THREADS"]))
    parts = textbook(folder)
    x, _, y = parts["train"]
    layers = keras.layers
    model = keras.Sequential(
        [layers.Embedding(WORDS, EMBEDDING), layers.LSTM(HIDDEN), layers.Dense(1, activation="sigmoid")]
    )
    model.build((None, LENGTH))
    given = list(start_values(seed).values())
    model.set_weights([given[0], *(value.T for value in given[1:])])
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "binary_crossentropy", metrics=["accuracy"])
    losses = []
    began = time.perf_counter()
    for order in orders(seed, len(x)):
        history = model.fit(x[order], y[order], batch_size=BATCH, shuffle=False, verbose=0)
        losses += history.history["loss"]
    trained = time.perf_counter()
    found = model.predict(parts["test"][0], batch_size=256, verbose=0)[:, 0] > 0.5
    return figures(began, trained, found, parts["test"][2], losses)


def figures(began: float, trained: float, found: Array, y: Array, losses: list[float]) -> Figures:
    return {
        "accuracy": float(np.mean(found == (y[:, 0] > 0.5))),
        "train_seconds": trained - began,
        "test_seconds": time.perf_counter() - trained,
        "losses": list(map(float, losses)),
    }


def texts(folder: Path, name: str) -> Reviews:
    rows = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return Reviews(rows["texts"], np.array(rows["positive"]))


def better(seed: int, folder: Path) -> Figures:
    """The defaults of `fastlstm.classification`: on the training part for validation, on both for the test."""
    from fastlstm.classification import Classifier, Recipe

    train, val, test = (texts(folder, part) for part in ("train", "val", "test"))
    recipe = Recipe(seed=seed)
    chosen = Classifier(recipe)
    began = time.perf_counter()
    chosen.fit(train.texts, train.labels, progress=False)
    validated = chosen.probabilities(val.texts)[:, 1]
    middle = time.perf_counter()
    final = Classifier(recipe)
    both = train + val
    history = final.fit(both.texts, both.labels, progress=False)
    trained = time.perf_counter()
    found = final.probabilities(test.texts)[:, 1]
    final.save(folder / f"better-{seed}.safetensors")
    return {
        "val_accuracy": agreement(validated, val.positive),
        "accuracy": agreement(found, test.positive),
        "val_seconds": middle - began,
        "train_seconds": trained - middle,
        "test_seconds": time.perf_counter() - trained,
        "losses": list(map(float, history["loss"])),
        "val_probabilities": validated.round(6).tolist(),
        "probabilities": found.round(6).tolist(),
        "parameters": final.fitted.model.num_parameters,
    }


def agreement(probabilities: Array, positive: Array) -> float:
    return float(np.mean((probabilities > 0.5) == positive))


def words(seed: int, folder: Path) -> Figures:
    """Logistic regression on TF-IDF: n-grams and C by the validation part, then learned from both, and tested."""
    train, val, test = (texts(folder, part) for part in ("train", "val", "test"))
    began = time.perf_counter()
    scores: dict[str, float] = {}
    for ngrams in NGRAMS:
        vectors = vectorizer(ngrams)
        x, held = vectors.fit_transform(train.texts), vectors.transform(val.texts)
        for strength in STRENGTHS:
            score = regression(strength).fit(x, train.positive).score(held, val.positive)
            scores[json.dumps([ngrams[1], strength])] = float(score)
    best = max(scores, key=scores.__getitem__)
    longest, strength = json.loads(best)
    middle = time.perf_counter()
    both, vectors = train + val, vectorizer((1, longest))
    model = regression(strength).fit(vectors.fit_transform(both.texts), both.positive)
    trained = time.perf_counter()
    accuracy = float(model.score(vectors.transform(test.texts), test.positive))
    return {
        "scores": scores,
        "ngrams": longest,
        "strength": strength,
        "features": len(vectors.vocabulary_),
        "val_accuracy": scores[best],
        "accuracy": accuracy,
        "val_seconds": middle - began,
        "train_seconds": trained - middle,
        "test_seconds": time.perf_counter() - trained,
    }


def vectorizer(ngrams: tuple[int, int]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=ngrams, min_df=2, sublinear_tf=True)


def regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, solver="liblinear")  # lbfgs stops early on so many features


def polarity(seed: int, folder: Path) -> Figures:
    """The defaults in ten folds."""
    from fastlstm.classification import Classifier, Recipe

    def accuracy(learned: Reviews, held_out: Reviews) -> float:
        classifier = Classifier(Recipe(seed=seed))
        classifier.fit(learned.texts, learned.labels, progress=False)
        return agreement(classifier.probabilities(held_out.texts)[:, 1], held_out.positive)

    return in_folds(folder, accuracy)


def polarity_words(seed: int, folder: Path) -> Figures:
    """The bag of words in ten folds, with 1-grams and 2-grams and a C that nobody has chosen by these."""

    def accuracy(learned: Reviews, held_out: Reviews) -> float:
        vectors = vectorizer((1, 2))
        model = regression(10.0).fit(vectors.fit_transform(learned.texts), learned.positive)
        return float(model.score(vectors.transform(held_out.texts), held_out.positive))

    return in_folds(folder, accuracy)


def in_folds(folder: Path, accuracy: Callable[[Reviews, Reviews], float]) -> Figures:
    reviews, fold = texts(folder, "polarity"), np.load(folder / "folds.npy")
    began = time.perf_counter()
    scores = [
        accuracy(reviews.take(np.flatnonzero(fold != k)), reviews.take(np.flatnonzero(fold == k))) for k in range(FOLDS)
    ]
    return {"folds": scores, "train_seconds": time.perf_counter() - began}


TASKS: dict[str, Callable[[int, Path], Figures]] = {
    "ours": ours,
    "ours_lengths": ours_lengths,
    "keras": keras_net,
    "words": words,
    "better": better,
    "polarity": polarity,
    "polarity_words": polarity_words,
}


def main(task: str, seed: str, threads: str, folder: str, path: str) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    Path(path).write_text(json.dumps(TASKS[task](int(seed), Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
