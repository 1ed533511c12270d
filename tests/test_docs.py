"""Every example in a docstring, in the README and in docs/ runs."""

import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path

import pytest

import fastlstm

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GALLERY = [pytest.param(page, marks=pytest.mark.slow) for page in sorted((ROOT / "docs" / "gallery").glob("*.md"))]
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(fastlstm.__path__, "fastlstm.") if "__main__" not in module.name
)

WITH_TORCH = {f"fastlstm.io.torch.{name}" for name in ("chain", "from_modules", "known", "to_modules")}


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, tmp_path, monkeypatch):
    if name.startswith("fastlstm.torch") or name in WITH_TORCH:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    if name.startswith(("fastlstm.onnx", "fastlstm.io.onnx")):
        pytest.importorskip("onnx", reason="onnx is not installed")
    if name.startswith("fastlstm.estimators"):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        pytest.importorskip("pandas", reason="pandas is not installed")
    for library in ("sktime", "darts"):
        if name.startswith(f"fastlstm.forecasting.{library}"):
            pytest.importorskip(library, reason=f"{library} is not installed")
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def needs_torch(page):
    """A page on PyTorch and ONNX is not run, nor its names looked up, where these are not installed."""
    if page.name in ("switching.md", "from-pytorch.md"):
        pytest.importorskip("torch", reason="PyTorch is not installed")
        importlib.import_module("fastlstm.torch")
        pytest.importorskip("onnx", reason="onnx is not installed")
        importlib.import_module("fastlstm.onnx")


def needs_scikit_learn(page):
    """Likewise the page on the estimators."""
    if page.name == "estimators.md":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        pytest.importorskip("pandas", reason="pandas is not installed")


def needs_forecasters_of_others(page):
    """Likewise the page on forecasts in other libraries."""
    if page.name == "forecasters-elsewhere.md":
        for library in ("sktime", "darts"):
            pytest.importorskip(library, reason=f"{library} is not installed")


@pytest.mark.filterwarnings("ignore:.*pass mask=:UserWarning")  # what a reader of such a file is told
@pytest.mark.parametrize("page", [*PAGES, *GALLERY], ids=lambda page: page.name)
def test_python_blocks_of_a_page_run_in_their_order(page, tmp_path, monkeypatch, capsys):
    needs_torch(page)
    needs_scikit_learn(page)
    needs_forecasters_of_others(page)
    monkeypatch.chdir(tmp_path)
    if "tagger.keras" in page.read_text(encoding="utf-8"):
        pytest.importorskip("h5py", reason="h5py, which writes the file that the page reads, is not installed")
        Path("tagger.keras").write_bytes(importlib.import_module("keras_cases").tagger())
    blocks = re.findall(r"^```(?:python|\{code-cell\})\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), scope)
    if page.name == "README.md":
        assert blocks, "the README shows no Python"


@pytest.mark.parametrize("page", [*PAGES, *GALLERY], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert os.path.exists(page.parent / target), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_that_a_page_names_exist(page):
    """`fastlstm.layers.LSTM` in a page's text is a name that can be reached."""
    needs_torch(page)
    needs_forecasters_of_others(page)
    for name in re.findall(r"`(fastlstm(?:\.\w+)+)`", page.read_text(encoding="utf-8")):
        parts = name.split(".")
        for cut in range(len(parts), 0, -1):
            try:
                thing = importlib.import_module(".".join(parts[:cut]))
            except ImportError:
                continue
            for part in parts[cut:]:
                thing = getattr(thing, part)
            break


NAMES = r"((?:`[\w:]+`(?:, | and )?)+) in `([\w/]+\.(?:hpp|h|c|pyx|pxd|py))`"
FOLDERS = [ROOT, ROOT / "fastlstm", ROOT / "fastlstm" / "_kernels", ROOT / "fastlstm" / "layers"]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_functions_stand_in_the_files_that_a_page_names(page):
    """Such as `tile` in `simd/tile.hpp`."""
    for names, path in re.findall(NAMES, page.read_text(encoding="utf-8")):
        (file,) = [folder / path for folder in FOLDERS if (folder / path).exists()] or [None]
        assert file, f"{page.name} names {path}"
        words = set(re.findall(r"\w+", file.read_text(encoding="utf-8")))
        for name in re.findall(r"[\w:]+", names.replace(" and ", " ")):
            assert set(name.split("::")) <= words, f"{page.name} names {name} in {path}"
