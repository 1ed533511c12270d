"""Which names of the package are public. Modules of applications are imported when they are first asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from fastlstm.hints import NAMES

MODULES = (
    *("callbacks", "classification", "constraints", "data", "datasets", "decoding", "distributed", "estimators"),
    *("forecasting", "init", "io", "layers", "losses", "metrics", "plot", "regularizers", "schedules"),
    *("speech", "text"),
)
"""Modules that are public. What others hold is imported into the package itself, or is internal."""

LATE = {"Predictor": "distributed"}
"""Other names that are imported when they are first asked for, and the public module that has each."""


def names(package: dict[str, object]) -> list[str]:
    """Public names of the package, whose namespace this is: what it imports from its modules, `MODULES`, `LATE`."""
    own = (name for name, value in package.items() if not name.startswith("_") and not isinstance(value, ModuleType))
    return sorted({*MODULES, *LATE, *own})


def missing(name: str) -> object:
    """The package's ``__getattr__``: what is public, imported now; else an error that names what is like it."""
    if name in MODULES:
        return import_module(f"fastlstm.{name}")
    if name in LATE:
        found: object = getattr(import_module(f"fastlstm.{LATE[name]}"), name)
        return found
    message = f"module 'fastlstm' has no attribute {name!r}"
    if not name.startswith("_"):
        from difflib import get_close_matches

        public: list[str] = sys.modules["fastlstm"].__all__
        lower = {one.lower(): one for one in public}
        like = [lower[one] for one in get_close_matches(name.lower(), lower)]
        if name in NAMES:
            message += f"; here: {NAMES[name]}"
        else:
            message += f"; did you mean {' or '.join(like)}?" if like else "; dir(fastlstm) lists what it has"
    raise AttributeError(message)
