"""torch's recurrent modules on the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.compiler import is_compiling, is_exporting
from torch.nn.utils.rnn import PackedSequence

from fastlstm.torch.autograd import call, needs_gradient
from fastlstm.torch.compiled import traced
from fastlstm.torch.dynamo import leave_to_python
from fastlstm.torch.engine import Engine, Frame
from fastlstm.torch.obstacles import obstacle, tell
from fastlstm.torch.spec import Spec

ENGINES = "_fastlstm_engines"
"""Where a module keeps its engines, which neither copies nor files of it have."""


WORTH_A_STEP = 1 << 18
"""Products of h with its weights from which on a step of a cell is faster here than by torch's own code."""


class OnKernels(torch.nn.Module):
    """What the modules share: engines, and the way to torch's own code."""

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name != ENGINES}

    def _engine(self, dtype: torch.dtype, dropout: float) -> Engine:
        try:
            return self.__dict__[ENGINES][dtype, dropout]  # type: ignore[no-any-return]
        except KeyError:
            engine = Engine(self._spec(), dtype, dropout)
            return self.__dict__.setdefault(ENGINES, {}).setdefault((dtype, dropout), engine)  # type: ignore[no-any-return]

    def _spec(self) -> Spec:
        raise NotImplementedError

    def _call(
        self, frame: Frame, dropout: float, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """The outputs, and the parts of the final state, each (layers·D, N, ·)."""
        seed = int(torch.randint(1 << 62, ())) if dropout else None
        if x.dtype is not torch.bfloat16:
            return call(self._engine(x.dtype, dropout), frame, seed, x, states, weights)
        wide = [one.float() for one in (x, *states, *weights)]
        x, states, weights = wide[0], wide[1 : 1 + len(states)], wide[1 + len(states) :]
        found = call(self._engine(torch.float32, dropout), frame, seed, x, states, weights)
        return tuple(one.bfloat16() for one in found)


class Sequences(OnKernels, torch.nn.RNNBase):
    """The modules that read sequences."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if is_compiling():
            return self._traced(input, hx)
        found = self._found(input, hx)
        return super().forward(input, hx) if found is None else found

    def _traced(self, input: Any, hx: Any) -> Any:
        """`forward` in compiled code, which breaks off for what is no inference of a whole batch."""
        if is_exporting():
            return super().forward(input, hx)
        many, drops = self.mode == "LSTM", self.dropout > 0 and self.training
        states = parts_of(hx, many)
        found = None
        if isinstance(input, Tensor) and states is not None and not drops:
            weights = [getattr(self, name) for name in self._flat_weights_names]
            found = traced(self._spec(), self.batch_first, input, states, weights)
        if found is None:
            return uncompiled(self, input, hx)
        y, *final = found
        return y, tuple(final) if many else final[0]

    def _spec(self) -> Spec:
        sizes = self.input_size, self.hidden_size, self.num_layers
        return Spec(self.mode, *sizes, self.bidirectional, self.bias, self.proj_size)

    def _found(self, given: Any, hx: Any) -> Any:
        """What `forward` returns. None where torch's own code must run, or must say what is wrong."""
        packed = isinstance(given, PackedSequence)
        x, states = given.data if packed else given, parts_of(hx, self.mode == "LSTM")
        if states is None or not isinstance(x, Tensor):
            return None
        weights = self._weights()
        reason = obstacle(x, states, weights)
        if reason is not None:
            return tell(reason)
        batched = packed or x.dim() == 3
        frame = of_packed(given) if packed else of_shape(x.shape, self.batch_first)
        if frame is None or not self._fits(x, frame, states, weights[0], batched=batched):
            return None
        if packed and given.sorted_indices is not None:
            states = [part.index_select(1, given.sorted_indices) for part in states]
        dropout = self.dropout if self.training and self.num_layers > 1 else 0.0
        y, *final = self._call(frame, dropout, x, states, weights)
        if packed:
            given = PackedSequence(y, *given[1:])
            if given.unsorted_indices is not None:
                final = [part.index_select(1, given.unsorted_indices) for part in final]
        elif not batched:
            final = [part.squeeze(1) for part in final]
        return given if packed else y, tuple(final) if self.mode == "LSTM" else final[0]

    def _weights(self) -> list[Tensor]:
        """The weights in torch's order. What is no parameter, as with `parametrize`, is looked up as torch does."""
        parameters = map(self._parameters.get, self._flat_weights_names)
        if not all(map(is_, parameters, self._flat_weights)):
            self._update_flat_weights()
        return self._flat_weights  # type: ignore[return-value]

    def _fits(self, x: Tensor, frame: Frame, states: Sequence[Tensor], weight: Tensor, *, batched: bool) -> bool:
        """Whether types and shapes are as they must be. If not, torch says what is wrong."""
        dtype = x.dtype
        if x.shape[-1] != self.input_size or weight.dtype is not dtype:
            return False
        if not states:
            return True
        width = self.proj_size or self.hidden_size
        places = self.num_layers * (2 if self.bidirectional else 1)
        for part in states:
            if (
                part.dtype is not dtype
                or not part.is_cpu
                or part.shape != ((places, frame.n, width) if batched else (places, width))
            ):
                return False
            width = self.hidden_size  # that of c
        return True


class LSTM(Sequences, torch.nn.LSTM):
    """`torch.nn.LSTM` on fastlstm's kernels: the same arguments, parameters, ``state_dict``, outputs and gradients.

    Weights stay in torch's memory; a step of an optimizer is noticed. A change through ``weight.data`` is noticed, too,
    unless it leaves each of some 16 numbers of the weight as it was. Dropout draws its masks from a number that torch's
    generator gives. What the kernels cannot do, such as CUDA tensors, runs by torch's own code, with one warning.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        As of `torch.nn.LSTM`.

    Examples
    --------
    >>> import torch, fastlstm.torch
    >>> lstm = fastlstm.torch.LSTM(3, 4, batch_first=True)
    >>> y, (h, c) = lstm(torch.ones(5, 7, 3))
    >>> y.shape, h.shape
    (torch.Size([5, 7, 4]), torch.Size([1, 5, 4]))
    """


class GRU(Sequences, torch.nn.GRU):
    """`torch.nn.GRU` on fastlstm's kernels, as `LSTM` is `torch.nn.LSTM`.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As of `torch.nn.GRU`.
    """


class RNN(Sequences, torch.nn.RNN):
    """`torch.nn.RNN` on fastlstm's kernels, as `LSTM` is `torch.nn.LSTM`.

    Parameters
    ----------
    input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional, device, dtype
        As of `torch.nn.RNN`.
    """


class Steps(OnKernels, torch.nn.RNNCellBase):
    """The cells. A step is ours where that is faster: in inference, unless it is small."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        found = None if is_compiling() else self._found(input, hx)
        return super().forward(input, hx) if found is None else found

    def _spec(self) -> Spec:
        return Spec(self._mode(), self.input_size, self.hidden_size, bias=self.bias)

    def _mode(self) -> str:
        raise NotImplementedError

    def _found(self, x: Any, hx: Any) -> Any:
        """What `forward` returns. None where torch's own code must run, or must say what is wrong."""
        many = isinstance(self, torch.nn.LSTMCell)
        states = parts_of(hx, many)
        if states is None or not isinstance(x, Tensor):
            return None
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
        weights = [self._parameters.get(name) for name in names]
        every = [getattr(self, name) if one is None else one for name, one in zip(names, weights, strict=True)]
        rows = x.shape[0] if x.dim() == 2 else 1
        if rows * every[1].numel() < WORTH_A_STEP or (torch.is_grad_enabled() and needs_gradient(x, states, every)):
            return None
        reason = obstacle(x, states, every)
        if reason is not None:
            return tell(reason)
        shape = (*x.shape[:-1], self.hidden_size)
        fits = x.dim() in (1, 2) and x.numel() > 0 and x.shape[-1] == self.input_size
        fits = fits and all(part.shape == shape for part in states)
        if not fits or any([one.dtype is not x.dtype or not one.is_cpu for one in (*states, *every)]):
            return None
        _, *final = self._call(Frame(rows, 1, True), 0.0, x, states, every)
        parts = tuple(part.reshape(shape) for part in final)
        return parts if many else parts[0]


class LSTMCell(Steps, torch.nn.LSTMCell):
    """`torch.nn.LSTMCell` on fastlstm's kernels in inference, from 2^18 products of h with its weights on.

    Smaller steps, and those of a training, whose weights would be laid out anew for each, are torch's: that is faster.

    Parameters
    ----------
    input_size, hidden_size, bias, device, dtype
        As of `torch.nn.LSTMCell`.
    """

    def _mode(self) -> str:
        return "LSTM"


class GRUCell(Steps, torch.nn.GRUCell):
    """`torch.nn.GRUCell` on fastlstm's kernels, where `LSTMCell` runs on them.

    Parameters
    ----------
    input_size, hidden_size, bias, device, dtype
        As of `torch.nn.GRUCell`.
    """

    def _mode(self) -> str:
        return "GRU"


class RNNCell(Steps, torch.nn.RNNCell):
    """`torch.nn.RNNCell` on fastlstm's kernels, where `LSTMCell` runs on them.

    Parameters
    ----------
    input_size, hidden_size, bias, nonlinearity, device, dtype
        As of `torch.nn.RNNCell`.
    """

    def _mode(self) -> str:
        return f"RNN_{self.nonlinearity.upper()}"


@leave_to_python
def uncompiled(module: Sequences, input: Any, hx: Any) -> Any:
    return module.forward(input, hx)


def parts_of(hx: Any, many: bool) -> Sequence[Tensor] | None:
    """The parts of a state; none for None. None if they are not what torch takes."""
    if hx is None:
        return ()
    parts = hx if many else (hx,)
    if type(parts) is not tuple and not isinstance(parts, tuple | list) or len(parts) != 1 + many:
        return None
    for one in parts:
        if not isinstance(one, Tensor):
            return None
    return parts


@lru_cache(256)
def of_shape(shape: tuple[int, ...], batch_first: bool) -> Frame | None:
    """How the sequences of a tensor of this shape lie; None if there are none."""
    if len(shape) not in (2, 3) or 0 in shape:
        return None
    if len(shape) == 2:
        return Frame(1, shape[0], True)
    first, second, _ = shape
    return Frame(first, second, False) if batch_first else Frame(second, first, True)


def of_packed(given: PackedSequence) -> Frame:
    """The same of a packed sequence. Its rows lie step by step, as those of full sequences do with the time first.

    Raises
    ------
    ValueError
        If it was made by hand, and its parts do not fit. Rows beyond the last step count for nothing, as in torch.
    """
    data, sizes = given.data, given.batch_sizes
    counts = sizes.tolist() if sizes.dim() == 1 else []
    falls = bool(counts) and counts == sorted(counts, reverse=True) and counts[0] > 0 and counts[-1] >= 0
    if not falls or data.dim() != 2 or sum(counts) > len(data):
        raise ValueError(
            "input: expected a PackedSequence of data (S, I) and batch_sizes that do not grow, from 1 on, and add up "
            f"to S, got data {tuple(data.shape)} and batch_sizes {sizes.tolist()!s:.80}"
        )
    n, t = int(counts[0]), len(counts)
    if counts[-1] == n:
        return Frame(n, t, True)
    lengths = np.searchsorted(-sizes.numpy(), -np.arange(n), side="left").astype(np.intp)
    return Frame(n, t, False, lengths)
