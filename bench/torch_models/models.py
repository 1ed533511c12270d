"""Models in PyTorch, as people write them, and the batches that they read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from bench.cases import TorchCase


class Model(nn.Module):
    """Perhaps an embedding, an LSTM, and a dense layer on every step or on the last; of packed sequences on their ends.

    Its input is x (N, T), or (N, T, I), and the lengths.
    """

    def __init__(self, case: TorchCase) -> None:
        super().__init__()
        of = case.of
        self.every_step, self.packed = case.every_step, of.ragged
        self.embedding = nn.Embedding(case.tokens, of.inputs) if case.tokens else nn.Identity()
        self.lstm = nn.LSTM(of.inputs, of.hidden, of.layers, batch_first=True, bidirectional=of.directions == 2)
        self.dense = nn.Linear(of.directions * of.hidden, case.outputs)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = self.embedding(x)
        if self.packed:
            _, (h, _) = self.lstm(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
            found: Tensor = self.dense(torch.cat([*h[-(1 + self.lstm.bidirectional) :]], dim=1))
            return found
        y, _ = self.lstm(x)
        found = self.dense(y if self.every_step else y[:, -1])
        return found


class Translator(nn.Module):
    """An encoder, and a decoder whose every step attends to the encoder's outputs (Luong et al. 2015)."""

    def __init__(self, case: TorchCase) -> None:
        super().__init__()
        of = case.of
        self.embedding = nn.Embedding(case.tokens or 1, of.inputs)
        self.encoder = nn.LSTM(of.inputs, of.hidden, batch_first=True)
        self.decoder = nn.LSTMCell(of.inputs + of.hidden, of.hidden)
        self.joint = nn.Linear(2 * of.hidden, of.hidden)
        self.dense = nn.Linear(of.hidden, case.outputs)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        given = self.embedding(x)
        read, (h, c) = self.encoder(given)
        state, attended, found = (h[0], c[0]), torch.zeros_like(h[0]), []
        for token in given.unbind(1):  # a task that needs no second language: to say the same again
            state = self.decoder(torch.cat([token, attended], dim=1), state)
            weights = torch.softmax(torch.bmm(read, state[0][:, :, None]), dim=1)
            context = (weights * read).sum(1)
            attended = torch.tanh(self.joint(torch.cat([context, state[0]], dim=1)))
            found.append(attended)
        y: Tensor = self.dense(torch.stack(found, dim=1))
        return y


class Step(nn.Module):
    """One step of a stream, with the state of the one before."""

    def __init__(self, case: TorchCase) -> None:
        super().__init__()
        self.lstm = nn.LSTM(case.of.inputs, case.of.hidden, batch_first=True)
        self.dense = nn.Linear(case.of.hidden, case.outputs)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        y, state = self.lstm(x, state)
        return self.dense(y[:, -1]), state


def batches_of(case: TorchCase, dtype: torch.dtype, count: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """x, lengths and what the loss wants, drawn anew for each."""
    of, found = case.of, []
    for _ in range(count):
        x = torch.randn(of.n, of.t, of.inputs, dtype=dtype)
        if case.tokens:
            x = torch.randint(case.tokens, (of.n, of.t))
        lengths = torch.tensor(of.lengths) if of.ragged else torch.full((of.n,), of.t)
        leading = (of.n, of.t) if case.every_step else (of.n,)
        y = torch.randint(case.outputs, leading) if case.outputs > 1 else torch.rand(*leading, 1, dtype=dtype)
        found.append((x, lengths, y))
    return found


def loss_of(case: TorchCase, pred: Tensor, y: Tensor) -> Tensor:
    if case.outputs > 1:
        return functional.cross_entropy(pred.flatten(0, -2), y.flatten())
    return functional.binary_cross_entropy_with_logits(pred, y) if case.tokens else functional.mse_loss(pred, y)
