"""Publishes, and kills its whole process group at one chosen call to a storage.

``python -m support.publish_killer COUNTER NUMBER WHEN DELAY WORDS…`` counts the calls in the file COUNTER; at the one with
this NUMBER it kills ``before`` or ``after`` it, or DELAY seconds after it began (``within``). With NUMBER 0 nothing is
killed, and COUNTER tells how many there are.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CALLS = ("put", "copy", "rename", "delete", "get", "head", "list")


def arm(counter: Path, number: int, when: str, delay: float) -> None:
    """Wrap the calls of the library that talks to storages."""
    import obstore

    lock, count = threading.Lock(), 0

    def kill() -> None:
        os.killpg(0, signal.SIGKILL)

    def later() -> None:
        time.sleep(delay)
        kill()

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*words: Any, **more: Any) -> Any:
            nonlocal count
            with lock:
                count += 1
                mine = count
                counter.write_text(str(count), encoding="ascii")
            if mine == number and when == "before":
                kill()
            if mine == number and when == "within":
                threading.Thread(target=later, daemon=True).start()
            result = call(*words, **more)
            if mine == number and when == "after":
                kill()
            return result

        return counted

    for name in _CALLS:
        setattr(obstore, name, wrapped(getattr(obstore, name)))


def main() -> None:
    """Arm, then be the program."""
    counter, number, when, delay, *words = sys.argv[1:]
    sys.argv[1:] = words
    arm(Path(counter), int(number), when, float(delay))
    from pyrunenv.__main__ import main as program

    program()


if __name__ == "__main__":
    main()
