"""Loop and Scan by the letter of ONNX.

The reference's own Loop ends at once where no condition is given, and joins what it collects along an axis that is
there already; its Scan knows the first axis and one way only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx.reference.op_run import OpRun


class Loop(OpRun):
    """A body that is run over and over: so many times, or while its condition holds."""

    op_domain = ""
    body: Any

    def need_context(self) -> bool:
        """A body sees what is computed around it."""
        return True

    def _run(
        self,
        count: Any = None,
        goes_on: Any = None,
        *carried: Any,
        context: Any = None,
        attributes: Any = None,
        **_: Any,
    ) -> tuple[Any, ...]:
        body, values = self.body, dict(context or {})
        states = [*carried]
        collected: list[list[Any]] = [[] for _ in body.output_names[1 + len(carried) :]]
        k, goes_on = 0, goes_on is None or bool(np.all(goes_on))
        while goes_on and (count is None or k < int(np.asarray(count).item())):
            given = [np.array(k, np.int64), np.array(True), *states]
            values.update(zip(body.input_names, given, strict=False))
            condition, *results = body.run(None, values, attributes=attributes)
            states, k, goes_on = results[: len(states)], k + 1, bool(np.all(condition))
            for parts, value in zip(collected, results[len(states) :], strict=True):
                parts.append(value)
        infos = body.output_types_[1 + len(states) :]
        return (*states, *(stacked(parts, 0, info) for parts, info in zip(collected, infos, strict=True)))


class Scan(OpRun):
    """A body that is run for each slice of its inputs, along any axis, from either end."""

    op_domain = ""
    body: Any
    num_scan_inputs: int

    def __init__(self, node: Any, told: Any) -> None:
        super().__init__(node, told)
        if told["opsets"].get("", 9) < 9:
            raise NotImplementedError("a Scan of opset 8 has batches, one of opset 9 or later is known")

    def need_context(self) -> bool:
        """A body sees what is computed around it."""
        return True

    def _run(self, *inputs: Any, context: Any = None, attributes: Any = None, **told: Any) -> tuple[Any, ...]:
        body, scanned = self.body, self.num_scan_inputs
        states, values = [*inputs[: len(inputs) - scanned]], dict(context or {})
        slices = [
            np.moveaxis(array, axis, 0)[:: -1 if backwards else 1]
            for array, axis, backwards in zip(
                inputs[len(states) :],
                told.get("scan_input_axes") or [0] * scanned,
                told.get("scan_input_directions") or [0] * scanned,
                strict=True,
            )
        ]
        lengths = {len(array) for array in slices}
        if len(lengths) != 1:
            raise ValueError(f"expected inputs of one length to scan, got {sorted(lengths)}")
        outputs = len(body.output_names) - len(states)
        collected: list[list[Any]] = [[] for _ in range(outputs)]
        for row in zip(*slices, strict=True):
            values.update(zip(body.input_names, [*states, *map(np.asarray, row)], strict=True))
            results = body.run(None, values, attributes=attributes)
            states = results[: len(states)]
            for parts, value in zip(collected, results[len(states) :], strict=True):
                parts.append(value)
        axes = told.get("scan_output_axes") or [0] * outputs
        ways = told.get("scan_output_directions") or [0] * outputs
        ends = zip(collected, axes, ways, body.output_types_[len(states) :], strict=True)
        return (*states, *(stacked(parts[:: -1 if back else 1], axis, info) for parts, axis, back, info in ends))


def stacked(parts: list[Any], axis: int, info: Any) -> Any:
    """What a body has made each time, along a new axis; `info` is the type of one, for the case that there is none."""
    if parts:
        return np.stack(parts, axis)
    dims, element = [size.dim_value for size in info.tensor_type.shape.dim], info.tensor_type.elem_type
    return np.moveaxis(np.zeros((0, *dims), helper.tensor_dtype_to_np_dtype(element or TensorProto.FLOAT)), 0, axis)
