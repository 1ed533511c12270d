"""A function of many items, each of which is small: side by side in processes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fastlstm import _check
from fastlstm.threads import default_num_threads, set_num_threads

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Items for each worker that are taken from the iterable before their results are wanted: as many as the queue of the
workers takes at once."""

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def map_models(function: Callable[[T], R], items: Iterable[T], *, workers: int | None = None) -> Iterator[R]:
    """The results of a function for each item, in their order, such as a forecaster fitted to each series.

    The function runs in worker processes, each with its share of the processors as threads, so that there are never
    more threads than processors. The bits are those of one item after the other. Items are taken from the iterable
    only a little ahead of the results, so that it may be long.

    Worker processes are those of loky where joblib is installed (``pip install 'fastlstm[parallel]'``). These take
    functions from a notebook and closures, too. Else they are those of `concurrent.futures`, whose functions must stand
    in a module, and whose script must begin with ``if __name__ == "__main__"``.

    Parameters
    ----------
    function : function of an item
        It is sent to the workers; so are the items, and its results come back.
    items : iterable
    workers : int, optional
        Number of processes, but no more than items. By default as many as this process has processors, which is the
        default of `set_num_threads`. With 1 everything runs in this process.

    Returns
    -------
    iterator
        An error of the function is raised in place of its result, with a note that tells the item. What then still
        runs is ended, also after Ctrl-C, and if the iterator is closed.

    Raises
    ------
    TypeError
        If function cannot be called, items cannot be iterated over, or workers is not a whole number.
    ValueError
        If workers is below 1.

    Examples
    --------
    >>> from fastlstm.distributed import map_models
    >>> list(map_models(abs, [-1, 2, -3], workers=1))
    [1, 2, 3]
    """
    if not callable(function):
        raise TypeError(f"function: expected a function of an item, got {function!r:.80}")
    if not hasattr(items, "__iter__"):
        raise TypeError(f"items: expected an iterable, got {type(items).__name__}")
    processors = default_num_threads()
    count = processors if workers is None else _check.positive_int(workers, "workers")
    if isinstance(items, Sized):
        count = min(count, max(1, len(items)))
    if count == 1:
        return _one_by_one(function, items)
    return _side_by_side(function, items, count, max(1, processors // count))


def _one_by_one(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    for i, item in enumerate(items):
        try:
            result = function(item)
        except Exception as error:
            error.add_note(_told(i, item))
            raise
        yield result


def _side_by_side(function: Callable[[T], R], items: Iterable[T], workers: int, threads: int) -> Iterator[R]:
    executor, kill = _executor(workers, threads)
    pending: deque[tuple[int, T, Future[R]]] = deque()
    try:
        for i, item in enumerate(items):
            pending.append((i, item, executor.submit(function, item)))
            if len(pending) >= AHEAD * workers:
                yield _result(*pending.popleft())
        while pending:
            yield _result(*pending.popleft())
    except BaseException:  # also Ctrl-C, and that nobody wants more results
        _wait_until_queued([future for _, _, future in pending])
        kill()
        raise
    executor.shutdown()


def _result(i: int, item: T, future: Future[R]) -> R:
    try:
        return future.result()
    except Exception as error:
        error.add_note(_told(i, item))
        raise


def _told(i: int, item: object) -> str:
    return f"map_models: this came in place of the result of item {i}, {item!r:.200}"


def _wait_until_queued(futures: list[Future[Any]]) -> None:
    """Wait until a thread of loky has sent all calls to the workers. If it has some left when these are killed, it
    prints a KeyError."""
    until = time.monotonic() + 1
    while time.monotonic() < until and not all(future.running() or future.done() for future in futures):
        time.sleep(0.001)


def _executor(workers: int, threads: int) -> tuple[Executor, Callable[[], None]]:
    """Worker processes, and what ends them at once."""
    try:
        from joblib.externals import loky
    except ImportError:
        return _spawned(workers, threads)
    environment = dict.fromkeys(VARIABLES, str(threads))  # of BLAS, which reads them when it is imported
    executor = loky.ProcessPoolExecutor(
        workers, env=environment, initializer=set_num_threads, initargs=(threads,), timeout=None
    )
    return executor, partial(executor.shutdown, kill_workers=True)


def _spawned(workers: int, threads: int) -> tuple[Executor, Callable[[], None]]:
    """The same without joblib. A fork would copy locks that other threads hold."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.context import SpawnContext

    started: list[Any] = []

    class Spawning(SpawnContext):
        def Process(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            started.append(super().Process(*args, **kwargs))
            return started[-1]

    executor = ProcessPoolExecutor(workers, Spawning(), initializer=set_num_threads, initargs=(threads,))

    def kill() -> None:
        for process in started:
            if process.is_alive():
                process.terminate()
        executor.shutdown(cancel_futures=True)

    return executor, kill
