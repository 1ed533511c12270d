"""The history of speed: how long each peer takes beside fastlstm, case by case, in every version that was measured.

    python -m bench history run.json [more.json ...]    adds these runs, as those of the commit that is checked out
    python -m bench history                             draws what there is once more

The ratios are kept in docs/history.json, one run a line, and drawn for the section "History" of docs/benchmarks.md.
Times are not: those of one machine say little on another. A run of the same commit on the same processor is replaced.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import report
from bench.cells import CELLS
from bench.contenders import CONTENDERS, OURS

Entry = dict[str, Any]
Measured = tuple[str, str, str, str, str]
"""Suite, cell, dtype, threads, and who of ours."""

MEASURED = ("suite", "cell", "dtype", "threads", "ours")
ONE_RUN = (*MEASURED, "commit", "processor")
HEAD = "## History"
WORDS = """\
The ratio to the best peer, as above, in every version that was measured: more than 1 means that fastlstm is faster.
The peers are those of the day, in their versions of then. The first runs are from this page as it was at their commits;
`python -m bench history run.json` adds one.
"""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench history", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=report.load, nargs="*")
    parser.add_argument("--commit", default="HEAD", help="whose runs they are (default: the one that is checked out)")
    docs = Path(__file__).parent.parent / "docs"
    parser.add_argument("--folder", type=Path, default=docs, help="where the history and its page are (default: docs)")
    options = parser.parse_args(argv)
    entries = load(options.folder)
    if not entries and not options.runs:
        parser.error(f"runs: expected files written by --json, as {options.folder} has no history yet")
    if options.runs:
        try:
            commit, date = commit_of(options.commit)
        except (OSError, subprocess.CalledProcessError):
            parser.error(f"--commit: expected a commit of the repository, got {options.commit!r}")
        entries = joined(entries, [entry for run in options.runs for entry in entries_of(run, commit, date)])
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        (options.folder / "history.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    page = options.folder / "benchmarks.md"
    before = page.read_text(encoding="utf-8").partition(f"\n{HEAD}\n")[0].rstrip("\n") if page.exists() else ""
    page.write_text(f"{before}\n\n{section(options.folder)}", encoding="utf-8")
    return 0


def commit_of(name: str) -> tuple[str, str]:
    """The short hash of a commit, and its date."""
    command = ["git", "-C", str(Path(__file__).parent), "show", "-s", "--format=%h %cs", f"{name}^{{commit}}"]
    commit, date = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return commit, date


def load(folder: Path) -> list[Entry]:
    """All runs that the folder keeps, the oldest first."""
    path = folder / "history.json"
    entries: list[Entry] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return entries


def joined(entries: list[Entry], new: list[Entry]) -> list[Entry]:
    """All of them in the order of their dates; a new one takes the place of one of the same commit and processor."""
    found = {tuple(entry[key] for key in ONE_RUN): entry for entry in [*entries, *new]}
    return sorted(found.values(), key=lambda entry: (entry["date"], [entry[key] for key in MEASURED]))


def entries_of(result: report.Result, commit: str, date: str) -> Iterator[Entry]:
    """What is kept of a run: an entry for each number of threads and each of ours that stands beside peers."""
    machine = result["machine"]
    words = ("processor", "system", "fastlstm", "numpy")
    for threads in result["threads"]:
        rows = report.rows(result, threads)
        for ours in ("fastlstm", *(name for name in OURS if CONTENDERS[name].precision)):
            ratios = {str(row.case): beside(row, ours) for row in rows if ours in row.best}
            if any(ratios.values()):
                yield {
                    "date": date,
                    "commit": commit,
                    "version": machine["fastlstm"].partition(",")[0],
                    "processor": machine["processor"],
                    "peers": {name: version for name, version in machine.items() if name not in words},
                    "suite": result["suite"],
                    "cell": report.cell_of(result),
                    "dtype": result["dtype"],
                    "threads": threads,
                    "ours": ours,
                    "ratios": {case: found for case, found in ratios.items() if found},
                }


def beside(row: report.Row, ours: str) -> dict[str, float]:
    """The time of each peer in the same precision over ours."""
    precision = CONTENDERS[ours].beside
    peers = [name for name in row.best if name not in OURS and CONTENDERS[name].precision == precision]
    return {name: float(f"{row.best[name] / row.best[ours]:.4g}") for name in peers}


def best(entry: Entry, case: str) -> float:
    """The ratio to the best peer; NaN where the case was not measured."""
    return min(entry["ratios"].get(case, {}).values(), default=np.nan)


def groups(entries: list[Entry]) -> dict[Measured, list[Entry]]:
    """What belongs together: the runs that have measured the same."""
    found: dict[Measured, list[Entry]] = {}
    for entry in entries:
        found.setdefault(tuple(entry[key] for key in MEASURED), []).append(entry)
    return found


def title(measured: Measured) -> str:
    suite, cell, dtype, threads, ours = measured
    cells = [CELLS[cell].title] if cell != "lstm" else []
    others = [ours] if ours != "fastlstm" else []
    return ", ".join([suite, *cells, dtype, report.in_words(threads), *others])


def cases_of(entries: list[Entry]) -> list[str]:
    """All cases that these runs have, in the order in which they came."""
    return list(dict.fromkeys(case for entry in entries for case in entry["ratios"]))


def table(entries: list[Entry]) -> list[list[str]]:
    """A line for each run: the ratios to the best peer, as a mean over the cases and the least of them."""
    lines = [["commit", "version", "processor", "cases", "geometric mean", "least"]]
    for entry in entries:
        ratios = {case: best(entry, case) for case in entry["ratios"]}
        least = min(ratios, key=ratios.__getitem__)
        mean = np.exp(np.mean(np.log([*ratios.values()])))
        lines.append(
            [
                f"{entry['date']} {entry['commit']}",
                entry["version"],
                entry["processor"].partition(";")[0],
                str(len(ratios)),
                f"{mean:.2f}",
                f"{ratios[least]:.2f} {least}",
            ]
        )
    return lines


def draw(name: str, entries: list[Entry], folder: Path) -> Path:
    """A picture with a panel for each case, in which each processor has a line of its own."""
    import matplotlib.pyplot as plt

    import bench.pictures  # noqa: F401 (chooses how matplotlib draws)

    cases = cases_of(entries)
    wide = min(4, len(cases))
    high = -(-len(cases) // wide)
    figure, axes = plt.subplots(
        high,
        wide,
        figsize=(2.6 * wide, 1.1 + 1.5 * high),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for panel in axes.flat[len(cases) :]:
        panel.set_axis_off()
    at = np.arange(len(entries))
    processors = list(dict.fromkeys(entry["processor"] for entry in entries))
    for case, panel in zip(cases, axes.flat, strict=False):
        panel.axhline(1, color="black", linewidth=0.8)
        for k, processor in enumerate(processors):
            those = [i for i in at if entries[i]["processor"] == processor and case in entries[i]["ratios"]]
            label = processor.partition(";")[0]
            panel.plot(those, [best(entries[i], case) for i in those], ".-", color=f"C{k}", label=label)
        panel.set_title(case, fontsize=7, loc="left")
        panel.set_yscale("log", base=2)
        panel.yaxis.set_major_formatter("{x:g}")
        panel.set_xticks(at, [f"{entry['date']} {entry['commit']}" for entry in entries], rotation=90, fontsize=6)
        panel.tick_params(axis="y", labelsize=6)
    figure.suptitle(f"time of the best peer over that of fastlstm: {name}", fontsize=9)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", fontsize=7, frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"history-{'-'.join(name.replace(',', '').split())}.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def section(folder: Path) -> str:
    """The part of the page: what was measured more than once, with pictures of what was on the same processor."""
    from bench import page

    lines = [HEAD, "", *WORDS.splitlines(), ""]
    for measured, entries in groups(load(folder)).items():
        if len(entries) == 1:
            continue
        name = title(measured)
        lines += [f"### {name[0].upper()}{name[1:]}", ""]
        if len({entry["processor"] for entry in entries}) < len(entries):
            path = draw(name, entries, folder / "pictures")
            lines += [f"![{path.stem}](pictures/{path.name})", ""]
        lines += [*page.markdown(table(entries)), ""]
    return "\n".join(lines)
