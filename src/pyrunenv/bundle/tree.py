"""What a bundle's tree holds, in the order in which it is packed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pyrunenv.errors import AssembleError

# Formats whose data is compressed already. What is small is compressed anyway: that saves the flush before and after it.
_COMPRESSED = (".whl", ".zip", ".gz", ".xz", ".bz2", ".zst", ".png", ".jpg")
_SMALL = 1 << 17


@dataclass(frozen=True)
class Member:
    """One folder, file or link. ``name`` is its posix path below the root; ``size`` is in bytes, 0 for all but files."""

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
        """Yield a file's bytes, ``size`` of them at a time, and nothing of what is none; raises AssembleError if it changes."""
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
    """Return everything below ``root``, sorted bytewise by name; raises AssembleError for sockets, devices and the like."""
    found: list[Member] = []
    folders = [("", os.fspath(root))]
    while folders:
        prefix, folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                member = _member(prefix + entry.name, entry)
                found.append(member)
                if member.is_folder:
                    folders.append((member.name + "/", entry.path))
    # os.fsencode, so that the order is that of the bytes on disk and no locale has a say
    return sorted(found, key=lambda member: os.fsencode(member.name))


def _member(name: str, entry: os.DirEntry[str]) -> Member:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise AssembleError(f"the name of `{name!a}` is not UTF-8, which no other platform can hold") from None
    status = entry.stat(follow_symlinks=False)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        return Member(name, entry.path, kind, bool(status.st_mode & 0o111), status.st_size)
    if kind == stat.S_IFLNK:
        return Member(name, entry.path, kind, target=os.readlink(entry.path))  # noqa: PTH115
    if kind == stat.S_IFDIR:
        return Member(name, entry.path, kind)
    raise AssembleError(f"`{name}` is neither a file, a folder nor a link", hint="remove it, and build again")
