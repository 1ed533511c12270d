"""The files around the package say the same as the package, and its workflows run nothing that can change unseen."""

import re
import tomllib
from pathlib import Path

import pytest

import fastlstm as fl

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

workflows = pytest.mark.skipif(not WORKFLOWS, reason="the workflows are not in the sdist")


def test_whoever_cites_the_package_cites_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    told = dict(re.findall(r"^(\w+): (\S+)$", text, re.MULTILINE))
    assert told["title"] == PROJECT["name"]
    assert told["version"] == fl.__version__
    assert told["license"] == PROJECT["license"]
    assert [name["name"] for name in PROJECT["authors"]] == re.findall(r'- name: "(.*)"', text)


@workflows
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_nothing_that_it_does_not_say(path):
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    used = re.findall(r"uses: (.*)", text)
    assert [one for one in used if not re.match(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d|\./\.github/workflows/", one)] == []
    commands = re.findall(r"^ *(?:- )?run: (\|\n(?: {10,}.*\n)+|.*)", text, re.MULTILINE)
    assert len(commands) == text.count("run: ")
    assert [one for one in commands if "${{" in one] == [], "what others write could stand in such a command"


@workflows
def test_an_action_is_used_in_one_version():
    used = {one for path in WORKFLOWS for one in re.findall(r"uses: (\S+@.*)", path.read_text(encoding="utf-8"))}
    assert len(used) == len({one.partition("@")[0] for one in used})


@workflows
def test_the_tests_run_on_every_python_that_the_package_takes():
    text = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    pythons = re.findall(r'"(3\.\d+)"', re.search(r"python: \[(.*)\]", text)[1])
    assert pythons[0] == PROJECT["requires-python"].removeprefix(">=")
    assert pythons == [f"3.{k}" for k in range(int(pythons[0][2:]), int(pythons[-1][2:]) + 1)]
