"""What `.ci/docs` finds wrong in a built site, and sites of several versions beside each other."""

import importlib.util
import json
from pathlib import Path

import pytest

URL = "https://example.org/fastlstm"


def loaded(name):
    """A module of `docs/_ext`."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / "docs" / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def broken(folder):
    return loaded("follow").broken(folder)


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


@pytest.fixture
def site(tmp_path):
    """A built site, and a function that puts it under a name beside others, and says what pages read then."""
    built, sites = tmp_path / "built", tmp_path / "sites"
    built.mkdir()
    sites.mkdir()
    (built / "index.html").write_text("a page")

    def put(name):
        assert loaded("versions").main([str(sites), name, str(built), "--url", URL + "/"]) == 0
        return json.loads((sites / "switcher.json").read_text())

    return built, sites, put


def test_versions_are_listed_with_main_first_and_the_newest_release_preferred(site):
    _, sites, put = site
    assert put("main") == [{"name": "main", "version": "main", "url": f"{URL}/main/", "preferred": True}]
    assert 'url=main/"' in (sites / "index.html").read_text()
    for name in ("0.9.0", "0.10.0", "0.2.0"):
        listed = put(name)
    assert [one["version"] for one in listed] == ["main", "0.10.0", "0.9.0", "0.2.0"]
    assert [one["version"] for one in listed if one.get("preferred")] == ["0.10.0"]
    assert listed[1] == {"name": "0.10.0", "version": "0.10.0", "url": f"{URL}/0.10.0/", "preferred": True}
    assert 'url=0.10.0/"' in (sites / "index.html").read_text()


def test_a_site_takes_the_place_of_the_one_before_it_and_of_no_other(site):
    built, sites, put = site
    (built / "old.html").write_text("gone later")
    put("1.0.0")
    put("main")
    (built / "old.html").unlink()
    put("main")
    assert not (sites / "main" / "old.html").exists() and (sites / "1.0.0" / "old.html").exists()


@pytest.mark.parametrize("name", ["../away", "1.0", "1.0.0rc1", "v1.0.0", "", "main/x"])
def test_a_name_that_is_no_version_is_refused(site, name):
    with pytest.raises(ValueError, match=r"^NAME: expected main or a release such as 1\.2\.3, got '"):
        site[2](name)
    assert not list(site[1].iterdir())


def test_a_folder_without_a_site_is_refused(site):
    (site[0] / "index.html").unlink()
    with pytest.raises(ValueError, match=r"^SITE: expected a folder with a built site, got .*no index\.html"):
        site[2]("main")
