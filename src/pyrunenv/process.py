"""The only module that runs programs: no shell, no standard input, secrets masked, a clear error when one fails."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyrunenv.errors import ProcessFailed
from pyrunenv.secrets import mask

log = logging.getLogger(__name__)

# Reentrant: a signal's handler may stop programs while the same thread notes one.
_guard = threading.RLock()
_running: dict[subprocess.Popen[str], bool] = {}
"""With each program, whether it leads a session of its own."""
_state = {"stopped": False}


@dataclass(frozen=True)
class Completed:
    """A finished program: its exit status and what it printed, secrets masked."""

    status: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> Completed:
    """Run a program to its end. Raises ProcessFailed where it cannot start, or (with ``check``) exits non-zero."""
    words = [os.fspath(word) for word in command]
    shown = mask(" ".join(words))
    started = time.monotonic()
    try:
        child = subprocess.Popen(
            words,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise ProcessFailed(f"cannot run `{words[0]}`: {error.strerror or error}") from error
    with child, _known(child):
        stdout, stderr = child.communicate()
    log.debug("ran %s (exit status %d, %.2f s)", shown, child.returncode, time.monotonic() - started)
    result = Completed(child.returncode, mask(stdout), mask(stderr))
    if check and result.status:
        tail = (result.stderr or result.stdout).strip().splitlines()[-20:]
        raise ProcessFailed(f"`{shown}` failed with exit status {result.status}", notes=tail)
    return result


def run_logged(command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str], cwd: Path, log_file: Path) -> int:
    """Run a program that runs others, as a build does, with all that they print appended to a file; return its status.

    It gets a session of its own, so that :func:`stop` ends what it started as well. Raises ProcessFailed where it cannot
    start.
    """
    words = [os.fspath(word) for word in command]
    started = time.monotonic()
    with log_file.open("ab") as out:
        try:
            child = subprocess.Popen(
                words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, text=True,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ProcessFailed(f"cannot run `{words[0]}`: {error.strerror or error}") from error
        with child, _known(child, family=True):
            child.wait()
    log.debug("ran %s (exit status %d, %.2f s)", mask(" ".join(words)), child.returncode, time.monotonic() - started)
    return child.returncode


def stop() -> None:
    """End all programs that run, and those that are started from now on; for a run that is interrupted."""
    with _guard:
        _state["stopped"] = True
        for child, family in _running.items():
            _end(child, family)


def resume() -> None:
    """Let programs run again after :func:`stop`."""
    with _guard:
        _state["stopped"] = False


@contextmanager
def _known(child: subprocess.Popen[str], *, family: bool = False) -> Iterator[None]:
    with _guard:
        _running[child] = family
        if _state["stopped"]:
            _end(child, family)
    try:
        yield
    except BaseException:
        _end(child, family, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        raise
    finally:
        with _guard:
            _running.pop(child, None)


def _end(child: subprocess.Popen[str], family: bool, with_signal: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal to a program; with ``family`` to all that it started, too."""
    if family and sys.platform != "win32":
        with suppress(ProcessLookupError):
            os.killpg(child.pid, with_signal)
    else:
        child.send_signal(with_signal)
