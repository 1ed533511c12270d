"""What several test modules share."""

import os
import signal
from pathlib import Path

import pytest

# Threads of these libraries that wait for work spin by default, on processors that others use as well, for most of the
# time of small tests. They ask when they are loaded; processes that tests start inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import fastlstm as fl  # noqa: E402
from fastlstm._kernels import cpu  # noqa: E402

ALONE = {
    "default_threads": "changes the number of threads of the whole process",
    "saved": "changes the file or the model of its fixture, which all threads would have",
}
"""Why tests with these fixtures cannot run in several threads at once."""


def pytest_collection_modifyitems(items):
    """Tells pytest-run-parallel, where that is installed, which tests it must run in one thread."""
    for item in items:
        for name in ALONE.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.thread_unsafe(reason=ALONE[name]))


def instruction_sets(names):
    """A fixture that runs a test on each of these, as far as this processor has them."""

    @pytest.fixture(params=names)
    def fixture(request):
        before = cpu.isa()
        try:
            cpu.choose(request.param)
        except ValueError:
            pytest.skip(f"this processor has no {request.param}")
        yield request.param
        cpu.choose(before)

    return fixture


packed_isa = instruction_sets(["avx512", "avx2", "baseline"])
isa = instruction_sets(["avx512", "avx2", "baseline", "plain"])


@pytest.fixture(params=["packed", "plain"])
def path(request):
    """A test runs on packed weights, with the instruction set that was chosen, and on the plain path."""
    before = cpu.isa()
    cpu.choose(before if request.param == "packed" else "plain")
    yield request.param
    cpu.choose(before)


@pytest.fixture
def default_threads():
    """A test that sets the number of threads leaves the default behind."""
    yield
    fl.set_num_threads(None)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, as on a terminal: a shell lets what runs in its background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def data_file():
    """A function from a name to a file of the folder that FASTLSTM_DATA names; the test is skipped without it."""

    def find(name):
        folder = os.environ.get("FASTLSTM_DATA")
        if not folder:
            pytest.skip("FASTLSTM_DATA is not set")
        path = Path(folder) / name
        if not path.exists():
            pytest.skip(f"there is no {path}")
        return path

    return find
