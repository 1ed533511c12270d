"""The session: a model that is loaded once and run many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastlstm.files import Damaged, PathLike, reading
from fastlstm.onnx.evaluator import Evaluator, NodeError
from fastlstm.onnx.folding import LEAST_ROOM, fold
from fastlstm.onnx.reading import content_of, model_of
from fastlstm.onnx.values import NodeArg, argument_of, fed, returned


@dataclass(frozen=True)
class ModelMeta:
    """What a model says of itself.

    Attributes
    ----------
    producer_name, graph_name, domain, description, graph_description : str
    version : int
    custom_metadata_map : dict of str by str
    """

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict[str, str]


class InferenceSession:
    """An ONNX model, run by onnx's reference evaluator with our kernels, in the signatures of ONNX Runtime.

    LSTM, GRU, RNN, Conv, MatMul and Gemm run on our kernels, also in subgraphs and functions; every other operator as
    onnx's own reference has it. Nothing is refused for an operator that onnx knows. What follows from constants alone
    is computed once, and weights are packed once. `fastlstm.set_num_threads` sets the threads. Any number of Python
    threads may run one session.

    Parameters
    ----------
    path_or_bytes : path or bytes
        The model. Weights in other files are refused.
    sess_options, providers, provider_options, **kwargs
        Those of ONNX Runtime are taken, so that a call need not be changed, and have no effect.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    TypeError
        If the model is neither a path nor bytes.
    ValueError
        If it is no ONNX model, is damaged, or has an operator that onnx does not know.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from onnx import TensorProto, helper
    >>> import numpy as np
    >>> x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy")
    >>> graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", [x], [y])
    >>> session = InferenceSession(helper.make_model(graph).SerializeToString())
    >>> session.run(None, {"x": np.zeros((1, 2), np.float32)})
    [array([[0., 0.]], dtype=float32)]
    """

    def __init__(
        self,
        path_or_bytes: PathLike | bytes,
        sess_options: Any = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        name, content = content_of(path_or_bytes)
        with reading(name, RuntimeError, AssertionError):
            self._model = model_of(content)
            try:
                self._evaluator = Evaluator(self._model)
            except NodeError as error:
                raise Damaged(f"{name}: {error}") from error
            fold(self._evaluator, max(LEAST_ROOM, 3 * len(content)))
        graph = self._model.graph
        self._optional = {tensor.name for tensor in graph.initializer}
        self._inputs = {value.name: value for value in graph.input}
        self._outputs = [argument_of(value) for value in graph.output]

    def run(self, output_names: Sequence[str] | None, input_feed: dict[str, Any], run_options: Any = None) -> list[Any]:
        """Compute outputs.

        Parameters
        ----------
        output_names : list of str or None
            Which; None for all, in the model's order.
        input_feed : dict
            An array for each input by name, of its type and shape.
        run_options
            Taken, without effect.

        Returns
        -------
        list of arrays

        Raises
        ------
        TypeError
            If the names are no list, or the feed is no dict.
        ValueError
            If a name is not known, an input is missing or of another type or shape, or a node cannot compute what it
            is given: the message names it.
        """
        if isinstance(output_names, str):
            raise TypeError(f"output_names: expected a list of names, got {output_names!r:.80}")
        names = [output.name for output in self._outputs]
        wanted = names if output_names is None else [*output_names]
        for name in wanted:
            if name not in names:
                raise ValueError(f"output_names: expected names of {', '.join(names)}, got {name!r:.80}")
        feed = fed(self._inputs, input_feed, self._optional)
        found = self._evaluator.run(wanted, feed)
        seen: set[int] = set()
        results = []
        for value in found:
            value = returned(value)
            results.append(value.copy() if id(value) in seen else value)
            seen.add(id(value))
        return results

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that a run needs."""
        return [argument_of(value) for name, value in self._inputs.items() if name not in self._optional]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """The inputs that have a value in the model, too."""
        return [argument_of(value) for name, value in self._inputs.items() if name in self._optional]

    def get_outputs(self) -> list[NodeArg]:
        """The outputs."""
        return [*self._outputs]

    def get_providers(self) -> list[str]:
        """What the model runs on: the processor."""
        return ["CPUExecutionProvider"]

    def get_modelmeta(self) -> ModelMeta:
        """What the model says of itself."""
        model = self._model
        return ModelMeta(
            *(model.producer_name, model.graph.name, model.domain, model.doc_string, model.graph.doc_string),
            model.model_version,
            {entry.key: entry.value for entry in model.metadata_props},
        )
