"""Which names the API reference has, and where each stands."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import get_origin

from fastlstm import _public
from fastlstm.layers.settings import Settings

MODULES = ("", *sorted((*_public.MODULES, "onnx", "optim", "torch")))
"""Public modules, also those that are imported only by who asks for them."""


@dataclass(frozen=True)
class Name:
    """A public name: ``fastlstm.LSTM``, and what is behind it."""

    module: str
    name: str
    value: object = field(compare=False)
    origin: str = field(default="", compare=False)
    """The module that the name is imported from, or that defines it."""

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def kind(self) -> str:
        if inspect.isclass(self.value):
            return "class"
        if callable(self.value) and not _is_alias(self.value):  # a loss is an object that is called
            return "function"
        return "data"


def _is_alias(value: object) -> bool:
    """Whether it stands for a type that is made of others, as ``Score = Callable[...]`` does."""
    return get_origin(value) is not None


def defined(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Names that a module defines, or hands on by ``from x import y as y``, and where each comes from."""
    assert module.__file__ is not None
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, module.__name__
        elif isinstance(node, ast.ImportFrom):
            yield from ((one.name, node.module or "") for one in node.names if one.name == one.asname)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            yield from ((name, module.__name__) for name in found)


@cache
def _explained(module: str) -> set[str]:
    """The names that a module assigns with words below them."""
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    pairs = [(node.targets[0], below) for node, below in pairwise(body) if isinstance(node, ast.Assign)]
    return {
        target.id
        for target, below in pairs
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }


def _is_shown(name: Name) -> bool:
    """Whether it is ours, a constant or a type that is explained: not a module, which has its own page."""
    if isinstance(name.value, ModuleType):
        return False
    if _is_alias(name.value):
        return name.name in _explained(name.origin)
    return getattr(name.value, "__module__", "").startswith("fastlstm") or name.name.isupper()


def _names(module: ModuleType) -> list[Name]:
    origins = {name: origin for name, origin in defined(module) if not name.startswith("_")}
    found = getattr(module, "__all__", origins)
    every = [Name(module.__name__, name, getattr(module, name), origins.get(name, module.__name__)) for name in found]
    return [name for name in every if _is_shown(name)]


@cache
def names() -> dict[str, list[Name]]:
    """Public names by module."""
    modules = [importlib.import_module(".".join(filter(None, ("fastlstm", name)))) for name in MODULES]
    found = {module.__name__: _names(module) for module in modules}
    found["fastlstm.layers"].append(
        Name(Settings.__module__, "Settings", Settings)
    )  # layers say that it has their words
    return found


def _home(name: Name) -> tuple[bool, bool]:
    """What sorts the names of one thing: first that of the package itself, then that of the module that defines it."""
    defined = getattr(name.value, "__module__", "")
    return name.module != "fastlstm", not f"{defined}.".startswith(f"{name.module}.")


@cache
def canonical() -> dict[str, Name]:
    """For every public path the name under which the reference has the thing: ``fastlstm.layers.LSTM`` is `LSTM`."""
    every = [name for found in names().values() for name in found]
    homes: dict[int, Name] = {}
    for name in sorted(every, key=_home):
        homes.setdefault(id(name.value), name)
    return {name.path: homes[id(name.value)] for name in every}


def _short(path: str) -> str:
    return path.removeprefix("fastlstm.")


@cache
def targets() -> dict[str, str]:
    """Full paths by what pages and docstrings call a thing: ``LSTM``, ``fl.LSTM``, ``Trainer.fit``, ``io.from_torch``.

    A class goes by its bare name, unless two classes have it and neither is the package's own.
    """
    found: dict[str, str] = {}
    bare: dict[str, set[str]] = {}
    for path, name in canonical().items():
        words = {path, _short(path), f"fl.{_short(path)}"}
        if isinstance(name.value, type):
            words.add(f"{name.value.__module__}.{name.value.__qualname__}")
            bare.setdefault(name.name, set()).add(name.path)
        found |= dict.fromkeys(words, name.path)
    found |= {word: paths.pop() for word, paths in bare.items() if len(paths) == 1 and word not in found}
    classes = {name.path: name.value for name in canonical().values() if isinstance(name.value, type)}
    for word, path in list(found.items()):
        for member in members(classes[path]) if path in classes else ():
            found[f"{word}.{member}"] = f"{path}.{member}"
    return found


def _is_ours(member: object, definer: type) -> bool:
    """Whether a method or property is written by us, and not put there by a decorator or base of others."""
    if isinstance(member, property):
        return definer.__module__.startswith("fastlstm")
    return inspect.isroutine(member) and getattr(member, "__module__", definer.__module__).startswith("fastlstm")


def _documented(kind: type, name: str) -> bool:
    return bool(inspect.getdoc(getattr(kind, name, None)))


@cache
def _members(kind: type) -> list[str]:
    """Public methods and properties of ours, inherited ones among them, in the order of the source."""
    every = dict.fromkeys(name for base in kind.__mro__ for name in vars(base) if not name.startswith("_"))
    definer = {name: next(base for base in kind.__mro__ if name in vars(base)) for name in every}
    return [name for name, base in definer.items() if _is_ours(vars(base)[name], base) and _documented(kind, name)]


@cache
def inherited(kind: type) -> dict[Name, list[str]]:
    """What a base that has a page of its own says of the members of a class, by the base."""
    found: dict[Name, list[str]] = {}
    pages = {name.value: name for name in canonical().values() if isinstance(name.value, type)}
    bases = [base for base in kind.__mro__[1:] if base in pages]
    for name in _members(kind):
        if first := next((base for base in reversed(bases) if name in _members(base)), None):
            found.setdefault(pages[first], []).append(name)
    return found


@cache
def members(kind: type) -> list[str]:
    """The others, which the page of the class shows."""
    elsewhere = {name for found in inherited(kind).values() for name in found}
    return [name for name in _members(kind) if name not in elsewhere]
