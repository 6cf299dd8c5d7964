"""The only module that runs programs: no shell, no standard input, secrets masked, a clear error when one fails."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrunenv.errors import ProcessFailed
from pyrunenv.secrets import mask

log = logging.getLogger(__name__)


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
        done = subprocess.run(
            words,
            env=env,
            cwd=cwd,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise ProcessFailed(f"cannot run `{words[0]}`: {error.strerror or error}") from error
    log.debug("ran %s (exit status %d, %.2f s)", shown, done.returncode, time.monotonic() - started)
    result = Completed(done.returncode, mask(done.stdout), mask(done.stderr))
    if check and done.returncode:
        tail = (result.stderr or result.stdout).strip().splitlines()[-20:]
        raise ProcessFailed(f"`{shown}` failed with exit status {done.returncode}", notes=tail)
    return result
