"""Memory that training takes: the largest resident set over that of the bare import, each contender in its own process.

python -m bench.footprint [T,N,I,H ...]
"""

from __future__ import annotations

import importlib
import resource
import subprocess
import sys

from bench import contenders
from bench.cases import Case

CASES = ("500,32,32,100", "50,64,512,512")
CALLS = 5


def case_of(text: str) -> Case:
    return Case(*map(int, text.split(",")))


def resident() -> float:
    """Largest resident set of this process so far, in MiB."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def measure(name: str, case: Case) -> None:
    """Print MiB of the bare import and what training takes over it. The problem's own arrays count."""
    importlib.import_module(f"bench.contenders.{contenders.CONTENDERS[name].module}")
    before = resident()
    made = contenders.prepare(name, case, "float32", "training", 1)
    for _ in range(CALLS):
        made.call()
    print(f"{before:.1f} {resident() - before:.1f}")


def main(argv: list[str]) -> None:
    if argv[:1] == ["--child"]:
        measure(argv[1], case_of(argv[2]))
        return
    print(f"{'MiB: bare import, training over it':38}{'import':>10}{'training':>10}")
    for text in argv or CASES:
        for name in ("fastlstm", "torch", "jax", "keras"):
            if not contenders.installed(name):
                continue
            done = subprocess.run(
                [sys.executable, "-m", "bench.footprint", "--child", name, text],
                capture_output=True,
                text=True,
                check=True,
            )
            before, more = map(float, done.stdout.split()[-2:])
            print(f"{case_of(text)!s:28}{name:10}{before:>10.1f}{more:>10.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
