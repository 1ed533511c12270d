"""Follows links and pictures of a built site that stay within, and finds broken tables: ``python follow.py FOLDER``."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.rows: list[str] = []  # of tables that Markdown did not take for such
        self._opened = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._opened = tag
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value and not (tag == "link" and "canonical" in dict(attrs).values()):
                self.links.append(value)

    def handle_data(self, data: str) -> None:
        if self._opened == "p" and data.startswith("| "):
            self.rows.append(data.splitlines()[0])
        self._opened = ""


def broken(folder: Path) -> list[str]:
    folder = folder.resolve()
    paths = [path for path in folder.rglob("*.html") if path.parts[len(folder.parts)] != "_static"]  # there: templates
    pages = {path: Page(path) for path in paths}
    found = []
    for path, page in pages.items():
        found += [f"{path.relative_to(folder)}: a row without its table: {row}" for row in page.rows]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else None
            if not target.exists():
                found.append(f"{path.relative_to(folder)}: {link} leads nowhere")
            elif parts.fragment and anchors is not None and unquote(parts.fragment) not in anchors:
                found.append(f"{path.relative_to(folder)}: {link} has no such anchor")
    print(f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links, {len(found)} things broken")
    return found


if __name__ == "__main__":
    if wrong := broken(Path(sys.argv[1])):
        sys.exit("\n".join(sorted({*wrong})))
