"""What building from source says where a compiler is missing or does not work, before it has taken any time; what it
makes anew."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BUILD = """
import os, runpy, sys, sysconfig, types
sysconfig.get_path = lambda name: os.environ["HEADERS"]
stub = types.ModuleType("stub")
for name in ("Cython", "Cython.Build", "setuptools", "setuptools.command", "setuptools.command.build_ext"):
    sys.modules[name] = stub
stub.build_ext, stub.__version__ = object, "3.2.1"
stub.Extension = lambda name, sources, **options: types.SimpleNamespace(sources=sources)
stub.cythonize = lambda extensions, **options: print("Cython is asked") or extensions
stub.setup = lambda ext_modules, **options: print("building", *sorted(one.sources[0] for one in ext_modules))
print("on Windows:", runpy.run_path("setup.py")["clang_cl"](os.environ.get("ASKED", "cl")))
"""
"""setup.py, without the packages that only a build has."""

PACKAGES = "(Debian and Ubuntu: sudo apt install g++; Fedora: sudo dnf install gcc-c++; macOS: xcode-select --install)"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the compiler is not looked for on Windows")


@pytest.fixture
def log(tmp_path):
    """What the compilers have been asked for that compile nothing but are content."""
    return tmp_path / "log"


@pytest.fixture
def build(tmp_path, log):
    (tmp_path / "Python.h").touch()
    content = {name: script(tmp_path / f"content-{name}", f'echo "$@" >>"{log}"') for name in ("CC", "CXX")}

    def run(folder=ROOT, **environment):
        environment = {**os.environ, "HEADERS": str(tmp_path), **content, **environment}
        return subprocess.run(
            [sys.executable, "-c", BUILD], cwd=folder, env=environment, capture_output=True, text=True
        )

    return run


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("variable", "language"), [("CC", "C"), ("CXX", "C++")])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo 'program.c:2:10: fatal error: stdio.h: No such file or directory' >&2; exit 1", "stdio.h: No such file"),
        ("echo 'g++: fatal error: cannot execute cc1plus' >&2; exit 1", "cannot execute cc1plus"),
        ("echo 'ld: cannot find crt1.o' >&2; echo 'collect2: error: ld returned 1' >&2; exit 1", "ld returned 1"),
        ("exit 3", "exit status 3"),
    ],
)
def test_a_compiler_that_fails_is_said_in_one_line_with_the_packages_to_install(
    tmp_path, build, variable, language, text, why
):
    compiler = script(tmp_path / "fake", text)
    done = build(**{variable: f"{compiler} -pthread"})
    assert done.returncode == 1 and done.stdout == ""
    [line] = done.stderr.splitlines()
    expected = f"fastlstm compiles C and C++, but {compiler} could not compile a program of a few lines of {language} ("
    assert line.startswith(expected)
    assert why in line and line.endswith(PACKAGES)


@pytest.mark.parametrize(("variable", "compiler"), [("CC", "gcc"), ("CXX", "g++ -pthread")])
def test_a_compiler_that_is_not_there_is_said_in_one_line_with_the_packages_to_install(
    tmp_path, build, variable, compiler
):
    done = build(**{variable: compiler, "PATH": str(tmp_path)})
    [line] = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == ""
    assert line.startswith(f"fastlstm compiles C and C++, but {compiler.split()[0]} could not compile")
    assert "(No such file or directory)" in line and line.endswith(PACKAGES)


def test_compilers_that_work_are_asked_to_compile_and_link_once_each(build, log):
    done = build()
    assert done.returncode == 0 and "building" in done.stdout
    in_c, in_cxx = log.read_text().splitlines()
    assert "program.c " in in_c and "program.cpp " in in_cxx and "-std=c++17" in in_cxx
    assert "-c" not in [*in_c.split(), *in_cxx.split()]


@pytest.mark.skipif(not all(map(shutil.which, ("gcc", "g++"))), reason="gcc and g++ are not here")
def test_the_lines_that_compilers_are_asked_for_are_right(build):
    done = build(CC="gcc -Wall -Wextra -Werror", CXX="g++ -Wall -Wextra -Werror")
    assert done.returncode == 0 and done.stderr == "" and "building" in done.stdout


@pytest.mark.parametrize("asked", ["", "clang-cl"])
def test_on_windows_the_kernels_are_compiled_by_clang_cl_where_it_is(tmp_path, build, asked):
    compiler = script(tmp_path / "clang-cl", "")
    done = build(ASKED=asked, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.stdout.splitlines()[-1] == f"on Windows: {compiler}"


@pytest.mark.parametrize("asked", ["", "cl"])
def test_on_windows_microsofts_compiler_serves_where_clang_cl_is_not_or_is_not_wanted(tmp_path, build, asked):
    if asked:
        script(tmp_path / "clang-cl", "")
    done = build(ASKED=asked, PATH=f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert done.stdout.splitlines()[-1] == "on Windows: None"


def test_on_windows_a_compiler_that_is_not_there_is_said(build):
    done = build(ASKED="clang-cl-99")
    assert done.returncode == 1
    assert done.stderr == "CC: expected the name of clang-cl, or cl for the plain path alone, got 'clang-cl-99'\n"


@pytest.fixture
def tree(tmp_path):
    """A folder of sources, and of the C that Cython has made of them."""
    folder = tmp_path / "tree"
    kernels = folder / "fastlstm" / "_kernels"
    kernels.mkdir(parents=True)
    shutil.copy(ROOT / "setup.py", folder)
    for name in ("cell.pyx", "real.pxd", "cell.c", "_fastlstm_cython.c"):
        (kernels / name).write_text("/* Generated by Cython 3.2.1 */\n" if name.endswith(".c") else "")
    for path in (folder / "setup.py", *kernels.iterdir()):
        os.utime(path, (2e9, 2e9 + path.name.endswith(".c")))
    return folder


def test_c_that_this_cython_has_made_of_these_sources_is_not_made_again(build, tree):
    assert build(tree).stdout.splitlines() == [
        "building fastlstm/_kernels/_fastlstm_cython.c fastlstm/_kernels/cell.c",
        "on Windows: None",
    ]


@pytest.mark.parametrize("name", ["setup.py", "fastlstm/_kernels/cell.pyx", "fastlstm/_kernels/real.pxd"])
def test_cython_is_asked_where_a_source_is_newer(build, tree, name):
    os.utime(tree / name, (3e9, 3e9))
    assert "Cython is asked" in build(tree).stdout


@pytest.mark.parametrize("text", ["/* Generated by Cython 3.2.2 */\n", "", None])
def test_cython_is_asked_where_c_is_not_by_this_version(build, tree, text):
    made = tree / "fastlstm" / "_kernels" / "_fastlstm_cython.c"
    made.unlink()
    if text is not None:
        made.write_text(text)
        os.utime(made, (3e9, 3e9))
    assert "Cython is asked" in build(tree).stdout
