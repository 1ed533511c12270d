"""In torch's process the kernels run on torch's threads of OpenMP. Each test has a process of its own."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

START = """
import os, sys, threading
import numpy as np
import torch
import fastlstm as fl
import fastlstm.torch

torch.set_num_threads(2)
torch.ones(1 << 20).add_(1)  # its threads are there from now on
model = fl.Model([fl.LSTM(64, 128, seed=0)])
x = np.random.default_rng(0).standard_normal((64, 50, 64)).astype("f4")


def running():
    return len(os.listdir("/proc/self/task"))


before = running()
fl.set_num_threads(1)
alone = model.predict(x)
fl.set_num_threads(2)
"""


def run(script):
    done = subprocess.run([sys.executable, "-P", "-c", START + script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_no_thread_is_started_beside_torchs():
    run("""
for _ in range(5):
    assert np.array_equal(model.predict(x), alone)
assert running() == before, (running(), before)
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_a_fork_has_threads_of_its_own():
    run("""
assert np.array_equal(model.predict(x), alone)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(model.predict(x), alone) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(model.predict(x), alone)
""")


def test_callers_on_several_threads_at_once():
    run("""
found = [None] * 4


def call(k):
    for _ in range(5):
        found[k] = np.array_equal(model.predict(x), alone)
        torch.ones(1 << 20).add_(1)


threads = [threading.Thread(target=call, args=(k,)) for k in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert found == [True] * 4
""")


def test_threads_that_openmp_does_not_give_are_not_waited_for():
    """Within a parallel part of somebody else's, a nested one has a single thread."""
    run("""
import ctypes
library = ctypes.CDLL(torch._C.__file__)
if hasattr(library, "GOMP_parallel"):
    results = []
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(
        lambda _: results.append(np.array_equal(model.predict(x), alone))
    )
    library.GOMP_parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    library.GOMP_parallel(ctypes.cast(function, ctypes.c_void_p), None, 2, 0)
    assert results == [True, True]
""")


def test_the_kernels_may_have_their_own_threads_again():
    run("""
from fastlstm._kernels import cpu
cpu.borrow(0, 0, 0)
assert np.array_equal(model.predict(x), alone)
if sys.platform == "linux":
    assert running() == before + 1
""")
