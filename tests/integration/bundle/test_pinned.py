"""The compressor's output does not depend on the processor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"
DIGEST = "a78ce7672df60ab9a2b20390709cbe97efb161a68c566ac87cfd840707d251a6"
# Every block kind: text (levels 6 and 3), tables of mostly zeros (level 9), noise, and a second block with a dictionary.
PROGRAM = f"""
import hashlib, random, sys
sys.path[:0] = {[str(SOURCE), *sys.path]!r}
from pyrunenv.bundle.deflate import crc32, deflate, plain_from
chosen = random.Random(1)
words = [bytes(chosen.choices(b"abcdefghij_\\n", k=chosen.randint(2, 9))) for _ in range(3000)]
text = b" ".join(chosen.choices(words, k=60000))
table = b"".join(chosen.randrange(70000).to_bytes(8, "little") for _ in range(30000))
noise = chosen.randbytes(100000)
total = hashlib.sha256()
for block in (text, table, noise, text[:70000] + table[:70000] + noise[:30000] + bytes(200000)):
    total.update(deflate(block))
    total.update(deflate(block, (noise + text)[-32768:]))
    total.update(deflate(block, (noise + text)[-32768:], quick=True))
    total.update(str(plain_from(noise + block)).encode())
    total.update(str(crc32(block, 0)).encode())
print(total.hexdigest())
"""


def run(*prefix: str) -> str:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*prefix, sys.executable, "-c", PROGRAM], capture_output=True, encoding="utf-8", env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_this_processor_gives_the_pinned_bytes() -> None:
    """Another version of zlib-ng, or a host whose processor it treats otherwise, shows here."""
    assert run() == DIGEST


@pytest.mark.slow
@pytest.mark.parametrize("model", ["qemu64", "Nehalem", "Haswell", "max"])
def test_other_processors_give_the_pinned_bytes(model: str) -> None:
    """From SSE2 alone to AVX2: zlib-ng takes other code for each, and writes the same bytes."""
    qemu = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
    if qemu is None:
        pytest.skip("no qemu-x86_64-static here: it is in Debian's qemu-user-static")
    if os.uname().machine != "x86_64":
        pytest.skip("this Python is not one for x86_64")
    assert run(qemu, "-cpu", model) == DIGEST
