"""The same training by PyTorch: its modules, loss, clipping and Adam, each as it comes."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch.nn import functional

from bench.studies.text.task import Task
from fastlstm.text import Recipe


class Net(torch.nn.Module):
    """Tokens come as (T, N), the layout that `torch.nn.LSTM` works in."""

    def __init__(self, recipe: Recipe, tokens: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(tokens, recipe.embedding_size)
        self.lstm = torch.nn.LSTM(recipe.embedding_size, recipe.hidden_size, recipe.num_layers, dropout=recipe.dropout)
        self.dropout = torch.nn.Dropout(recipe.dropout)
        self.dense = torch.nn.Linear(recipe.hidden_size, tokens)

    def forward(self, x: Any, state: Any) -> tuple[Any, Any]:
        y, state = self.lstm(self.embedding(x), state)
        return self.dense(self.dropout(y)), state


def run(task: Task, threads: int) -> dict[str, Any]:
    """Train, and measure, as `ours.run` does."""
    torch.set_num_threads(threads)
    torch.manual_seed(task.model.recipe.seed)
    recipe = task.model.recipe
    net = Net(recipe, len(task.model.vocabulary))
    trained = load(net, task)
    optimizer = torch.optim.Adam(trained, recipe.learning_rate, betas=recipe.betas)
    tokens, held_out = task.tokens()
    streams = recipe.streams(len(tokens) - 1)
    (x, y), validation = (pairs(part, streams) for part in (tokens, held_out))
    steps, count, seconds = recipe.epochs_of(len(tokens) - 1) * -(-len(x) // recipe.window), 0, 0.0
    found: dict[str, Any] = {"seconds": [], "loss": [], "val_loss": []}
    for epoch in range(1, 1 + recipe.epochs_of(len(tokens) - 1)):
        began, total, state = time.perf_counter(), 0.0, None
        net.train()
        for start in range(0, len(x), recipe.window):
            part = slice(start, start + recipe.window)
            for group in optimizer.param_groups:
                group["lr"] = rate(recipe, count, steps)
            optimizer.zero_grad()
            scores, state = net(x[part], state)
            state = tuple(each.detach() for each in state)
            loss = functional.cross_entropy(scores.flatten(0, 1), y[part].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, recipe.clip_norm)
            optimizer.step()
            total += loss.item() * len(x[part])
            count += 1
        seconds += time.perf_counter() - began
        found["seconds"].append(seconds)
        found["loss"].append(total / len(x))
        found["val_loss"].append(evaluate(net, *validation))
        print(
            f"torch, epoch {epoch}: {seconds:.0f} s, {found['loss'][-1]:.4f}, {found['val_loss'][-1]:.4f}", flush=True
        )
    found["final"] = evaluate(net, *pairs(held_out, 1))
    found["parameters"] = sum(parameter.numel() for parameter in trained)
    return found


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """What `fastlstm.schedules.Cosine` sets at this step."""
    rise = recipe.warmup * steps
    share = min(1.0, max(0.0, step - rise) / max(1.0, steps - rise))
    return recipe.learning_rate * min(1.0, (step + 1) / rise if rise else 1.0) * 0.5 * (1 + math.cos(math.pi * share))


def pairs(tokens: Any, streams: int) -> tuple[Any, Any]:
    """Each token but the last, and the next one, (S, N): S steps of N streams."""
    length = (len(tokens) - 1) // streams
    tokens = torch.from_numpy(tokens)
    x, y = tokens[:-1], tokens[1:]
    return tuple(part[: streams * length].reshape(streams, length).T.contiguous() for part in (x, y))  # type: ignore[return-value]


@torch.no_grad()
def evaluate(net: Net, x: Any, y: Any, window: int = 256) -> float:
    """Nats a character, the state carried through the whole text."""
    net.eval()
    total, state = 0.0, None
    for start in range(0, len(x), window):
        scores, state = net(x[start : start + window], state)
        target = y[start : start + window].flatten()
        total += functional.cross_entropy(scores.flatten(0, 1), target, reduction="sum").item()
    return total / x.numel()


def load(net: Net, task: Task) -> list[torch.nn.Parameter]:
    """Hands the starting values over, and gives what is to be trained.

    Of PyTorch's two biases the second is zero and stays it: trained too, the sum of both would move twice as far.
    """
    ours = {name.partition(".")[2]: value for name, value in task.weights().items() if name.startswith("1.")}
    last = len(task.model.model.layers) - 1
    weights = task.weights()
    values = {
        "embedding.weight": weights["0.weight"],
        **{f"dense.{k}": weights[f"{last}.{k}"] for k in ("weight", "bias")},
    }
    values |= {f"lstm.{name.replace('bias', 'bias_ih')}": value for name, value in ours.items()}
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith("lstm.bias_hh"):
                parameter.zero_()
                parameter.requires_grad_(False)
            else:
                parameter.copy_(torch.from_numpy(values[name].copy()))
    return [parameter for parameter in net.parameters() if parameter.requires_grad]
