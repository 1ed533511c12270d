"""Rules of the house that a machine can keep: who imports whom, and what is not there."""

import ast
import os
import re
import shutil
import subprocess
import sys
import warnings
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fastlstm
from fastlstm._kernels import cpu

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fastlstm"

LIBRARY = {
    "_version": "",
    "hints": "",
    "html": "",
    "_public": "hints",
    "communicator": "",
    "_kernels": "",
    "foreign": "",
    "_check": "_kernels foreign",
    "narrow": "",
    "named": "",
    "init": "_check named",
    "regularizers": "_check named",
    "constraints": "_check named",
    "parameter": "_check constraints narrow regularizers",
    "workspace": "_check",
    "masking": "_check",
    "threads": "_check _kernels",
    "invariance": "_check _kernels",
    "config": "_kernels _version threads",
    "layers": "_check _kernels constraints hints html init masking named parameter regularizers threads workspace",
    "files": "",
    "tensors": "files",
    "snapshot": "files tensors",
    "unpack": "files",
    "separated": "",
    "datasets": "",
    "activations": "_check _kernels",
    "losses": "_check _kernels hints named workspace",
    "decoding": "_check",
    "optim": "_check _kernels hints parameter",
    "metrics": "_check hints named",
    "data": "_check unpack",
    "callbacks": "_check files hints optim parameter snapshot",
    "schedules": "_check callbacks",
    "model": "_check _kernels files hints html layers masking parameter tensors workspace",
    "quantization": "_check _kernels layers model",
    "training": "_check _kernels callbacks communicator files hints html layers losses masking metrics model narrow "
    "optim parameter regularizers snapshot workspace",
    "io": "_check _version files layers model narrow parameter tensors workspace",
    "application": "_check files io layers model",
    "distributed": "_check communicator files io model threads",
    "torch": "_kernels layers parameter threads workspace",
    "onnx": "_check _kernels files layers threads workspace",
}
"""The rooms of the library, a module or a package each, from the bottom up, and the rooms each may import from."""

ANY = " ".join(LIBRARY)
MAY_IMPORT = LIBRARY | {
    "classification": ANY,
    "forecasting": ANY,
    "estimators": f"{ANY} forecasting",
    "speech": ANY,
    "text": ANY,
    "plot": f"{ANY} forecasting",
    "cli": f"{ANY} classification forecasting speech text plot",
    "__main__": "cli",
    "__init__": f"{ANY} classification estimators forecasting speech text plot",
}
"""The same with the applications, which stand on top: they may use all of the library, and none of it uses them."""

MAY_NAME = {"_kernels": "parameter"}
"""Rooms whose types a stub, or code for type checkers only, may name as well. When it runs, nothing is imported."""

CIMPORT = re.compile(
    r"^[ \t]*from[ \t]+(\S+)[ \t]+c?import[ \t]+(\([^)]*\)|.*)|^[ \t]*c?import[ \t]+(.*)", re.MULTILINE
)


def sources(*kinds):
    """All files of the package of these kinds, such as ".py"."""
    return [path for kind in kinds for path in sorted(PACKAGE.rglob(f"*{kind}")) if "__pycache__" not in path.parts]


def name_of(path):
    return str(path.relative_to(PACKAGE))


def room_of(path):
    """The module or package right below fastlstm that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].partition(".")[0]


def python_imports(text):
    """Full names of all that a Python file or a stub imports; those for type checkers only come second."""
    tree = ast.parse(text)
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    guarded = {node for guard in guards for part in guard.body for node in ast.walk(part)}
    found = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found[node in guarded].update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found[node in guarded].update(f"{module}.{alias.name}" for alias in node.names)
    return found


def cython_imports(text):
    """Full names of all that a .pyx or .pxd file imports and cimports."""
    found = set()
    for module, names, modules in CIMPORT.findall(text):
        listed = re.sub("#.*", "", names or modules).strip("() \n").split(",")
        parts = [part.split()[0] for part in listed if part.strip()]
        found.update(f"{module}.{part}" if module else part for part in parts)
    return found


@cache
def imports(path):
    """What a file imports when it runs, and what it imports for type checkers only."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".pyx", ".pxd"):
        return cython_imports(text), set()
    runs, named = python_imports(text)
    return (set(), runs | named) if path.suffix == ".pyi" else (runs, named)


