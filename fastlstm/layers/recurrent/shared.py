"""The arguments that recurrent layers share: the type, the default and the description of each stand here alone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Literal

from fastlstm.layers.matrix import Kinds
from fastlstm.layers.settings import Settings


class Shared(Settings, total=False):
    """Keywords that every recurrent layer takes, beside those of `Settings`.

    Attributes
    ----------
    num_layers : int, default 1
        Layers on top of each other, each reading the outputs of the one below.
    bidirectional : bool, default False
        Whether each layer also reads sequences from their ends. Outputs of both directions stand side by side: D = 2.
    dropout : float, default 0
        Rate of dropout on the output of each layer but the last, while training. A single layer has none, and a
        UserWarning says so: put a `Dropout` after it.
    bias : bool, default True
        Whether each gate has a bias for each unit.
    input_dropout : float, default 0
        Rate of dropout on x, while training.
    variational : bool, default False
        Whether `input_dropout`, and `dropout` between layers, have one mask for all steps of a sequence (Gal and
        Ghahramani 2016), instead of new ones at each step.
    merge : "concat", "sum", "mul", "ave" or "none", default "concat"
        How the outputs of two directions come together: side by side, added, multiplied, their mean, or, of a single
        layer that is called by itself, each by itself.
    residual : bool, default False
        Whether each layer but the first adds the output of the layer below to its own (He et al. 2016).
    skip : "input", "output", "both" or None, default None
        Connections that go past layers (Graves 2013): each layer above the first also reads x, beside the output of the
        one below; or the output is that of all layers side by side, layers·D·H numbers; or both.
    go_backwards : bool, default False
        Whether sequences are read from their ends only. Outputs stand at their own steps.
    learn_initial_state : bool, default False
        Whether the state that a sequence begins with, where none is given, is trained. There is then a parameter for
        each part of the state, ``h0_l{k}`` (H), and ``c0_l{k}`` (H) if there is a c, of each layer and direction. They
        start at zero.
    dtype : "float32", "float64" or None, default None
        None takes the model's; a layer without a model is float32.
    seed : int or None, default None
        Seed of the starting values. None takes one from the model, or a new one.
    weights : "bfloat16", "int8x16", "int8" or None, or a list of these, default None
        How inference holds the weights; see `fastlstm.quantize`. None is as they are. A list has one for each layer and
        direction: layer 0, layer 0 reverse, layer 1, ...
    """

    num_layers: int
    bidirectional: bool
    dropout: float
    bias: bool
    input_dropout: float
    variational: bool
    merge: Literal["concat", "sum", "mul", "ave", "none"]
    residual: bool
    skip: Literal["input", "output", "both"] | None
    go_backwards: bool
    learn_initial_state: bool
    dtype: Any
    seed: int | None
    weights: Kinds


class SharedWithU(Shared, total=False):
    """Keywords that every recurrent layer with a matrix U takes.

    Attributes
    ----------
    weight_dropout : float, default 0
        Rate of dropout on the weights U, while training, one mask for a batch (DropConnect, Merity et al. 2018).
    two_biases : bool, default False
        Whether each gate has two biases that are added, as in PyTorch: ``bias_ih_l{k}`` and ``bias_hh_l{k}`` instead of
        ``bias_l{k}``, each with a number for each row of the weights. Each has the whole gradient, so that plain
        descent moves their sum twice as fast.
    """

    weight_dropout: float
    two_biases: bool


SAVED = {"num_layers": 1, "bidirectional": False, "dropout": 0.0, "bias": True}
"""Defaults of the arguments that `config` always holds."""

SAVED_IF_GIVEN: dict[str, Any] = {
    **{"input_dropout": 0.0, "weight_dropout": 0.0, "variational": False},
    **{"merge": "concat", "residual": False, "skip": None, "go_backwards": False, "learn_initial_state": False},
    "two_biases": False,
}
"""Those of the arguments that it leaves out where they have them, so that files stay what they were."""

DEFAULTS: dict[str, Any] = {**SAVED, **SAVED_IF_GIVEN, "dtype": None, "seed": None, "weights": None}

SETTINGS = """**settings
    How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
    `fastlstm.layers.settings.Settings`.
"""


def names_of(takes: Any) -> list[str]:
    """The names of the arguments in `Shared` or `SharedWithU`, without those of `Settings`."""
    return [name for name in DEFAULTS if name in takes.__annotations__]


def complete(takes: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """All shared arguments of a layer that takes these, and what else is given: its settings."""
    told = {name: given[name] for name in names_of(takes) if name in given}
    return DEFAULTS | told, {name: value for name, value in given.items() if name not in told}


def config_of(layer: Any) -> dict[str, Any]:
    """The shared arguments of a layer, as its config holds them."""
    used = [name for name, usual in SAVED_IF_GIVEN.items() if getattr(layer, name) != usual]
    return {name: getattr(layer, name) for name in (*SAVED, *used)}


def described(doc: str | None, takes: Any) -> str | None:
    """A docstring that describes each shared argument in the place of its entry ``**shared``."""
    if doc is None or "**shared\n" not in doc:  # without docstrings under python -OO
        return doc
    sections = [inspect.cleandoc(kind.__doc__ or "").partition("-\n")[2] for kind in (Shared, SharedWithU)]
    entries = {entry.partition(" : ")[0]: entry for text in sections for entry in re.split(r"\n(?=\w)", text)}
    whole = "\n".join([*(entries[name] for name in names_of(takes)), SETTINGS])
    return re.sub(r"^\*\*shared\n( +.*\n)+", lambda _: whole, inspect.cleandoc(doc), flags=re.MULTILINE)


def spelled_out(signature: inspect.Signature, takes: Any) -> inspect.Signature:
    """A signature that has each shared argument in the place of ``**shared``."""
    if "shared" not in signature.parameters:
        return signature
    *own, last = signature.parameters.values()
    kinds = takes.__annotations__  # references to types, whose text is as that of other annotations
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=DEFAULTS[name], annotation=kinds[name].__forward_arg__
        )
        for name in names_of(takes)
    ]
    return signature.replace(parameters=[*own, *shared, last.replace(name="settings", annotation="Unpack[Settings]")])
