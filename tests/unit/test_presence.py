"""Who works in a folder: many, or one alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pyrunenv.errors import Busy
from pyrunenv.presence import alone, present

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")


def test_many_may_be_present_and_nobody_alone(tmp_path: Path) -> None:
    """Until all have left; nothing is left in the folder."""
    with present([tmp_path]):
        with present([tmp_path, tmp_path]), pytest.raises(Busy, match="another run works in"), alone(tmp_path):
            pass
        with pytest.raises(Busy), alone(tmp_path):
            pass
    with alone(tmp_path), pytest.raises(Busy), alone(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_comes_waits_for_who_is_alone(tmp_path: Path) -> None:
    """A build for a cleanup, one `new` for another."""
    for coming in (lambda: present([tmp_path]), lambda: alone(tmp_path, wait=True)):
        there = threading.Event()

        def come(coming: object = coming, there: threading.Event = there) -> None:
            with coming():  # type: ignore[operator]
                there.set()

        with alone(tmp_path):
            thread = threading.Thread(target=come)
            thread.start()
            assert not there.wait(0.2)
        assert there.wait(10)
        thread.join()


def test_the_dead_are_not_present(tmp_path: Path) -> None:
    """A process that was killed holds nobody up."""
    program = "import sys, time; from pathlib import Path; from pyrunenv.presence import present\n"
    program += "with present([Path(sys.argv[1])]): print('there', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        with pytest.raises(Busy), alone(tmp_path):
            pass
        process.kill()
        process.wait()
        with alone(tmp_path):
            pass


def test_a_folder_that_is_not_there_is_for_others_to_tell(tmp_path: Path) -> None:
    """No error of its own."""
    with present([tmp_path / "none"]), alone(tmp_path / "none"):
        pass
