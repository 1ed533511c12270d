"""What building from source says where a compiler is missing or does not work, before it has taken any time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BUILD = """
import os, runpy, sys, sysconfig, types
sysconfig.get_path = lambda name: os.environ["HEADERS"]
sys.modules["Cython"] = sys.modules["Cython.Build"] = sys.modules["setuptools"] = stub = types.ModuleType("stub")
stub.Extension = stub.setup = stub.cythonize = lambda *arguments, **options: print("building")
runpy.run_path("setup.py")
"""
"""setup.py, without the packages that only a build has."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the compiler is not looked for on Windows")


@pytest.fixture
def build(tmp_path):
    (tmp_path / "Python.h").touch()

    def run(**environment):
        environment = {**os.environ, "HEADERS": str(tmp_path), **environment}
        return subprocess.run([sys.executable, "-c", BUILD], cwd=ROOT, env=environment, capture_output=True, text=True)

    return run


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo 'program.c:2:10: fatal error: stdio.h: No such file or directory' >&2; exit 1", "stdio.h: No such file"),
        ("echo 'ld: cannot find crt1.o' >&2; echo 'collect2: error: ld returned 1' >&2; exit 1", "ld returned 1"),
        ("exit 3", "exit status 3"),
    ],
)
def test_a_compiler_that_fails_is_said_in_one_line_with_the_packages_to_install(tmp_path, build, text, why):
    compiler = script(tmp_path / "fake-cc", text)
    done = build(CC=f"{compiler} -pthread")
    assert done.returncode == 1 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(f"fastlstm compiles C, but {compiler} could not compile a program of one line (")
    assert why in line and "sudo apt install gcc libc6-dev" in line


def test_a_compiler_that_is_not_there_is_said_in_one_line_with_the_packages_to_install(tmp_path, build):
    done = build(CC="gcc", PATH=str(tmp_path))
    [line] = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == ""
    assert line.startswith("fastlstm compiles C, but gcc could not compile") and "(No such file or directory)" in line
    assert "sudo apt install gcc libc6-dev" in line


def test_a_compiler_that_works_is_asked_to_compile_and_link_once(tmp_path, build):
    log = tmp_path / "log"
    done = build(CC=script(tmp_path / "fake-cc", f'echo "$@" >>"{log}"'))
    assert done.returncode == 0 and "building" in done.stdout
    [command] = log.read_text().splitlines()
    assert "program.c" in command and "-c" not in command.split()
