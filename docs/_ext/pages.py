"""Pages that read well on GitHub as they lie, made ready for the site."""

from __future__ import annotations

import re
from pathlib import Path

import public
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

SHOWN = {"overview": "README.md", "contributing": "CONTRIBUTING.md", "changes": "CHANGELOG.md"}
"""Pages that show a file from beside docs/; each has a line of its own for readers of the folder."""

ROOT = Path(__file__).parent.parent.parent
LINK = re.compile(r"\[([^]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")


def _link(match: re.Match[str], folder: str) -> str:
    """A link as the site needs it, which knows pages and files to download, but no other Markdown than its own."""
    text, target, anchor = match[1], match[2], match[3] or ""
    path = (ROOT / folder / target).resolve()
    pages = {(ROOT / file).resolve(): f"{page}.md" for page, file in SHOWN.items()}
    if path in pages:
        return f"[{text}]({pages[path]}{anchor})"
    if path.is_relative_to(ROOT / "docs"):
        return f"[{text}]({path.relative_to(ROOT / 'docs')}{anchor})" if folder == "." else match[0]
    return f"{{download}}`{text} <../{path.relative_to(ROOT)}>`"


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Shows the files of `SHOWN`, and turns links that leave docs/ into such as the site has."""
    if page.startswith("api/"):
        return
    if page in SHOWN:
        source[0] = (ROOT / SHOWN[page]).read_text(encoding="utf-8")
        app.env.note_dependency(str(ROOT / SHOWN[page]))
    folder = "." if page in SHOWN else str(Path("docs", page).parent)
    source[0] = LINK.sub(lambda match: _link(match, folder), source[0])


NO_LINKS = (nodes.title, nodes.reference, pending_xref)
"""Where there is no place for a link."""

FILE = re.compile(r"\w\.(c|h|hpp|p(y|yx|xd))\b")
"""A file of the sources: names beside it are of what stands there, `sigmoid` in C among them."""


def _above(node: nodes.Node) -> list[nodes.Node]:
    """The nodes that a node is in, from the nearest."""
    found: list[nodes.Node] = []
    while (node := node.parent) is not None:
        found.append(node)
    return found


class LinkNames(SphinxTransform):
    """Code in a page that is the name of a thing leads to the reference, once in each section."""

    default_priority = 500

    def apply(self, **arguments: object) -> None:
        if self.env.docname.startswith("api/"):
            return
        seen: set[tuple[int, str]] = set()
        for literal in list(self.document.findall(nodes.literal)):
            path = public.targets().get(re.sub(r"\(.*\)$", "", literal.astext()))
            above = _above(literal)
            section = next((id(node) for node in above if isinstance(node, nodes.section)), 0)
            if path is None or (section, path) in seen or any(isinstance(node, NO_LINKS) for node in above):
                continue
            if FILE.search(above[0].astext()):
                continue
            seen.add((section, path))
            link = pending_xref("", refdomain="py", reftype="obj", reftarget=path, refdoc=self.env.docname)
            link["refexplicit"], link["refwarn"] = True, True
            literal.replace_self(link)
            link += literal


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", read)
    app.add_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
