"""What a bundle's tree holds, in the order in which it is packed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pyrunenv.archives import tree_entries
from pyrunenv.errors import AssembleError

# Formats whose data is compressed already. What is small is compressed anyway, and saves the flushes around it.
_COMPRESSED = (".whl", ".zip", ".gz", ".xz", ".bz2", ".zst", ".png", ".jpg")
_SMALL = 1 << 17


@dataclass(frozen=True)
class Member:
    """One folder, file or link. ``name`` is its posix path below the root; ``size`` in bytes is 0 for all but files."""

    name: str
    path: str
    kind: int
    executable: bool = False
    size: int = 0
    target: str = ""

    @property
    def is_folder(self) -> bool:
        return self.kind == stat.S_IFDIR

    @property
    def is_link(self) -> bool:
        return self.kind == stat.S_IFLNK

    @property
    def mode(self) -> int:
        """The mode that an archive gives it: nothing of the umask or of the file system it lay on."""
        if self.is_link:
            return 0o777
        return 0o755 if self.is_folder or self.executable else 0o644

    @property
    def compressed(self) -> bool:
        """Whether its data looks compressed already."""
        return self.size > _SMALL and self.name.endswith(_COMPRESSED)

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield a file's bytes, ``size`` at a time (nothing of what is none); raises AssembleError if it changes."""
        if self.kind != stat.S_IFREG:
            return
        left = self.size
        with open(self.path, "rb", buffering=0) as stream:  # noqa: PTH123 - a Path each would cost more than the reading
            while left:
                chunk = _read(stream, min(size, left))
                if not chunk:
                    break
                left -= len(chunk)
                yield chunk
            if left or stream.read(1):
                raise AssembleError(f"`{self.name}` changed while it was packed", hint="build it again")


def _read(stream: BinaryIO, size: int) -> bytes:
    chunk = stream.read(size)
    while len(chunk) < size and (more := stream.read(size - len(chunk))):
        chunk += more
    return chunk


def members(root: Path) -> list[Member]:
    """Return everything below ``root``, sorted bytewise by name; raises AssembleError for sockets, devices, …"""
    return [_member(os.path.join(root, name), name, status) for name, status in tree_entries(root)]  # noqa: PTH118


def _member(path: str, name: str, status: os.stat_result) -> Member:
    kind = stat.S_IFMT(status.st_mode)
    target = os.readlink(path) if kind == stat.S_IFLNK else ""  # noqa: PTH115
    try:
        (name + target).encode()
    except UnicodeEncodeError:
        raise AssembleError(f"the name of `{name!a}` is not UTF-8, which no other platform can hold") from None
    if kind == stat.S_IFREG:
        return Member(name, path, kind, bool(status.st_mode & 0o111), status.st_size)
    if kind in (stat.S_IFLNK, stat.S_IFDIR):
        return Member(name, path, kind, target=target)
    raise AssembleError(f"`{name}` is neither a file, a folder nor a link", hint="remove it, and build again")
