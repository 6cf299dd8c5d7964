"""Worker processes and the program that has them are ended at the same moment, as a service manager ends a service."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, time
from pyrunenv.workers import Workers

def nap(number, text):
    time.sleep(0.02)

def end(*_):
    raise KeyboardInterrupt

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    try:
        with Workers(2) as workers:
            print("ready", flush=True)
            workers.map(nap, [(number, "x" * 6000) for number in range(400)])
    except KeyboardInterrupt:
        print("ended")
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups")
@pytest.mark.seeds(10, 200)
def test_the_program_ends_without_a_word(seed: int) -> None:
    """More than a pipe holds is on its way to the workers; nothing waits for them to take it, no thread fails."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    try:
        process.wait(random.Random(seed).uniform(0, 0.5))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        said, errors = process.communicate(timeout=10)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert (said, errors) == ("ended\n", "")
