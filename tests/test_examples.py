"""Every script of examples/ runs, where its engine is installed. Each checks its own result."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import fastlstm as fl

ROOT = Path(__file__).parent.parent
NEEDS = {
    "dask_inference": ("dask", "distributed", "pyarrow", "pandas"),
    "many_forecasters": ("joblib",),
    "mpi_training": ("mpi4py",),
    "optuna_search": ("optuna", "sklearn"),
    "ray_inference": ("ray", "pyarrow", "pandas"),
    "textgenrnn": ("textgenrnn",),
    "spark_inference": ("pyspark", "pyarrow", "pandas"),
}


def test_every_example_is_known():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} >= {*NEEDS}


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_an_example_runs_and_checks_itself(name, tmp_path):
    missing = [package for package in NEEDS[name] if find_spec(package) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    environment = {**os.environ, "PYTHONPATH": str(Path(fl.__file__).parent.parent)}
    command = [sys.executable, "-P", str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "the bits of" in done.stdout
