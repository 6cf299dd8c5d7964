"""Assembling and packing when the process dies, the disk is full or the files are large."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.bundles import FakeCache, interpreter_tar, make_bundle, noise
from support.wheels import zip_bytes

from pyrunenv.bundle.assemble import assemble
from pyrunenv.bundle.pack import pack

SOURCE, SUPPORT = Path(__file__).parents[3] / "src", Path(__file__).parents[2]
EPOCH = 315_532_800
A_WHEEL = zip_bytes({"six.py": b""})
PRELUDE = f"""
import resource, signal, sys, time
sys.path[:0] = {[str(SOURCE), str(SUPPORT)]!r}
from pathlib import Path
from pyrunenv.bundle.assemble import assemble
from pyrunenv.bundle.pack import pack
from pyrunenv.errors import AssembleError
from support.bundles import FakeCache, FakeInterpreter
here = Path(sys.argv[1])
"""


def start(program: str, here: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program, str(here)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8",
    )  # fmt: skip


def output(program: str, here: Path) -> str:
    process = start(program, here)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    return text


def kill_when_ready(program: str, here: Path, pause: float = 0.0) -> None:
    process = start(program, here)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "ready\n"
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_a_bundle_whose_maker_was_killed_is_made_again(tmp_path: Path) -> None:
    """Killed between two wheels: the old bundle is whole, and the next run leaves nothing of the killed one."""
    target = tmp_path / "pydist/linux-x64"
    interpreter = interpreter_tar(tmp_path / "interpreter.tar")
    cache = FakeCache({"aa": A_WHEEL})
    before = assemble(target, interpreter=interpreter, wheels=[], cache=cache, copies=())
    kill_when_ready(
        """
class Slow(FakeCache):
    def link_to(self, sha256, target):
        target.write_bytes(b"ha")
        print("ready", flush=True)
        time.sleep(60)
assemble(here / "pydist/linux-x64", interpreter=FakeInterpreter(here / "interpreter.tar"),
         wheels=[("six-1-py3-none-any.whl", "aa")], cache=Slow(), copies=())
""",
        tmp_path,
    )
    assert before.differs(target) is None
    assert len(names(target.parent)) == 2
    assemble(target, interpreter=interpreter, wheels=[("six-1-py3-none-any.whl", "aa")], cache=cache, copies=())
    assert names(target.parent) == {"linux-x64"}
    assert (target / "packages/six-1-py3-none-any.whl").read_bytes() == A_WHEEL


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.05, 0.1])
def test_a_killed_pack_leaves_no_half_archive(tmp_path: Path, pause: float) -> None:
    """At whatever moment it dies, the archive is there whole or not at all, and the next run gives the same bytes."""
    bundle = make_bundle(tmp_path / "linux-x64")
    expected = pack(bundle, tmp_path / "expected.tgz", mtime=EPOCH, jobs=2)
    kill_when_ready(
        f"""
print("ready", flush=True)
pack(here / "linux-x64", here / "a.tgz", mtime={EPOCH}, jobs=2)
time.sleep(60)
""",
        tmp_path,
        pause,
    )
    archive = tmp_path / "a.tgz"
    assert not archive.exists() or archive.read_bytes() == (tmp_path / "expected.tgz").read_bytes()
    assert pack(bundle, archive, mtime=EPOCH, jobs=2) == expected
    assert names(tmp_path) == {"a.tgz", "expected.tgz", "linux-x64"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
@pytest.mark.parametrize("suffix", ["tgz", "zip"])
def test_a_system_that_takes_no_more_bytes(tmp_path: Path, suffix: str) -> None:
    """Where writing fails in the middle, the error names the archive and no part of it stays."""
    make_bundle(tmp_path / "linux-x64")
    text = output(
        f"""
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    pack(here / "linux-x64", here / "a.{suffix}", mtime=0, jobs=2)
except AssembleError as error:
    print(error.message)
""",
        tmp_path,
    )
    assert text == f"cannot pack a.{suffix}: File too large\n"
    assert names(tmp_path) == {"linux-x64"}


@pytest.mark.skipif(sys.platform != "linux", reason="measures the peak as Linux tells it")
def test_memory_does_not_grow_with_the_bundle(tmp_path: Path) -> None:
    """A wheel of 200 MB and a plain file of 200 MB cost less than 100 MB, with 16 threads."""
    bundle = tmp_path / "linux-x64"
    bundle.mkdir()
    with (bundle / "big.whl").open("wb") as out:
        block = noise(1 << 20)
        for _ in range(200):
            out.write(block)
    (bundle / "libpython.so").touch()
    os.truncate(bundle / "libpython.so", 200 << 20)
    text = output(
        """
packed = pack(here / "linux-x64", here / "a.tgz", mtime=0, jobs=16)
status = Path("/proc/self/status").read_text()
# of this program alone: what getrusage tells includes the memory of the test's own process, which started it
print(packed.tar_size, status.split("VmHWM:")[1].split()[0])
""",
        tmp_path,
    )
    size, kilobytes = map(int, text.split())
    assert size > 400 << 20
    assert kilobytes < 100 << 10
    with gzip.open(tmp_path / "a.tgz") as stream:
        assert sum(len(chunk) for chunk in iter(lambda: stream.read(1 << 20), b"")) == size
