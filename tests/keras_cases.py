"""Files as Keras writes them, made by h5py and zipfile alone."""

import io
import json
import zipfile

import h5py
import numpy as np

FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}


def numbers(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def entry(kind, name, *, inputs=None, **config):
    """A layer in the config of Keras 3; `inputs` are those in a functional model."""
    found = {"module": "keras.layers", "class_name": kind, "config": {"name": name, "dtype": FLOAT32, **config}}
    if inputs is None:
        return found
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"shape": [None, None, 3], "keras_history": [source, 0, 0]}}
        for source in inputs
    ]
    args = [tensors[0] if len(tensors) == 1 else tensors] if tensors else []
    return {**found, "name": name, "inbound_nodes": [{"args": args, "kwargs": {"mask": None}}] if tensors else []}


def inner(kind, **config):
    return {"module": "keras.layers", "class_name": kind, "config": {"name": kind.lower(), **config}}


def sequential(*entries, name="sequential"):
    first = entry("InputLayer", "input_layer", batch_shape=[None, None, 3])
    return {"class_name": "Sequential", "config": {"name": name, "layers": [first, *entries]}}


def functional(*entries, output):
    layers = [entry("InputLayer", "x", inputs=[]), *entries]
    ends = {"input_layers": ["x", 0, 0], "output_layers": [output, 0, 0]}
    return {"class_name": "Functional", "config": {"name": "functional", "layers": layers, **ends}}


def hdf5(fill, **options):
    """The bytes of a file that `fill` has written."""
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        fill(file)
    return content.getvalue()


def native_weights(weights):
    """A .weights.h5 of Keras 3, from arrays by paths such as ``"lstm/cell"``."""

    def fill(file):
        for path, arrays in weights.items():
            group = file.create_group(f"layers/{path}/vars")
            group.attrs["name"] = "own_" + path.replace("/", "_")
            for k, array in enumerate(arrays):
                group.create_dataset(str(k), data=array)

    return hdf5(fill)


def keras_file(config, weights, *, version="3.15.1", method=zipfile.ZIP_STORED, more=()):
    """The bytes of a .keras file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights if isinstance(weights, bytes) else native_weights(weights))
        for name, text in more:
            archive.writestr(name, text)
    return content.getvalue()


def old_file(weights, config=None, *, version="2.1.5"):
    """The bytes of an .h5 file of Keras 1 and 2; of weights alone without a config. Weights by layer, in order."""

    def fill(file):
        root = file if config is None else file.create_group("model_weights")
        file.attrs["keras_version"] = np.bytes_(version)
        root.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            group = root.create_group(name)
            names = [f"{name}/weight_{k}:0" for k in range(len(arrays))]
            group.attrs["weight_names"] = [one.encode() for one in names]
            for one, array in zip(names, arrays, strict=True):
                group.create_dataset(one, data=array)
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()

    return hdf5(fill)


def recurrent_weights(gates, inputs, units, biases=1, seed=0, dtype="float32"):
    """kernel, recurrent_kernel and bias; two biases are those of a GRU with reset_after."""
    shapes = (inputs, gates * units), (units, gates * units), (gates * units,) if biases == 1 else (2, gates * units)
    return [0.5 * numbers(*shape, seed=seed + k, dtype=dtype) for k, shape in enumerate(shapes)]


def tagger():
    """The file of docs/switching.md: a tagger of words, as Keras 3 saves it."""
    layer = inner("LSTM", units=16, return_sequences=True)
    config = sequential(
        entry("Embedding", "words", mask_zero=True),
        entry("Bidirectional", "both", layer=layer),
        entry("Dense", "tags", activation="softmax"),
    )
    weights = {
        "embedding": [numbers(1000, 8)],
        "bidirectional/forward_layer/cell": recurrent_weights(4, 8, 16),
        "bidirectional/backward_layer/cell": recurrent_weights(4, 8, 16, seed=5),
        "dense": [numbers(32, 4), numbers(4)],
    }
    return keras_file(config, weights)
