"""Small trees, interpreters and caches to make bundles of."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from pyrunenv.archives import Entry
from pyrunenv.trees import write_tar


@dataclass(frozen=True)
class FakeInterpreter:
    """A prepared interpreter whose tar a test made."""

    tar: Path
    tree_digest: str = "7" * 64
    source: str = "standalone"
    version: str = "3.12.10"
    url: str | None = None
    sha256: str | None = None
    floor: str | None = "2.17"
    floor_cause: str | None = "bin/python3.12"
    publishable: bool = True
    warnings: tuple[str, ...] = ()


def interpreter_tar(path: Path) -> FakeInterpreter:
    """Write the tar of a tree that looks like an interpreter on Linux."""
    entries = [
        Entry("bin", "folder"),
        Entry("bin/python", "link", target="python3.12"),
        Entry("bin/python3.12", "file", executable=True, content=b"\x7fELF"),
        Entry("lib", "folder"),
        Entry("lib/python3.12", "folder"),
        Entry("lib/python3.12/os.py", "file", content=b"name = 'posix'\n"),
        Entry("lib/python3.12/site-packages", "folder"),
        Entry("lib64", "link", target="lib"),
    ]
    with path.open("wb") as out:
        write_tar(entries, out, 0)
    return FakeInterpreter(path)


@dataclass
class FakeCache:
    """A cache of files by their made-up digests."""

    files: dict[str, bytes] = field(default_factory=dict)

    def link_to(self, sha256: str, target: Path) -> None:
        target.write_bytes(self.files[sha256])


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that cannot be compressed."""
    return random.Random(seed).randbytes(size)


def text(size: int, seed: int = 0) -> bytes:
    """Return bytes that compress as source code does."""
    chosen = random.Random(seed)
    words = [bytes(chosen.choices(b"abcdefghij_", k=chosen.randint(2, 9))) for _ in range(400)]
    return b" ".join(chosen.choices(words, k=size // 5))[:size]


def make_bundle(root: Path) -> Path:
    """Make a tree with every kind of entry that a bundle may hold."""
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "lib/python3.12/empty", "packages", "share"):
        (root / folder).mkdir(parents=True)
    (root / "bin/python3.12").write_bytes(b"\x7fELF" + bytes(300_000) + noise(50_000))
    (root / "bin/python3.12").chmod(0o755)
    (root / "bin/python").symlink_to("python3.12")
    (root / "lib/python3.12/os.py").write_bytes(text(700_000))
    (root / "lib/python3.12/nothing.py").write_bytes(b"")
    (root / ("lib/python3.12/" + "deep_" * 30 + ".py")).write_bytes(b"x = 1\n")
    (root / "share/naïve ünï.txt").write_bytes(b"accents\n")
    (root / "share.txt").write_bytes(b"sorts between share and what is in it\n")
    (root / "packages/big-1-py3-none-any.whl").write_bytes(noise(2_500_000, 1))
    (root / "packages/small-1-py3-none-any.whl").write_bytes(noise(3_000, 2))
    (root / "packages/loose-1-py3-none-any.whl").write_bytes(text(1_200_000, 3))
    return root
