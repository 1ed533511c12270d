"""docs/stocks.md and its picture, from the results of bench.studies.prices."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine import machine_list
from fastlstm.plot.figure import finish, new_figure, save_figure
from fastlstm.plot.forecast import FORECAST, NAIVE, TRUTH

HEAD = """# Stock prices, and how to know that a forecast is one

This page shows where an LSTM learns something about prices, where it cannot, and how to tell. A network that is given
prices draws a line that lies on the true one, and may know nothing. The page is made by

    FASTLSTM_DATA=data python -m bench.studies.prices

and the same test runs on a column of your own, beside what `fastlstm forecast` prints:

    python -m bench.studies.prices prices.csv --column Close
    fastlstm forecast prices.csv --target Close --horizon 5 --log

## The measure

**Skill** is 1 - MSE / MSE of the last value: by how much the mean squared error is below that of the forecast that
nothing changes. It is 1 for a perfect forecast, 0 for one that knows nothing, and negative for one that makes matters
worse. Each series is forecast one step ahead over its last 40 %, from a rolling origin. In each of 3 or 4 folds the
network learns from all that came before the fold, and sees the true values up to each step. The interval holds 90 % of
a block bootstrap of the forecasts. p is that of the test of Diebold and Mariano (1995): how often two equally good
forecasts would differ as much.
"""

READ = """The simulated prices say how to read the others, because what can be known about them is known. With
independent returns the last value and a drift are the best forecast there is, and a skill near 0 is all that can be
had. Volatility in clusters changes nothing about that; only the *size* of the moves can then be forecast. Where a
quarter of each return goes on the next day, the best forecast has a skill of 1/16 = 0.0625, about what the network
finds. So small a skill is a great deal for a price, and it takes more than a thousand forecasts to be sure of it.
Temperatures, sunspots, passengers and the air are no prices: nobody trades away what can be known about them.
"""

PICTURE = """## Three mistakes

![a forecast of a random walk](pictures/stocks.png)

**A plot of the price.** On the left is the forecast of a simulated price that nothing can be known about. It looks
perfect: R² is {r2:.3f}. But it is the price of the day before, with which it has a correlation of {lag:.5f}. On the
right are its *changes*, with which one would earn money. They have a correlation of {changes:+.2f} with what came, and
a skill of {skill:+.3f}. Always look at changes, and always beside the last value.
"""

SCALER = """**A scaler that has seen the test part.** Prices scaled to 0 to 1 by the smallest and largest of the
training part, as tutorials do, leave that range later, and a network on such numbers fails: its skill on five random
walks is {train}. Take smallest and largest of the whole series, and it becomes {all}. Nothing was learned: the scaler
told that prices would not rise above 1. What a network is given must be computed from the past alone;
the network of the first table takes each window less its last value, and its scales from the training part.
"""

SPLIT = """**Windows split at random.** Windows that overlap share most of their values and, 20 steps ahead, most of
their targets. Split in order, the skill 20 steps ahead on five random walks is {ordered}; on windows split at random,
the same network's is {random}. It has seen the neighbours of each test window, and what came after them. Test on what
is later than all that was learned from, with a gap as long as the horizon.
"""


def page(result: dict[str, Any]) -> str:
    return "\n".join([HEAD, table(result["rows"]), READ, mistakes(result["mistakes"]), run(result)])


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| series | steps | forecasts | skill | 90 % interval | p | best possible |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        best = "unknown" if row["optimum"] is None else f"{row['optimum']:.3f}"
        name = row["name"] if row["against"] == "last value" else f"{row['name']} (over the {row['against']})"
        p = "< 0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
        interval = f"{row['low']:+.3f} to {row['high']:+.3f}"
        lines.append(f"| {name} | {row['steps']} | {row['tested']} | {row['value']:+.3f} | {interval} | {p} | {best} |")
    return "\n".join([*lines, ""])


def mistakes(found: dict[str, Any]) -> str:
    plot = found["plot"]
    picture = PICTURE.format(
        r2=plot["r2"],
        lag=plot["correlation with the price of the day before"],
        changes=plot["correlation of the changes"],
        skill=plot["skill"],
    )
    scaler = SCALER.format(train=several(found["scaler"]["train"]), all=several(found["scaler"]["all"]))
    split = SPLIT.format(ordered=several(found["split"]["in order"]), random=several(found["split"]["at random"]))
    return "\n".join([picture, wrapped(scaler), wrapped(split)])


def wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, 120, break_on_hyphens=False) + "\n"


def several(values: list[float]) -> str:
    """The mean, and from where to where."""
    return f"{np.mean(values):+.2f} on average ({min(values):+.2f} to {max(values):+.2f})"


def run(result: dict[str, Any]) -> str:
    lines = ["## The run", "", f"All of it took {result['seconds']:.0f} s on:", ""]
    return "\n".join([*lines, machine_list(result["machine"]), ""])


def draw(shown: dict[str, NDArray[np.float64]], path: Path) -> None:
    """The price and its forecast, and the changes of both."""
    figure = new_figure()
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    days = np.arange(1, len(shown["truth"]) + 1)
    left.plot(days, shown["truth"], color=TRUTH, lw=1.6, label="price")
    left.plot(days, shown["forecast"], color=FORECAST, lw=1.2, label="forecast")
    finish(left, "The price: looks perfect", "price", "day")
    left.legend(fontsize=11, frameon=False, loc="best")
    forecast, truth = (100 * (shown[name] / shown["last"] - 1) for name in ("forecast", "truth"))
    right.scatter(forecast, truth, s=10, color=FORECAST, label="a day")
    right.axhline(0, color=NAIVE[0], lw=0.8)
    right.axvline(0, color=NAIVE[0], lw=0.8)
    finish(right, "Its changes: no relation", "change that came (%)", "change that was forecast (%)")
    right.get_legend().remove()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
