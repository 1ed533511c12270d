"""Models of Keras, live or from files, as models of ours. Nothing of a file is executed, and Keras is not needed."""

from __future__ import annotations

import io
import json
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from fastlstm.files import Damaged, PathLike, read_bytes, reading
from fastlstm.io.keras.hdf5 import SIGNATURE, File
from fastlstm.io.keras.into import fill_model
from fastlstm.io.keras.part import Origin
from fastlstm.io.keras.stored import Live, Native, weights_in
from fastlstm.io.keras.topology import chain_from
from fastlstm.io.parts import Parts, parts_or_none
from fastlstm.layers import Layer
from fastlstm.model import Model

Names = Mapping[str, int | str] | None

LARGEST_CONFIG = 16_000_000
"""Bytes of the topology of a model in a .keras file."""


def from_keras(
    source: Any,
    *,
    model: Model | None = None,
    names: Mapping[str, int | str] | None = None,
    parts: Parts | None = None,
) -> Model:
    """A model with the layers and weights of a model of Keras.

    Neither Keras nor h5py is needed for a file; nothing in it is executed. Read are `Sequential` and functional models
    of LSTM, GRU, SimpleRNN, CuDNNLSTM, CuDNNGRU, Bidirectional, Embedding, Dense, TimeDistributed, Conv1D,
    MaxPooling1D, AveragePooling1D, GlobalMaxPooling1D, GlobalAveragePooling1D, Dropout, Masking, Activation, LeakyReLU,
    ELU, ReLU, Softmax, Rescaling, LayerNormalization, BatchNormalization, Add and Concatenate, of other such models,
    too; ZeroPadding1D before a Conv1D, Flatten of one vector for each sequence.

    Parameters
    ----------
    source : path, or a live model of Keras 3 or of tf.keras
        A ``.keras`` file, an ``.h5`` file of a whole model (Keras 2 and 3), or a file of weights alone
        (``.weights.h5`` of Keras 3, or one of Keras 1 and 2), for which `model` must be given.
    model : Model, optional
        The model that a file of weights is read into. It is changed and returned.
    names : dict of str to int or str, optional
        With `model`, which layer of the file goes into which layer of the model: the name of the former, and the place
        of the latter, such as 2, or "1.0.2" within layers that hold others. By default those with weights go one after
        the other, of a ``.weights.h5`` those of each class.
    parts : Parts, optional
        A list that is filled with what each layer of Keras has become.

    Returns
    -------
    Model
        Of the dtype of the weights, float32 or float64, which are the same to the bit. A recurrent layer with
        ``return_sequences=False`` is followed by `Last` or `FinalState`, an activation of a Dense or Conv1D is a layer
        behind it. A GRU with ``reset_after`` keeps both biases. Dropout of recurrent layers has one mask for each
        sequence, as in Keras. What starts, penalises and constrains weights in a training is not kept.

    Warns
    -----
    UserWarning
        Of an Embedding with ``mask_zero`` and of a Masking: a model here has no mask of its own. Pass
        ``mask=tokens != 0`` at each call. At masked steps Keras repeats the last output of a recurrent layer, as
        ``fill="last"`` does; behind a Bidirectional it has zeros, as there are here by default. Of a recurrent layer
        with ``stateful=True``: each call here begins with zeros. Of noise, SpatialDropout1D and ActivityRegularization,
        which a training alone needs: they are left out.

    Raises
    ------
    TypeError
        If source is neither a path nor a model of Keras, model is no Model, or parts no `Parts`.
    ValueError
        If the file is damaged, or the model has a layer, or an option of one, that there is none of here. The error
        names it.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.io.from_keras("nowhere.keras")
    Traceback (most recent call last):
        ...
    FileNotFoundError: nowhere.keras: no such file
    """
    if model is not None and not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    parts = parts_or_none(parts)
    if names is not None and model is None:
        raise ValueError("names: expected none without model=, the one with the layers that they go into")
    if not isinstance(source, str) and not hasattr(source, "__fspath__"):
        if not hasattr(source, "to_json") or not hasattr(source, "get_weights"):
            raise TypeError(f"source: expected a path or a model of Keras, got {type(source).__name__}")
        if model is not None:
            raise ValueError("model: expected none with a live model, which has layers of its own, got a Model")
        origin = Origin(_live_version(source), parts=parts)
        found = _model(chain_from(json.loads(source.to_json()), Live(source), origin))
    else:
        found, origin = _from_file(source, model, names, parts)
    for message in origin.told:
        warnings.warn(message, stacklevel=2)
    return found


