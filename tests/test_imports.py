"""What `import fastlstm` brings: its public names, and no package that nobody asked for yet."""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import fastlstm as fl

APPLICATIONS = "classification, data, datasets, decoding, distributed, estimators, forecasting, plot, speech, text"

ROOTS = """
import sys
roots = {name.split(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(*(name for name in roots if "cython" not in name))  # compiled modules register names of their own
"""


def fresh(code, **environment):
    """What a new process prints that runs this, with the package that is tested here."""
    environment = {**os.environ, "PYTHONPATH": str(Path(fl.__file__).parent.parent), **environment}
    command = [sys.executable, "-P", "-c", code]  # -P: not from the folder of the sources, which may not be compiled
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


@cache
def expected():
    """Packages of a process that has imported those that we need, with what it begins with."""
    return {*fresh("import numpy, safetensors.numpy" + ROOTS).split()}


def imported(code, **environment):
    """Other packages that a new process has imported after this code."""
    return {*fresh(code + ROOTS, **environment).split()} - expected()


@pytest.mark.parametrize("isa", ["plain", None], ids=["plain", "packed"])
@pytest.mark.parametrize("code", ["import fastlstm", f"from fastlstm import {APPLICATIONS}"])
def test_importing_brings_numpy_and_safetensors_and_no_other_package(code, isa):
    assert imported(code, **{"FASTLSTM_ISA": isa} if isa else {}) == {"fastlstm"}


@pytest.mark.parametrize("library", ["sktime", "darts"])
def test_a_forecaster_for_another_library_says_what_is_missing(library):
    code = f"""
import sys
sys.modules["{library}"] = None  # as if it were not installed
try:
    import fastlstm.forecasting.{library}
except ImportError as error:
    print(error)
"""
    message = f"fastlstm.forecasting.{library} needs {library}, which is not installed: pip install {library}"
    assert fresh(code).strip() == message


@pytest.mark.parametrize("words", [["--version"], ["speech", "--help"], ["forecast", "--help"]])
def test_a_command_that_only_prints_brings_no_other_package(words):
    code = "\n".join(
        ["import contextlib, io, fastlstm.cli", "with contextlib.redirect_stdout(io.StringIO()):"]
        + [f"    with contextlib.suppress(SystemExit): fastlstm.cli.main({words})"]
    )
    assert imported(code) == {"fastlstm"}


def test_the_plain_path_imports_blas_with_its_first_product_in_many_threads_at_once():
    code = """
from concurrent.futures import ThreadPoolExecutor
import sys, threading
import numpy as np
import fastlstm as fl
model = fl.Model([fl.LSTM(3, 8), fl.Last(), fl.Dense(8, 2)], seed=0)
x, together = np.ones((4, 5, 3), "f4"), threading.Barrier(8)
assert "scipy" not in sys.modules
def predict(k):
    together.wait()
    return model.predict(x).tobytes()
with ThreadPoolExecutor(8) as pool:
    answers = set(pool.map(predict, range(8)))
print(len(answers), "scipy.linalg.cython_blas" in sys.modules)
"""
    assert fresh(code, FASTLSTM_ISA="plain").split() == ["1", "True"]


def test_modules_are_there_without_being_imported():
    code = (
        "import fastlstm as fl; print(fl.plot.new_figure.__name__, fl.text.Sampler.__name__, fl.speech.LogMel.__name__)"
    )
    assert fresh(code).split() == ["new_figure", "Sampler", "LogMel"]


def test_dir_and_star_show_public_names_only():
    names = {*dir(fl)}
    assert names == {*fl.__all__, "__version__"} == {*fresh("import fastlstm; print(*dir(fastlstm))").split()}
    modules = {name for name in names if isinstance(getattr(fl, name), ModuleType)}
    assert {*APPLICATIONS.split(", "), "callbacks", "io", "schedules"} < modules
    assert not modules & {"loop", "tape", "files", "snapshot", "typing", "history", "model", "stream"}
    assert {"LSTM", "Model", "Trainer", "mse", "load", "set_num_threads"} < names


@pytest.mark.parametrize(
    ("name", "hint"),
    [("lstm", "did you mean LSTM"), ("EarlyStoping", "did you mean EarlyStopping?"), ("xyzzy", "dir(fastlstm) lists")],
)
def test_a_name_that_is_not_there_is_an_error_with_names_like_it(name, hint):
    with pytest.raises(AttributeError) as error:
        getattr(fl, name)
    assert f"module 'fastlstm' has no attribute {name!r}; " in str(error.value) and hint in str(error.value)
    assert not hasattr(fl, "__wrapped__")


@pytest.mark.parametrize(
    ("package", "code", "extra"),
    [
        ("matplotlib", "fl.plot.new_figure()", "plot"),
        ("sklearn", "fl.estimators.LSTMClassifier()", "sklearn"),
        ("kaldi_native_fbank", "fl.speech.LogMel()(np.ones(8000, 'f4'))", "speech"),
    ],
)
def test_an_optional_package_that_is_missing_is_an_error_that_names_the_extra(package, code, extra):
    code = (
        f"import sys; sys.modules[{package!r}] = None\nimport numpy as np, fastlstm as fl\n"
        f"try:\n    {code}\nexcept ImportError as error:\n    print(error)"
    )
    assert f"pip install 'fastlstm[{extra}]'" in fresh(code)


def test_type_checkers_are_told_of_every_public_module():
    tree = ast.parse(Path(fl.__file__).read_text(encoding="utf-8"))
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "fastlstm")
    names = {alias.asname for node in imports for alias in node.names if alias.asname == alias.name}
    assert names == {name for name in fl.__all__ if isinstance(getattr(fl, name), ModuleType)}
