"""``build.enableLogging``: ``build/<platform>.log`` of an environment holds the story of one target's last build.

Every command with its duration, every decision, every step; secrets are masked. A record belongs to the target whose work
is done where it is made: a context variable says which, so that targets that are built at once do not mix. What worker
processes log is collected there and handed to the target's own thread.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pyrunenv.errors import AssembleError
from pyrunenv.secrets import mask

if TYPE_CHECKING:
    from pyrunenv.lock.run import Target

_P = ParamSpec("_P")
_T = TypeVar("_T")
_ROOT = logging.getLogger("pyrunenv")
_target: ContextVar[str | None] = ContextVar("target", default=None)


def log_path(folder: Path, platform: str) -> Path:
    """Where the log of a target lies, in its environment's folder."""
    return folder / "build" / f"{platform}.log"


@contextmanager
def about(target: Target) -> Iterator[None]:
    """Say that what is logged in this thread, while the block runs, is about this target."""
    token = _target.set(str(target))
    try:
        yield
    finally:
        _target.reset(token)


def of_target(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Make a method log about its object's ``target``."""

    @wraps(method)
    def logging_so(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with about(args[0].target):  # type: ignore[attr-defined]
            return method(*args, **kwargs)

    return logging_so


@contextmanager
def written(targets: Iterable[Target]) -> Iterator[None]:
    """Write the logs of those targets whose configuration wants one, anew, while the block runs."""
    wanted = [target for target in targets if target.config.build.enable_logging]
    if not wanted:
        yield
        return
    before = _ROOT.level
    with ExitStack() as stack:
        for target in wanted:
            handler = stack.enter_context(_attached(target))
            handler.addFilter(_Only(str(target)))
        _ROOT.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            _ROOT.setLevel(before)


@contextmanager
def collected() -> Iterator[list[logging.LogRecord]]:
    """Take what is logged while the block runs, and show it to nobody else: for a worker process."""
    collector = _Collector()
    before, _ROOT.handlers[:] = list(_ROOT.handlers), [collector]
    try:
        yield collector.records
    finally:
        _ROOT.handlers[:] = before


def replay(records: Iterable[logging.LogRecord]) -> None:
    """Log records of another process as if they were made here: they are about the target of this thread."""
    for record in records:
        logging.getLogger(record.name).handle(record)


@contextmanager
def _attached(target: Target) -> Iterator[logging.Handler]:
    path = log_path(target.environment.folder, target.platform.key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _File(path, "w", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise AssembleError(
            f"cannot write {path}: {error.strerror or error}",
            hint="make room there, or set build.enableLogging to false",
        ) from error
    handler.setFormatter(_Masked("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    _ROOT.addHandler(handler)
    try:
        yield handler
    finally:
        _ROOT.removeHandler(handler)
        handler.close()


class _File(logging.FileHandler):
    """Writes line by line: what a killed build did is what one wants to read. A full disk does not stop the build."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say nothing: what fills the disk is reported by the step that cannot do without."""


class _Only(logging.Filter):
    """Lets pass what is about one target."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._wanted = target

    def filter(self, record: logging.LogRecord) -> bool:
        return _target.get() == self._wanted


class _Masked(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class _Collector(logging.Handler):
    """Keeps records in a form that travels between processes."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.msg += "\n" + "".join(traceback.format_exception(*record.exc_info))
            record.exc_info = None
        self.records.append(record)
