"""Predictions and targets for every loss, and the formulas of those that have one for each step."""

import numpy as np
from scipy import stats

from fastlstm.losses import Loss, gaussian_parameters, student_t_parameters

STEPWISE = [loss for loss in Loss.registry.values() if loss._per_step_target]
OUTPUTS = {"gaussian_nll": 2, "student_t_nll": 3}


def problem(loss, shape, dtype="float64", seed=0):
    """Of this shape, but as many times as many outputs as the loss has for each feature, and steps if it wants some."""
    rng = np.random.default_rng(seed)
    outputs = len(loss.options["levels"]) if loss.name == "quantile" else OUTPUTS.get(loss.name, 1)
    if not loss._per_step_target and len(shape) == 2:
        shape = (shape[0], 3, shape[1])
    pred = rng.normal(0, 2, (*shape[:-1], shape[-1] * outputs))
    if loss.name in ("softmax_cross_entropy", "focal"):
        return pred.astype(dtype), rng.integers(0, shape[-1], shape[:-1])
    if loss.name == "ctc":
        return pred.astype(dtype), np.stack([rng.integers(1, shape[-1], shape[0]), np.full(shape[0], -1)], 1)
    if loss.name == "sigmoid_cross_entropy":
        return pred.astype(dtype), rng.random(shape)
    target = rng.normal(0, 2, shape)
    if loss.name == "quantile":  # no difference is near 0, where there is no slope
        return (pred.round(1)).astype(dtype), np.floor(target * 10) / 10 + 0.05
    for k in range(1, outputs):  # scales that are no tiny numbers, of which a rounded prediction is far away
        pred[..., k::outputs] = abs(pred[..., k::outputs])
    return pred.astype(dtype), target


def formula(loss, pred, target):
    """Loss of each step, (N,) or (N, T), in plain NumPy."""
    if loss.name in ("softmax_cross_entropy", "focal"):
        log_p = pred - np.log(np.exp(pred).sum(-1, keepdims=True))
        entropy = -np.take_along_axis(log_p, target[..., None], -1)[..., 0]
        return entropy if loss.name != "focal" else (1 - np.exp(-entropy)) ** loss.options["gamma"] * entropy
    if loss.name == "quantile":
        levels = np.array(loss.options["levels"])
        over = target[..., None] - pred.reshape(*target.shape, -1)
        return np.maximum(levels * over, (levels - 1) * over).mean((-1, -2))
    if loss.name == "gaussian_nll":
        mean, std = gaussian_parameters(pred)
        return -stats.norm.logpdf(target, mean, std).mean(-1)
    if loss.name == "student_t_nll":
        mean, scale, degrees = student_t_parameters(pred)
        return -stats.t.logpdf(target, degrees, mean, scale).mean(-1)
    d = pred - target
    p = 1 / (1 + np.exp(-pred))
    return {
        "mse": lambda: d**2,
        "mae": lambda: abs(d),
        "huber": lambda: np.where(abs(d) <= 1, d**2 / 2, abs(d) - 0.5),
        "sigmoid_cross_entropy": lambda: -target * np.log(p) - (1 - target) * np.log(1 - p),
    }[loss.name]().mean(-1)
