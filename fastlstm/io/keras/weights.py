"""The arrays of a layer as Keras orders them, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers import GRU, AttentionPool, BatchNorm, Conv1d, Dense, Embedding, Layer, LayerNorm
from fastlstm.layers.recurrent.base import Recurrent

Array = NDArray[Any]

NAMES: dict[type[Layer], tuple[str, ...]] = {
    Dense: ("weight", "bias"),
    Embedding: ("weight",),
    Conv1d: ("weight", "bias"),
    LayerNorm: ("weight", "bias"),
    BatchNorm: ("weight", "bias", "running_mean", "running_var"),
    AttentionPool: ("context",),
}
"""The parameters and buffers of each layer but the recurrent ones, in Keras' order of weights."""


def fill(layer: Layer, arrays: Sequence[Array], place: str) -> None:
    """Give a layer its parameters from the weights of a layer of Keras. It raises what `parameters_of` raises."""
    found = parameters_of(layer, arrays, place)
    layer.load_parameters(found, dtype_of(arrays, place))


def parameters_of(layer: Layer, arrays: Sequence[Array], place: str) -> dict[str, Array]:
    """The parameters and buffers of a layer by their names, from the weights of a layer of Keras.

    Raises
    ------
    ValueError
        If their number, their shapes or their dtypes are not those of such a layer, or one holds NaN.
    """
    if isinstance(layer, Recurrent):
        found = _recurrent(layer, arrays, place)
    else:
        names = [name for name in NAMES[type(layer)] if name in layer._arrays()]
        if len(arrays) != len(names):
            raise ValueError(f"{place}: expected {len(names)} arrays of weights, got {len(arrays)}")
        found = {name: turned(array) for name, array in zip(names, arrays, strict=True)}
        if isinstance(layer, Embedding):
            found = {"weight": arrays[0]}
    dtype = dtype_of(arrays, place)
    shapes = {**layer.parameter_shapes(), **layer.buffer_shapes()}
    if found.keys() != shapes.keys():
        raise ValueError(f"{place}: expected a layer whose parameters Keras has, got one with {', '.join(shapes)}")
    for name, array in found.items():
        if array.shape != shapes[name]:
            raise ValueError(
                f"{place}: expected weights of shape {_check.describe(shapes[name][::-1])}, got "
                f"{_check.describe(array.shape[::-1])}"
            )
        found[name] = np.ascontiguousarray(array, dtype)
        _check.finite(found[name], place)
    return found


def dtype_of(arrays: Sequence[Array], place: str) -> np.dtype[Any]:
    """The dtype of all of them, float32 or float64."""
    dtypes = {array.dtype.newbyteorder("=") for array in arrays}
    if len(dtypes) != 1 or not dtypes <= {np.dtype("float32"), np.dtype("float64")}:
        names = ", ".join(sorted(dtype.name for dtype in dtypes))
        raise ValueError(f"{place}: expected weights in float32 or all in float64, got {names or 'none'}")
    return dtypes.pop()


def turned(array: Array) -> Array:
    """An array with its axes turned round: Keras has the inputs first, we the outputs."""
    return array.transpose()


def _recurrent(layer: Recurrent[Any], arrays: Sequence[Array], place: str) -> dict[str, Array]:
    if layer.num_layers != 1:
        raise ValueError(f"{place}: expected a layer with num_layers=1, as Keras has them, got {layer.num_layers}")
    each = 2 + layer.bias
    if len(arrays) != each * layer.directions:
        raise ValueError(f"{place}: expected {each * layer.directions} arrays of weights, got {len(arrays)}")
    found: dict[str, Array] = {}
    for k, end in enumerate(("_l0", "_l0_reverse")[: layer.directions]):
        kernel, recurrent, *bias = arrays[k * each : (k + 1) * each]
        if bias and bias[0].shape == (2 * layer.cell.gates * layer.hidden_size,):
            kernel, recurrent = (_of_cudnn(array, layer.cell.gates) for array in (kernel, recurrent))
        found["weight_ih" + end] = in_our_order(layer, turned(kernel))
        found["weight_hh" + end] = in_our_order(layer, turned(recurrent))
        if bias:
            found.update(_biases(layer, bias[0], end, place))
    return found


def _of_cudnn(kernel: Array, gates: int) -> Array:
    """The kernel (I, G·H) of a cuDNN layer as of any other: each gate lies there as (H, I), whatever its shape says."""
    if kernel.ndim != 2 or kernel.shape[1] % gates:
        return kernel
    return np.hstack([gate.reshape(gate.shape[::-1]).T for gate in np.hsplit(kernel, gates)])


def in_our_order(layer: Recurrent[Any], rows: Array) -> Array:
    """Rows z, r, h of a GRU as r, z, n, and back; those of other cells as they are."""
    if not isinstance(layer, GRU) or len(rows) % 3:
        return rows
    z, r, n = np.split(rows, 3)
    return np.concatenate([r, z, n])


def _biases(layer: Recurrent[Any], bias: Array, end: str, place: str) -> dict[str, Array]:
    """One bias (G·H), or two, (2, G·H) or (2·G·H) as of a cuDNN layer."""
    rows = layer.cell.gates * layer.hidden_size
    if bias.size == 2 * rows:
        two = [in_our_order(layer, part) for part in bias.reshape(2, rows)]
    elif bias.shape == (rows,) and not (isinstance(layer, GRU) and layer.reset_gate == "after"):
        two = [in_our_order(layer, bias), np.zeros_like(bias)]
        if not layer.two_biases:
            return {"bias" + end: two[0]}
    else:
        raise ValueError(f"{place}: expected a bias of {rows} or 2 times {rows} numbers, got {bias.shape}")
    if layer.two_biases:
        return {"bias_ih" + end: two[0], "bias_hh" + end: two[1]}
    return {"bias" + end: layer.cell.one_bias(two[0], two[1])}


def arrays_of(layer: Layer, k: int = 0) -> list[Array]:
    """The weights of a layer in Keras' order, for `set_weights`; of layer k of a stack."""
    layer.build()
    if not isinstance(layer, Recurrent):
        values = {**layer._parameters, **layer._buffers}
        names = [name for name in NAMES.get(type(layer), ()) if name in values]
        whole = isinstance(layer, Embedding)
        return [np.array(values[name].value if whole else turned(values[name].value)) for name in names]
    found = []
    for end in (f"_l{k}", f"_l{k}_reverse")[: layer.directions]:
        for name in ("weight_ih", "weight_hh"):
            found.append(turned(in_our_order(layer, layer.parameter(name + end).value)))
        if layer.bias:
            found.append(_keras_bias(layer, end))
    return [np.ascontiguousarray(array) for array in found]


def _keras_bias(layer: Recurrent[Any], end: str) -> Array:
    after = isinstance(layer, GRU) and layer.reset_gate == "after"
    if layer.two_biases:
        both = [in_our_order(layer, layer.parameter(name + end).value) for name in ("bias_ih", "bias_hh")]
        return np.stack(both) if after else both[0] + both[1]
    bias = layer.parameter("bias" + end).value
    if not after:
        return in_our_order(layer, bias)
    r, z, n, m = bias.reshape(4, -1)
    zeros = np.zeros_like(m)
    return np.stack([np.concatenate([z, r, n]), np.concatenate([zeros, zeros, m])])
