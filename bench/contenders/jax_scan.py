"""JAX: a jit of lax.scan over the equations of the cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.contenders import STREAMED, Array, Call, Problem, only

State = tuple[Any, ...]


def lstm(x: Any, u: Any, state: State) -> State:
    i, f, g, o = jnp.split(x + u, 4, axis=-1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru(x: Any, u: Any, state: State) -> State:
    (r, z, n), (ur, uz, un) = jnp.split(x, 3, axis=-1), jnp.split(u, 3, axis=-1)
    n = jnp.tanh(n + jax.nn.sigmoid(r + ur) * un)
    return (n + jax.nn.sigmoid(z + uz) * (state[0] - n),)


STEPS: dict[str, Callable[[Any, Any, State], State]] = {
    "lstm": lstm,
    "gru": gru,
    "tanh": lambda x, u, state: (jnp.tanh(x + u),),
    "relu": lambda x, u, state: (jax.nn.relu(x + u),),
}
"""The next state from the products of the weights with x and with h, and the state."""


def prepare(problem: Problem, mode: str, threads: int) -> Call:  # its threads are the processors of the process
    jax.config.update("jax_enable_x64", problem.dtype == "float64")
    case, cell, cell_step = problem.case, problem.cell, STEPS[problem.case.cell]
    weights = {name: jnp.asarray(value) for name, value in problem.weights.items()}
    only(mode != "training" or case.layers == case.directions == 1, "measured on one layer")

    def direction(weights: Any, suffix: str, x: Any, state: Any) -> Any:
        projected = x @ weights["weight_ih" + suffix].T + weights["bias_ih" + suffix]
        recurrent, bias = weights["weight_hh" + suffix].T, weights["bias_hh" + suffix]
        if cell.one_bias:
            projected = projected + bias

        def step(state: Any, sums: Any) -> Any:
            product = state[0] @ recurrent
            state = cell_step(sums, product if cell.one_bias else product + bias, state)
            return state, state[0]

        return jax.lax.scan(step, state, projected, reverse=suffix.endswith("reverse"))

    def zeros() -> Any:
        return tuple(jnp.zeros((case.n, case.hidden), problem.dtype) for _ in cell.parts)

    def forward(weights: Any, x: Any) -> Any:
        for layer in range(case.layers):
            x = jnp.concatenate([direction(weights, s, x, zeros())[1] for s in problem.suffixes(layer)], axis=-1)
        return x

    x = jnp.asarray(problem.x.transpose(1, 0, 2))
    if mode == "inference":
        infer = jax.jit(forward)
        return Call(
            lambda: infer(weights, x).block_until_ready(), lambda: [np.asarray(infer(weights, x)).transpose(1, 0, 2)]
        )
    if mode == "streaming":
        stepper = jax.jit(lambda weights, x, state: direction(weights, "_l0", x, state))
        state = [zeros()]

        def step() -> Any:
            state[0], y = stepper(weights, x, state[0])
            return y.block_until_ready()

        def streamed() -> list[Array]:
            state[0] = zeros()
            return [np.asarray(step()).transpose(1, 0, 2) for _ in range(STREAMED)][-1:]

        return Call(step, streamed)

    def total(weights: Any, x: Any) -> Any:
        y = forward(weights, x)
        return y.sum(), y

    gradient = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))

    def trained() -> list[Array]:
        (dweights, dx), y = gradient(weights, x)
        return [
            np.asarray(y).transpose(1, 0, 2),
            np.asarray(dx).transpose(1, 0, 2),
            np.asarray(dweights["weight_hh_l0"]),
        ]

    return Call(lambda: jax.block_until_ready(gradient(weights, x)), trained)
