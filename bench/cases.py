"""The shapes that are measured, each with its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.cells import CELLS


@dataclass(frozen=True)
class Case:
    """T steps of N sequences of I features, through a cell of H units; one layer and direction unless it says more.

    Ragged sequences have from 1 to T steps; with several orders, calls have the same lengths, but of other sequences in
    turn. With a head, the last step of each sequence goes through a dense layer of one output. A call may come so many
    milliseconds after the one before it; else they come back to back. The name does not tell the cell, which is that of
    the whole run.
    """

    t: int
    n: int
    inputs: int
    hidden: int
    layers: int = 1
    directions: int = 1
    ragged: bool = False
    orders: int = 1
    head: bool = False
    pause: int = 0
    cell: str = "lstm"

    def __str__(self) -> str:
        words = [f"T{self.t} N{self.n} I{self.inputs} H{self.hidden}"]
        more = {
            f"x{self.layers}": self.layers > 1,
            "bi": self.directions == 2,
            "lengths": self.orders > 1,
            "head": self.head,
            f"after {self.pause} ms": self.pause > 0,
        }
        return " ".join([*words, *(word for word, said in more.items() if said)])

    @property
    def lengths(self) -> NDArray[np.intp] | None:
        """Real steps of each sequence if they differ: drawn evenly, the same every time, the longest T."""
        if not self.ragged:
            return None
        lengths = np.random.default_rng(0).integers(1, self.t, self.n, np.intp, endpoint=True)
        lengths[lengths.argmax()] = self.t
        return lengths

    @property
    def ordered_lengths(self) -> list[NDArray[np.intp] | None]:
        """Of the calls in turn."""
        lengths, rng = self.lengths, np.random.default_rng(1)
        return [lengths, *(None if lengths is None else rng.permutation(lengths) for _ in range(1, self.orders))]

    @property
    def steps(self) -> int:
        """Real ones of all sequences together."""
        lengths = self.lengths
        return self.n * self.t if lengths is None else int(lengths.sum())

    @property
    def gates(self) -> int:
        return CELLS[self.cell].gates

    @property
    def recurrent_numbers(self) -> int:
        """Weights that are read at every step."""
        return self.layers * self.directions * self.gates * self.hidden * self.hidden

    @property
    def forward_flops(self) -> int:
        """Of the matrix products of a forward pass; training counts three times as many."""
        total = 0
        for layer in range(self.layers):
            inputs = self.inputs if layer == 0 else self.directions * self.hidden
            total += self.directions * 2 * self.gates * self.hidden * (inputs + self.hidden) * self.steps
        return total + self.head * self.n * 2 * self.directions * self.hidden


@dataclass(frozen=True)
class StepCase:
    """A training step of N sequences of T steps: perhaps an embedding of tokens, an LSTM of so many layers, a dense
    layer on every step or on the last, a loss. One without a name is named by its shape, as a `Case` is."""

    name: str
    t: int
    n: int
    tokens: int | None
    inputs: int
    hidden: int
    layers: int
    outputs: int
    every_step: bool
    loss: str
    pause = 0

    def __str__(self) -> str:
        if self.name:
            return f"{self.name} T{self.t} N{self.n}"
        return str(Case(self.t, self.n, self.inputs, self.hidden, self.layers))

    @property
    def recurrent_numbers(self) -> int:
        """Weights that are read at every step."""
        return self.layers * 4 * self.hidden * self.hidden

    @property
    def forward_flops(self) -> int:
        """Of the matrix products of a forward pass, those of the dense layer among them."""
        gates = 8 * self.hidden * (self.inputs + (2 * self.layers - 1) * self.hidden)
        return self.n * (self.t * gates + (self.t if self.every_step else 1) * 2 * self.hidden * self.outputs)


@dataclass(frozen=True)
class TorchCase:
    """A whole model in PyTorch's own code, see `bench.torch_models`: which one, its sequences and its LSTM, the tokens
    that are embedded, if any, and the outputs of a dense layer, on every step or on the last."""

    model: str
    of: Case
    tokens: int | None
    outputs: int
    every_step: bool = False
    pause = 0

    def __str__(self) -> str:
        return f"{self.model}{' packed' if self.of.ragged else ''} {self.of}"

    @property
    def t(self) -> int:
        return self.of.t

    @property
    def recurrent_numbers(self) -> int:
        return self.of.recurrent_numbers

    @property
    def forward_flops(self) -> int:
        """Of the LSTMs and of the dense layer; a translator has a second LSTM, which reads more."""
        of = self.of
        more = replace(of, inputs=of.inputs + of.hidden).forward_flops if self.model == "translator" else 0
        rows = of.steps if self.every_step else of.n
        return of.forward_flops + more + rows * 2 * of.directions * of.hidden * self.outputs


# single steps and short calls, small and large models, as they occur in forecasting, text, speech and row-wise MNIST
TABLE = [
    Case(1, 1, 64, 64),
    Case(1, 1, 256, 256),
    Case(1, 1, 1024, 1024),
    Case(100, 1, 64, 64),
    Case(100, 1, 256, 256),
    Case(100, 32, 64, 128),
    Case(500, 32, 32, 100),
    Case(50, 64, 512, 512),
    Case(25, 16, 1024, 1024),
    Case(100, 32, 64, 128, layers=2, directions=2),
    Case(30, 128, 1, 32),
    Case(28, 256, 28, 128),
]

# Baidu's DeepBench, github.com/baidu-research/DeepBench: the LSTM problems of its training and server lists (I = H)
DEEPBENCH_TRAIN = [
    *(Case(25, n, h, h) for h in (512, 1024, 2048) for n in (16, 32, 64, 128)),
    *(Case(50, n, 1536, 1536) for n in (8, 16, 32)),
    *(Case(150, n, 256, 256) for n in (16, 32, 64)),
]
DEEPBENCH_SERVE = [
    *(Case(25, n, h, h) for h in (512, 1024, 2048) for n in (1, 2, 4)),
    *(Case(50, n, 1536, 1536) for n in (1, 2, 4)),
    *(Case(150, n, 256, 256) for n in (1, 2, 4)),
]

# oneDNN issue 837: small bidirectional models of optical character recognition
ONEDNN_837 = [Case(63, 1, 24, 32, directions=2), Case(31, 1, 48, 32, directions=2), Case(15, 1, 96, 32, directions=2)]

# PyTorch issue 81634: a long sequence
PYTORCH_81634 = [Case(2000, 8, 256, 256, layers=2)]

# the small and the medium language model of Zaremba et al. 2014 on PTB, a layer of 384 units as in Haste's benchmarks,
# and single sequences whose weights are beyond the L1 and the L2
PAPERS = [
    Case(20, 20, 200, 200, layers=2),
    Case(35, 20, 650, 650, layers=2),
    Case(50, 16, 64, 384),
    Case(100, 1, 256, 256),
    Case(150, 1, 384, 384),
]

# RTNeural, github.com/jatinchowdhury18/RTNeural: small models that answer sample by sample; and larger ones
STREAMING = [Case(1, 1, 4, 4), Case(1, 1, 16, 16), Case(1, 1, 1, 24), *(Case(1, 1, h, h) for h in (64, 128, 256))]

# Microseconds a step of RTNeural itself: C++, sizes fixed at compile time, -O3 for the machine, the better of its Eigen
# and plain backends; measured apart on 2 cores with AVX-512, so that they say the order of magnitude elsewhere
RTNEURAL = {"4 to 4": 0.048, "16 to 16": 0.056, "1 to 24": 0.106, "64 to 64": 0.86, "128 to 128": 2.75}

RAGGED = [
    Case(1000, 16, 32, 128, ragged=True),
    Case(100, 32, 64, 128, ragged=True),
    Case(500, 32, 32, 100, ragged=True),
    Case(100, 32, 64, 128, directions=2, ragged=True),
]

STEPS = [
    StepCase("character model", 64, 64, 65, 64, 256, 2, 65, True, "softmax_cross_entropy"),
    StepCase("word model", 20, 20, 10000, 200, 200, 2, 10000, True, "softmax_cross_entropy"),
    StepCase("forecaster", 48, 128, None, 7, 64, 1, 1, False, "mse"),
    StepCase("classifier", 500, 32, 10000, 32, 100, 1, 1, False, "sigmoid_cross_entropy"),
]

# small shapes, where a call is more than its kernels
CALLS = [
    Case(10, 2, 3, 8),
    Case(37, 7, 5, 33),
    Case(200, 4, 6, 48),
    Case(1, 10, 768, 512),
    Case(40, 1, 256, 256, directions=2),
    Case(20, 4, 32, 64),
    Case(1, 1, 64, 64),
]
SOMETIMES = [Case(20, 4, 32, 64, pause=5), Case(1, 1, 256, 256, pause=5), Case(100, 32, 64, 128, pause=5)]
OWN_CALLS = [
    *(replace(case, head=True) for case in CALLS),
    *(replace(case, ragged=True, orders=5) for case in CALLS if case.t > 1 and case.n > 1),
]
SMALL_STEP = StepCase("small model", 10, 32, None, 4, 8, 1, 1, False, "mse")

# large layers, whose weights in low precision need less of the caches, and small ones, which gain the least; rows of a
# batch from 1 to 128
LOW_PRECISION = [
    Case(50, 64, 512, 512),
    Case(25, 16, 1024, 1024),
    Case(100, 32, 64, 128),
    Case(25, 1, 1024, 1024),
    Case(100, 1, 256, 256),
    Case(25, 4, 2048, 2048),
    Case(1, 1, 256, 256),
    Case(50, 48, 256, 256),
    Case(100, 1, 64, 64),
    Case(30, 128, 1, 32),
    Case(25, 24, 1024, 1024),
]


def low_step(t: int, n: int, inputs: int, hidden: int, layers: int = 1) -> StepCase:
    """A step that is hardly more than its LSTM: numbers come in, and each step is told as one of ten classes."""
    return StepCase("", t, n, None, inputs, hidden, layers, 10, True, "softmax_cross_entropy")


# large layers, which the training in low precision is for; one in which the products are less of the step; the last is
# the LSTM of the medium language model of Zaremba et al. 2014, with a larger batch
LOW_STEPS = [
    low_step(50, 64, 512, 512),
    low_step(50, 48, 512, 512),
    low_step(25, 64, 1024, 1024),
    low_step(50, 48, 256, 256),
    low_step(100, 32, 64, 128),
    low_step(35, 64, 650, 650, layers=2),
]

# models of the steps suite, a tagger and a translator, as people write them in PyTorch; packed sequences; single steps
TORCH_TRAINING = [
    TorchCase("character model", Case(64, 64, 64, 256, layers=2), 65, 65, every_step=True),
    TorchCase("word model", Case(20, 20, 200, 200, layers=2), 10000, 10000, every_step=True),
    TorchCase("forecaster", Case(48, 128, 7, 64), None, 1),
    TorchCase("classifier", Case(500, 32, 32, 100), 10000, 1),
    TorchCase("tagger", Case(50, 32, 100, 128, layers=4, directions=2), 5000, 20, every_step=True),
    TorchCase("translator", Case(20, 32, 128, 256), 4000, 4000, every_step=True),
]
TORCH_PACKED = [
    TorchCase("classifier", Case(200, 32, 32, 100, ragged=True), 10000, 1),
    TorchCase("classifier", Case(100, 32, 64, 128, directions=2, ragged=True), 5000, 5),
]
TORCH_STEP = [TorchCase("step", Case(1, 1, h, h), None, 10) for h in (64, 256)]

SUITES: dict[str, dict[str, Sequence[Case | StepCase | TorchCase]]] = {
    "quick": {"inference": [Case(100, 1, 64, 64), Case(100, 32, 64, 128), Case(30, 128, 1, 32)]},
    "inference": {"inference": [*TABLE, *DEEPBENCH_SERVE, *ONEDNN_837, *PYTORCH_81634]},
    "papers": {"inference": PAPERS},
    "papers-training": {"training": PAPERS},
    "calls": {"inference": [*CALLS, *SOMETIMES], "own calls": OWN_CALLS, "fit": [SMALL_STEP]},
    "streaming": {"streaming": STREAMING},
    "training": {"training": list(dict.fromkeys([*TABLE, *DEEPBENCH_TRAIN]))},
    "ragged": {"ragged": RAGGED},
    "steps": {"steps": STEPS},
    "low": {"low precision": LOW_PRECISION},
    "low-steps": {"low steps": LOW_STEPS},
    "torch": {"torch training": TORCH_TRAINING, "torch packed": TORCH_PACKED, "torch inference": TORCH_STEP},
}
"""The cases of each suite by the mode that they are measured in, see `bench.contenders`."""
BACKWARD = ("training", "ragged", "steps", "fit", "low steps", "torch training", "torch packed")
"""Modes that go forward and backward: as many operations as three forward passes."""


def cases_of(suite: str, cell: str = "lstm") -> Iterator[tuple[str, Case | StepCase | TorchCase]]:
    """Each case of a suite, with this cell, after its mode."""
    for mode, cases in SUITES[suite].items():
        for case in cases:
            yield mode, replace(case, cell=cell) if isinstance(case, Case) else case


def takes_any_cell(suite: str) -> bool:
    """Whether a suite has no training steps of whole models, which are models of LSTMs."""
    return all(isinstance(case, Case) for cases in SUITES[suite].values() for case in cases)
