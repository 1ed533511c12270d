"""PyTorch's modules, losses, clipping and Adam, each as it comes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from bench.contenders import Array, Call
from bench.steps import BETAS, COMPARED, EPSILON, LARGEST_NORM, LEARNING_RATE, StepProblem


class Net(torch.nn.Module):
    def __init__(self, problem: StepProblem) -> None:
        super().__init__()
        case = problem.case
        self.every_step = case.every_step
        self.embedding = None if case.tokens is None else torch.nn.Embedding(case.tokens, case.inputs)
        self.lstm = torch.nn.LSTM(case.inputs, case.hidden, case.layers, batch_first=True)
        self.dense = torch.nn.Linear(case.hidden, case.outputs)
        self.to(getattr(torch, problem.dtype))

    def forward(self, x: Any) -> Any:
        y, _ = self.lstm(x if self.embedding is None else self.embedding(x))
        return self.dense(y if self.every_step else y[:, -1])


def softmax_cross_entropy(pred: Any, y: Any) -> Any:
    return functional.cross_entropy(pred.flatten(0, 1), y.flatten())


LOSSES: dict[str, Any] = {
    "mse": functional.mse_loss,
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_cross_entropy": functional.binary_cross_entropy_with_logits,
}


def prepare(problem: StepProblem, threads: int, context: AbstractContextManager[Any] | None = None) -> Call:
    """The forward pass and the loss, but not what comes after them, are computed in the context."""
    torch.set_num_threads(threads)
    net = Net(problem)
    watched = load(net, problem)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    loss = LOSSES[problem.case.loss]
    optimizer = torch.optim.Adam(trained, LEARNING_RATE, betas=BETAS, eps=EPSILON)
    batches, forward = problem.in_turn(), nullcontext() if context is None else context

    def step() -> Any:
        x, y = (torch.from_numpy(array) for array in next(batches))
        optimizer.zero_grad()
        with forward:
            value = loss(net(x), y)
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, LARGEST_NORM)
        optimizer.step()
        return value

    losses = np.array([step().item() for _ in range(COMPARED)])
    means = [optimizer.state[parameter]["exp_avg"].numpy().copy() for parameter in watched]
    found: list[Array] = [losses, *means, problem.moved([parameter.detach().numpy() for parameter in watched])]
    return Call(step, lambda: found)


def load(net: Net, problem: StepProblem) -> list[torch.nn.Parameter]:
    """Hands the parameters over, and gives them in the order of the problem's.

    Of PyTorch's two biases the second is zero and stays it: trained too, the sum of both would move twice as far.
    """
    parameters = dict(net.named_parameters())
    watched = []
    with torch.no_grad():
        for name, value in problem.weights.items():
            watched.append(parameters[name.replace("lstm.bias", "lstm.bias_ih")])
            watched[-1].copy_(torch.from_numpy(value))
        for name, parameter in parameters.items():
            if name.startswith("lstm.bias_hh"):
                parameter.zero_()
                parameter.requires_grad_(False)
    return watched
