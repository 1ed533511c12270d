"""fastlstm, from Python by the parts of a `Trainer`, in the precision of the problem."""

from __future__ import annotations

import numpy as np

import fastlstm as fl
from bench.contenders import Array, Call
from bench.steps import BETAS, COMPARED, EPSILON, LARGEST_NORM, LEARNING_RATE, StepProblem
from fastlstm.optim import grad_norm


def prepare(problem: StepProblem, threads: int) -> Call:
    fl.set_num_threads(threads)
    model, parameters = model_of(problem)
    loss, tape = getattr(fl, problem.case.loss), model.tape(precision=problem.precision)
    scratch = fl.Workspace()
    optimizer = fl.Adam(LEARNING_RATE, betas=BETAS, eps=EPSILON)
    batches = problem.in_turn()
    weights = np.ones(problem.batches[0][1].shape[: 1 + problem.case.every_step], problem.dtype)

    def step() -> float:
        x, y = next(batches)
        model.zero_grad()
        value, dpred = loss._prepared(model.forward(x, tape, training=True), y, weights, scratch)
        model.backward(dpred, tape, input_gradient=False)
        optimizer.step(parameters, min(1.0, LARGEST_NORM / grad_norm(parameters)))
        return float(value)

    losses = np.array([step() for _ in range(COMPARED)])
    means = [state["mean"].copy() for state in optimizer.state]
    found: list[Array] = [losses, *means, problem.moved([parameter.value for parameter in parameters])]
    return Call(step, lambda: found)


def model_of(problem: StepProblem) -> tuple[fl.Model, list[fl.Parameter]]:
    """The model, and its parameters in the order of the problem's."""
    case = problem.case
    layers: dict[str, fl.Layer] = {
        "lstm": fl.LSTM(case.inputs, case.hidden, num_layers=case.layers),
        "dense": fl.Dense(case.hidden, case.outputs),
    }
    if case.tokens is not None:
        layers["embedding"] = fl.Embedding(case.tokens, case.inputs)
    if not case.every_step:
        layers["last"] = fl.Last()
    order = ("embedding", "lstm", "last", "dense")
    model = fl.Model([layers[name] for name in order if name in layers], dtype=problem.dtype)
    parameters = []
    for place, value in problem.weights.items():
        layer, _, name = place.partition(".")
        parameters.append(layers[layer].parameter(name))
        parameters[-1].value = value
    return model, parameters
