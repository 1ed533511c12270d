"""Puts a built site beside those of other versions: ``python versions.py FOLDER NAME SITE --url URL``.

FOLDER gets SITE as FOLDER/NAME, in place of one that was there. NAME is ``main`` or a release such as ``1.2.3``. Then
``switcher.json``, from which each page shows the versions, and ``index.html``, which leads to the newest release, are
written anew. URL is where FOLDER will be.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

MAIN = "main"
INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>fastlstm</title>
<meta http-equiv="refresh" content="0; url={0}/">
<link rel="canonical" href="{0}/">
<p><a href="{0}/">fastlstm {0}</a></p>
</html>
"""


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in release.split("."))


def is_release(name: str) -> bool:
    """Whether it is a version such as 1.2.3; one before a release, such as 1.0.0rc1, has no site of its own."""
    return re.fullmatch(r"\d+\.\d+\.\d+", name, re.ASCII) is not None


def versions(folder: Path) -> list[str]:
    """The sites that a folder has: releases, the newest first, after ``main``."""
    names = [path.name for path in folder.iterdir() if path.is_dir()]
    releases = sorted(filter(is_release, names), key=_numbers, reverse=True)
    return [name for name in (MAIN, *releases) if name in names]


def entries(names: list[str], url: str) -> list[dict[str, object]]:
    """What the theme reads of each version. Pages of all but the preferred one say that there is another."""
    preferred = next((name for name in names if name != MAIN), MAIN)
    return [
        {"name": name, "version": name, "url": f"{url.rstrip('/')}/{name}/"}
        | ({"preferred": True} if name == preferred else {})
        for name in names
    ]


def put(folder: Path, name: str, site: Path, url: str) -> None:
    if name != MAIN and not is_release(name):
        raise ValueError(f"NAME: expected {MAIN} or a release such as 1.2.3, got {name!r}")
    if not (site / "index.html").is_file():
        raise ValueError(f"SITE: expected a folder with a built site, got {site}, which has no index.html")
    shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(site, folder / name)
    found = entries(versions(folder), url)
    (folder / "switcher.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    newest = next(entry["version"] for entry in found if "preferred" in entry)
    (folder / "index.html").write_text(INDEX.format(newest), encoding="utf-8")
    (folder / ".nojekyll").touch()  # folders that begin with an underscore are served, too


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="versions.py", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("site", type=Path)
    parser.add_argument("--url", required=True)
    options = parser.parse_args(argv)
    put(options.folder, options.name, options.site, options.url)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
