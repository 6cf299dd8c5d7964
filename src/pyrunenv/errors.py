"""Every failure that a user can cause, as one tree of exceptions.

Each class has a stable ``code`` (shown as ``error[code]: …``) and an ``exit_status``. A message says what failed and
where, ``notes`` say why, ``hint`` says what to do next. Only the command line prints them and exits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class PyrunenvError(Exception):
    """A failure with a cause that a person can act on."""

    code = "failed"
    exit_status = 1

    def __init__(self, message: str, *, notes: Iterable[str] = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.notes = tuple(notes)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel whole between processes, whatever the constructor of a subclass asks for."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[PyrunenvError], args: tuple[Any, ...], state: dict[str, Any]) -> PyrunenvError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(PyrunenvError):
    """The command's words do not fit the workspace: an unknown environment, platform or option value."""

    code = "usage"
    exit_status = 2


class ConfigError(PyrunenvError):
    """The workspace's configuration is wrong; ``notes`` hold every problem found, one a line."""

    code = "config"
    exit_status = 3


class LockError(PyrunenvError):
    """A target cannot be resolved."""

    code = "lock"
    exit_status = 4


class MissingPackages(LockError):
    """Roots that cannot be had on a platform; ``notes`` hold every (root, platform) pair of the run."""

    code = "missing-packages"


class Conflict(LockError):
    """Roots that must fit together and do not."""

    code = "conflict"


class StaleLock(LockError):
    """A lock is absent, or was made from other inputs, where a current one is required."""

    code = "stale-lock"


class LockFormat(LockError):
    """A lock file that cannot be read as one of ours."""

    code = "lock-format"


class ResolverFailed(LockError):
    """The resolver could not run, or failed for another reason than the requirements (a registry is down, …)."""

    code = "resolver"


class FetchError(PyrunenvError):
    """A file cannot be downloaded."""

    code = "fetch"
    exit_status = 5


class DigestMismatch(FetchError):
    """What was downloaded is not what the lock promises."""

    code = "digest-mismatch"


class CacheError(PyrunenvError):
    """The cache folder cannot be used."""

    code = "cache"
    exit_status = 5


class UnsafeArchive(PyrunenvError):
    """An archive or wheel holds a member that must not be unpacked; the whole archive is refused."""

    code = "unsafe-archive"
    exit_status = 6


class InterpreterError(PyrunenvError):
    """The interpreter cannot be had, or cannot be made portable."""

    code = "interpreter"
    exit_status = 7


class AssembleError(PyrunenvError):
    """A bundle cannot be put together: a missing or misplaced file."""

    code = "assemble"
    exit_status = 8


class WriteError(PyrunenvError):
    """A file of the workspace cannot be written: no room, no right, no such disk."""

    code = "write"
    exit_status = 8


class Busy(PyrunenvError):
    """Another run works in a folder in which this one must be alone."""

    code = "busy"
    exit_status = 1


class ProcessFailed(PyrunenvError):
    """A program that we run failed; ``notes`` hold the end of its output."""

    code = "process"
    exit_status = 9


class WheelError(PyrunenvError):
    """A file is no wheel, or a wheel cannot be had as it must be."""

    code = "wheel"
    exit_status = 10


class SourceError(WheelError):
    """A source tree cannot be had, or is none that can be built."""

    code = "source"


class BuildFailed(WheelError):
    """A build from source failed, or made a wheel that is not fit for its target; ``notes`` hold the end of its output."""

    code = "wheel-build"


class PublishError(PyrunenvError):
    """Something must not, or cannot, be published as it is."""

    code = "publish"
    exit_status = 11


class StorageError(PublishError):
    """An object storage cannot be reached, refuses, or holds something else than it should."""

    code = "storage"


class NpmError(PublishError):
    """An npm registry cannot be reached, refuses, or holds something else than it should."""

    code = "npm"


class PullError(PyrunenvError):
    """A published environment cannot be had."""

    code = "pull"
    exit_status = 12


class Untrusted(PullError):
    """What was published is not signed by the key that is trusted, or is not what was asked for."""

    code = "untrusted"


class TargetsFailed(PyrunenvError):
    """Some targets of a run failed; the others were finished."""

    code = "targets-failed"
    exit_status = 1
