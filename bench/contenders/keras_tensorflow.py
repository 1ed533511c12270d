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
    case = problem.case
    only(case.layers == case.directions == 1 or mode == "inference", "measured on one layer")
    set_threads(threads)
    keras.backend.clear_session()
    x = tf.constant(problem.x)
    layers: list[Any] = []
    for k in range(case.layers):
        layer = keras.layers.LSTM(
            case.hidden, return_sequences=True, return_state=mode == "streaming", dtype=problem.dtype
        )
        if case.directions == 2:
            layer = keras.layers.Bidirectional(layer, dtype=problem.dtype)
        layer.build((case.n, case.t, case.inputs if k == 0 else case.directions * case.hidden))
        values = []
        for suffix in problem.suffixes(k):  # Keras' gates stand in PyTorch's order
            bias = problem.weights["bias_ih" + suffix] + problem.weights["bias_hh" + suffix]
            values += [problem.weights["weight_ih" + suffix].T, problem.weights["weight_hh" + suffix].T, bias]
        layer.set_weights(values)
        layers.append(layer)

    def forward(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    if mode == "inference":
        model = keras.Sequential(layers)
        return Call(lambda: model.predict_on_batch(problem.x), lambda: [model.predict_on_batch(problem.x)])
    if mode == "streaming":
        stepper = tf.function(lambda x, h, c: layers[0](x, initial_state=[h, c]))
        zeros = tf.zeros((case.n, case.hidden), problem.dtype)
        state = [zeros, zeros]

        def step() -> Any:
            y, *state[:] = stepper(x, *state)
            return y

        def streamed() -> list[Array]:
            state[:] = [zeros, zeros]
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
        return [y.numpy(), dx.numpy(), np.ascontiguousarray(drecurrent.numpy().T)]

    return Call(train, trained)
