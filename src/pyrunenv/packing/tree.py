"""What a tree holds, in the order in which it is packed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyrunenv.errors import AssembleError
from pyrunenv.members import Kind
from pyrunenv.trees import tree_entries
from pyrunenv.uncached import Uncached

# Formats whose data is compressed already. What is small is compressed anyway, and saves the flushes around it.
_COMPRESSED = (".whl", ".zip", ".gz", ".xz", ".bz2", ".zst", ".png", ".jpg")
_SMALL = 1 << 17
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True)
class Member:
    """One folder, file or link. ``name`` is its posix path below the root; ``size`` in bytes is 0 for all but files."""

    name: str
    path: str
    kind: Kind
    executable: bool = False
    size: int = 0
    target: str = ""

    @property
    def is_folder(self) -> bool:
        return self.kind == "folder"

    @property
    def is_link(self) -> bool:
        return self.kind == "link"

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

    def chunks(self, size: int) -> Iterator[bytes | memoryview]:
        """Yield a file's bytes, ``size`` at a time (nothing of what is none); raises AssembleError if it changes."""
        if self.kind != "file":
            return
        left = self.size
        handle = os.open(self.path, _READ)
        read = Uncached(handle).read if self.compressed else partial(os.read, handle)
        try:
            while left > size:
                yield self._read(read, size)
                left -= size
            # one byte more than there should be: that there is none need not be asked for on its own
            yield self._read(read, left, 1)
        finally:
            os.close(handle)

    def _read(self, read: Callable[[int], bytes | memoryview], size: int, more: int = 0) -> bytes | memoryview:
        """Read ``size`` bytes; raises AssembleError where there are fewer, or one of ``more``."""
        chunk = read(size + more)
        while len(chunk) < size and (rest := read(size + more - len(chunk))):
            chunk = b"".join((chunk, rest))
        if len(chunk) != size:
            raise AssembleError(f"`{self.name}` changed while it was packed", hint="build it again")
        return chunk


def members(root: Path) -> list[Member]:
    """Return everything below ``root``, sorted bytewise by name; raises AssembleError for sockets, devices, …"""
    return [_member(os.path.join(root, name), name, status) for name, status in tree_entries(root)]  # noqa: PTH118


def _member(path: str, name: str, status: os.stat_result) -> Member:
    mode = status.st_mode
    target = os.readlink(path) if stat.S_ISLNK(mode) else ""  # noqa: PTH115
    try:
        (name + target).encode()
    except UnicodeEncodeError:
        raise AssembleError(f"the name of `{name!a}` is not UTF-8, which no other platform can hold") from None
    if stat.S_ISREG(mode):
        return Member(name, path, "file", bool(mode & 0o111), status.st_size)
    if stat.S_ISLNK(mode):
        return Member(name, path, "link", target=target)
    if stat.S_ISDIR(mode):
        return Member(name, path, "folder")
    raise AssembleError(f"`{name}` is neither a file, a folder nor a link", hint="remove it, and build again")