def rooms(names):
    return {name.split(".")[1] for name in names if name.startswith("fastlstm.")}


@pytest.mark.parametrize("path", sources(".py", ".pyi", ".pyx", ".pxd"), ids=name_of)
def test_imports_run_one_way(path):
    room, (runs, named) = room_of(path), imports(path)
    assert room in MAY_IMPORT, f"{room} has no place in the house yet: say above what it may import from"
    assert not [name for name in runs | named if name.startswith(".")], "imports are written with their full names"
    allowed = {room, *MAY_IMPORT[room].split()}
    assert rooms(runs) <= allowed
    assert rooms(named) <= allowed | {*MAY_NAME.get(room, "").split()}


def test_the_rules_let_nobody_import_from_above():
    order = list(MAY_IMPORT)
    for room, others in MAY_IMPORT.items():
        assert [other for other in others.split() if other not in order[: order.index(room)]] == [], room


def test_the_rules_are_about_rooms_that_are_there():
    assert {*MAY_IMPORT} == {room_of(path) for path in sources(".py")}


def test_no_imports_go_round_in_a_circle():
    """Of single files, so that it holds within a room as well."""
    files = sources(".py", ".pyx", ".pxd")
    modules = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files}
    graph = {module: set() for module in modules.values()}
    for path, module in modules.items():
        for name in imports(path)[0]:
            other = name if name in graph else name.rpartition(".")[0]
            if other in graph and other != module:
                graph[module].add(other)
    TopologicalSorter(graph).prepare()  # a CycleError names those in the circle


def test_imports_of_every_kind_are_found():
    python = (
        "import fastlstm.a\nif TYPE_CHECKING:\n    from fastlstm.b import C, D\nfrom . import e\nfrom .f import g\n"
    )
    assert python_imports(python) == ({"fastlstm.a", "..e", ".f.g"}, {"fastlstm.b.C", "fastlstm.b.D"})
    cython = (
        "from fastlstm.a cimport (\n    B,  # why\n    C as D,\n)\ncimport fastlstm.e as e, fastlstm.f\n"
        "from fastlstm cimport g\ncdef f():\n    import fastlstm.h\n"
    )
    expected = {"fastlstm.a.B", "fastlstm.a.C", "fastlstm.e", "fastlstm.f", "fastlstm.g", "fastlstm.h"}
    assert cython_imports(cython) == expected


