"""The page of the published models, and what it counts: lines of code, and what must be installed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import machine

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent

FILES = {
    "silero": (
        ["fastlstm/speech/silero.py", "fastlstm/speech/vad.py"],
        "silero_vad",
        ["sequence_vad.py", "utils_vad.py"],
    ),
    "resemblyzer": (["bench/studies/published/resemblyzer.py"], "resemblyzer", ["voice_encoder.py"]),
    "textgenrnn": (
        ["examples/textgenrnn.py"],
        "textgenrnn",
        ["model.py", "AttentionWeightedAverage.py", "utils.py"],
    ),
    "g2pM": (["bench/studies/published/g2pm.py"], "g2pM", ["g2pM.py"]),
}
"""Of each model our code, their package, and their code for the same."""

NEEDED = {
    "silero": (["fastlstm", "onnx", "silero-vad without torch"], ["silero-vad", "onnxruntime"]),
    "resemblyzer": (["fastlstm", "torch", "resemblyzer alone"], ["resemblyzer"]),
    "textgenrnn": (["fastlstm", "textgenrnn alone"], ["textgenrnn", "keras", "tensorflow", "tensorflow-cpu"]),
    "g2pM": (["fastlstm", "g2pM"], ["g2pM", "numpy"]),
}
"""What must be installed for ours and for theirs. "X without Y" and "X alone" are X without what it asks for."""


def code(keras: str | None) -> dict[str, Any]:
    """Of each model the lines of code, and the bytes of what must be installed, ours and theirs.

    `keras` is the Python of the environment in which Keras is; without one it is not known what that takes.
    """
    found = {}
    for model, (ours, package, theirs) in FILES.items():
        folder = Path(find_spec(package).submodule_search_locations[0])
        lines = sum(lines_of(ROOT / file) for file in ours), sum(lines_of(folder / file) for file in theirs)
        here, there = NEEDED[model]
        python = keras if "keras" in there else sys.executable
        found[model] = {"lines": lines, "bytes": [installed(here), installed_in(python, there)]}
    return found


def installed_in(python: str | None, names: list[str]) -> int | None:
    """`installed` in the environment of another Python; None without one."""
    if python is None or python == sys.executable:
        return None if python is None else installed(names)
    words = [python, "-c", f"from bench.studies.published.page import installed; print(installed({names!r}))"]
    return int(subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT).stdout)


def lines_of(path: Path) -> int:
    """Lines of code, without comments, docstrings and empty lines, in one and the same layout."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not is_text(one)] or [ast.Pass()]
    return sum(bool(line.strip()) for line in ast.unparse(tree).splitlines())


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def installed(names: list[str]) -> int:
    """Bytes of packages with all that they ask for, as far as it is installed here; each once."""
    seen: dict[str, int] = {}

    def add(name: str, *, alone: bool = False) -> None:
        if name.lower() in seen:
            return
        try:
            found = distribution(name)
        except PackageNotFoundError:
            return
        files = [Path(str(file.locate())) for file in found.files or ()]
        seen[name.lower()] = sum(file.stat().st_size for file in files if file.exists())
        for wanted in [] if alone else found.requires or ():
            if "extra ==" not in wanted:
                add(re.match(r"[\w.-]+", wanted)[0])

    for name in names:
        first, _, rest = name.partition(" ")
        if first == "fastlstm":  # where it is built in place its files are those of the folder
            package = ROOT / "fastlstm"
            seen[first] = sum(
                file.stat().st_size
                for file in package.rglob("*")
                if file.suffix in (".py", ".pyi", ".so", ".csv", ".md")
            )
            for wanted in ("numpy", "scipy", "safetensors"):
                add(wanted)
        else:
            add(first, alone=bool(rest))
    return sum(seen.values())


def written(result: dict[str, Any]) -> str:
    """The page."""
    parts = tables(result)
    parts["minutes"], parts["seconds"] = f"{result['seconds'] / 60:g}", f"{result['seconds']:g}"
    parts["machine"] = machine.machine_list(result["machine"])
    text = (HERE / "page.md").read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


def tables(result: dict[str, Any]) -> dict[str, str]:
    """The tables of the page, by their names."""
    found = {f"table_{model}": table(model, result) for model in result["models"]}
    if "rounding" in result:
        rows = [f"| {stage} | {value:.1e} |" for stage, value in result["rounding"].items()]
        found["table_rounding"] = "\n".join(["| stage in float32 | largest difference |", "| --- | ---: |", *rows])
    return found


def table(model: str, result: dict[str, Any]) -> str:
    """Time, CPU-seconds and differences of each program, and below it what there is of code and files."""
    programs = result["models"][model]
    peers = next(list(one["differences"]) for one in programs.values() if one)
    names = [f"largest difference from {peer}" for peer in peers] if len(peers) > 1 else ["largest difference"]
    rows = [f"| program | time | CPU time | {' | '.join(names)} |", f"| --- |{' ---: |' * (2 + len(peers))}"]
    for program, one in programs.items():
        if one is None:
            rows.append(f"| {program} | not measured | not measured |{' |' * len(peers)}")
            continue
        far = ["not measured" if value is None else f"{value:.1e}" for value in one["differences"].values()]
        rows.append(f"| {program} | {one['seconds']:.3g} s | {one['cpu']:.3g} s | {' | '.join(far)} |")
    one = result["code"][model]
    (ours, theirs), (small, large) = one["lines"], one["bytes"]
    there = "not measured" if large is None else f"{large / 1e6:,.0f} MB"
    rows += [
        "",
        "| | here | theirs |",
        "| --- | ---: | ---: |",
        f"| lines of code | {ours} | {theirs} |",
        f"| what must be installed | {small / 1e6:,.0f} MB | {there} |",
    ]
    return "\n".join(rows)
