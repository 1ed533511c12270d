"""What `to_torch` gives of a model: modules of PyTorch that take what our layers take. Importing this needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Lengths = Tensor | None


class Chain(nn.Module):
    """A `fastlstm.Model` in PyTorch: modules in a row, whose parameters have names such as ``"0.weight_ih_l0"``.

    Parameters
    ----------
    layers : modules
        Those of torch.nn, and those of this file. A recurrent one gives its outputs on; its state is left out.

    Examples
    --------
    >>> import fastlstm as fl, torch
    >>> module = fl.io.to_torch(fl.Model([fl.LSTM(3, 8), fl.Last(), fl.Dense(8, 1)], seed=0))
    >>> module(torch.ones(5, 7, 3), lengths=torch.tensor([7, 3, 1, 2, 2])).shape
    torch.Size([5, 1])
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        for i, layer in enumerate(layers):
            self.add_module(str(i), layer)

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        """The output for x: (N, T, F), or tokens (N, T), of which ``lengths[n]`` steps, from 0 to T, are real."""
        return self.run(x, lengths)[0]

    def run(self, x: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        """The output, and the number of its real steps."""
        for layer in self.children():
            if isinstance(layer, nn.RNNBase):
                x = outputs(layer, x, lengths)
            elif isinstance(layer, Chain):
                x, lengths = layer.run(x, lengths)
            elif isinstance(layer, Steps):
                x, lengths = layer(x, lengths), layer.output_lengths(lengths)
            else:
                x = layer(x)
        return x, lengths


class Residual(Chain):
    """x + chain(x)."""

    def run(self, x: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        y, lengths = super().run(x, lengths)
        return x + y, lengths


class Concat(Chain):
    """Chains over the same x, whose outputs stand side by side."""

    def run(self, x: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        found = [chain.run(x, lengths) for chain in self.children() if isinstance(chain, Chain)]
        return torch.cat([y for y, _ in found], dim=-1), found[0][1]


class Add(Chain):
    """Chains over the same x, whose outputs are added."""

    def run(self, x: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        (y, lengths), *others = [chain.run(x, lengths) for chain in self.children() if isinstance(chain, Chain)]
        for part, _ in others:
            y = y + part
        return y, lengths


def outputs(module: nn.RNNBase, x: Tensor, lengths: Lengths) -> Tensor:
    """The outputs of an LSTM, GRU or RNN (batch_first), with zeros beyond the end of each sequence."""
    if lengths is None:
        y: Tensor = module(x)[0]
        return y
    packed = pack_padded_sequence(x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
    y, _ = pad_packed_sequence(module(packed)[0], batch_first=True, total_length=x.shape[1])
    return y.masked_fill(~real(y, lengths), 0)  # packing takes no sequence without a step


def real(x: Tensor, lengths: Tensor) -> Tensor:
    """Which steps of (N, T, F) are real, (N, T, 1); which rows of (N, F) are of a sequence with a step, (N, 1)."""
    lengths = lengths.to(x.device)[:, None]
    if x.dim() == 2:
        return lengths > 0
    return (torch.arange(x.shape[1], device=x.device) < lengths)[..., None]


class Steps(nn.Module):
    """Base of the modules that look at several steps, and are told the lengths: ``module(x, lengths)``."""

    def output_lengths(self, lengths: Lengths) -> Lengths:
        return lengths


class Last(Steps):
    """(N, T, F) to (N, F): the last real step, or zeros without one."""

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        if lengths is None:
            return x[:, -1]
        lengths = lengths.to(x.device)
        last = x[torch.arange(len(x), device=x.device), lengths.clamp(min=1) - 1]
        return last.masked_fill((lengths == 0)[:, None], 0)


class FinalState(Last):
    """The same of the first half of the features, and the first step of the second half, of a bidirectional layer."""

    def __init__(self, bidirectional: bool = True) -> None:
        super().__init__()
        self.bidirectional = bidirectional

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        last = super().forward(x, lengths)
        if not self.bidirectional:
            return last
        half = x.shape[-1] // 2
        first = x[:, 0, half:]
        if lengths is not None:
            first = first.masked_fill((lengths.to(x.device) == 0)[:, None], 0)
        return torch.cat([last[:, :half], first], dim=-1)


class MeanPool(Steps):
    """(N, T, F) to (N, F): the mean of the real steps, or zeros without one."""

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        if lengths is None:
            return x.mean(1)
        return x.masked_fill(~real(x, lengths), 0).sum(1) / lengths.to(x.device).clamp(min=1)[:, None]


class MaxPool(Steps):
    """(N, T, F) to (N, F): the largest value of the real steps, or zeros without one."""

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        if lengths is None:
            return x.amax(1)
        largest = x.masked_fill(~real(x, lengths), -torch.inf).amax(1)
        return largest.masked_fill((lengths.to(x.device) == 0)[:, None], 0)


class AttentionPool(Steps):
    """(N, T, F) to (N, F): the mean of the real steps with weights softmax(v · tanh(W x + b))."""

    def __init__(self, input_size: int, attention_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(attention_size, input_size))
        self.bias = nn.Parameter(torch.zeros(attention_size))
        self.context = nn.Parameter(torch.zeros(1, attention_size))

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        scores = F.linear(F.linear(x, self.weight, self.bias).tanh(), self.context)
        if lengths is not None:
            scores = scores.masked_fill(~real(x, lengths.clamp(min=1)), -torch.inf)
        y = (scores.softmax(1) * x).sum(1)
        return y if lengths is None else y.masked_fill((lengths.to(x.device) == 0)[:, None], 0)


class BatchNorm(Steps, nn.BatchNorm1d):
    """`nn.BatchNorm1d` on (N, T, F) or (N, F): over all real steps of all sequences; the others become zeros."""

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        if lengths is None:
            return nn.BatchNorm1d.forward(self, x.reshape(-1, x.shape[-1])).reshape(x.shape)
        there = real(x, lengths)[..., 0]
        y = torch.zeros_like(x)
        y[there] = nn.BatchNorm1d.forward(self, x[there])
        return y


def _reflected(at: Tensor, steps: Tensor) -> Tensor:
    at = at.abs()
    return torch.where(at < steps, at, 2 * (steps - 1) - at)


MODES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "zeros": lambda at, steps: at,
    "reflect": _reflected,
    "replicate": lambda at, steps: torch.minimum(at.clamp(min=0), steps - 1),
    "circular": lambda at, steps: at % steps.clamp(min=1),
}
"""The step of a sequence that stands for one before its first or behind its last one, as `layers.windows` has it."""


class Windows(Steps):
    """Base of what looks at windows of neighbouring steps. Each sequence is padded by itself.

    ``sides`` are the steps of padding before the first and behind the last step; None for "same".
    """

    size: int
    step: int
    reach: int
    sides: tuple[int, int] | None

    def counts(self, steps: Tensor) -> Tensor:
        """The number of windows of sequences of so many steps."""
        if self.sides is None:
            return -(-steps // self.step)
        return ((steps + sum(self.sides) - self.reach - 1) // self.step + 1).clamp(min=0) * (steps > 0)

    def output_lengths(self, lengths: Lengths) -> Lengths:
        return None if lengths is None else self.counts(lengths)

    def windowed(self, x: Tensor, lengths: Lengths, value: float, mode: str = "zeros") -> tuple[Tensor, Tensor]:
        """x (N, T, F) padded by this value, (N, F, T + padding), and which windows over it are real, (N, 1, T')."""
        n, t, features = x.shape
        whole = torch.tensor(t, device=x.device)
        steps = whole.expand(n) if lengths is None else lengths.to(x.device)
        counts = self.counts(steps)
        if self.sides is None:
            before = ((counts - 1) * self.step + self.reach + 1 - steps).clamp(min=0) // 2
        else:
            before = torch.full_like(steps, self.sides[0])
        count = int(self.counts(whole)) if lengths is None else max(int(self.counts(whole)), 1)
        total = max((count - 1) * self.step, 0) + self.reach + 1
        at = MODES[mode](torch.arange(total, device=x.device) - before[:, None], steps[:, None])
        there = (at >= 0) & (at < steps[:, None])
        padded = x.gather(1, at.clamp(0, t - 1)[..., None].expand(n, total, features))
        padded = padded.masked_fill(~there[..., None], value)
        if count < 1:
            raise ValueError(f"x: expected at least {self.reach + 1 - sum(self.sides or (0, 0))} steps, got {t}")
        return padded.transpose(1, 2), (torch.arange(count, device=x.device) < counts[:, None])[:, None]


class Conv1d(Windows, nn.Conv1d):
    """`nn.Conv1d` on (N, T, F), with any padding at both sides."""

    def __init__(self, *sizes: int, sides: tuple[int, int] | None, **options: Any) -> None:
        inputs, outputs, size = sizes
        super().__init__(inputs, outputs, size, **options)
        self.sides, self.size, self.step = sides, self.kernel_size[0], self.stride[0]
        self.reach = (self.size - 1) * self.dilation[0]

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        padded, there = self.windowed(x, lengths, 0, self.padding_mode)
        y = F.conv1d(padded, self.weight, None, self.stride, 0, self.dilation)
        y = y.masked_fill(~there, 0).transpose(1, 2)
        return y if self.bias is None else y + self.bias


class MaxPool1d(Windows):
    """The largest of neighbouring steps of (N, T, F); zeros beyond the outputs of a sequence."""

    def __init__(self, size: int, step: int, sides: tuple[int, int] | None) -> None:
        super().__init__()
        self.size, self.step, self.sides, self.reach = size, step, sides, size - 1

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        padded, there = self.windowed(x, lengths, -torch.inf)
        return F.max_pool1d(padded, self.size, self.step).masked_fill(~there, 0).transpose(1, 2)


class AveragePool1d(Windows):
    """The mean of neighbouring steps of (N, T, F); zeros beyond the outputs of a sequence."""

    def __init__(self, size: int, step: int, sides: tuple[int, int] | None, count_padding: bool) -> None:
        super().__init__()
        self.size, self.step, self.sides, self.reach = size, step, sides, size - 1
        self.count_padding = count_padding

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        padded, there = self.windowed(x, lengths, 0)
        y = F.avg_pool1d(padded, self.size, self.step)
        if not self.count_padding:
            real, _ = self.windowed(torch.ones_like(x[..., :1]), lengths, 0)
            y = y / F.avg_pool1d(real, self.size, self.step).clamp(min=0.5 / self.size)
        return y.masked_fill(~there, 0).transpose(1, 2)


class Function(nn.Module):
    """A function of each number that torch.nn has no module for: a name of `Activation`, alpha and beta."""

    formulas: dict[str, Callable[[Tensor, float, float], Tensor]] = {
        "affine": lambda x, a, b: a * x + b,
        "hard_sigmoid": lambda x, a, b: (a * x + b).clamp(0, 1),
        "scaled_tanh": lambda x, a, b: a * torch.tanh(b * x),
        "exp": lambda x, a, b: x.exp(),
    }

    def __init__(self, name: str, alpha: float, beta: float) -> None:
        super().__init__()
        self.name, self.alpha, self.beta = name, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        return self.formulas[self.name](x, self.alpha, self.beta)

    def extra_repr(self) -> str:
        return f"{self.name!r}, {self.alpha:g}, {self.beta:g}"
