"""The benchmark on reviews: what it reads, that its nets begin alike, and the page that it writes."""

import importlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from fastlstm.layers import Gates

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package")


@pytest.fixture
def bench(monkeypatch):
    """Its modules, imported from the repository."""
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.studies import reviews

    for name in ("archives", "page", "worker"):
        importlib.import_module(f"{reviews.__name__}.{name}")
    return reviews


def archive(path, files):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w:xz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture
def data(tmp_path):
    """Two archives with the layout of the real ones, and few reviews."""
    words = {"pos": "a great film, really great", "neg": "an awful film, really awful"}
    imdb = {
        f"imdb/{part}/{kind}/{k}_7.txt": f"{text} {k % 3}<br />" + " the" * (k % 4)
        for part in ("train", "val", "test")
        for kind, text in words.items()
        for k in range(6)
    }
    archive(tmp_path / "imdb.tar.xz", imdb)
    small = {
        f"txt_sentoken/{kind}/cv{k:03}_1.txt": f"{text} {k}" for kind, text in words.items() for k in range(0, 1000, 50)
    }
    archive(tmp_path / "review_polarity.tar.gz", small)
    return tmp_path


def test_reviews_are_read_in_the_order_of_their_names(bench, data):
    parts = bench.archives.imdb(data / "imdb.tar.xz", most=4)
    assert {name: len(part) for name, part in parts.items()} == {"train": 8, "val": 8, "test": 8}
    assert parts["train"].labels == ["neg"] * 4 + ["pos"] * 4
    assert parts["train"].texts[1] == "an awful film, really awful 1<br /> the"
    small, fold = bench.archives.polarity(data / "review_polarity.tar.gz")
    assert len(small) == 40 and np.bincount(fold).tolist() == [4] * 10
    assert small.texts[2].endswith(" 100") and fold[2] == 1 and not small.positive[2]


def test_textbook_arrays_are_padded_before_and_keep_the_last_words(bench):
    def part(*texts):
        return bench.archives.Reviews(list(texts), np.zeros(len(texts), bool))

    parts = {"train": part("b a b", "A<br />b c"), "test": part("c d a a b", "?")}
    arrays = bench.archives.textbook_arrays(parts, words=4, length=4)
    assert arrays["train"][0].tolist() == [[0, 2, 3, 2], [0, 3, 2, 1]]
    assert arrays["test"][0].tolist() == [[1, 3, 3, 2], [0, 0, 0, 1]]
    assert arrays["test"][1].tolist() == [4, 1]
    x, lengths = arrays["train"]
    assert bench.worker.padded_behind(x, lengths).tolist() == [[2, 3, 2, 0], [3, 2, 1, 0]]


@pytest.mark.slow
def test_all_contenders_begin_with_the_same_weights_and_see_the_same_orders(bench):
    values = bench.worker.start_values(3)
    model = bench.worker.our_net(3)
    assert all(value.dtype == np.float32 for value in values.values())
    assert sum(value.size for value in values.values()) == model.num_parameters
    np.testing.assert_array_equal(model.layers[1].parameter("weight_hh_l0").value, values["weight_hh"])
    np.testing.assert_allclose(values["weight_hh"].T @ values["weight_hh"], np.eye(100), atol=1e-5)
    first, again = (np.stack(list(bench.worker.orders(0, 20))) for _ in range(2))
    assert (first == again).all() and (np.sort(first) == np.arange(20)).all() and (first[0] != first[1]).any()


@pytest.mark.slow
def test_a_quick_look_runs_from_the_archives_to_the_figures(data, tmp_path):
    pytest.importorskip("sklearn")
    command = [
        "-m",
        "bench.studies.reviews",
        "--parts",
        "words",
        "better",
        "--seeds",
        "1",
        "--threads",
        "1",
        "--reviews",
        "6",
    ]
    environment = {**os.environ, "FASTLSTM_DATA": str(data)}
    command += ["--json", str(tmp_path / "figures.json")]
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, capture_output=True)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["better"]["nets"]) == 1 and np.sum(figures["better"]["together"]["confusion"]) == 12
    assert set(figures["words"]["scores"].values()) <= set(np.arange(13) / 12)
    assert len(figures["better"]["explained"]["words"]) == len(figures["better"]["explained"]["effects"]) > 40


@pytest.mark.slow
def test_the_page_says_what_was_measured(bench, tmp_path):
    pytest.importorskip("matplotlib")

    def net(accuracy, seconds):
        return {"accuracy": accuracy, "train_seconds": seconds, "test_seconds": 1.0, "losses": [0.5, 0.4]}

    def better(accuracy):
        return {**net(accuracy, 60.0), "val_accuracy": accuracy, "parameters": 1_346_562}

    result = {
        "machine": {"processor": "a processor"},
        "threads": 2,
        "reading": {"archive": 4.25, "textbook": 9.0},
        "textbook": {"ours": [net(0.86, 40.0), net(0.87, 41.0)], "keras": [net(0.862, 100.0), net(0.868, 90.0)]},
        "words": {**better(0.9), "ngrams": 2, "strength": 10.0, "features": 370_015},
        "better": {
            "nets": [better(0.9), better(0.902)],
            "together": {"val_accuracy": 0.912, "accuracy": 0.909, "confusion": [[11_400, 1_100], [1_175, 11_325]]},
            "explained": {
                "words": ["a", "waste"],
                "effects": [-0.1, 2.0],
                "gates": {name: [[[0.1, 0.2], [0.3, 0.4]]] for name in Gates.__dataclass_fields__},
                "class": "neg",
                "probability": 0.97,
            },
        },
        "polarity": {
            "ours": {"folds": [0.8, 0.82], "train_seconds": 100.0},
            "words": {"folds": [0.87, 0.86], "train_seconds": 9.0},
        },
    }
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps(result))
    assert bench.page.main([str(figures), "--folder", str(tmp_path)]) == 0
    page = (tmp_path / "classification.md").read_text(encoding="utf-8")
    assert "| fastlstm | 86.5 ± 0.7 % | 40.0 s | 0.500, 0.400 |" in page
    assert "Reading the archive took 4.2 s, numbering its words 9.0 s" in page
    assert "fastlstm takes 0.44 of Keras' time over the same batches." in page
    assert "The mean of the networks is ahead of the bag of words, by 0.9 points." in page
    assert "| positive | 1,175 | 11,325 |" in page and "The bag of words wins" in page and "$" not in page
    for name in ("words", "gates"):
        assert (tmp_path / f"pictures/classification-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "stays behind the bag of words, by 1.0 points" in bench.page.beaten(0.9, 0.89)
