"""Models from ONNX."""

from __future__ import annotations

from fastlstm.files import PathLike, read_bytes, reading
from fastlstm.io.onnx.own import as_written
from fastlstm.io.onnx.parsing import parsed
from fastlstm.io.onnx.patterns import layers_of
from fastlstm.model import Model


def from_onnx(path: PathLike) -> Model:
    """A model from an ONNX file: one that `to_onnx` has written, or that PyTorch or others have exported.

    Of a file of `to_onnx` it is the same model, to the bit. Of others it has the layers that the nodes of the graph
    amount to: LSTM, GRU and RNN with their options, both directions and initial states that are zeros; MatMul, Gemm and
    Add as `Dense`, Gather as `Embedding`, Conv and MaxPool over time, normalisations, functions, pools, the last step,
    sums and concatenations of branches. Transpose, Reshape, Squeeze and the like are followed, and nothing of them is
    left: the model takes (N, T, F), also where the graph takes (T, N, F). Opsets from 7 on are read.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Model
        With the first output of the graph. States that are further inputs and outputs are left to `Model.stream`.

    Raises
    ------
    ValueError
        If the file is damaged, has weights in other files, or a node that no layer stands for; the message names the
        node.
    ImportError
        If the package onnx is not installed.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.io.to_onnx(fl.Model([fl.GRU(3, 8), fl.Dense(8, 1)], seed=0), "model.onnx")
    >>> [type(layer).__name__ for layer in fl.io.from_onnx("model.onnx").layers]
    ['GRU', 'Dense']
    """
    with reading(path):
        graph = parsed(read_bytes(path))
        model = as_written(graph)
        if model is None:
            layers, dtype = layers_of(graph)
            model = Model(layers, dtype)
        return model
