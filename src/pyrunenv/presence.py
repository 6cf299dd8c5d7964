"""Who works in a folder: many builds at once, or one program that must be alone in it.

The system keeps it with the open folder (flock), and forgets it with the process: no file is left. Where it has no flock
(Windows), nobody is kept out, and the locks of single bundles (:mod:`pyrunenv.bundle.place`) must do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pyrunenv.errors import Busy

if sys.platform != "win32":
    import fcntl


@contextmanager
def present(folders: Iterable[Path]) -> Iterator[None]:
    """Work in folders, as others may at the same time; waits for who is alone in one."""
    with ExitStack() as stack:
        for folder in sorted(set(folders)):
            stack.enter_context(_held(folder, exclusive=False, wait=True))
        yield


@contextmanager
def alone(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Be the only one to work in a folder; where others are there, ``wait`` for them, else raise Busy."""
    with _held(folder, exclusive=True, wait=wait):
        yield


@contextmanager
def _held(folder: Path, *, exclusive: bool, wait: bool) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        # what is to be done there says what is wrong with it
        yield
        return
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Busy(f"another run works in {folder}", hint="wait until it is done, and run this again") from None
        except OSError:
            pass  # a file system without flock
        yield
    finally:
        os.close(handle)
