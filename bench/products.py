"""The matrix products by themselves, beside SciPy's BLAS: python -m bench.products --threads 1 2

Each side runs in fresh processes of its own, taken in turn, and the best of the processes' medians counts. In square
brackets stands the CPU time of that process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np

from bench import THREAD_VARIABLES
from bench.timing import measure

# m, n, k of a product, and whether each side lies transposed: squares, and what the layers of bench/cases.py need
SHAPES = {
    "square": [(256, 256, 256, 0, 0), (512, 512, 512, 0, 0), (1024, 1024, 1024, 0, 1), (2048, 2048, 2048, 0, 0)],
    "T50 N64 I512 H512": [(3200, 2048, 512, 0, 1), (3200, 512, 2048, 0, 0), (2048, 512, 3200, 1, 0)],
    "T100 N32 I64 H128": [(3200, 512, 64, 0, 1), (3200, 64, 512, 0, 0), (512, 64, 3200, 1, 0), (512, 128, 3200, 1, 0)],
    "T28 N256 I28 H128": [(7168, 512, 28, 0, 1), (7168, 28, 512, 0, 0), (512, 28, 7168, 1, 0)],
    "T30 N128 I1 H32": [(3840, 128, 1, 0, 1), (3840, 1, 128, 0, 0), (128, 1, 3840, 1, 0), (128, 32, 3840, 1, 0)],
    "one step": [(64, 2048, 512, 0, 1), (32, 512, 128, 0, 1), (1, 256, 64, 0, 1), (1, 64, 256, 0, 0)],
    "Dense": [(256, 10, 128, 0, 1), (1, 10, 128, 0, 1), (1, 1000, 512, 0, 1), (256, 1, 128, 0, 1)],
}


def side(name: str, dtype: str, threads: int) -> list[tuple[float, float]]:
    """Median and CPU time of each product in microseconds, row-major, by the tile or by BLAS."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    from scipy.linalg.blas import dgemm, sgemm

    from fastlstm._kernels import matmul

    rng = np.random.default_rng(0)
    found = []
    for m, n, k, a_turned, b_turned in (shape for shapes in SHAPES.values() for shape in shapes):
        a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        a, b = (np.asfortranarray(x) if turned else x for x, turned in ((a, a_turned), (b, b_turned)))
        c = np.zeros((m, n), dtype)
        if name == "tile":
            call = lambda a=a, b=b, c=c: matmul.multiply(a, b, c, False, threads)  # noqa: E731
        else:  # BLAS is column-major: the transposed product, of arrays as they lie
            gemm: Any = sgemm if dtype == "float32" else dgemm
            left, right = (b if b_turned else b.T), (a if a_turned else a.T)
            options = {"trans_a": b_turned, "trans_b": a_turned, "overwrite_c": 1}
            call = lambda x=left, y=right, c=c.T, o=options, gemm=gemm: gemm(1.0, x, y, c=c, **o)  # noqa: E731
        times = measure(call, 0.1)
        found.append((times.median, times.cpu))
        assert np.allclose(c, a @ b, rtol=0, atol=1e-3 * k**0.5)
    return found


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.products", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.side:
        print(json.dumps(side(options.side, options.dtype, options.threads[0])))
        return 0
    for threads in options.threads:
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        runs: dict[str, list[list[list[float]]]] = {"tile": [], "blas": []}
        for _ in range(options.processes):
            for name, rows in runs.items():
                command = [sys.executable, "-m", "bench.products", "--side", name, "--dtype", options.dtype]
                command += ["--threads", str(threads)]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                rows.append(json.loads(done.stdout))
        best = {name: [min(some) for some in zip(*rows, strict=True)] for name, rows in runs.items()}
        title = f"{options.dtype}, threads: {threads}"
        print(f"\n{title:46}{'us [CPU]':>20}{'GFLOP/s':>10}{'BLAS, us [CPU]':>20}{'ratio':>8}")
        shapes = [(layer, shape) for layer, some in SHAPES.items() for shape in some]
        for (layer, shape), (ours, own_cpu), (blas, blas_cpu) in zip(shapes, best["tile"], best["blas"], strict=True):
            m, n, k, a_turned, b_turned = shape
            words = f"{layer}: {m} x {k}{' T' if a_turned else ''} by {k} x {n}{' T' if b_turned else ''}"
            one, other = f"{ours:.1f} [{own_cpu:.1f}]", f"{blas:.1f} [{blas_cpu:.1f}]"
            print(f"{words:46}{one:>20}{2 * m * n * k / ours / 1e3:>10.1f}{other:>20}{blas / ours:>8.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
