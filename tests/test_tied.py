"""Weights that an embedding and the output share: one parameter, both gradients, saved once."""

import copy
import json

import numpy as np
import pytest
from damaging import edit_json
from gradcheck import relative_error

import fastlstm as fl


def language_model(dtype="float64", bias=True):
    embedding = fl.Embedding(9, 4)
    return fl.Model([embedding, fl.LSTM(4, 4), fl.TiedDense(embedding, bias=bias)], dtype=dtype, seed=0)


def test_scores_are_products_with_the_vectors():
    model = language_model()
    embedding, lstm, tied = model.layers
    x = np.array([[3, 1, 4], [1, 5, 0]])
    hidden, _ = lstm(embedding(x))
    tied.parameter("bias").value = np.arange(9)
    expected = hidden @ embedding.parameter("weight").value.T + np.arange(9)
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)
    np.testing.assert_allclose(model.forward(x, model.tape(), training=True), expected, rtol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_one_parameter_with_the_gradients_of_both_places(bias):
    model = language_model(bias=bias)
    assert [p.name for p in model.parameters()][0] == "0.weight"
    assert list(model.named_parameters()) == [p.name for p in model.parameters()]
    assert len(model.parameters()) == len(set(map(id, model.parameters()))) == 4 + bias
    assert model.num_parameters == sum(p.size for p in model.parameters()) == 36 + 4 * 4 * 9 + 9 * bias
    x, target = np.array([[3, 1, 4, 1], [1, 5, 0, 0]]), np.array([[1, 4, 1, 8], [5, 0, 0, 2]])

    def value():
        return fl.softmax_cross_entropy(model.forward(x, model.tape(), training=True), target)[0]

    tape = model.tape()
    grads = []
    for clear in (True, True, False):
        if clear:
            model.zero_grad()
        dy = fl.softmax_cross_entropy(model.forward(x, tape, training=True), target)[1]
        model.backward(dy, tape)
        grads.append([parameter.grad.copy() for parameter in model.parameters()])
    for once, again, twice in zip(*grads, strict=True):
        np.testing.assert_array_equal(once, again)
        np.testing.assert_allclose(twice, 2 * once, rtol=1e-13)
    for parameter, once in zip(model.parameters(), grads[0], strict=True):
        assert relative_error(value, parameter.writable(), once) < 1e-7, parameter.name


def test_both_places_see_what_was_learned():
    """A pass that is ready, and a stream, have packed the weights before they change."""
    model = language_model("float32")
    x = np.array([[3, 1, 4]])
    tape, stream = model.tape(), model.stream()
    model.forward(x, tape), model.forward(x, tape)
    stream.step(3), stream.reset()
    fl.Trainer(model, "softmax_cross_entropy", fl.SGD(0.5)).fit(x, [[1, 4, 1]], epochs=3, progress=False)
    expected = model.predict(x)
    np.testing.assert_array_equal(model.forward(x, tape), expected)
    found = np.stack([stream.step(token)[0] for token in (3, 1, 4)])
    np.testing.assert_allclose(found, expected[0], rtol=1e-5, atol=1e-6)
    hidden = fl.Model(model.layers[:2]).predict(x)
    weight, bias = model.layers[0].parameter("weight").value, model.layers[2].parameter("bias").value
    np.testing.assert_allclose(expected, hidden @ weight.T + bias, rtol=1e-5, atol=1e-6)


def test_saved_once_and_loaded_tied(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    model = language_model("float32")
    fl.save(model, tmp_path / "m")
    with safetensors.safe_open(tmp_path / "m", "numpy") as file:
        assert sorted(file.keys()) == sorted(model.named_parameters())
        assert json.loads(file.metadata()["model"])["layers"][2]["config"]["embedding"] == {"layer": 0}
    again = fl.load(tmp_path / "m")
    assert again.layers[2].embedding is again.layers[0]
    x = np.array([[3, 1, 4]])
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    again.layers[0].parameter("weight").value = np.zeros((9, 4))
    assert not again.predict(x).any()


@pytest.mark.parametrize("place", [2, 1, -1, "0", None])
def test_a_file_that_names_no_earlier_embedding_is_damaged(tmp_path, place):
    fl.save(language_model("float32"), tmp_path / "m")
    edit_json(tmp_path / "m", "model", lambda model: model["layers"][2]["config"].update(embedding={"layer": place}))
    with pytest.raises(ValueError, match="damaged: embedding: expected"):
        fl.load(tmp_path / "m")


def test_a_copy_is_tied_to_its_own_embedding():
    model = language_model()
    twin = copy.deepcopy(model)
    twin.layers[0].parameter("weight").value = np.zeros((9, 4))
    assert not twin.predict([[3, 1]]).any()
    assert model.predict([[3, 1]]).any()


def test_alone_it_builds_its_embedding():
    tied = fl.TiedDense(fl.Embedding(9, 4, dtype="float64", seed=0))
    assert tied(np.ones((2, 3, 4))).shape == (2, 3, 9)
    assert tied.dtype == np.float64


def test_what_cannot_be_tied_is_named():
    with pytest.raises(TypeError, match="embedding: expected an Embedding, got LSTM"):
        fl.TiedDense(fl.LSTM(3, 4))
    message = "layers: TiedDense at 2 uses the parameters of a layer that is not before it"
    with pytest.raises(ValueError, match=message):
        fl.Model([fl.Embedding(9, 4), fl.LSTM(4, 4), fl.TiedDense(fl.Embedding(9, 4))])
    embedding = fl.Embedding(9, 4)
    with pytest.raises(ValueError, match=r"layer 2 \(TiedDense\): input_size: expected 5, .* got 4"):
        fl.Model([embedding, fl.LSTM(4, 5), fl.TiedDense(embedding)])
    with pytest.raises(ValueError, match="dtype: expected float64, that of the embedding, got float32"):
        fl.TiedDense(fl.Embedding(9, 4, dtype="float64"), dtype="float32")(np.ones((1, 4)))
