"""Benchmarks: `python -m bench` from the repository. See `python -m bench --help`."""

import sys

# `python -m` puts the repository first on the path, where its sources would hide the installed, compiled package
sys.path.append(sys.path.pop(0))

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
