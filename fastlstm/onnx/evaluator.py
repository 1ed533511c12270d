"""onnx's reference evaluator with nodes of ours, in subgraphs and functions, too."""

from __future__ import annotations

from typing import Any

from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_scatter_elements import ScatterElements

from fastlstm.onnx.conv import Conv
from fastlstm.onnx.flow import Loop, Scan
from fastlstm.onnx.pool import MaxPool
from fastlstm.onnx.products import Gemm, MatMul
from fastlstm.onnx.recurrent import GRU, LSTM, RNN

OURS = {kind.__name__: kind for kind in (LSTM, GRU, RNN, Conv, MaxPool, MatMul, Gemm, Loop, Scan)}
"""The operators that are ours."""

OLD = {"Scatter": ScatterElements}
"""Operators by their names in opsets of which the reference has none."""


class Evaluator(ReferenceEvaluator):
    """A graph or a function. Those within it are made of the same class."""

    def _load_impl(self, node: Any, input_types: Any = None) -> Any:
        if node.domain in ("", "ai.onnx") and node.op_type in OURS:
            return OURS[node.op_type]
        if node.domain == "" and node.op_type in OLD:
            return OLD[node.op_type]
        try:
            return super()._load_impl(node, input_types)
        except (NotImplementedError, RuntimeError) as error:
            if type(error).__name__ == "RuntimeContextError":  # the evaluator tries again with types
                raise
            raise NodeError(f"{described(node)}: onnx has no such operator in these opsets: {error!s:.300}") from error

    def run(
        self,
        output_names: Any,
        feed_inputs: dict[str, Any],
        attributes: dict[str, Any] | None = None,
        intermediate: bool = False,
        **others: Any,
    ) -> Any:
        """As that of the base, without its logs; an error names the node."""
        results = {"": None, **self.rt_inits_, **feed_inputs}
        for node in self.rt_nodes_:
            told: dict[str, Any] = {}
            if node.need_context():
                told["context"] = results
            if node.has_linked_attribute and attributes:
                told["linked_attributes"] = attributes
            try:
                outputs = node.run(*[results[name] for name in node.input], **told)
            except NodeError:
                raise
            except Exception as error:
                raise NodeError(f"{described(node.onnx_node)}: {reason(error)}") from error
            results.update(zip(node.output, outputs, strict=False))
        if intermediate:
            return results
        missing = [name for name in output_names or self.output_names if name not in results]
        if missing:
            raise ValueError(f"outputs: expected names of results, got {missing!r:.200}")
        return [results[name] for name in output_names or self.output_names]


class NodeError(ValueError):
    """What a node has raised, with the node's name."""


def described(node: Any) -> str:
    """A node in a message."""
    return f"node {node.name or ', '.join(node.output)!s:.80} ({node.op_type:.80})"


def reason(error: BaseException) -> str:
    """What went wrong, without the words that the evaluator puts around it."""
    if isinstance(error, KeyError):
        return f"expected inputs that a node before it computes, got none of the name {error}"
    cause = error.__cause__ if isinstance(error, TypeError) and error.__cause__ is not None else error
    text = str(cause) or type(cause).__name__
    return text if len(text) <= 500 else text[:500] + " ..."