def house_map():
    """The table of CONTRIBUTING.md: for each row what stands in backticks on its left and on its right."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The house")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [tuple(re.findall("`([^`]+)`", cell) for cell in row) for row in rows]


def test_the_map_shows_every_room_in_the_order_of_imports():
    rows = [{place.split("/")[0].removesuffix(".py") for place in left} for left, _ in house_map()]
    row_of = {room: i for i, row in reversed([*enumerate(rows)]) for room in row}
    assert {*row_of} == {*MAY_IMPORT}
    for path in sources(".py", ".pyx", ".pxd"):
        for other in rooms(imports(path)[0]):
            assert row_of[other] <= row_of[room_of(path)], f"{room_of(path)} stands above {other}, which it imports"


@pytest.mark.parametrize("room", ["model", "training"])
def test_the_map_names_every_file_of_the_room(room):
    named = {name for left, right in house_map() if left == [f"{room}/"] for name in right}
    assert {path.name for path in sources(".py") if room_of(path) == room} - {"__init__.py"} <= named


def test_the_map_names_every_file_of_the_kernels_and_of_the_recurrent_layers():
    named = {name for left, right in house_map() for name in right}
    for room, kinds in (
        ("_kernels/simd", ("*.h", "*.hpp", "*.c", "*.cpp")),
        ("_kernels", ("*.pyx", "*.pxd")),
        ("layers/recurrent", ("*.py",)),
    ):
        files = {path.name for kind in kinds for path in (PACKAGE / room).glob(kind)} - {"__init__.py"}
        whole = {name for name in files if name.endswith(".pxd") and name.replace(".pxd", ".pyx") in files}
        named_too = {Path(name).with_suffix(suffix).name for name in named for suffix in (".c", ".h", ".cpp")}
        missing = {
            name for name in files - whole - named_too if not any(Path(name).match(pattern) for pattern in named)
        }
        assert not missing, f"of {room}, CONTRIBUTING.md names none of these"


def test_the_map_names_only_files_that_are_there():
    for left, right in house_map():
        folders = [PACKAGE, ROOT, *(PACKAGE / place for place in left if place.endswith("/"))]
        for place in [*left, *right]:
            if re.search(r"(\.\w+|/)$", place):
                assert any(any(folder.glob(place)) for folder in folders), place


@pytest.mark.parametrize("path", sources(".py"), ids=name_of)
def test_no_pickle_and_no_global_randomness(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not modules & {"pickle", "random", "joblib", "shelve", "marshal"}
    assert "seed" not in {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func).startswith("np.random")
    }
    assert "RandomState" not in names


HELPERS = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))


@pytest.mark.parametrize(
    "module", ["fastlstm", "fastlstm.layers.recurrent.lstm", "bench.worker", "tests.test_cli", *HELPERS]
)
@pytest.mark.parametrize("kind", [DeprecationWarning, RuntimeWarning, UserWarning, ResourceWarning])
def test_a_warning_that_our_code_gives_rise_to_fails_a_test(module, kind):
    with pytest.raises(kind):
        warnings.warn_explicit("mended", kind, "file.py", 1, module=module)


@pytest.mark.parametrize("module", ["numpy.lib", "pandas", "matplotlib.figure", "fastlstmish"])
def test_a_warning_within_another_package_fails_no_test(module):
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn_explicit("theirs", DeprecationWarning, "file.py", 1, module=module)
    assert [str(one.message) for one in caught] == ["theirs"]


def test_public_names_are_documented():
    for name in dir(fastlstm):
        thing = getattr(fastlstm, name)
        if not name.startswith("_") and (isinstance(thing, type) or callable(thing)):
            assert thing.__doc__, f"fastlstm.{name} has no docstring"


def test_sources_that_are_not_compiled_say_so(tmp_path):
    for path in sources(".py"):
        copy = tmp_path / "fastlstm" / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", "import fastlstm"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "the kernels of fastlstm are not compiled in" in done.stderr
    assert "Start Python in another folder" in done.stderr


def test_records_are_written_in_full():
    """Of a record in Cython that is written as a call, what is not named is what happened to be in memory."""
    for path in sources(".pyx", ".pxd"):
        text = path.read_text()
        for name, body in re.findall(r"^cdef struct (\w+):\n((?:    .+\n)+)", text, re.M):
            fields = sum(line.partition("#")[0].count(",") + 1 for line in body.splitlines())
            for found in re.finditer(rf"\b{name}(?=\()", text):
                ends = (end.end() for end in re.finditer(r"\)", text[found.start() :]))
                call = next(filter(None, (whole_call(text[found.start() : found.start() + end]) for end in ends)))
                assert len(call.args) + len(call.keywords) == fields, f"{path.name}: {ast.unparse(call)}"


def whole_call(text):
    """A call that the text is, or None."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def symbols(which):
    """Names in the compiled kernels, as an assembler has them: which are "defined" or "undefined"."""
    dynamic = ["-D"] if sys.platform == "linux" else []  # all that there is in a library that was stripped
    command = ["nm", "-g", *dynamic, f"--{which}-only", cpu.__file__]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[-1].partition("@")[0].removeprefix("_" * (sys.platform == "darwin")) for line in lines if line}


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm, which lists the symbols of a library, is not here")
def test_the_kernels_in_cxx_show_nothing_but_their_tables():
    """Else the linker could take one for that of another instruction set. They need no library of C++."""
    defined = symbols("defined")
    assert "fl_kernels_baseline" in defined and "fl_run" in defined
    assert [name for name in defined if name.startswith("_Z")] == []
    assert [name for name in symbols("undefined") if name.startswith(("_Z", "__cxa_throw", "__gxx"))] == []
