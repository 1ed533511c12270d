"""Series like stock prices: how hard it is to beat the last value, and how to know that one does.

    FASTLSTM_DATA=data python -m bench.studies.prices            writes docs/stocks.md, its picture and docs/stocks.json
    python -m bench.studies.prices --quick                       a simulated price, for a first look; writes nothing
    python -m bench.studies.prices prices.csv --column Close     the same test of a column of your own

Each series is forecast one step ahead over its last part, in folds: the network learns from all that came before a
fold, and is given the true values up to each moment (rolling origin). Skill is 1 - MSE / MSE of the last value.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import machine
from bench.studies import DOCS
from bench.studies.data import find
from bench.studies.prices import page
from bench.studies.prices.mistakes import all_of_them
from bench.studies.windowed import Windowed
from fastlstm.forecasting import read_series
from fastlstm.forecasting.skill import Skill

Floats = NDArray[np.float64]

DAYS = 4000
SIZE, DRIFT = 0.01, 0.0003
"""Standard deviation and mean of a simulated daily return."""

MOMENTUM = 0.25
"""Share of a simulated return that goes on the next day: the best forecast has the skill of its square."""


@dataclass(frozen=True)
class Case:
    """A series, what it shows, and the skill of the best forecast that there can be, if that is known.

    The forecast is tested on the last `share` of the series, in `folds` parts.
    """

    name: str
    load: Callable[[], Floats]
    optimum: float | None = None
    season: int = 1
    log: bool = False
    against: str = "last value"
    share: float = 0.4
    folds: int = 4


def returns(kind: str, seed: int = 0, days: int = DAYS) -> Floats:
    """Daily returns of about 1 %: independent, with a variance that clusters (GARCH), or with some momentum."""
    shocks = np.random.default_rng(seed).standard_normal(days)
    if kind == "independent":
        return DRIFT + SIZE * shocks
    if kind == "momentum":
        moves = np.zeros(days)
        for day in range(1, days):
            moves[day] = MOMENTUM * moves[day - 1] + SIZE * shocks[day]
        return moves
    variance, moves = SIZE**2, np.zeros(days)
    for day in range(days):  # GARCH(1, 1), Bollerslev 1986
        moves[day] = np.sqrt(variance) * shocks[day]
        variance = 2e-6 + 0.1 * moves[day] ** 2 + 0.88 * variance
    return moves


def price(kind: str, seed: int = 0) -> Floats:
    return np.asarray(100 * np.exp(np.cumsum(returns(kind, seed))))


def column(file: str, name: str, last: int | None = None) -> Callable[[], Floats]:
    return lambda: read_series(find(file), name).values[slice(-last if last else None, None)]


CASES = (
    Case("simulated price, independent returns", lambda: price("independent"), (DRIFT / SIZE) ** 2, log=True),
    Case("simulated price, volatility in clusters", lambda: price("garch"), 0.0, log=True),
    Case("simulated price, some momentum", lambda: price("momentum"), MOMENTUM**2, log=True),
    Case("size of the moves of the second", lambda: np.abs(returns("garch")), against="mean so far"),
    Case("minimum temperature, daily", column("daily-min-temperatures.csv", "Temp")),
    Case("sunspots, monthly", column("monthly-sunspots.csv", "Sunspots")),
    Case("airline passengers, monthly", column("airline-passengers.csv", "Passengers"), season=12, log=True, folds=3),
    Case("air pollution, hourly", column("pollution.csv", "pm2.5", last=8000)),
)


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    began = time.perf_counter()
    if options.file is not None:
        series = read_series(options.file, options.column)
        own = Case(series.name, lambda: series.values, season=series.season, log=bool(series.values.min() > 0))
        print(line(measure(own, options)))
        return 0
    rows = []
    for case in CASES[:1] if options.quick else CASES:
        rows.append(measure(case, options))
        print(line(rows[-1]), flush=True)
    if options.quick:
        return 0
    mistakes, shown = all_of_them(price, options.seed)
    for name, figures in mistakes.items():
        print(name, figures)
    result = {
        "machine": machine.describe(),
        "seconds": time.perf_counter() - began,
        "rows": rows,
        "mistakes": mistakes,
    }
    write(result, shown, options.folder)
    print(f"All in {result['seconds']:.0f} s.")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench.studies.prices", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="a CSV file of your own")
    parser.add_argument("--column", default="Close", help="of that file (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one simulated series, few epochs")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where to write (default: docs)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def measure(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Skill over the last part of a series."""
    values = case.load()
    if options.quick:
        values = values[:400]
    began = time.perf_counter()
    error, reference = rolling(values, case, options)
    skill = Skill.of(error, reference, block=5, seed=options.seed)
    return {
        "name": case.name,
        "against": case.against,
        "optimum": case.optimum,
        "steps": len(values),
        "tested": len(error),
        "seconds": time.perf_counter() - began,
        **asdict(skill),
    }


def rolling(values: Floats, case: Case, options: argparse.Namespace) -> tuple[Floats, Floats]:
    """Errors one step ahead of the network and of the reference, over the folds one after the other."""
    edges = np.linspace(len(values) * (1 - case.share), len(values), case.folds + 1).astype(int)
    errors, references = [], []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        known = np.log(values) if case.log else values
        forecaster = Windowed(
            1,
            season=case.season,
            window=max(24, 2 * case.season),
            learning_rate=0.003,
            epochs=3 if options.quick else 40,
            patience=8,
            dropout=0.2,
            seed=options.seed,
        )
        forecaster.fit(known[:start])
        forecasts = forecaster.predict(known[start - forecaster.context : stop - 1])[:, 0]
        forecasts = np.exp(forecasts) if case.log else forecasts
        last = values[start - 1 : stop - 1]
        reference = last if case.against == "last value" else np.full(stop - start, values[:start].mean())
        errors.append(values[start:stop] - forecasts)
        references.append(values[start:stop] - reference)
    return np.concatenate(errors), np.concatenate(references)


def line(row: dict[str, Any]) -> str:
    best = "" if row["optimum"] is None else f", best possible {row['optimum']:.3f}"
    interval = f"{row['low']:+.3f} to {row['high']:+.3f}"
    return (
        f"{row['name']}: skill over the {row['against']} {row['value']:+.3f} ({interval}), "
        f"p {row['p_value']:.2g}{best}; {row['tested']} forecasts, {row['seconds']:.0f} s"
    )


def write(result: dict[str, Any], shown: dict[str, Floats], folder: Path) -> None:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    page.draw(shown, folder / "pictures" / "stocks.png")
    (folder / "stocks.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / "stocks.md").write_text(page.page(result), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
