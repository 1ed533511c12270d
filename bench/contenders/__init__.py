"""Who is measured. Each gets the same weights and inputs and gives a call to be timed and its results to be compared.

A contender is a module with `prepare(problem, mode, threads)`, which imports its framework and returns a `Call`, or
raises LookupError where it cannot do what is asked. The modes:

- inference: a pass from zero states, without whatever training needs, by the call that the framework's users write
- own calls: the same of models and lengths that only ours are measured on
- streaming: one step from the states of the one before
- training: forward, and backward of the sum of the outputs, to the weights and to x
- ragged: the same over sequences of different lengths; what stands beyond them is padding
- steps: whole training steps of a model, see `bench.steps`, where the modules for it are
- fit: the same, by `Trainer.fit` too
- low precision: inference by fastlstm in float32, and by contenders in a lower precision
- low steps: whole training steps by fastlstm and PyTorch in float32, and by contenders in a lower precision
- torch training, torch packed, torch inference: models in PyTorch, as they are and accelerated

Contenders in a lower precision are in the last two modes only.

A suite (`bench.cases`) has cases of one mode or of several.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import steps
from bench.cases import Case, StepCase, TorchCase
from bench.cells import CELLS, Cell

Array = NDArray[Any]


@dataclass(frozen=True)
class Contender:
    """Its module here and in `bench.steps`, the package that must be installed, the modes it is measured in, and the
    lower precision, "bfloat16", "int8" or "int8x16", that it computes in; by default that of the problem."""

    module: str
    package: str
    modes: tuple[str, ...]
    precision: str | None = None

    @property
    def beside(self) -> str | None:
        """The precision of the peers that it stands beside: no peer has weights of 8 bits for inputs of 16."""
        return "int8" if self.precision == "int8x16" else self.precision


LOW, LOW_STEPS = ("low precision",), ("low steps",)
TORCH = ("torch training", "torch packed", "torch inference")
CONTENDERS = {
    "fastlstm": Contender(
        "ours",
        "fastlstm",
        ("inference", "own calls", "streaming", "training", "ragged", "steps", "fit", *LOW, *LOW_STEPS, *TORCH),
    ),
    "fastlstm, prepared": Contender("ours_prepared", "fastlstm", ("inference", "own calls")),
    "fastlstm, Trainer": Contender("ours_trainer", "fastlstm", ("fit",)),
    "fastlstm, block": Contender("ours_block", "fastlstm", ("streaming",)),
    "fastlstm, full": Contender("ours_full", "fastlstm", ("ragged",)),
    "fastlstm-bfloat16": Contender("ours", "fastlstm", (*LOW, *LOW_STEPS), "bfloat16"),
    "fastlstm-int8x16": Contender("ours", "fastlstm", LOW, "int8x16"),
    "fastlstm-int8": Contender("ours", "fastlstm", LOW, "int8"),
    "torch": Contender(
        "pytorch", "torch", ("inference", "streaming", "training", "ragged", "steps", "fit", *LOW_STEPS, *TORCH)
    ),
    "torch, masked": Contender("pytorch_masked", "torch", ("ragged",)),
    "torch.compile": Contender("pytorch_compiled", "torch", ("inference", "streaming")),
    "onnxruntime": Contender("onnx_runtime", "onnxruntime", ("inference", "streaming")),
    "openvino": Contender("open_vino", "openvino", ("inference", "streaming")),
    "jax": Contender("jax_scan", "jax", ("inference", "streaming", "training")),
    "keras": Contender("keras_tensorflow", "keras", ("inference", "streaming", "training", "steps", "fit")),
    "pytorch-bfloat16": Contender("pytorch_bfloat16", "torch", LOW, "bfloat16"),
    "pytorch-autocast": Contender("pytorch_autocast", "torch", (*LOW, *LOW_STEPS), "bfloat16"),
    "openvino-bf16": Contender("open_vino", "openvino", LOW, "bfloat16"),
    "pytorch-int8": Contender("pytorch_int8", "torch", LOW, "int8"),
    "onnxruntime-int8": Contender("onnx_runtime_int8", "onnxruntime", LOW, "int8"),
}
OURS = [name for name, contender in CONTENDERS.items() if contender.package == "fastlstm"]


@dataclass(frozen=True)
class Problem:
    """Weights under PyTorch's names, and an input (N, T, I); in streaming T is 1, and x comes again and again. The
    dtype is that of weights and input; with a precision, the contender is to compute in that instead."""

    case: Case
    dtype: str
    weights: dict[str, Array]
    x: Array
    precision: str | None = None

    def suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.case.directions]

    @property
    def cell(self) -> Cell:
        return CELLS[self.case.cell]

    def rows(self, name: str, gates: Sequence[int]) -> Array:
        """A weight or bias with the blocks of rows of its gates in this order."""
        value = self.weights[name]
        return value.reshape(len(gates), self.case.hidden, -1)[list(gates)].reshape(value.shape)


@dataclass(frozen=True)
class Call:
    """`call()` is timed, and counts as so many steps; `results()` gives what it computes, y (N, T, ·) first.

    `core(count)`, asked after so many calls, gives the microseconds that what they do takes by itself.
    """

    call: Callable[[], Any]
    results: Callable[[], list[Array]]
    steps: int = 1
    core: Callable[[int], float] | None = None


STREAMED = 4
"""Steps after which the results of streams are compared."""


def make_problem(case: Case, dtype: str, precision: str | None = None) -> Problem:
    rng = np.random.default_rng(0)
    bound = case.hidden**-0.5
    rows = case.gates * case.hidden
    weights = {}
    for layer in range(case.layers):
        inputs = case.inputs if layer == 0 else case.directions * case.hidden
        for suffix in [f"_l{layer}", f"_l{layer}_reverse"][: case.directions]:
            shapes = {"weight_ih": inputs, "weight_hh": case.hidden, "bias_ih": None, "bias_hh": None}
            for name, width in shapes.items():
                shape = (rows,) if width is None else (rows, width)
                weights[name + suffix] = rng.uniform(-bound, bound, shape).astype(dtype)
    x = rng.standard_normal((case.n, case.t, case.inputs)).astype(dtype)
    return Problem(case, dtype, weights, x, precision)


def installed(name: str) -> bool:
    return importlib.util.find_spec(CONTENDERS[name].package) is not None


def prepare(name: str, case: Case | StepCase | TorchCase, dtype: str, mode: str, threads: int) -> Call:
    contender = CONTENDERS[name]
    only(mode in contender.modes, f"not measured in mode {mode}")
    call: Call
    if isinstance(case, TorchCase):
        module = importlib.import_module("bench.torch_models")
        call = module.prepare(case, dtype, threads, accelerated=name == "fastlstm")
    elif isinstance(case, StepCase):
        module = importlib.import_module(f"bench.steps.{contender.module}")
        call = module.prepare(steps.make_problem(case, dtype, contender.precision), threads)
    else:
        module = importlib.import_module(f"bench.contenders.{contender.module}")
        call = module.prepare(make_problem(case, dtype, contender.precision), mode, threads)
    return call


def only(condition: bool, why: str) -> None:
    if not condition:
        raise LookupError(why)
