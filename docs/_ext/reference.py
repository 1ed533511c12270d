"""The API reference: a page for each public module and class, written before the build from what `public` finds."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import public
from docutils import nodes
from numpydoc.docscrape_sphinx import SphinxDocString
from public import Name
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

GROUPS = {
    "layers": "Layers",
    "model": "Models",
    "training": "Training",
    "callbacks": "Callbacks",
    "losses": "Losses",
    "optim": "Optimizers",
    "quantization": "Fewer bits",
    "io": "Files",
    "activations": "Activations",
    "distributed": "Past one machine",
}
"""Headings of the package's own page, by the part that a name comes from."""


def _heading(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


def _doc(name: Name) -> str:
    if name.kind == "data":
        return "\n".join(ModuleAnalyzer.for_module(name.origin).find_attr_docs()["", name.name])
    return inspect.getdoc(name.value) or ""


def _summary(doc: str) -> str:
    """The first paragraph of a docstring, in one line."""
    first = doc.split("\n\n")[0]
    return " ".join(first.split()).removesuffix("::").rstrip(":")


def _table(found: list[Name], module: str) -> str:
    rows = []
    for name in found:
        home = public.canonical()[name.path]
        shown = home.path.removeprefix(f"{module}.") if home.module == module else name.name
        rows.append(f"   * - :py:obj:`{shown} <{home.path}>`\n     - {_summary(_doc(home))}\n")
    return ".. list-table::\n   :widths: 30 70\n   :class: names\n\n" + "".join(rows)


def _indented(text: str) -> str:
    return "".join(f"   {line}\n" if line.strip() else "\n" for line in text.splitlines())


def _documented(name: Name) -> str:
    """What documents a name that is no class."""
    if inspect.isroutine(name.value):
        return f".. autofunction:: {name.path}\n"
    if name.kind == "data":
        return f".. py:data:: {name.name}\n\n{_indented(_doc(name))}"
    signature = inspect.signature(type(name.value).__call__)  # an object that is called documents itself
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    doc = str(SphinxDocString(inspect.getdoc(name.value) or "", config={"show_class_members": False}))
    return f".. py:function:: {name.name}{_bare(signature)}\n\n{_indented(doc)}"


def _class_page(name: Name) -> str:
    assert isinstance(name.value, type)
    own, text = public.members(name.value), _heading(name.name)
    text += f"\n.. currentmodule:: {name.module}\n\n.. autoclass:: {name.path}\n"
    text += f"   :members: {', '.join(own)}\n   :member-order: bysource\n" if own else ""
    for base, found in public.inherited(name.value).items():
        listed = ", ".join(f":py:obj:`{member} <{base.path}.{member}>`" for member in found)
        text += f"\nAs in :py:obj:`{base.name} <{base.path}>`: {listed}.\n"
    return text


def _groups(module: str, found: list[Name]) -> dict[str, list[Name]]:
    grouped: dict[str, list[Name]] = {}
    for name in sorted(found, key=lambda name: (name.kind != "class", name.name.lower())):
        part = getattr(name.value, "__module__", "").split(".")[1:2]
        others = "Settings and memory" if module == "fastlstm" else ""
        group = GROUPS.get("".join(part), others) if module == "fastlstm" else ""
        grouped.setdefault(group, []).append(name)
    order = [*GROUPS.values(), *grouped]
    return dict(sorted(grouped.items(), key=lambda item: order.index(item[0])))


def _module_page(module: str, found: list[Name]) -> str:
    text = _heading(module) + f"\n.. automodule:: {module}\n   :no-members:\n\n"
    for title, part in _groups(module, found).items():
        text += (_heading(title, "-") + "\n" if title else "") + _table(part, module) + "\n"
    homes = [name for name in found if public.canonical()[name.path] == name]
    here = [name for name in homes if name.kind != "class"]
    if here:
        text += _heading("Each in full", "-") + f"\n.. currentmodule:: {module}\n\n"
        text += "\n".join(_documented(name) for name in sorted(here, key=lambda name: name.name.lower()))
    classes = sorted(name.path for name in homes if name.kind == "class")
    return text + "\n.. toctree::\n   :hidden:\n\n" + "".join(f"   {path}\n" for path in classes)


INDEX = """\
API reference
=============

Every public name, from its docstring: what it takes, with shapes and defaults, what it raises, and an example.
All pages write ``import fastlstm as fl``. What has an underscore, or is not listed here, may change at any time.

"""


def _index(modules: dict[str, list[Name]]) -> str:
    rows = "".join(
        f"   * - :py:mod:`{module}`\n     - {_summary(importlib.import_module(module).__doc__ or '')}\n"
        for module in modules
    )
    toctree = ".. toctree::\n   :hidden:\n\n" + "".join(f"   {module}\n" for module in modules)
    return f"{INDEX}.. list-table::\n   :widths: 30 70\n\n{rows}\n{toctree}"


def write(app: Sphinx) -> None:
    """Writes the pages that have changed, since a build reads only these, and removes those of names that left."""
    modules = public.names()
    pages = {"index": _index(modules)} | {module: _module_page(module, found) for module, found in modules.items()}
    for name in public.canonical().values():
        if name.kind == "class":
            pages[name.path] = _class_page(name)
    folder = Path(app.srcdir, "api")
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.rst"):
        if old.stem not in pages:
            old.unlink()
    for stem, text in pages.items():
        path = folder / f"{stem}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _bare(signature: inspect.Signature) -> str:
    """A signature without types, which stand in the docstring."""
    parameters = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(inspect.Signature(parameters))


def shorten(
    app: Sphinx, what: str, path: str, value: Any, options: Any, arguments: str | None, result: str | None
) -> tuple[str, str | None] | None:
    """autodoc's signature of what documents its parameters, without their types."""
    if arguments is None or "Parameters\n" not in (inspect.getdoc(value) or ""):
        return None
    signature = inspect.signature(value)
    first = [*signature.parameters][:1] if what == "method" else []
    kept = [one for name, one in signature.parameters.items() if name not in first or name not in ("self", "cls")]
    return _bare(signature.replace(parameters=kept)), None


class Mentioned(PyXRefRole):
    """What docstrings have in single backticks: a link where it is the name of a thing or a page, else code."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        word = self.text
        if page := re.fullmatch(r"docs/(\S+)\.md", word):
            link = pending_xref("", refdomain="std", reftype="doc", reftarget=f"/{page[1]}", refdoc=self.env.docname)
            link["refexplicit"], link["refwarn"] = False, True
            link += nodes.inline("", word)
            return [link], []
        if re.fullmatch(r"[A-Za-z_][\w.]*", word) and f"fastlstm.{word}" not in public.names():
            self.name = "py:obj"
            return super().run()
        return [nodes.literal(self.rawtext, word)], []


def resolve(app: Sphinx, env: Any, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    """A reference to a thing by another of its names."""
    if node.get("refdomain") != "py" or (path := public.targets().get(node["reftarget"])) is None:
        return None
    found = env.domains["py"].objects.get(path)
    return found and make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content, path)


def missing(app: Sphinx, env: Any) -> list[str]:
    """Says which public names have no place in the reference."""
    from sphinx.util.logging import getLogger

    objects = env.domains["py"].objects
    for path in sorted({name.path for name in public.canonical().values()} - {*objects}):
        getLogger(__name__).warning("%s is public, but not in the API reference", path)
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("mentioned", Mentioned())
    app.connect("builder-inited", write)
    app.connect("autodoc-process-signature", shorten)
    app.connect("missing-reference", resolve)
    app.connect("env-check-consistency", missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
