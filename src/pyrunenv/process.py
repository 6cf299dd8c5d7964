"""The only module that runs programs: no shell, no standard input, secrets masked, a clear error when one fails."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyrunenv.errors import ProcessFailed
from pyrunenv.secrets import mask

log = logging.getLogger(__name__)

# Reentrant: a signal's handler may stop programs while the same thread notes one.
_guard = threading.RLock()
_running: set[subprocess.Popen[str]] = set()
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


def stop() -> None:
    """End all programs that run, and those that are started from now on; for a run that is interrupted."""
    with _guard:
        _state["stopped"] = True
        for child in _running:
            child.terminate()


def resume() -> None:
    """Let programs run again after :func:`stop`."""
    with _guard:
        _state["stopped"] = False


@contextmanager
def _known(child: subprocess.Popen[str]) -> Iterator[None]:
    with _guard:
        _running.add(child)
        if _state["stopped"]:
            child.terminate()
    try:
        yield
    except BaseException:
        child.kill()
        raise
    finally:
        with _guard:
            _running.discard(child)
