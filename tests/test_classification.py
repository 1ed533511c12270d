"""Classification of texts: reading them, the words, learning, explaining, the command line, and real reviews."""

import csv
import json
import sys
import tarfile

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import cli
from fastlstm.classification import Classifier, Recipe, Texts, Vocabulary, read_texts, split_words, word_vectors
from fastlstm.classification.classifier import WithoutWords
from fastlstm.classification.report import confusion_table, summary
from fastlstm.classification.vocabulary import as_batch

GOOD = ("great", "lovely", "moving", "brilliant", "fun")
BAD = ("dull", "awful", "boring", "flat", "waste")
FILLING = ("the", "film", "and", "plot", "was", "of", "a", "cast", "story", "it")
SMALL = Recipe(embedding_size=8, hidden_size=8, batch_size=16, learning_rate=0.02, dropout=0.2, epochs=8)


def reviews(count, seed=0):
    """Reviews of 5 to 30 words, two or three of which say what they are; half of the good ones deny a bad word."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for k in range(count):
        good = k % 2 == 0
        words = list(rng.choice(FILLING, rng.integers(5, 30)))
        for word in rng.choice(GOOD if good else BAD, rng.integers(2, 4)):
            words.insert(rng.integers(len(words) + 1), word)
        if good and rng.random() < 0.5:
            words += ["not", rng.choice(BAD)]
        texts.append(" ".join(words) + ".")
        labels.append("good" if good else "bad")
    return Texts(texts, labels)


@pytest.fixture(scope="module")
def learned():
    texts = reviews(240)
    classifier = Classifier(SMALL)
    classifier.fit(texts.texts, texts.labels, progress=False)
    return classifier


@pytest.fixture
def folder(tmp_path):
    """Sixty reviews, a file each."""
    texts = reviews(60)
    for k, (text, label) in enumerate(zip(texts.texts, texts.labels, strict=True)):
        (tmp_path / "reviews" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "reviews" / label / f"{k:03}.txt").write_text(text, encoding="utf-8")
    return tmp_path / "reviews"


def error_of(capsys, *arguments, status=1):
    """The one line on stderr of a command that fails."""
    assert cli.main(list(map(str, arguments))) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("fastlstm: error: ")
    return lines[0]


def test_words_are_small_without_tags_and_with_their_apostrophes():
    assert split_words("<i>Don’t</i> GO_there,\nit's 1 < 2!?") == ["don't", "go", "there", "it's", "1", "2", "!", "?"]
    assert split_words("Ça, c'était <br/>L'Été <3") == ["ça", "c'était", "l'été", "3"]
    assert split_words(" <br> ... \x00") == []


def test_a_vocabulary_holds_the_most_frequent_words_ties_by_name():
    vocabulary = Vocabulary.of([["b", "a", "c"], ["c", "b", "d"]], most=3)
    assert vocabulary.words == ["b", "c", "a"] and len(vocabulary) == 5
    assert vocabulary.encode(["c", "d", "a"]).tolist() == [3, 1, 4]
    with pytest.raises(ValueError, match="words: expected each once, got 'a' twice"):
        Vocabulary(["a", "b", "a"])


def test_a_batch_keeps_the_last_words_and_pads_behind():
    x, lengths = as_batch([np.array([2, 3, 4, 5]), np.array([6]), np.array([], int)], length=3)
    assert x.tolist() == [[3, 4, 5], [6, 0, 0], [1, 0, 0]] and lengths.tolist() == [3, 1, 1]


def test_words_that_stand_beside_the_same_words_have_vectors_alike():
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(300):  # 2 and 3 stand among 10 to 19, 4 and 5 among 20 to 29
        kind = rng.integers(2)
        texts.append(np.insert(rng.integers(10, 20, 8) + 10 * kind, 4, 2 + 2 * kind + rng.integers(2)))
    vectors = word_vectors(texts, tokens=30, size=4)
    assert vectors.shape == (30, 4) and vectors.dtype == np.float32
    assert vectors.tobytes() == word_vectors(texts, tokens=30, size=4).tobytes()
    np.testing.assert_allclose(vectors.std(), 0.1, rtol=1e-5)
    unit = vectors[2:6] / np.linalg.norm(vectors[2:6], axis=1, keepdims=True)
    alike = unit @ unit.T
    assert min(alike[0, 1], alike[2, 3]) > 0.8 > 0.5 > np.abs(alike[:2, 2:]).max()
    assert max(np.abs(vectors[0]).max(), np.abs(vectors[6:10]).max()) < 1e-12


def test_vectors_of_texts_without_two_words_are_zeros():
    assert not word_vectors([np.array([2]), np.array([], int)], tokens=3, size=5).any()
    assert word_vectors([np.array([2, 3])], tokens=4, size=9).shape == (4, 9)


def test_an_epoch_has_every_text_once_with_a_share_of_its_words_unknown():
    recipe = Recipe(batch_size=4, word_dropout=0.3)
    model = recipe.model(100, 2)
    x = np.arange(2, 82).reshape(10, 8)
    lengths = np.array([8, 3, 8, 8, 5, 8, 8, 8, 2, 8])
    batches = WithoutWords(model, (x, lengths), np.arange(10) % 2, recipe)
    epochs = [list(batches.at(epoch)) for epoch in (1, 1, 2)]
    rows = [np.concatenate([batch[0][:, :2] for batch in epoch]) for epoch in epochs]
    assert (rows[0] == rows[1]).all() and not (rows[0] == rows[2]).all()
    assert len(batches) == len(epochs[0]) == 3
    words = np.concatenate([batch[0].ravel() for batch in epochs[0]])
    assert 0.1 < np.mean(words == 1) < 0.5
    seen = words[words != 1]
    assert len(set(seen)) == len(seen) and set(seen) <= set(x.ravel())


def test_synthetic_reviews_are_learned_within_a_few_epochs(learned):
    new = reviews(200, seed=1)
    assert np.mean(np.array(learned.predict(new.texts)) == new.labels) > 0.9
    probabilities = learned.probabilities(new.texts)
    assert probabilities.shape == (200, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def test_a_text_s_probability_does_not_depend_on_those_beside_it(learned):
    texts = reviews(40, seed=2).texts
    together = learned.probabilities(texts)
    alone = np.concatenate([learned.probabilities([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    texts = reviews(40)
    found = []
    for seed in (0, 0, 1):
        classifier = Classifier(Recipe(embedding_size=4, hidden_size=4, batch_size=8, epochs=1, seed=seed))
        classifier.fit(texts.texts, texts.labels, progress=False)
        found.append(classifier.probabilities(texts.texts).tobytes())
    assert found[0] == found[1] != found[2]


def test_what_is_loaded_is_what_was_saved(learned, tmp_path):
    learned.save(tmp_path / "m.safetensors")
    again = Classifier.load(tmp_path / "m.safetensors")
    texts = reviews(20, seed=3).texts
    assert again.probabilities(texts).tobytes() == learned.probabilities(texts).tobytes()
    assert again.recipe == learned.recipe and again.classes == ["bad", "good"]
    fl.save(fl.Model([fl.LSTM(1, 2)], seed=0), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds a model, but no classifier"):
        Classifier.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    "change", [{"words": ["a"]}, {"classes": ["x"]}, {"recipe": {"length": 0}}, {"recipe": {"a": 1}}]
)
def test_a_damaged_file_is_named(learned, tmp_path, change):
    state = {"recipe": {}, "words": learned.fitted.vocabulary.words, "classes": learned.classes} | change
    fl.save(learned.fitted.model, tmp_path / "m.safetensors", metadata={"classifier": json.dumps(state)})
    with pytest.raises(ValueError, match="m.safetensors: damaged: "):
        Classifier.load(tmp_path / "m.safetensors")


def test_an_explanation_names_the_words_that_decide(learned):
    words, effects = learned.explain("The plot of the film was awful and it was a story of the cast.")
    assert len(words) == len(effects) == 15
    assert words[int(effects.argmax())] == "awful"
    walked, gates = learned.gates("The plot of the film was awful and it was a story of the cast.")
    assert walked == words and gates.forget.shape[:2] == (1, len(words))
    with pytest.raises(ValueError, match="text: expected at least one word, got none"):
        learned.gates("...")
    assert learned.explain("...")[0] == [] and learned.explain("...")[1].shape == (0,)


def test_three_classes_are_learned():
    rng = np.random.default_rng(0)
    labels = ["red", "green", "blue"] * 40
    texts = [" ".join(rng.permutation([*rng.choice(FILLING, 6), label[:2] + "word"])) for label in labels]
    classifier = Classifier(SMALL)
    history = classifier.fit(texts, labels, (texts[:30], labels[:30]), progress=False)
    assert classifier.classes == ["blue", "green", "red"]
    assert history["val_accuracy"][-1] > 0.9


def test_few_texts_get_more_epochs():
    assert Recipe().epochs_of(10_000_000) == 4
    assert Recipe(batch_size=10).epochs_of(100) == 30
    assert Recipe(epochs=7).epochs_of(1) == 7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.fit(["a", "b"], ["x", "x"]), "labels: expected at least two classes"),
        (lambda c: c.fit(["a", "b"], ["x"] * 2 + ["y"]), "labels: expected 2, one for each text, got 3"),
        (lambda c: c.fit([], []), "texts: expected at least one, got none"),
        (lambda c: c.fit(["a", "b"], ["x", "y"], (["a"], ["z"])), "labels: expected those of the training"),
        (lambda c: Recipe(dropout=1.0), "dropout: expected at least 0 and below 1"),
        (lambda c: Recipe(word_dropout=-0.1), "word_dropout: expected at least 0 and below 1"),
        (lambda c: Recipe(length=0), "length: expected at least 1"),
    ],
)
def test_wrong_values_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(Classifier(SMALL))


def test_before_learning_there_is_nothing_and_a_text_is_no_list(learned):
    with pytest.raises(RuntimeError, match="call fit first"):
        Classifier().predict(["a"])
    with pytest.raises(TypeError, match="texts: expected a list of str, got 'a text'"):
        learned.predict("a text")
    with pytest.raises(TypeError, match="texts: expected str, got 3"):
        learned.predict([3])
    with pytest.raises(TypeError, match="labels: expected str, got 1"):
        Classifier(SMALL).fit(["a", "b"], [1, 2])


def test_a_folder_is_read_and_what_is_odd_is_said(folder):
    (folder / "good" / "empty.txt").write_text(" \n")
    (folder / "bad" / "old.txt").write_bytes("un film raté, déjà vu".encode("cp1252"))
    (folder / "bad" / "notes.md").write_text("no text")
    (folder / ".git").mkdir()
    texts = read_texts(folder)
    assert texts.counts == {"bad": 31, "good": 30}
    assert texts.notes == [
        "Not UTF-8, and read as Windows-1252: 1 file.",
        "Left out: 1 text without a word or without a label.",
    ]
    assert "un film raté, déjà vu" in texts.texts


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_file_is_read(tmp_path, separator):
    path = tmp_path / "mails.csv"
    rows = [["id", "Label", "text"], [1, "a", 'said "x", then; y\nand z'], [2, "b", "w" * 200_000], [3, "a", " "]]
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows([*rows, [4], []])
    before = csv.field_size_limit()
    texts = read_texts(path)
    assert texts.texts == ['said "x", then; y\nand z', "w" * 200_000] and texts.labels == ["a", "b"]
    assert texts.notes == [
        "Left out: 1 row with too few columns.",
        "Left out: 1 text without a word or without a label.",
    ]
    assert csv.field_size_limit() == before


PEOPLE = [("a film of great charm", "pos"), ("a bore, from start to end", "neg"), ("not my film", "neg")] * 4


def written(path, rows, separator=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "header, note",
    [
        (("Review", "Stars"), "Texts are those of column 'Review', labels those of column 'Stars'."),
        (("first", "second"), "Texts are those of column 'first', labels those of column 'second'."),
        (
            None,
            "Texts are those of column 1 (there is no line of names), labels those of column 2 (there is no line of ",
        ),
        (("text", "label"), None),
    ],
    ids=["usual names", "other names", "no names", "ours"],
)
def test_columns_of_any_names_are_found(tmp_path, separator, header, note):
    for order in (1, -1):
        rows = [row[::order] for row in ([header] if header else []) + PEOPLE]
        texts = read_texts(written(tmp_path / f"{order}.csv", rows, separator))
        assert [*zip(texts.texts, texts.labels, strict=True)] == PEOPLE
        if order == 1:
            assert texts.notes == [] if note is None else texts.notes[0].startswith(note)


def test_columns_between_others(tmp_path):
    rows = [(f"u{k}", text, label, "2024-01-02", k) for k, (text, label) in enumerate(PEOPLE)]
    path = written(tmp_path / "a.csv", [("user", "said", "mood", "day", "number"), *rows])
    assert read_texts(path).counts == {"neg": 8, "pos": 4}
    path = written(
        tmp_path / "b.csv",
        [("user", "said", "mood", "lang"), *((*row[:3], "de" if row[4] % 2 else "en") for row in rows)],
    )
    with pytest.raises(ValueError) as caught:
        read_texts(path)
    assert str(caught.value) == (
        f"{path}: expected the columns text and label in its first line, got 'user,said,mood,lang'; labels could be "
        "any of 'mood,lang'; say which they are, by text= and label=, or --text and --label"
    )
    assert read_texts(path, label="Lang").counts == {"de": 6, "en": 6}
    assert read_texts(path, text="user", label="mood").texts[:2] == ["u0", "u1"]
    assert read_texts(path, text="said", label="mood").notes == []


@pytest.mark.parametrize(
    "given, message",
    [
        ({"text": "body"}, "expected one column 'body' in its first line, got 'a,b,a'"),
        ({"label": "A"}, "expected one column 'a' in its first line, got 'a,b,a'"),
    ],
)
def test_a_column_that_is_not_there_once_is_named(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        read_texts(written(tmp_path / "a.csv", [("a", "b", "a"), ("x y", "1", "2")]), **given)


def test_a_folder_has_no_columns(folder):
    with pytest.raises(ValueError, match="expected a CSV file with columns body and label, got a folder"):
        read_texts(folder, text="body")


def test_the_command_line_takes_the_names_of_columns(tmp_path, capsys):
    rows = [(text, label, k % 2) for k, (text, label) in enumerate(PEOPLE * 2)]
    path = str(written(tmp_path / "a.csv", [("said", "mood", "lang"), *rows]))
    given = ["classify", "train", path, "--epochs", "1", "--hidden", "4", "--output", str(tmp_path / "out")]
    assert cli.main([*given, "--text", "said", "--label", "mood"]) == 0
    assert "24 texts of 2 classes: neg (16), pos (8)." in capsys.readouterr().out
    assert "--text and --label" in error_of(capsys, *given, "--force")


def test_a_share_of_each_class_is_held_out_by_the_seed():
    texts = Texts([str(k) for k in range(50)], ["x"] * 40 + ["y"] * 10)
    learned, held_out = texts.split(0.2, seed=1)
    assert held_out.counts == {"x": 8, "y": 2} and learned.counts == {"x": 32, "y": 8}
    assert sorted(learned.texts + held_out.texts, key=int) == texts.texts
    assert texts.split(0.2, seed=1)[1].texts == held_out.texts != texts.split(0.2, seed=2)[1].texts
    assert Texts(["a", "b", "c", "d"], ["x", "x", "y", "y"]).split(0.99)[0].counts == {"x": 1, "y": 1}
    with pytest.raises(ValueError, match="expected at least 2 of each class to hold some out, got 1 of 'y'"):
        Texts(["a", "b", "c"], ["x", "x", "y"]).split(0.1)


def test_tables_are_aligned_for_long_names_and_classes_without_texts():
    table = confusion_table(np.array([[12345, 0], [0, 0]]), ["a name beyond all measure", "b"])
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1 and "a name beyond a…" in lines[1] and lines[2].endswith("–")
    assert summary({str(k): 1 for k in range(12)}).endswith("and 2 more")


def test_the_command_line_learns_from_a_folder_and_classifies(folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--hidden", "8", "--lr", "0.02", "--validation", "0.2", "--epochs", "20", "--dropout", "0.2"]
    assert cli.main(["classify", "train", str(folder), *options, "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "60 texts of 2 classes: bad (30), good (30)." in printed
    assert "Training on 42 of them, 20 epochs, the best of which 12 others choose.\nHeld out to the end: 6." in printed
    assert "Right of the 6 held-out texts:" in printed and "always saying" in printed
    file = tmp_path / "new.txt"
    file.write_text("The story was great fun, a lovely film. " * 5)
    assert cli.main(["classify", "predict", str(out), "an awful waste of a cast, a boring plot", str(file)]) == 0
    bad, good = capsys.readouterr().out.splitlines()
    assert bad.split()[1] == "bad" and "an awful waste" in bad
    assert good.split()[1] == "good" and float(good.split("%")[0]) > 50 and len(good) < 90 + len(str(file))


def test_the_command_line_draws_what_the_words_say(learned, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    learned.save(tmp_path / "model.safetensors")
    texts = ["the plot was awful", "...", "a lovely film"]
    arguments = ["classify", "predict", tmp_path, *texts, "--explain", "--output", tmp_path / "pictures"]
    assert cli.main(list(map(str, arguments))) == 0
    assert "Text 2 has no word to explain." in capsys.readouterr().out
    found = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in found] == ["gates-1.png", "gates-3.png", "words-1.png", "words-3.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found)


def test_without_matplotlib_the_extra_is_named(learned, tmp_path, capsys, monkeypatch):
    learned.save(tmp_path / "model.safetensors")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install 'fastlstm[plot]'" in error_of(capsys, "classify", "predict", tmp_path, "a film", "--explain")


def test_a_file_that_is_not_utf8_is_classified_and_that_is_said(learned, tmp_path, capsys):
    learned.save(tmp_path / "model.safetensors")
    (tmp_path / "old.txt").write_bytes("raté, awful".encode("cp1252"))
    (tmp_path / "empty.txt").write_bytes(b"")
    assert cli.main(["classify", "predict", str(tmp_path), str(tmp_path / "old.txt"), str(tmp_path / "empty.txt")]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2 and "old.txt: not UTF-8, read as Windows-1252." in printed.err


def test_errors_of_the_command_line_are_one_line(folder, tmp_path, capsys):
    def train(path, *options, status=1):
        return error_of(capsys, "classify", "train", path, *options, "--output", tmp_path / "out", status=status)

    (tmp_path / "x.csv").write_text("first,second\na,b\n")
    assert "expected the columns text and label in its first line, got 'first,second'" in train(tmp_path / "x.csv")
    (tmp_path / "one.csv").write_text("text,label\na,b\nc,b\n")
    assert "expected texts of at least two classes, got 'b' alone" in train(tmp_path / "one.csv")
    (tmp_path / "none.csv").write_text("")
    assert "expected the columns text and label" in train(tmp_path / "none.csv")
    (tmp_path / "bare").mkdir()
    assert "got no text in its subfolders, each a class with files *.txt" in train(tmp_path / "bare")
    assert "no such file or folder" in train(tmp_path / "nothing")
    assert "validation: expected above 0 and below 1, got 1.0" in train(folder, "--validation", "1", status=2)
    assert not (tmp_path / "out").exists()
    assert "nothing.txt: no such file" in error_of(capsys, "classify", "predict", tmp_path, "nothing.txt")
    assert "model.safetensors: no such file" in error_of(capsys, "classify", "predict", tmp_path, "a text")


def test_a_part_of_the_real_reviews_teaches_more_than_chance(data_file):
    """Two hundred short reviews to learn from, a hundred to measure on."""
    texts = {"train": Texts([], []), "test": Texts([], [])}
    with tarfile.open(data_file("review_polarity.tar.gz")) as archive:
        for member in archive:
            number = member.name.rpartition("/cv")[2][:3]
            part = "train" if number < "300" else "test" if number >= "900" else None
            if number.isdecimal() and part:
                file = archive.extractfile(member)
                assert file is not None
                texts[part].texts.append(file.read().decode("cp1252"))
                texts[part].labels.append(member.name.split("/")[-2])
    classifier = Classifier(
        Recipe(vocabulary=5000, length=200, embedding_size=32, hidden_size=16, learning_rate=5e-3, epochs=10)
    )
    classifier.fit(texts["train"].texts, texts["train"].labels, progress=False)
    found = np.array(classifier.predict(texts["test"].texts))
    assert texts["test"].counts == {"neg": 100, "pos": 100}
    assert np.mean(found == texts["test"].labels) > 0.62
