"""Copies and pickles of models: the bytes of their files, checked as files are."""

import copy
import io
import pickle
import pickletools

import numpy as np
import pytest
from damaging import with_header

import fastlstm as fl
from fastlstm.io import pickled
from fastlstm.parameter import Parameter


class Doubling(fl.Layer):
    """A layer of one's own."""

    input_shape = ("N", "T", "F")

    def output_shape(self, input_shape):
        return input_shape

    def forward(self, x, workspace, *, training=False, lengths=None):
        return 2 * x

    def backward(self, dy, workspace, *, input_gradient=True):
        return 2 * dy

    def config(self):
        return {}


class Named(fl.Model):
    """A model with more than a file holds."""

    def __init__(self, layers, name, **more):
        super().__init__(layers, **more)
        self.name = name


def again(thing):
    return pickle.loads(pickle.dumps(thing))


WAYS = pytest.mark.parametrize("way", [copy.deepcopy, copy.copy, again], ids=["deepcopy", "copy", "pickle"])
TOKENS = np.random.default_rng(0).integers(0, 50, (6, 9))


def embedding_model(**more):
    embedding = fl.Embedding(50, 40)
    return fl.Model([embedding, fl.LSTM(40, 40), fl.LayerNorm(40), fl.TiedDense(embedding)], seed=7, **more)


def normed(dtype="float32"):
    layers = [fl.LSTM(3, 8, bidirectional=True, checkpoint_every=2), fl.BatchNorm(16), fl.MeanPool(), fl.Dense(16, 2)]
    model = fl.Model(layers, dtype=dtype, seed=2**90)
    x = np.random.default_rng(0).normal(size=(5, 7, 3))
    fl.Trainer(model, "mse").fit(x, np.zeros((5, 2)), epochs=1, progress=False)
    return model, x


@WAYS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_has_the_same_bits_and_goes_its_own_way(way, dtype):
    model, x = normed(dtype)
    other = way(model)
    assert (repr(other), other.seed, other.dtype) == (repr(model), 2**90, model.dtype)
    assert "checkpoint_every=2" in repr(other)
    y = model.predict(x)
    np.testing.assert_array_equal(other.predict(x), y)
    for name, buffer in model.named_buffers().items():
        np.testing.assert_array_equal(other.named_buffers()[name].value, buffer.value)
        assert buffer.value.any()
    fl.Trainer(other, "mse").fit(x, np.ones((5, 2)), epochs=1, progress=False)
    assert not np.array_equal(other.predict(x), y)
    np.testing.assert_array_equal(model.predict(x), y)


@pytest.mark.parametrize("way", [copy.deepcopy, again])
@pytest.mark.parametrize("kind", [fl.LSTM, fl.GRU, fl.SimpleRNN, fl.MinLSTM, fl.SLSTM])
def test_a_recurrent_layer_and_its_stream_are_copied_without_a_model(way, kind):
    layer = kind(3, 4)
    copied = way(layer)
    model, other = (fl.Model([own], dtype=dtype, seed=0) for own, dtype in ((layer, "float64"), (copied, "float32")))
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_allclose(other.predict(x), model.predict(x), atol=1e-6)
    assert (copied.dtype, layer.dtype) == ("float32", "float64")
    stream = model.stream(batch=2)
    stream.run(x)
    np.testing.assert_array_equal(way(stream).run(x), stream.run(x))


@WAYS
def test_layers_that_share_parameters_share_them_in_a_copy(way):
    other = way(embedding_model())
    other.layers[0].parameter("weight").value = np.zeros((50, 40))
    assert not other.predict(TOKENS).any()


@WAYS
@pytest.mark.parametrize("kind", ["bfloat16", "int8", "int8x16"])
def test_weights_in_fewer_bits_stay_so(way, kind, tmp_path):
    model = embedding_model(weights=kind)
    fl.save(model, tmp_path / "m", narrow=True)
    for one in (model, fl.load(tmp_path / "m")):
        other = way(one)
        assert other.layers[1].weights == kind
        np.testing.assert_array_equal(other.predict(TOKENS), one.predict(TOKENS))


def test_a_matrix_that_is_held_in_fewer_bits_is_written_in_these(tmp_path):
    model = fl.Model([fl.LSTM(64, 128)], seed=0, weights="int8")
    fl.save(model, tmp_path / "m", narrow=True)
    narrow = fl.load(tmp_path / "m")
    assert 3 * len(pickle.dumps(narrow)) < len(pickle.dumps(model))
    assert all(again(narrow).layers[0].parameter(name)._narrow is not None for name in ("weight_ih_l0", "weight_hh_l0"))
    x = np.random.default_rng(0).normal(size=(2, 3, 64))
    np.testing.assert_array_equal(again(narrow).predict(x), narrow.predict(x))


