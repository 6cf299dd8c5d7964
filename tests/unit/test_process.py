"""Programs that are run, and ended."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pyrunenv import process, secrets
from pyrunenv.errors import ProcessFailed


@pytest.fixture(autouse=True)
def _running() -> Iterator[None]:
    """Let programs run again after each test."""
    yield
    process.resume()


def test_output_and_status_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both streams are read, decoded as UTF-8 whatever comes, and masked."""
    monkeypatch.setattr(secrets, "_known", {"hunter2!"})
    code = "import sys; sys.stdout.buffer.write(b'out \\xff hunter2!'); sys.stderr.write('err'); sys.exit(3)"
    done = process.run([sys.executable, "-c", code], check=False)
    assert done == process.Completed(3, "out \ufffd ****", "err")


def test_a_failure_shows_the_end_of_what_was_said() -> None:
    """The error names program and status; its notes are the last lines."""
    code = "import sys; sys.stderr.write('\\n'.join(map(str, range(50)))); sys.exit(2)"
    with pytest.raises(ProcessFailed, match="failed with exit status 2") as caught:
        process.run([sys.executable, "-c", code])
    assert caught.value.notes == tuple(map(str, range(30, 50)))


def test_a_program_that_is_not_there() -> None:
    """It is named."""
    with pytest.raises(ProcessFailed, match="cannot run `/no/such/program`"):
        process.run(["/no/such/program"])


def test_stop_ends_what_runs_and_what_begins_later() -> None:
    """Threads that wait for programs go on at once."""
    results: list[int] = []

    def wait() -> None:
        results.append(process.run([sys.executable, "-c", "import time; time.sleep(60)"], check=False).status)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    begun = time.monotonic()
    process.stop()
    thread.join(10)
    wait()
    assert time.monotonic() - begun < 5
    assert len(results) == 2
    assert all(results)
