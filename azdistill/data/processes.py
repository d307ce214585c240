"""Apply a function to items in several processes, with the results in order."""

import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items for which no other process is started.
SERIAL = 8

# Most processes next to this one, which reads the items and cannot feed more.
MOST = 3

# Items that wait for each process.
WAITING = 2

_function: Callable[[Any], Any]


def map_in_processes(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The result of each item, in their order. This process computes those that the others have no time for.

    The other processes are forks, so the function and what it refers to are shared and not copied, and equal texts have
    equal hashes. Items and results are pickled. On other systems than Linux there is one process.
    """
    remaining = iter(items)
    yield from map(function, islice(remaining, SERIAL))
    processes = min(MOST, len(os.sched_getaffinity(0)) - 1) if sys.platform == "linux" else 0
    if not processes:
        yield from map(function, remaining)
        return
    fork = multiprocessing.get_context("fork")
    results: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(processes, fork, initializer=_start, initargs=(function,)) as pool:
        for item in remaining:
            is_busy = sum(not future.done() for future in results) >= processes * WAITING
            content = None if is_busy else _pickled(item)
            results.append(_done(function(item)) if content is None else pool.submit(_run, content))
            while results and (results[0].done() or len(results) > MOST * WAITING * 4):
                yield results.popleft().result()
        while results:
            yield results.popleft().result()


def _pickled(item: Any) -> bytes | None:
    """The item as bytes; None for one that is nested too deeply."""
    try:
        return pickle.dumps(item)
    except RecursionError:
        return None


def _done(result: Result) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_result(result)
    return future


def _start(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the process that reads the results


def _run(content: bytes) -> Any:
    return _function(pickle.loads(content))
