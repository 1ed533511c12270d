"""Keras on TensorFlow: its layers, clipping and Adam inside a tf.function."""

from __future__ import annotations

import os
from itertools import cycle
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from bench.contenders import Array, Call, only
from bench.contenders.keras_tensorflow import set_threads
from bench.steps import BETAS, COMPARED, EPSILON, LARGEST_NORM, LEARNING_RATE, StepProblem

LOSSES: dict[str, Any] = {
    "mse": lambda pred, y: tf.reduce_mean(tf.square(pred - y)),
    "softmax_cross_entropy": lambda pred, y: tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=pred)
    ),
    "sigmoid_cross_entropy": lambda pred, y: tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=pred)
    ),
}


def prepare(problem: StepProblem, threads: int) -> Call:
    only(problem.dtype == "float32", "Keras' Adam corrects for its start in float32")
    set_threads(threads)
    model = model_of(problem)
    variables = model.trainable_variables
    # Keras adds epsilon to the root mean square before that is corrected for its start: alike in the first step only,
    # so that the second loss and gradient are comparable, and how far the parameters have moved after it is not
    epsilon = EPSILON * (1 - BETAS[1]) ** 0.5
    optimizer = keras.optimizers.Adam(LEARNING_RATE, *BETAS, epsilon=epsilon, global_clipnorm=LARGEST_NORM)
    optimizer.build(variables)
    loss = LOSSES[problem.case.loss]
    tensors = [(tf.constant(x), tf.constant(y)) for x, y in problem.batches]

    def train(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(model(x, training=True), y)
        optimizer.apply(tape.gradient(value, variables))
        return value

    compiled = tf.function(train)
    batches = cycle(tensors)

    def step() -> Any:
        return compiled(*next(batches))

    losses = np.array([step().numpy() for _ in range(COMPARED)])
    means = [
        as_ours(variable.path, mean.numpy()) for variable, mean in zip(variables, optimizer._momentums, strict=True)
    ]
    found: list[Array] = [losses, *means]
    return Call(step, lambda: found)


def model_of(problem: StepProblem) -> Any:
    """The model with the parameters handed over, whose order is that of the problem's."""
    case, dtype = problem.case, problem.dtype
    keras.backend.clear_session()
    layers = []
    if case.tokens is not None:
        layers.append(keras.layers.Embedding(case.tokens, case.inputs, dtype=dtype))
    for k in range(case.layers):
        sequences = case.every_step or k < case.layers - 1
        layers.append(keras.layers.LSTM(case.hidden, return_sequences=sequences, dtype=dtype))
    layers.append(keras.layers.Dense(case.outputs, dtype=dtype))
    model = keras.Sequential(layers)
    model.build(problem.batches[0][0].shape)
    model.set_weights([v if "embedding" in name else v.T for name, v in problem.weights.items()])
    return model


def as_ours(path: str, array: Array) -> Array:
    return array if "embedding" in path else np.ascontiguousarray(array.T)
