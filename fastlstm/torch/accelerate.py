"""Models that stand, on the kernels and back."""

from __future__ import annotations

from typing import Any

import torch

from fastlstm.torch import modules
from fastlstm.torch.modules import ENGINES, OnKernels

OURS: dict[type[torch.nn.Module], type[OnKernels]] = {
    getattr(torch.nn, name): getattr(modules, name) for name in ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell")
}
"""Our module for each of torch's."""

THEIRS: dict[type[torch.nn.Module], type[torch.nn.Module]] = {ours: theirs for theirs, ours in OURS.items()}


class Accelerated:
    """What `accelerate` has replaced. As a context manager it puts it back at the end of the block.

    Attributes
    ----------
    names : list of str
        The modules by their names in the model, "" being the model itself.
    left : list of str
        Those of a subclass of torch's, whose code may be its own. They stay as they are.
    """

    def __init__(self, replaced: dict[str, torch.nn.Module], left: list[str]) -> None:
        self._replaced, self.names, self.left = replaced, list(replaced), left

    def __enter__(self) -> Accelerated:
        return self

    def __exit__(self, *error: Any) -> None:
        for module in self._replaced.values():
            put_back(module)

    def __repr__(self) -> str:
        lines = [f"{name or 'the module itself'}: {module}" for name, module in self._replaced.items()]
        said = "\n  ".join([f"Accelerated {len(lines)} modules", *lines])
        return said + "".join(f"\n  left as it is, being of a class of its own: {name}" for name in self.left)


def accelerate(module: torch.nn.Module) -> Accelerated:
    """Let every LSTM, GRU and RNN in a module, and every cell of these, run on fastlstm's kernels.

    They change in place, by their class alone: parameters, optimizers that hold them, hooks, names and ``state_dict``
    stay what they are. What the kernels cannot do goes on running by torch's own code.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    Accelerated
        It prints what was replaced, and restores it where it is used as a context manager.

    Raises
    ------
    TypeError
        If it is no torch.nn.Module.

    Examples
    --------
    >>> import torch, fastlstm.torch
    >>> model = torch.nn.Sequential(torch.nn.LSTM(3, 4), torch.nn.Flatten())
    >>> fastlstm.torch.accelerate(model)
    Accelerated 1 modules
      0: LSTM(3, 4)
    >>> fastlstm.torch.restore(model)
    >>> with fastlstm.torch.accelerate(model):
    ...     y, state = model[0](torch.ones(7, 5, 3))
    >>> type(model[0])
    <class 'torch.nn.modules.rnn.LSTM'>
    """
    replaced, left = {}, []
    for name, part in checked(module).named_modules():
        if type(part) in OURS:
            part.__class__ = OURS[type(part)]
            replaced[name] = part
        elif isinstance(part, tuple(OURS)) and not isinstance(part, OnKernels):
            left.append(name)
    return Accelerated(replaced, left)


def restore(module: torch.nn.Module) -> None:
    """Make torch's own modules of all in a module that run on fastlstm's kernels, whoever has made them.

    Parameters
    ----------
    module : torch.nn.Module

    Raises
    ------
    TypeError
        If it is no torch.nn.Module.
    """
    for part in checked(module).modules():
        put_back(part)


def put_back(part: torch.nn.Module) -> None:
    theirs = THEIRS.get(type(part))
    if theirs is not None:
        part.__class__ = theirs
        part.__dict__.pop(ENGINES, None)


def checked(module: Any) -> torch.nn.Module:
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    return module