def _from_file(path: PathLike, model: Model | None, names: Names, parts: Parts) -> tuple[Model, Origin]:
    data = read_bytes(path)
    with reading(path, struct.error, zipfile.BadZipFile, zlib.error, NotImplementedError):
        try:
            if data[:8] == SIGNATURE:
                return _of_hdf5(data, model, names, parts)
            return _of_archive(data, model, names, parts)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise Damaged(f"{path}: {error}") from None  # a part that there is none of here is no damage


def _of_hdf5(data: bytes, model: Model | None, names: Names, parts: Parts) -> tuple[Model, Origin]:
    file, weights = weights_in(data)
    if model is not None:
        return fill_model(model, weights, names, parts), Origin(3)
    found = file.root.attribute("model_config")
    if not isinstance(found, str):
        raise ValueError("expected a model with its topology, got weights alone; build the model here, and pass model=")
    origin = Origin(_major(file.root.attribute("keras_version")), parts=parts)
    return _model(chain_from(_as_entry(found), weights, origin)), origin


def _of_archive(data: bytes, model: Model | None, names: Names, parts: Parts) -> tuple[Model, Origin]:
    files = _unzipped(data)
    weights = Native(File(files["model.weights.h5"]).root)
    if model is not None:
        return fill_model(model, weights, names, parts), Origin(3)
    origin = Origin(_major(_as_entry(files["metadata.json"]).get("keras_version")), parts=parts)
    return _model(chain_from(_as_entry(files["config.json"]), weights, origin)), origin


def _unzipped(data: bytes) -> dict[str, bytes]:
    """The three parts of a .keras file, within bounds: stored ones take what they take, others up to four times."""
    parts: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [info.filename for info in archive.infolist()]
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            if names.count(name) != 1:
                raise ValueError(f"expected a .keras file with one {name}, got {names.count(name)}")
            info = archive.getinfo(name)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name}: expected it stored or deflated, got method {info.compress_type}")
            most = 4 * len(data) + LARGEST_CONFIG if name == "model.weights.h5" else LARGEST_CONFIG
            with archive.open(info) as file:
                parts[name] = file.read(most + 1)
            if len(parts[name]) > most:
                raise ValueError(f"{name}: expected at most {most} bytes when unpacked, got more")
    return parts


def _as_entry(text: str | bytes) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError(f"expected a JSON object, got {found!r:.80}")
    return found


def _major(version: Any) -> int:
    """3 of "3.15.1"; what says nothing was written before Keras 2."""
    return int(version.partition(".")[0]) if isinstance(version, str) else 1


def _live_version(model: Any) -> int:
    """That of the package that the class of a live model comes from, or the class that it is one of."""
    roots = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    for root in roots:
        if root in ("keras", "tf_keras"):
            return _major(getattr(sys.modules.get(root), "__version__", "3"))
    return 2


def _model(layers: Sequence[Layer]) -> Model:
    if not layers:
        raise ValueError("expected a model with layers, got none but inputs")
    dtypes = {layer.dtype for layer in layers if layer.dtype is not None}
    if len(dtypes) > 1:
        raise ValueError("expected all weights in float32, or all in float64, got both")
    return Model(list(layers), dtype=next(iter(dtypes), "float32"))
