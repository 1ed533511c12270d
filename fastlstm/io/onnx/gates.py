"""The order of the gates and the names of the functions in ONNX, and ours."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FUNCTIONS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "hard_sigmoid": "HardSigmoid",
    "softsign": "Softsign",
    "softplus": "Softplus",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "elu": "Elu",
    "affine": "Affine",
    "scaled_tanh": "ScaledTanh",
}
"""The functions of recurrent layers, and ONNX' names for them."""

ORDERS = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}
"""Our gates i, f, g, o; r, z, n in ONNX' order i, o, f, c; z, r, h."""

BACK = {name: [int(k) for k in np.argsort(order)] for name, order in ORDERS.items()}
"""ONNX' gates in our order."""

PEEPHOLES = [0, 2, 1]
"""Our peepholes i, f, o in ONNX' order i, o, f; and back."""


def reordered(rows: Array, order: list[int]) -> Array:
    """The blocks of rows in another order."""
    return np.concatenate([np.split(rows, len(order))[k] for k in order])


def package(name: str = "onnx") -> Any:
    """The package onnx, or a module of it.

    Raises
    ------
    ImportError
        If it is not installed. The message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"ONNX files need the package onnx: pip install 'fastlstm[onnx]' ({error})") from None
