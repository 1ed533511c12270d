"""What `.ci/docs` finds wrong in a built site."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "docs" / "_ext" / "follow.py"


def broken(folder):
    spec = importlib.util.spec_from_file_location("follow", PATH)
    follow = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(follow)
    return follow.broken(folder)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('<a href="other.html#here">', None),
        ('<a href="#top"><p id="top">', None),
        ('<a href="https://example.org/nowhere"><img src="picture.png">', None),
        ('<a href="away.html">', "away.html leads nowhere"),
        ('<img src="lost.png">', "lost.png leads nowhere"),
        ('<a href="other.html#there">', "other.html#there has no such anchor"),
        ('<a href="#bottom">', "#bottom has no such anchor"),
        ("<p>| a | b |</p>", "a row without its table: | a | b |"),
        ("<td><p>|a|</p></td>", None),
    ],
)
def test_what_is_broken_in_a_page_is_found(tmp_path, body, wrong):
    (tmp_path / "page.html").write_text(body)
    (tmp_path / "other.html").write_text('<p id="here">')
    (tmp_path / "picture.png").write_bytes(b"")
    assert broken(tmp_path) == ([f"page.html: {wrong}"] if wrong else [])
