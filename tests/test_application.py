"""What every application does: its file, its recipe, and what is said before it has learned."""

import copy
import json
import pickle

import numpy as np
import pytest
from damaging import edit_json

import fastlstm as fl
from fastlstm.application import options_of
from fastlstm.classification import Classifier
from fastlstm.classification import Recipe as Reading
from fastlstm.forecasting import LSTMForecaster
from fastlstm.io.native import read_metadata
from fastlstm.speech import Augment, LogMel, Recording, StringReader, Strings, VoiceActivity, WordClassifier
from fastlstm.speech.silero import network
from fastlstm.text import LanguageModel, Recipe, Vocabulary


def forecaster():
    made = LSTMForecaster(4, hidden_size=3, epochs=1, scaling="log")
    return made.fit(np.arange(1.0, 61.0), fh=2, progress=False)


def classifier():
    made = Classifier(Reading(embedding_size=3, hidden_size=3, batch_size=4, epochs=1))
    made.fit(["a fine film", "a dull film"] * 4, ["good", "bad"] * 4, progress=False)
    return made


def writer():
    return LanguageModel(
        Vocabulary.of("tell me"), Recipe(hidden_size=4, num_layers=1, embedding_size=3, betas=(0.8, 0.9))
    )


def recordings():
    rng = np.random.default_rng(0)
    return [Recording(rng.standard_normal(800).astype("f4"), word) for word in ("no", "yes") * 2]


def word_classifier():
    made = WordClassifier(hidden_size=3, epochs=1, variants=1, bidirectional=False, augment=Augment(speed=1, shift=0.0))
    made.fit(recordings(), progress=False)
    return made


def string_reader():
    strings = Strings(shortest=1, longest=2, most=0.1)
    made = StringReader(hidden_size=3, epochs=1, variants=1, strings=strings, per_epoch=2, features=LogMel(bands=5))
    made.fit(recordings(), progress=False)
    return made


def voice_activity():
    return VoiceActivity(fl.Model(network(), seed=0))


MAKERS = [forecaster, classifier, writer, word_classifier, string_reader, voice_activity]


@pytest.fixture(scope="module", params=MAKERS, ids=lambda make: make.__name__)
def application(request):
    return request.param()


def test_an_application_comes_back_with_its_recipe_and_saves_the_same_again(application, tmp_path):
    application.save(tmp_path / "a", note="mine")
    again = type(application).load(tmp_path / "a")
    assert options_of(again).keys() == options_of(application).keys()
    for name in options_of(application).keys() - {"vocabulary", "model"}:
        assert getattr(again, name) == getattr(application, name), name
    again.save(tmp_path / "b", note="mine")
    assert read_metadata(tmp_path / "a") == read_metadata(tmp_path / "b")
    before, after = (fl.load(tmp_path / name).named_parameters() for name in "ab")
    assert all(np.array_equal(before[name].value, after[name].value) for name in before)


def test_words_of_one_s_own_are_kept_beside_and_hide_nothing(application, tmp_path):
    application.save(tmp_path / "a", note="mine", more="also")
    words = read_metadata(tmp_path / "a")
    assert (words.pop("note"), words.pop("more")) == ("mine", "also")
    assert list(words) == [application.word] and isinstance(json.loads(words[application.word]), dict)
    with pytest.raises(ValueError, match=f"words: expected other names than '{application.word}'"):
        application.save(tmp_path / "b", **{application.word: "mine"})
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("make", [LSTMForecaster, Classifier, WordClassifier, StringReader])
def test_what_has_not_learned_is_not_saved(make, tmp_path):
    with pytest.raises(RuntimeError, match="has not learned anything yet: call fit first"):
        make().save(tmp_path / "a")


def test_a_file_of_one_application_is_no_other(application, tmp_path):
    application.save(tmp_path / "a")
    for other in {LSTMForecaster, Classifier, LanguageModel, WordClassifier, StringReader, VoiceActivity} - {
        type(application)
    }:
        with pytest.raises(ValueError, match="a: holds a model, but no "):
            other.load(tmp_path / "a")


def test_numbers_of_numpy_in_a_recipe_are_saved(tmp_path):
    recipe = Recipe(hidden_size=np.int64(4), num_layers=1, learning_rate=np.float32(0.5))
    LanguageModel(Vocabulary.of("tell me"), recipe).save(tmp_path / "a")
    assert LanguageModel.load(tmp_path / "a").recipe == recipe


# files of earlier versions, and damaged options of a recogniser


def test_a_recogniser_of_an_earlier_version_has_the_options_that_its_network_shows(tmp_path):
    made = word_classifier()
    made.save(tmp_path / "a")
    edit_json(tmp_path / "a", "user.speech", lambda state: state.pop("options"))
    again = WordClassifier.load(tmp_path / "a")
    assert (again.hidden_size, again.bidirectional, again.augment) == (3, False, Augment())
    signals = [one.signal for one in recordings()]
    assert np.array_equal(again.scores(signals), made.scores(signals))
    again.save(tmp_path / "b")
    assert WordClassifier.load(tmp_path / "b").hidden_size == 3


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda options: options.update(hidden_size=4), r"hidden_size: expected that of the network, \[3\], got 4"),
        (lambda options: options.update(seed="x"), "seed: expected a whole number or None, got 'x'"),
        (lambda options: options.update(variants=0), "variants: expected at least 1, got 0"),
        (lambda options: options.update(colour="red"), "unexpected keyword argument 'colour'"),
        (lambda options: options["augment"].update(speed=-1), "speed: expected at least 0"),
        (lambda options: options.update(augment=3), "must be a mapping"),
    ],
)
def test_damaged_options_of_a_recogniser_are_named(tmp_path, edit, message):
    word_classifier().save(tmp_path / "a")
    edit_json(tmp_path / "a", "user.speech", lambda state: edit(state["options"]))
    with pytest.raises(ValueError, match=f"a: damaged: .*{message}"):
        WordClassifier.load(tmp_path / "a")


def test_an_application_is_pickled_with_all_that_it_has_learned(application, tmp_path):
    for again in (pickle.loads(pickle.dumps(application)), copy.deepcopy(application)):
        for name, one in (("a", application), ("b", again)):
            one.save(tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_application_that_has_learned_nothing_is_pickled_as_well():
    again = pickle.loads(pickle.dumps(LSTMForecaster(hidden_size=3, epochs=1)))
    with pytest.raises(RuntimeError, match="has not learned anything yet"):
        again.save("nowhere")
    again.fit(np.arange(1.0, 61.0), progress=False)
