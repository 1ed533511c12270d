"""Keras on TensorFlow: `predict_on_batch`, which is faster than a call of the model; else layers in a tf.function."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from bench.contenders import STREAMED, Array, Call, Problem, only


def set_threads(threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # it is set already: the process has measured another case


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    case, named = problem.case, problem.cell.keras
    only(case.layers == case.directions == 1 or mode == "inference", "measured on one layer")
    set_threads(threads)
    keras.backend.clear_session()
    x = tf.constant(problem.x)
    layers: list[Any] = []
    for k in range(case.layers):
        options = {**named.options, "return_sequences": True, "return_state": mode == "streaming"}
        layer = getattr(keras.layers, named.name)(case.hidden, dtype=problem.dtype, **options)
        if case.directions == 2:
            layer = keras.layers.Bidirectional(layer, dtype=problem.dtype)
        layer.build((case.n, case.t, case.inputs if k == 0 else case.directions * case.hidden))
        layer.set_weights([value for suffix in problem.suffixes(k) for value in weights_of(problem, suffix)])
        layers.append(layer)

    def forward(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    if mode == "inference":
        model = keras.Sequential(layers)
        return Call(lambda: model.predict_on_batch(problem.x), lambda: [model.predict_on_batch(problem.x)])
    if mode == "streaming":
        stepper = tf.function(lambda x, *state: layers[0](x, initial_state=list(state)))
        zeros = [tf.zeros((case.n, case.hidden), problem.dtype)] * len(problem.cell.parts)
        state = list(zeros)

        def step() -> Any:
            y, *state[:] = stepper(x, *state)
            return y

        def streamed() -> list[Array]:
            state[:] = zeros
            return [step().numpy() for _ in range(STREAMED)][-1:]

        return Call(step, streamed)

    @tf.function
    def train() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = forward(x)
            total = tf.reduce_sum(y)
        return y, tape.gradient(total, [x, *layers[0].trainable_variables])

    def trained() -> list[Array]:
        y, (dx, _, drecurrent, _) = train()
        back = np.argsort(named.gates)  # to PyTorch's order
        blocks = drecurrent.numpy().T.reshape(case.gates, case.hidden, case.hidden)[back]
        return [y.numpy(), dx.numpy(), blocks.reshape(-1, case.hidden)]

    return Call(train, trained)


def weights_of(problem: Problem, suffix: str) -> list[Array]:
    """Of a direction of a layer, as Keras has them: a matrix for x, one for h, and one bias or both in an array."""
    parts = {
        name: problem.rows(name + suffix, problem.cell.keras.gates)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    biases = np.stack([parts["bias_ih"], parts["bias_hh"]])
    return [parts["weight_ih"].T, parts["weight_hh"].T, biases.sum(axis=0) if problem.cell.one_bias else biases]
