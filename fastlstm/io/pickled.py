"""Copies and pickles of models: the bytes of their files. What reads them checks them as it checks a file."""

from __future__ import annotations

import copyreg
from typing import Any

import numpy as np

from fastlstm import tensors
from fastlstm.io.few_bits import SCALE, is_scale
from fastlstm.io.native import arrays_of, checked, model_of, words_of
from fastlstm.layers import Layer
from fastlstm.layers.chain import walk
from fastlstm.model import Model
from fastlstm.tensors import Array, Arrays

NAME = "the pickled model"
"""What errors call it."""

Parts = tuple[bytes, Any, tuple[type[Layer], ...]]


def parts_of(model: Model) -> Parts:
    """What a pickle of a model is: the bytes of its file, its seed, and the layers that are not fastlstm's own.

    These are named so that whoever reads the pickle imports them. Unlike a file, the bytes may hold numbers that are
    not finite: the copy of a model is that model. A matrix that is held in fewer bits is written in these.

    Raises
    ------
    ValueError
        If there are more than 1000 layers.
    """
    arrays: Arrays = {}
    for name, parameter in arrays_of(model).items():
        narrow = parameter._narrow
        if narrow is None:
            arrays[name] = parameter._glance()
        else:
            arrays[name] = narrow.numbers
            if narrow.scale is not None:
                arrays[name + SCALE] = narrow.scale
    every = {type(layer) for _, layer in walk(model.layers)}
    own = {kind for kind in every if kind.__module__.partition(".")[0] != "fastlstm"}
    kinds = tuple(sorted(own, key=lambda kind: kind.__name__))
    return tensors.to_bytes(arrays, words_of(model, arrays, {})), model.seed, kinds


def of_parts(content: bytes, seed: Any = 0, kinds: tuple[type[Layer], ...] = ()) -> Model:
    """The model whose parts these are.

    Parameters
    ----------
    content : bytes
    seed : int, default 0
        What the attribute `seed` of the model shall be.
    kinds : tuple of classes
        Importing them has registered them, except where a package such as cloudpickle has made a class that it then
        gave up for one that was there.

    Raises
    ------
    ValueError
        If the bytes are damaged, or are not those of a model; the message says which.
    """
    words, arrays = checked(*tensors.from_bytes(content, NAME), NAME)
    Layer.registry.update({kind.__name__: kind for kind in kinds})
    wild = {name: array for name, array in arrays.items() if _is_wild(array) and not is_scale(name, arrays)}
    model = model_of(words, {**arrays, **{name: np.zeros_like(array) for name, array in wild.items()}}, NAME)
    model.seed = seed
    kept = arrays_of(model)
    for name, array in wild.items():
        kept[name].writable()[...] = array
    return model


def _is_wild(array: Array) -> bool:
    """Whether numbers of an array are not finite."""
    return array.dtype.kind == "f" and not bool(np.isfinite(array).all())


def _reduce(model: Model) -> tuple[Any, Parts]:
    return of_parts, parts_of(model)


copyreg.pickle(Model, _reduce)  # not for subclasses, whose attributes no file holds