def test_a_pickle_is_the_bytes_of_the_file(tmp_path):
    model = embedding_model()
    fl.save(model, tmp_path / "m")
    content, seed, kinds = pickled.parts_of(model)
    (tmp_path / "n").write_bytes(content)
    assert (seed, kinds) == (7, ())
    np.testing.assert_array_equal(fl.load(tmp_path / "n").predict(TOKENS), fl.load(tmp_path / "m").predict(TOKENS))
    assert content == (tmp_path / "m").read_bytes()
    assert content in pickle.dumps(model, protocol=5)
    assert pickle.dumps(again(model)) == pickle.dumps(model)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_reading_a_pickle_calls_one_function_of_ours(protocol):
    content = pickle.dumps(embedding_model(), protocol=protocol)
    found = []

    class Watching(pickle.Unpickler):
        def find_class(self, module, name):
            found.append(f"{module}.{name}")
            return super().find_class(module, name)

    assert type(Watching(io.BytesIO(content)).load()) is fl.Model
    assert {*found} - {"_codecs.encode"} == {"fastlstm.io.pickled.of_parts"}
    assert sum(code.name == "REDUCE" for code, _, _ in pickletools.genops(content)) == len(found)


@WAYS
def test_a_model_that_has_diverged_is_copied_as_it_is(way):
    model, x = normed()
    weight, mean = model.layers[0].parameter("weight_ih_l0"), model.layers[1].buffer("running_mean")
    weight.writable()[1, 0] = np.nan
    mean.writable()[2] = -np.inf
    other = way(model)
    for name, array in {**model.named_parameters(), **model.named_buffers()}.items():
        twin = {**other.named_parameters(), **other.named_buffers()}[name]
        np.testing.assert_array_equal(twin.value, array.value)
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    assert np.isnan(other.predict(x)).any()


def test_gradients_are_not_kept():
    model = fl.Model([fl.Dense(2, 2)], seed=0)
    model.parameters()[0].grad = np.ones((2, 2))
    assert not again(model).parameters()[0].grad.any()


def test_layers_of_one_s_own_are_named_in_the_pickle():
    model = fl.Model([Doubling(), fl.LSTM(2, 3), Doubling()], seed=0)
    assert pickled.parts_of(model)[2] == (Doubling,)
    other = again(model)
    assert type(other.layers[0]) is Doubling
    x = np.ones((2, 3, 2))
    np.testing.assert_array_equal(other.predict(x), model.predict(x))


def test_a_subclass_is_pickled_as_python_pickles_any_object():
    model = Named([fl.LSTM(3, 8), fl.Last()], "mine", seed=0)
    model.first = model.layers[0]
    x = np.ones((2, 5, 3))
    y = model.predict(x)
    for other in (again(model), copy.deepcopy(model)):
        assert type(other) is Named and other.name == "mine" and other.first is other.layers[0]
        np.testing.assert_array_equal(other.predict(x), y)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "the pickled model: truncated or damaged"),
        (lambda content: b"", "the pickled model: truncated or damaged"),
        (lambda content: b"PK\x03\x04 something else", "the pickled model: not a safetensors file"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "the pickled model: damaged: its checksum"),
        (lambda content: with_header(content, {"__metadata__": {}}), "the pickled model: "),
        (lambda content: None, "the pickled model: damaged"),
    ],
)
def test_damaged_bytes_are_an_error_as_in_a_file(damage, message):
    content = damage(pickled.parts_of(normed()[0])[0])
    with pytest.raises(ValueError, match=message):
        pickled.of_parts(content)


def test_what_no_file_holds_cannot_be_pickled():
    with pytest.raises(ValueError, match="layers: expected at most 1000, got 1001"):
        pickle.dumps(fl.Model([fl.Dropout(0.1) for _ in range(1001)]))


def test_a_copy_takes_what_a_parameter_holds_at_the_time():
    model = fl.Model([fl.Dense(2, 2)], seed=0)
    content = pickle.dumps(model)
    before = model.parameters()[0].value.copy()
    model.parameters()[0].value = np.zeros((2, 2))
    np.testing.assert_array_equal(pickle.loads(content).parameters()[0].value, before)
    assert isinstance(pickle.loads(content).parameters()[0], Parameter)
