"""What has become of each part of a model that was read from somewhere else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fastlstm.layers import Layer
from fastlstm.layers.holder import rows_of
from fastlstm.model import Model

MOST_NAMED = 6
"""Parts that were left out for the same reason which a table names."""


class Part(NamedTuple):
    """A part of a source.

    Attributes
    ----------
    name : str
        Its name there: the path of a module, the prefix of tensors, the name of a layer or a node.
    kind : str
        Its class or operator; "" if that is not known.
    layers : tuple of Layer
        What it has become: none if it was left out; the same layer as others if they were folded into one.
    why : str
        Of one that was left out, the reason.
    """

    name: str
    kind: str
    layers: tuple[Layer, ...] = ()
    why: str = ""

    def __str__(self) -> str:
        name = self.name or "(no prefix)"
        return f"{name} ({self.kind})" if self.kind else name


class Parts(list[Part]):
    """A list that `from_torch`, `from_keras` and `from_onnx` fill: which part of the source has become which layer.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> state = {"rnn.weight_ih_l0": np.ones((4, 3), "float32"), "rnn.weight_hh_l0": np.ones((4, 4), "float32")}
    >>> state |= {"head.weight": np.ones((2, 4), "float32"), "loss.weight": np.ones(2, "float32")}
    >>> model = fl.Model([fl.SimpleRNN(3, 4, bias=False), fl.Last(), fl.Dense(4, 2, bias=False)])
    >>> parts, names = fl.io.Parts(), {"rnn": 0, "head": 2}
    >>> _ = fl.io.from_torch(state, model=model, names=names, ignore=["loss"], parts=parts)
    >>> print(parts.table(model))
    from layer        output shape   parameters
    -------------------------------------------
    rnn  0 SimpleRNN  (N, T, 4)              28
         1 Last       (N, 4)                  0
    head 2 Dense      (N, 2)                  8
    -------------------------------------------
         total                               36
    left out (ignore=): loss
    """

    def add(self, name: str, kind: str, layers: Iterable[Layer] = (), why: str = "") -> None:
        """Add a part."""
        self.append(Part(name, kind, tuple(layers), why))

    def table(self, model: Model) -> str:
        """The layers of the model as its summary has them, each with the parts that it is made of.

        Parameters
        ----------
        model : Model
            The one that has been made of the parts.

        Returns
        -------
        str
            A line for each layer, and for each part beyond the first of a layer; then what was left out, and why.
        """
        sources: dict[int, list[str]] = {}
        for part in self:
            for layer in part.layers:
                sources.setdefault(id(layer), []).append(str(part))
        owned = [sources.get(id(layer), [""]) for _, layer, _ in rows_of(model.layers, model.input_shape)]
        head, rule, *rest = str(model).splitlines()
        width = max(len(name) for own in [["from"], *owned] for name in own)
        lines = [f"{'from':{width}} {head}", "-" * (width + 1) + rule]
        for (first, *folded), row in zip(owned, rest, strict=False):
            lines += [f"{first:{width}} {row}", *folded]
        lines.append(lines[1])
        lines += [f"{'':{width}} {row}" for row in rest[len(owned) + 1 :]]
        return "\n".join([*lines, *self._left_out()])

    def _left_out(self) -> list[str]:
        """A line for each reason for which parts have become nothing."""
        reasons: dict[str, list[str]] = {}
        for part in self:
            if not part.layers:
                reasons.setdefault(part.why, []).append(str(part))
        lines = []
        for why, names in reasons.items():
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            lines.append(f"left out ({why}): {', '.join(names[:MOST_NAMED])}{more}")
        return lines


def parts_or_none(parts: Any) -> Parts:
    """The list that a caller wants filled, or one for nobody."""
    if parts is not None and not isinstance(parts, Parts):
        raise TypeError(f"parts: expected a fastlstm.io.Parts, got {parts!r:.80}")
    return Parts() if parts is None else parts
