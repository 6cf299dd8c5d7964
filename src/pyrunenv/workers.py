"""Work that the processor bounds, in processes of its own, so that it never holds up downloads.

Where the system can fork, the processes are made at once, before there are threads; elsewhere they start as Python does it
there. They end with the program whatever ends it: each looks for its parent, and for the word to stop, a few times a second.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from pyrunenv import logs
from pyrunenv.errors import ProcessFailed

_LOOK = 0.2
# Added to the niceness of workers: resolving and downloading come first, since everything else waits for them.
_YIELDING = 5
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _nothing() -> None:
    """Makes the pool start its processes."""


class Workers:
    """A pool of ``count`` processes; a context manager that ends them, whatever they do where the block raises.

    They call ``ready`` at first, as long as there is nothing else to do: a module's function that loads what is needed.
    """

    def __init__(self, count: int, ready: Callable[[], object] = _nothing) -> None:
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self._count = count
        # Not an Event: setting one waits for ever once a process that waited on it was killed.
        self._stop = context.Value("b", 0, lock=False)
        self._pool = ProcessPoolExecutor(
            count, mp_context=context, initializer=_begin, initargs=(os.getpid(), self._stop)
        )
        self._pool.submit(_nothing).result()
        for _ in range(count):
            self._pool.submit(ready)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            self._stop.value = 1
            # What workers that are gone did not take is not waited for: it would never be taken.
            if (calls := self._pool._call_queue) is not None:  # type: ignore[attr-defined]
                calls.cancel_join_thread()
        # The pool's thread is waited for in any case: one that is left over races with the end of the program.
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> tuple[_T, float]:
        """Call a module's function in a worker; returns its result and its seconds, or raises what it raised."""
        outcome = _result(self._pool.submit(_observed, function, args, kwargs))
        logs.replay(outcome.records)
        if outcome.error is not None:
            raise outcome.error
        return outcome.result, outcome.seconds

    def map(self, function: Callable[..., _T], arguments: Sequence[tuple[Any, ...]]) -> list[_T]:
        """Call a quick function with each of many arguments; returns the results in their order."""
        size = max(1, len(arguments) // (4 * self._count))
        # Not the pool's own map: on an interrupt that cancels its futures, and a worker that is killed at the same
        # time then ends the pool's thread with an error.
        futures = [
            self._pool.submit(_spread, function, arguments[start : start + size])
            for start in range(0, len(arguments), size)
        ]
        return [result for future in futures for result in _result(future)]


def _spread(function: Callable[..., _T], arguments: Sequence[tuple[Any, ...]]) -> list[_T]:
    return [function(*each) for each in arguments]


def _result(future: Future[_T]) -> _T:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ProcessFailed(
            "a worker process was killed",
            notes=["the system ends processes so when memory runs out"],
            hint="run again, with a smaller --jobs; what is finished is kept",
        ) from error


@dataclass
class _Outcome:
    """What came of a call: its result or error, how long it took, and what it logged."""

    seconds: float
    records: list[logging.LogRecord]
    result: Any = None
    error: Exception | None = None


def _observed(function: Callable[..., Any], args: Any, kwargs: Any) -> _Outcome:
    started = time.monotonic()
    with logs.collected() as records:
        try:
            result, failure = function(*args, **kwargs), None
        except Exception as error:
            result, failure = None, error
    return _Outcome(time.monotonic() - started, records, result, failure)


def _begin(parent: int, stop: Any) -> None:
    """Set a worker up: the terminal's Ctrl-C is the parent's to answer, and its own answer to SIGTERM is not for here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "nice"):
        os.nice(_YIELDING)

    def watch() -> None:
        while os.getppid() == parent and not stop.value:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, name="watch", daemon=True).start()
