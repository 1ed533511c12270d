"""Names and signatures that people use change only where somebody means it: `public_api.txt` has them all."""

import dataclasses
import importlib
import inspect
import re
import sys
from types import FunctionType

import public_api
import pytest

import fastlstm as fl

AGAIN = "if that is meant: python tests/public_api.py, and a line in CHANGELOG.md"


@pytest.fixture(scope="module")
def kept():
    return public_api.sections(public_api.SNAPSHOT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def now():
    return public_api.current()


@pytest.mark.parametrize("module", [*public_api.modules(), public_api.COMMANDS])
def test_no_public_name_or_signature_has_changed_unnoticed(module, kept, now):
    absent = public_api.missing(module)
    if absent:
        pytest.skip(f"{module} needs {' and '.join(absent)}")
    gone, new = {*kept[module]} - {*now[module]}, {*now[module]} - {*kept[module]}
    assert not gone | new, f"gone: {sorted(gone)}; new: {sorted(new)}; {AGAIN}"
    assert kept[module] == now[module], AGAIN


def test_the_file_has_no_module_that_is_gone(kept):
    assert [*kept] == [*public_api.modules(), public_api.COMMANDS]


def test_every_public_name_of_the_package_has_a_line(kept):
    lines = "\n".join(kept["fastlstm"])
    assert [
        name for name in fl.__all__ if not re.search(rf"^fastlstm\.{name}(\(|:| = |, object of )", lines, re.MULTILINE)
    ] == []


SOURCE = """
from __future__ import annotations


class Base:
    takes: int = 1

    def __init__(self, size: int, /, *sizes: int, scale=2.0, **others: object) -> None:
        self.size = size
        self._hidden = sizes

    def __call__(self, x, *, y: str = "a"):
        self.last = x

    @property
    def area(self) -> int:
        return 1

    @classmethod
    def of(cls, text: str) -> Base:
        return cls(len(text))

    @staticmethod
    def plain(x, /):
        return x

    def _own(self):
        return self


class Sub(Base):
    def __call__(self, x, *, y: str = "a"):
        return y

    def more(self, *, z: int) -> None:
        self.z = z
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A module with two classes, of ours by its name."""
    (tmp_path / "fastlstm_here.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("fastlstm_here")
    del sys.modules["fastlstm_here"]


def described(**things):
    known = {id(thing): f"here.{name}" for name, thing in things.items()}
    return [line for name, thing in things.items() for line in public_api.lines(f"here.{name}", thing, known)]


def test_a_class_is_described_with_its_members_and_one_below_it_with_what_is_new(here):
    assert described(Base=here.Base, Sub=here.Sub) == [
        "here.Base(size: int, /, *sizes: int, scale=2.0, **others: object)",
        "here.Base.__call__(x, *, y: str = 'a')",
        "here.Base.area: property",
        "here.Base.last",
        "here.Base.of(text: str) -> Base: class method",
        "here.Base.plain(x, /): static method",
        "here.Base.size",
        "here.Base.takes",
        "here.Sub(size: int, /, *sizes: int, scale=2.0, **others: object) [here.Base]",
        "here.Sub.more(*, z: int) -> None",
        "here.Sub.z",
    ]


def test_what_is_public_under_two_names_is_described_once(here):
    known = {id(here.Sub): "here.Sub"}
    assert [*public_api.lines("there.Sub", here.Sub, known)] == ["there.Sub = here.Sub"]


@pytest.mark.parametrize(
    "change",
    [
        lambda kind: setattr(kind, "more", lambda self, *, z: None),
        lambda kind: setattr(kind, "another", lambda self: None),
        lambda kind: setattr(kind, "more", property(lambda self: 1)),
        lambda kind: setattr(kind, "__call__", lambda self, x, *, y="b": y),
        lambda kind: delattr(kind, "more"),
    ],
    ids=["annotation", "method", "property", "default", "gone"],
)
def test_a_change_of_a_class_changes_its_lines(here, change):
    before = described(Base=here.Base, Sub=here.Sub)
    change(here.Sub)
    assert described(Base=here.Base, Sub=here.Sub) != before


def test_defaults_that_are_made_anew_have_no_address():
    @dataclasses.dataclass
    class Made:
        names: list[str] = dataclasses.field(default_factory=list)
        where: object = object()

    Made.__module__ = "fastlstm.here"
    assert described(Made=Made)[0] == "here.Made(names: list[str] = <factory>, where: object = <object object>)"


def test_a_module_offers_what_it_defines_and_what_it_imports_under_its_own_name(tmp_path, monkeypatch):
    path = tmp_path / "offering.py"
    path.write_text(
        "import os\nfrom json import dumps, loads as loads\nA = 1\nAlias = list[int]\n(b, _c), d = (2, 3), 4\n"
        "e: str = 'x'\n\ndef f(): ...\n\ndef _g(): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import offering

    names = public_api.exported(offering)
    assert [*names] == ["A", "Alias", "b", "d", "e", "f", "loads"]
    told = [line for name, thing in names.items() for line in public_api.lines(f"offering.{name}", thing, {})]
    assert told[:3] == ["offering.A, object of int", "offering.Alias = list[int]", "offering.b, object of int"]
    monkeypatch.delitem(sys.modules, "offering")


def test_the_lines_of_modules_are_read_back():
    text = f"{public_api.HEAD}\n# a, where b can be imported\na.x\na.y()\n\n# c\n"
    assert public_api.sections(text) == {"a": ["a.x", "a.y()"], "c": []}


def test_a_module_whose_package_is_missing_keeps_its_lines(tmp_path, monkeypatch, capsys):
    copy = tmp_path / "api.txt"
    copy.write_bytes(public_api.SNAPSHOT.read_bytes())
    monkeypatch.setattr(public_api, "SNAPSHOT", copy)
    monkeypatch.setitem(public_api.NEEDS, "fastlstm.plot", ("no_such_package",))
    assert public_api.main([]) == 0
    assert "fastlstm.plot stays as it is: it needs no_such_package" in capsys.readouterr().err
    before, after = (public_api.sections(path.read_text(encoding="utf-8")) for path in (public_api.SNAPSHOT, copy))
    assert before == after and before["fastlstm.plot"]


@pytest.fixture
def every_module():
    """The reference has all modules, also those for other packages."""
    for package in ("onnx", "torch"):
        pytest.importorskip(package)


@pytest.mark.usefixtures("every_module")
def test_the_api_reference_has_every_public_name_but_modules_and_types_without_words(kept):
    shown = {name.path for found in public_api.public.names().values() for name in found}
    missing = [
        name
        for module in public_api.public.names()
        for line in kept.get(module, ())
        if (name := re.match(r"[\w.]+", line)[0]).rpartition(".")[0] == module
        and name not in shown
        and not line.endswith(": module")
    ]
    assert missing == [
        f"fastlstm.{name}"
        for name in ("constraints.Array", "decoding.Array", "init.Array", "init.Rng", "regularizers.Array")
    ]


@pytest.mark.parametrize("name", ["init.zeros", "metrics.Metric", "decoding.Score", "mse", "metrics.METRICS"])
def test_an_object_and_a_type_are_public_names_too(name, kept):
    lines = [line for lines in kept.values() for line in lines if re.match(rf"fastlstm\.{re.escape(name)}\W", line)]
    assert len(lines) == 1 and (" = " in lines[0] or ", object of " in lines[0])


@pytest.mark.usefixtures("every_module")
def test_every_public_method_and_property_is_explained():
    """What is not has no place in the API reference. It wants a docstring, or an underscore."""
    kinds = {name.value: name.path for name in public_api.public.canonical().values() if isinstance(name.value, type)}
    silent = {
        f"{path}.{name}"
        for kind, path in kinds.items()
        for base in kind.__mro__
        if base.__module__.startswith("fastlstm")
        for name, value in vars(base).items()
        if not name.startswith("_") and isinstance(value, FunctionType | property | classmethod | staticmethod)
        if not inspect.getdoc(inspect.getattr_static(kind, name)) and not inspect.getdoc(getattr(kind, name))
    }
    assert not silent
