"""docs/forecasting.md from the results of bench.studies.etth1."""

from __future__ import annotations

import textwrap
from typing import Any

from bench.machine import machine_list

LSTMA = {
    "univariate": {
        24: (0.114, 0.272),
        48: (0.193, 0.358),
        168: (0.236, 0.392),
        336: (0.590, 0.698),
        720: (0.683, 0.768),
    },
    "multivariate": {
        24: (0.650, 0.624),
        48: (0.702, 0.675),
        168: (1.212, 0.867),
        336: (1.424, 0.994),
        720: (1.960, 1.322),
    },
}
"""Mean squared and absolute errors of an LSTM with attention, from tables 1 and 2 of Zhou et al. 2021."""

USE = """# Forecasting

`fastlstm forecast` forecasts columns of a file, with an error band, and says how far to trust the forecast:

    fastlstm forecast load.csv --target OT --horizon 24
    fastlstm forecast load.csv --target OT --target HUFL --inputs HULL --horizon 24 --patch 24
    fastlstm forecast shops.parquet --target sales --group shop --known promotion --horizon 12 --quantiles 0.1 0.5 0.9

- The first forecasts one column.
- The second forecasts two columns through one network, which reads a third beside them. Each of its steps is a day of
  24 hours.
- The third has a series for each shop, and a column that is known for the weeks to come: the rows behind the last sales
  have it.

Each holds out the last part of the series, and says by how much the forecasts beat the naive ones there and how sure
that is. It writes the coming steps with a band (`forecast.csv`), and quantiles if asked for, a picture and the model.
Files that are there already are replaced only with `--force`, and `--resume` goes on after Ctrl-C. How the forecasts
are made, and the same in Python, is on the page [forecasters](forecasters.md). Where nothing can be learned, see
[stocks](stocks.md).

## Reading files

`fastlstm forecast` reads CSV files, also packed as `.gz`, `.bz2` or `.xz`, the first sheet of an Excel workbook (`pip
install openpyxl`), and Parquet files (`pip install pyarrow`). A file may take 128 MB unpacked and hold 6.4 million
cells and rows, which take less than 1 GB of memory. `--max-megabytes`, in Python `read_series(path, target,
max_bytes=...)`, allows more, a cell or row for each 20 bytes.

- **Numbers.** `10,069.12`, `10.069,12`, `1 234,5`, `$1,200`, `12 %` and `(1,234)` for a negative number are read where
  the whole column agrees. Where a column does not decide whether `1,234` has thousands or decimals, the file is
  refused, and the error says what to do (`--decimal`).
- **Dates.** The same goes for whether `02/03/2020` is in February or March; `1-01` is no date of the year 1.
  `--date-format`, in the codes of `strptime`, says how dates are written; `--date none` takes the rows as equal steps.
  An offset from UTC (`+01:00`, `Z`) is kept: hours are regular in elapsed time where clocks are changed, and the coming
  steps have the last offset.
- **Missing values** are counted for you, and stay missing. Nothing is learned from them, and errors and the band are
  those of measured values alone.
"""

PROTOCOL = """## Oil temperature and load of a transformer

This study compares a network of layers of this library with the published LSTM, a linear map and naive forecasts, on
ETTh1 (Zhou et al., *Informer*, AAAI 2021). ETTh1 has seven columns, hour by hour: six loads of a transformer and the
temperature of its oil, OT.

The protocol is theirs: 12 months of 30 days to train on, 4 to validate on, 4 to test on. The windows of a part may look
back into the part before it. Columns are standardised by mean and deviation of the training part. Errors are on that
scale, over every window of the test part (one hour apart), every hour of the horizon and, if multivariate, all seven
columns. Univariate is OT from OT alone. No calendar is read.

    FASTLSTM_DATA=data python -m bench.studies.etth1

The study builds the network of layers (`bench/studies/windowed.py`). It lacks the classical part of an
`LSTMForecaster`, and so shows what an LSTM alone can do.
"""

READ = """- **LSTMa**, an LSTM with attention (Bahdanau et al. 2015), is the LSTM among the baselines of that paper,
which says of these that they were set as their authors recommend. Its figures are those of the paper's tables 1 and 2,
read in a transcript of it. Tables 13 and 14 of Gu et al., *Efficiently Modeling Long Sequences with Structured State
Spaces*, ICLR 2022, repeat them; one differs there, 0.580 for 0.590 at 336 hours.
- **Naive** forecasts repeat the last value, the last day or the last week.
- **Linear map** is the best that a linear map of the same window, less its last value, does (NLinear, Zeng et al.
  2023). It is solved exactly as a ridge regression, its penalty chosen on the validation part.
"""

HOW = """## How

- A step of the LSTM is a day: the {window} hours of the window come as {steps} patches of {patch} values (segments, Lin
  et al., *SegRNN*, 2023), so that the state walks over days, and each hour of the day has its own weights.
- Each window is read less its last value, and the network gives the difference to that value (as NLinear does). In the
  test months OT lies 1.3 deviations below its mean in the training months, levels that a network on the values
  themselves would hardly know.
- All columns go through the same network, each as a sequence of its own beside a sign of which column it is (channel
  independence, Nie et al., *PatchTST*, ICLR 2023).
- All steps of the horizon come at once from the last state, through dropout and one dense layer.
- The forecasts of {members} networks, which differ in their seeds only, are averaged.

Look-back, patch, units, dropout, loss and learning rate were chosen by the errors on the validation part, at 24, 168
and, of OT, 720 hours, though test errors were printed beside these. Training ends by the validation errors, too.

These were tried and left out: shorter and longer windows (96, 168, 672), patches of 12 and 48, the window's mean
instead of its last value, division by its deviation, the last day or week as what is corrected, squared errors as the
loss. The hour of the day, as one more input, lowered the validation error of OT by 3 to 5 % from 168 hours on; it was
left out to forecast from the values alone. Reading the six loads beside OT raised that error by 10 % at 24 hours: what
can be read need not help.
"""


