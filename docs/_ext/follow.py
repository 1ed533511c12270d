"""Follows every link and picture of a built site that stays within: ``python follow.py FOLDER``."""

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
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value and not (tag == "link" and "canonical" in dict(attrs).values()):
                self.links.append(value)


def broken(folder: Path) -> list[str]:
    folder = folder.resolve()
    paths = [path for path in folder.rglob("*.html") if path.parts[len(folder.parts)] != "_static"]  # there: templates
    pages = {path: Page(path) for path in paths}
    found = []
    for path, page in pages.items():
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
    print(f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links, {len(found)} of them broken")
    return found


if __name__ == "__main__":
    if wrong := broken(Path(sys.argv[1])):
        sys.exit("\n".join(sorted({*wrong})))
