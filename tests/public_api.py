"""The public names of the package as text, one a line: what `public_api.txt` keeps, and `test_public_api.py` compares.

    python tests/public_api.py

writes that file anew, after a change to a name or a signature that is meant. Of a module that needs a package that is
missing, the lines stay as they are.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from fastlstm import _public, cli
from fastlstm.hints import Elsewhere

sys.path.append(str(Path(__file__).parent.parent / "docs" / "_ext"))

import public  # noqa: E402  (the API reference's own list)

SNAPSHOT = Path(__file__).with_suffix(".txt")
HEAD = """\
The public names of fastlstm, written by `python tests/public_api.py`. "=" is another name for the same thing, or for a
type; a class shows what it adds to the public class in brackets, or takes in another way than that does.
"""
NEEDS = {
    "fastlstm.estimators": ("sklearn",),
    "fastlstm.forecasting.darts": ("darts",),
    "fastlstm.forecasting.sktime": ("sktime",),
    "fastlstm.onnx": ("onnx",),
    "fastlstm.plot": ("matplotlib",),
    "fastlstm.torch": ("torch",),
}
"""Modules that can be imported whole only where these packages are."""

COMMANDS = "command line"
OPERATORS = ("call", "len", "iter", "next", "getitem", "setitem", "contains", "enter", "exit", "array")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def modules() -> list[str]:
    """What is in several of them is described under its first name: the shortest, and one that needs least."""
    always = {f"fastlstm.{name}" for name in (*_public.MODULES, "optim")} - {*NEEDS}
    return ["fastlstm", *sorted(always), *NEEDS]


def missing(module: str) -> list[str]:
    """The packages that a module needs, and that are not here."""
    absent = []
    for package in NEEDS.get(module, ()):
        try:
            importlib.import_module(package)
        except ImportError:
            absent.append(package)
    return absent


def exported(module: ModuleType) -> dict[str, Any]:
    """What a module offers: what `__all__` lists, else what it defines, and what it imports under its own name.

    The latter, ``from a import b as b``, is how type checkers are told so, too.
    """
    found = getattr(module, "__all__", None) or [name for name, _ in public.defined(module)]
    names = sorted({name for name in found if not name.startswith("_")})
    return {name: getattr(module, name) for name in names}


def things() -> dict[str, dict[str, Any]]:
    """What each module offers, of those that can be imported whole."""
    return {module: exported(importlib.import_module(module)) for module in modules() if not missing(module)}


def first_names(offered: dict[str, dict[str, Any]]) -> dict[int, str]:
    """For each thing the name under which it comes first; others are said to be the same."""
    found: dict[int, str] = {}
    for module, names in offered.items():
        for name, thing in names.items():
            if ours(thing):
                found.setdefault(id(thing), f"{module}.{name}")
    return found


def ours(thing: object) -> bool:
    """Whether it is one thing that may stand in several modules, and no number or type of others."""
    return callable(thing) and getattr(thing, "__module__", "").startswith("fastlstm")


def lines(name: str, thing: Any, known: dict[int, str]) -> Iterator[str]:
    """One for a name, and more for a class."""
    first = known.get(id(thing), name)
    if first != name:
        yield f"{name} = {first}"
    elif isinstance(thing, ModuleType):
        yield f"{name}: module"
    elif isinstance(thing, type) and ours(thing):
        base = next((known[id(base)] for base in thing.__mro__[1:] if id(base) in known), "")
        yield f"{name}{signature(thing).removesuffix(' -> None')}{base and f' [{base}]'}"
        yield from (f"{name}.{member}" for member in members(thing, known))
    elif inspect.isroutine(thing):
        yield f"{name}{signature(thing)}"
    elif ours(thing):
        yield f"{name}{signature(thing)}, object of {known.get(id(type(thing)), type(thing).__name__)}"
    elif callable(thing) or typing.get_origin(thing) is not None:
        yield f"{name} = {written(name)}"
    else:
        yield f"{name}, object of {type(thing).__name__}"


def written(name: str) -> str:
    """What a name for a type stands for, as the module that gives it says: Pythons show types in different ways."""
    module, _, name = name.rpartition(".")
    origin = dict(public.defined(importlib.import_module(module)))[name]
    body = ast.parse(inspect.getsource(importlib.import_module(origin))).body
    values = {
        node.targets[0].id: node.value
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return ast.unparse(values[name])


def members(kind: type, known: dict[int, str]) -> list[str]:
    """What a class has that its public bases have not, or not so: methods, properties, and attributes."""
    public = [base for base in kind.__mro__[1:] if id(base) in known]
    inherited = {**described(public[0])} if public else {}
    return [text for name, text in sorted(described(kind).items()) if inherited.get(name) != text]


def described(kind: type) -> dict[str, str]:
    """All members of a class, of those that classes of ours give it."""
    found: dict[str, str] = {}
    for base in kind.__mro__:
        if base.__module__.startswith("fastlstm"):
            for name, value in vars(base).items():
                if shown(name) and not isinstance(value, Elsewhere) and "sklearn" not in type(value).__module__:
                    found.setdefault(name, f"{name}{member(value)}")
            for name in attributes(base):
                found.setdefault(name, name)
    return found


def shown(name: str) -> bool:
    return not name.startswith("_") or name.strip("_") in OPERATORS and name.endswith("__")


def member(value: Any) -> str:
    """What is said of a member behind its name: of a method its signature, of an attribute nothing."""
    if isinstance(value, property) or type(value).__name__ == "cached_property":
        return ": property"
    word = {staticmethod: "static", classmethod: "class"}.get(type(value), "")
    function = value.__func__ if word else value
    if not inspect.isroutine(function):
        return ""
    return f"{signature(function, bound=word != 'static')}{word and f': {word} method'}"


@functools.cache
def attributes(kind: type) -> set[str]:
    """The attributes without a leading underscore that methods of a class set, or that its body names with a type."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):
        return set()
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    named = {node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    stored = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    named |= {node.attr for node in stored if isinstance(node.value, ast.Name) and node.value.id == "self"}
    return {name for name in named if not name.startswith("_")}


def signature(thing: Any, *, bound: bool = False) -> str:
    """As it is written in the source: Pythons write down types and defaults in different ways."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    if isinstance(thing, type):
        maker = next(base for base in thing.__mro__ if "__init__" in vars(base))
        if maker is not object and not maker.__module__.startswith("fastlstm"):
            return "(...)"  # as the class of another package has it
        if type(thing).__call__ is not type.__call__ and "__signature__" not in vars(type(thing)):
            return signature(maker.__init__, bound=True)  # the class itself shows the call of its metaclass
    parameters = [*found.parameters.values()][1 if bound else 0 :]
    parts: list[str] = []
    for before, parameter in zip([None, *parameters], parameters, strict=False):
        named_only = parameter.kind is parameter.KEYWORD_ONLY
        if named_only and (before is None or before.kind in (before.POSITIONAL_OR_KEYWORD, before.POSITIONAL_ONLY)):
            parts.append("*")
        if before is not None and before.kind is before.POSITIONAL_ONLY is not parameter.kind:
            parts.append("/")
        parts.append(argument(parameter))
    if parameters and parameters[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    returned = "" if found.return_annotation is found.empty else f" -> {annotation(found.return_annotation)}"
    return f"({', '.join(parts)}){returned}"


def argument(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}"
    typed = parameter.annotation is not parameter.empty
    if typed:
        text += f": {annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f"{' = ' if typed else '='}{ADDRESS.sub('', repr(parameter.default))}"
    return text


def annotation(value: Any) -> str:
    """As in the source, where it is kept: in the fields of a named tuple it is a reference to what comes later."""
    value = getattr(value, "__forward_arg__", value)
    return value if isinstance(value, str) else inspect.formatannotation(value)


def commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The commands of the command line, with the words and options that each takes, and their defaults."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in dict.fromkeys(action.choices.values()):
                yield from commands(command)
        elif not isinstance(action, argparse._HelpAction | argparse._VersionAction):
            named = "/".join(action.option_strings) or str(action.metavar or action.dest)
            value = (
                "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or action.dest.upper()}"
            )
            default = "" if action.default in (None, False, argparse.SUPPRESS) else f" = {action.default!r}"
            yield f"{parser.prog} {named}{value}{default}"


def current() -> dict[str, list[str]]:
    """The lines of each module that can be imported whole, as they are now, and of the command line."""
    offered = things()
    known = first_names(offered)
    found = {
        module: [line for name, thing in names.items() for line in lines(f"{module}.{name}", thing, known)]
        for module, names in offered.items()
    }
    return {**found, COMMANDS: sorted(commands(cli.parser()))}


def sections(text: str) -> dict[str, list[str]]:
    """The lines of each module in the text of the snapshot."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            found[line.removeprefix("# ").split(",")[0]] = lines = []
        elif line and found:
            lines.append(line)
    return found


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python tests/public_api.py", description=__doc__)
    parser.parse_args(argv)
    kept, now, parts = sections(SNAPSHOT.read_text(encoding="utf-8")), current(), [HEAD]
    for module in [*modules(), COMMANDS]:
        if module not in now:
            print(f"{module} stays as it is: it needs {' and '.join(missing(module))}", file=sys.stderr)
        needs = f", where {' and '.join(NEEDS[module])} can be imported" if module in NEEDS else ""
        parts.append("\n".join([f"# {module}{needs}", *now.get(module, kept.get(module, []))]) + "\n")
    SNAPSHOT.write_text("\n".join(parts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
