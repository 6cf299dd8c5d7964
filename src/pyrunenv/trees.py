"""Trees on disk, and the tars of them that the cache keeps, which no one else writes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pyrunenv import ustar

if TYPE_CHECKING:
    from pyrunenv.archives import Content, Entry

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_BY_HANDLE = {os.chmod, os.utime} <= os.supports_fd


def write_tar(entries: Iterable[Entry], out: BinaryIO, mtime: int) -> str:
    """Write entries in the order given as an uncompressed tar whose bytes depend on them and ``mtime`` alone.

    Returns its sha256 as 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    size = 0
    for entry in entries:
        mode = 0o777 if entry.kind == "link" else 0o755 if entry.executable or entry.kind == "folder" else 0o644
        content = entry.content
        header = ustar.header(entry.path, entry.kind, mode=mode, mtime=mtime, size=len(content), target=entry.target)
        filling = ustar.padding(len(content))
        member = b"".join((header, content, filling))
        out.write(member)
        digest.update(member)
        size += len(member)
    out.write(end := ustar.end(size))
    digest.update(end)
    return digest.hexdigest()


def extract_tree(tar: Path, folder: Path) -> None:
    """Unpack a tar of :func:`write_tar` into ``folder``: modes 644 and 755 whatever the umask, its times kept.

    The tar is taken as whole and ours (its digest was checked); archives of others are for
    :func:`pyrunenv.archives.read_archive`.
    """
    with tar.open("rb", buffering=1 << 18) as stream:
        _lay_out(((member, (member.content,)) for member in ustar.read(stream)), folder)


def write_tree(entries: Iterable[tuple[Entry, Content]], folder: Path, mtime: int) -> None:
    """Write entries that were found safe into ``folder``, as :func:`extract_tree` does, with one time for all."""
    members = (
        (ustar.Member(e.path, e.kind, 0o755 if e.executable else 0o644, mtime, b"", e.target), content)
        for e, content in entries
    )
    _lay_out(members, folder)


def _lay_out(members: Iterable[tuple[ustar.Member, Content]], folder: Path) -> None:
    top = os.path.join(folder, "")  # noqa: PTH118 - a Path each would cost more than the writing
    os.makedirs(top, exist_ok=True)  # noqa: PTH103
    made = {""}
    files = _Files()
    last = 0
    for member, content in members:
        name, last = member.name, max(last, member.mtime)
        _make_folders(top, name if member.kind == "folder" else name.rpartition("/")[0], made)
        if member.kind == "link":
            os.symlink(member.target, top + name)  # noqa: PTH211
            if os.utime in os.supports_follow_symlinks:
                os.utime(top + name, (member.mtime, member.mtime), follow_symlinks=False)
        elif member.kind == "file":
            files.write(top + name, member.mode, member.mtime, content)
    for name in sorted(made - {""}, reverse=True):
        os.utime(top + name, (last, last))


class _Files:
    """Writes the files of one tree.

    By handles instead of Python's file objects, and without a chmod where none is needed, 1,400 files take 60 ms of
    processor time and not 88; making them empty takes the system 38.
    """

    def __init__(self) -> None:
        self._given: dict[int, bool] = {}

    def write(self, path: str, mode: int, mtime: int, content: Content) -> None:
        """Make a file with this content, mode and time."""
        times = (mtime, mtime)
        handle = os.open(path, _NEW, mode)
        try:
            for piece in content:
                left = memoryview(piece)
                while left:
                    left = left[os.write(handle, left) :]
            if mode not in self._given:  # the umask, or the folder's default ACL, is the same for all files of a tree
                self._given[mode] = stat.S_IMODE(os.fstat(handle).st_mode) == mode
            if _BY_HANDLE:
                if not self._given[mode]:
                    os.chmod(handle, mode)  # noqa: PTH101
                os.utime(handle, times)
        finally:
            os.close(handle)
        if not _BY_HANDLE:
            os.chmod(path, mode)  # noqa: PTH101
            os.utime(path, times)


def _make_folders(top: str, name: str, made: set[str]) -> None:
    if name not in made:
        _make_folders(top, name.rpartition("/")[0], made)
        made.add(name)
        with suppress(FileExistsError):
            os.mkdir(top + name)  # noqa: PTH102
        os.chmod(top + name, 0o755)  # noqa: PTH101


def tree_entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything below a folder with its own status (links are not followed), sorted bytewise by posix path."""
    found: list[tuple[bytes, str, os.stat_result]] = []
    pending = [("", os.fspath(folder))]
    while pending:
        prefix, place = pending.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                name, status = prefix + entry.name, entry.stat(follow_symlinks=False)
                found.append((os.fsencode(name), name, status))
                if stat.S_ISDIR(status.st_mode):
                    pending.append((name + "/", entry.path))
    found.sort(key=lambda item: item[0])
    return ((name, status) for _, name, status in found)
