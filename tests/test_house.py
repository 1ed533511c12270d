"""Rules of the house that a machine can keep: who imports whom, and what is not there."""

import ast
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import fastlstm

PACKAGE = Path(fastlstm.__file__).parent

LEAVES = {"_version", "_kernels", "_check", "parameter", "workspace", "init"}
MAY_IMPORT = {
    "_version": set(),
    "_public": set(),
    "_kernels": {"_kernels"},
    "_check": {"_kernels"},
    "parameter": {"_check"},
    "workspace": set(),
    "threads": {"_check", "_kernels"},
    "config": {"_kernels", "_version", "threads"},
    "init": set(),
    "activations": {"_check", "_kernels"},
    "layers": LEAVES | {"layers", "threads"},
    "losses": LEAVES | {"losses"},
    "decoding": {"_check"},
    "optim": LEAVES,
    "metrics": LEAVES | {"metrics"},
    "data": LEAVES | {"data", "unpack"},
    "datasets": set(),
    "files": set(),
    "unpack": {"files"},
    "separated": set(),
    "folder": set(),
    "settings": {"losses", "objective", "optim", "snapshot"},
    "tensors": {"files"},
    "snapshot": {"files", "tensors"},
    "callbacks": {"_check", "parameter", "optim", "files", "snapshot", "callbacks"},
    "schedules": {"_check", "callbacks"},
    "stream": LEAVES | {"layers", "threads"},
    "tape": {"_kernels", "layers", "workspace", "model"},  # its model by name only
    "model": LEAVES | {"layers", "stream", "threads", "tape"},
    "memory": {"_check", "layers"},
    "history": set(),
    "batches": LEAVES | {"model", "losses"},
    "sequence": LEAVES | {"model", "losses", "batches"},
    "feed": {"_check", "batches", "model"},
    "objective": {"batches", "losses", "metrics", "model"},
    "diagnosis": {"_kernels", "batches", "model"},
    "restoring": {"_check", "history", "layers", "model", "optim", "snapshot"},
    "loop": {
        *("batches", "callbacks", "diagnosis", "files", "history", "model"),
        *("objective", "optim", "parameter", "restoring", "settings", "snapshot"),
    },
    "resume": {"callbacks", "folder"},
    "train": {
        *("_check", "losses", "metrics", "optim", "history", "model", "snapshot"),
        *("batches", "sequence", "feed", "callbacks", "objective", "loop", "resume"),
    },
    "seq2seq": {"_check", "batches", "history", "layers", "model", "resume", "train", "workspace"},
    "io": LEAVES | {"layers", "model", "io", "files", "tensors"},
    "application": {"_check", "files", "io", "layers", "model"},
}
ON_TOP = {"__init__", "__main__", "forecasting", "text", "classification", "speech", "plot", "cli"}
"""What sits on top may import anything below it, and nothing below imports it."""


def imports(path):
    """Names of our own modules that a file imports, by their first part: "layers" for fastlstm.layers.lstm."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found.update(name.split(".")[1] for name in names if name.startswith("fastlstm."))
    return found


def sources():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "__pycache__" not in path.parts]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in ON_TOP:
        return
    assert room in MAY_IMPORT, f"{room} has no place in the house yet: say here whom it may import"
    assert imports(path) <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
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


@pytest.mark.parametrize("module", ["fastlstm", "fastlstm.layers.lstm", "bench.worker", "tests.test_cli", *HELPERS])
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
    for path in sources():
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
