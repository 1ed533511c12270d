"""A kernel that finds no memory for its scratch."""

import subprocess
import sys

import pytest

CHILD = """
import resource
import numpy as np
import fastlstm as fl
from fastlstm._kernels import blas, matmul

fl.set_num_threads(8)
x, y, none = np.ones((300, 300), "f4"), np.empty((300, 300), "f4"), np.empty(0, "f4")


def multiply():
    matmul.multiply(x, x, y, False, 8)


def affine():
    blas.affine(x, x, none, y)


def affine_backward():
    blas.affine_backward(x, x, x, y, none, np.empty((0, 300), "f4"), False, False)


for call in (multiply, affine, affine_backward):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
    try:
        call()
        print("it worked")
    except MemoryError as error:
        print(call.__name__, error)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
multiply()
print((y == 300).all())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_no_memory_for_scratch_is_a_memory_error_and_the_next_call_works(packed_isa):
    code = f"from fastlstm._kernels import cpu; cpu.choose({packed_isa!r})\n{CHILD}"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name, line in zip(("multiply", "affine", "affine_backward"), lines, strict=False):
        assert line.startswith(f"{name} there is no memory for ")
        assert line.endswith(" bytes of scratch")
    assert lines[3:] == ["True"]