def published(entry: dict[str, Any]) -> dict[str, float]:
    mse, mae = LSTMA[entry["task"]][entry["horizon"]]
    return {"mse": mse, "mae": mae}


def beats(entry: dict[str, Any]) -> bool:
    """Whether both errors are below those published and those of every naive forecast."""
    others = [published(entry), *(s for name, s in entry["scores"].items() if name not in ("fastlstm", "linear map"))]
    own = entry["scores"]["fastlstm"]
    return all(own["mse"] < other["mse"] and own["mae"] < other["mae"] for other in others)


def page(result: dict[str, Any]) -> str:
    entries = result["entries"]
    tables = [table([entry for entry in entries if entry["task"] == task], task) for task in result["settings"]]
    first = next(iter(result["settings"].values()))
    how = HOW.format(steps=first["window"] // first["patch"], **first)
    return "\n".join([USE, PROTOCOL, *tables, verdict(entries), READ, linear(entries), how, settings(result)])


def table(entries: list[dict[str, Any]], task: str) -> str:
    """Mean squared and absolute error of each forecast at each horizon, the smallest ones in bold."""
    names = list(entries[0]["scores"])
    heads = [names[0], "LSTMa", *names[1:]]
    lines = [f"### {task.capitalize()}", "", "MSE / MAE on the test part; the smallest of each row in bold.", ""]
    lines += ["| hours | " + " | ".join(heads) + " |", "|---:|" + "---:|" * len(heads)]
    for entry in entries:
        scores = {**entry["scores"], "LSTMa": published(entry)}
        cells = []
        for kind in ("mse", "mae"):
            least = min(score[kind] for score in scores.values())
            cells.append([f"**{v:.3f}**" if (v := scores[name][kind]) == least else f"{v:.3f}" for name in heads])
        lines.append(f"| {entry['horizon']} | " + " | ".join(map(" / ".join, zip(*cells, strict=True))) + " |")
    return "\n".join([*lines, ""])


def verdict(entries: list[dict[str, Any]]) -> str:
    count, held = len(entries), sum(map(beats, entries))
    which = f"All {count} entries are" if held == count else f"{held} of {count} entries are"
    return f"{which} ahead of LSTMa and of every naive forecast, in both errors.\n"


def linear(entries: list[dict[str, Any]]) -> str:
    """What the LSTM adds to a linear map, in words and in numbers."""
    ratios = {kind: {name_of(entry): ratio(entry, kind) for entry in entries} for kind in ("mse", "mae")}
    ahead = {name: value for name, value in ratios["mse"].items() if value < -0.01}
    behind = {name: value for name, value in ratios["mse"].items() if value > 0.01}
    equal = {name: value for name, value in ratios["mse"].items() if name not in ahead and name not in behind}
    absolute = sum(value < 0 for value in ratios["mae"].values())
    text = f"""Much of what the tables show comes from reading each window less its last value, which a linear map does
        as well. Beside the best linear map the LSTM's mean squared error is smaller at {listed(ahead)}; within 1 % at
        {listed(equal)}; larger at {listed(behind)}. Its mean absolute error is the smaller one at {absolute} of
        {len(entries)} entries. Twelve months are a small series; with one like it, you should try the linear map
        too."""
    return "## What the LSTM adds\n\n" + textwrap.fill(" ".join(text.split()), 120, break_on_hyphens=False) + "\n"


def name_of(entry: dict[str, Any]) -> str:
    return f"{entry['task']} {entry['horizon']}"


def ratio(entry: dict[str, Any], kind: str) -> float:
    """By which share an error of the LSTM is above that of the linear map."""
    scores = entry["scores"]
    return float(scores["fastlstm"][kind] / scores["linear map"][kind] - 1)


def listed(found: dict[str, float]) -> str:
    return ", ".join(f"{name} ({value:+.1%})" for name, value in found.items()) if found else "none"


def settings(result: dict[str, Any]) -> str:
    lines = ["## The run", "", "| | " + " | ".join(result["settings"]) + " |", "|---|---:|---:|"]
    tasks = list(result["settings"].values())
    lines += [
        f"| {name.replace('_', ' ')} | " + " | ".join(str(task[name]) for task in tasks) + " |" for name in tasks[0]
    ]
    seconds = sum(entry["seconds"] for entry in result["entries"])
    lines += ["", f"Training took {seconds:.0f} s for all {len(result['entries'])} entries together, on:", ""]
    lines += [
        machine_list(result["machine"]),
        "",
        "| task | hours | seconds | validation MSE | MAE |",
        "|---|---:|---:|---:|---:|",
    ]
    for entry in result["entries"]:
        errors = " | ".join(f"{entry['validation'][kind]:.3f}" for kind in ("mse", "mae"))
        lines.append(f"| {entry['task']} | {entry['horizon']} | {entry['seconds']:.0f} | {errors} |")
    return "\n".join([*lines, ""])
