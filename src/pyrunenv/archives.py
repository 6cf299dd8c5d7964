"""The only module that reads tar and zip archives made by others.

An archive with one member that could reach outside its tree, or that two file systems would unpack differently, is
refused whole: POSIX.1-2001 pax and GNU tars (gzip, bzip2, xz; zstd where this Python has it), zips after PKWARE's
APPNOTE. What is refused stands in :mod:`pyrunenv.members`.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from pyrunenv.errors import UnsafeArchive
from pyrunenv.members import Gate, Kind

LIMIT = 4 << 30
"""Bytes that an archive may unpack to, where nothing else is said."""

_PIECE = 8 << 20
_HEADER_LIMIT = 1 << 20  # of pax and GNU long-name headers, which tarfile reads into memory whole
_TAR_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
                   tarfile.GNUTYPE_LONGLINK)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One member. ``path`` is relative and posix; a folder has no content, and only a link has a ``target``."""

    path: str
    kind: Kind
    executable: bool = False
    content: bytes = b""
    target: str = ""


Content = Iterable[bytes]
"""A file's bytes in pieces, to be taken before the next member is."""


def read_archive(
    path: Path,
    *,
    limit_bytes: int = LIMIT,
    windows: bool = False,
    wanted: Callable[[str], bool] | None = None,
    name: str | None = None,
) -> Iterator[Entry]:
    """Yield an archive's members, one in memory at a time, as :func:`stream_archive` does."""
    for entry, content in stream_archive(path, limit_bytes=limit_bytes, windows=windows, wanted=wanted, name=name):
        yield replace(entry, content=b"".join(content)) if entry.kind == "file" else entry


def stream_archive(
    path: Path,
    *,
    limit_bytes: int = LIMIT,
    windows: bool = False,
    wanted: Callable[[str], bool] | None = None,
    name: str | None = None,
) -> Iterator[tuple[Entry, Content]]:
    """Yield an archive's members without their content, and that; the format is told by the first bytes.

    ``windows`` also refuses names that Windows cannot hold. Members that are not ``wanted`` are checked but neither
    read nor yielded, nor do they count as names that differ only by case. ``name`` stands for the archive in messages.
    Raises UnsafeArchive when it meets the member that must not be unpacked: use nothing until the last one was yielded.
    """
    gate = Gate(name or path.name, limit_bytes, windows, wanted or (lambda _: True))
    with _damage_named(gate.archive):
        with path.open("rb") as stream:
            magic = stream.read(6)
        found = _read_zip(path, gate) if magic[:2] == b"PK" else _read_tar(path, magic, gate)
        for entry, content in found:
            yield entry, _named(gate.archive, content)


def check_wheel_members(path: Path, *, name: str | None = None, limit_bytes: int = LIMIT) -> None:
    """Refuse a wheel that holds a member :func:`read_archive` would refuse. Reads its directory and not its data."""
    gate = Gate(name or path.name, limit_bytes, True, lambda _: True)
    with _damage_named(gate.archive), zipfile.ZipFile(path) as archive:
        with path.open("rb") as stream:
            stream.seek(-22 - len(archive.comment), os.SEEK_END)
            if stream.read(4) != b"PK\5\6":
                gate.refuse(None, "it goes on after its end")
        for info in archive.infolist():
            _admit_zip(archive, info, gate)


# Tars


class _Header(tarfile.TarInfo):
    """A header that is not silently taken for the archive's end when it is damaged, nor read when it is huge."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _TAR_EXTENSIONS and header.size > _HEADER_LIMIT:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tarfile)
        except _BROKEN_HEADERS as error:
            raise _read_error(error) from error


_BROKEN_HEADERS = (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError, tarfile.InvalidHeaderError)  # type: ignore[attr-defined]


def _read_error(error: Exception) -> tarfile.ReadError:
    return tarfile.ReadError(str(error))


class _Forward:
    """What tarfile needs of a stream that is read once; an error where more comes out than the archive may hold.

    tarfile's own streams (mode ``r|``) copy everything once more: 12 of 60 ms for a small interpreter.
    """

    def __init__(self, stream: BinaryIO, gate: Gate) -> None:
        self._stream, self._gate = stream, gate
        # Every member costs a header and padding besides its content.
        self._end = 2 * gate.limit + (64 << 20)
        self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, position: int) -> int:
        if position < self._at:
            raise tarfile.StreamError("a stream cannot go back")
        while position > self._at and self.read(min(position - self._at, 1 << 18)):
            pass
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        if self._at > self._end:
            self._gate.refuse(None, f"it unpacks to more than {self._gate.limit} bytes")
        return data

    def content(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        """Yield a file's content; it is the next thing to read."""
        self.seek(member.offset_data)
        left = member.size
        while left:
            data = self.read(min(left, _PIECE))
            if not data:
                raise tarfile.ReadError("unexpected end of data")
            left -= len(data)
            yield data


@contextlib.contextmanager
def _open_tar(path: Path, magic: bytes, gate: Gate) -> Iterator[tuple[tarfile.TarFile, _Forward]]:
    import bz2

    with contextlib.ExitStack() as stack:
        stream: BinaryIO
        if magic[:2] == b"\x1f\x8b":
            stream = stack.enter_context(_open_gzip(path))
        elif magic[:3] == b"BZh":
            stream = cast(BinaryIO, stack.enter_context(bz2.open(path, "rb")))
        elif magic == b"\xfd7zXZ\0":
            stream = cast(BinaryIO, stack.enter_context(lzma.open(path, "rb")))
        elif magic[:4] == b"\x28\xb5\x2f\xfd":
            stream = stack.enter_context(_open_zstd(path, gate))
        else:
            stream = stack.enter_context(path.open("rb"))
        forward = _Forward(stream, gate)
        archive = tarfile.open(  # noqa: SIM115 - it is closed with the stack
            fileobj=cast(Any, forward), mode="r:", tarinfo=_Header, encoding="utf-8", errors="surrogateescape"
        )
        yield stack.enter_context(archive), forward


@contextlib.contextmanager
def _open_gzip(path: Path) -> Iterator[BinaryIO]:
    # gzip's own reader takes 48 ms of processor time for a small interpreter's 14 MB, zlib-ng's 21
    from zlib_ng import gzip_ng, zlib_ng

    untyped: Any = gzip_ng
    broken: Any = zlib_ng.error
    try:
        with untyped.open(path, "rb") as stream:
            yield stream
    except broken as error:
        raise zlib.error(str(error)) from error


def _open_zstd(path: Path, gate: Gate) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        gate.refuse(None, "it is compressed with zstd, which Python reads from 3.14 on")
    return zstd.open(path, "rb")


def _read_tar(path: Path, magic: bytes, gate: Gate) -> Iterator[tuple[Entry, Content]]:
    with _open_tar(path, magic, gate) as (archive, stream):
        for member in archive:
            found = _tar_entry(stream, member, path, magic, gate)
            if found is not None:
                yield found
        while stream.read(1 << 20):  # to the end, where the compressed formats keep their checksum
            pass


def _tar_entry(
    stream: _Forward, member: tarfile.TarInfo, path: Path, magic: bytes, gate: Gate
) -> tuple[Entry, Content] | None:
    raw, executable = member.name, bool(member.mode & 0o111)
    if member.isdir():
        name = gate.admit(raw, "folder")
        return (Entry(name, "folder", True), ()) if name and gate.wanted(name) else None
    if member.issym():
        name = cast(str, gate.admit(raw, "link"))
        target = gate.link(raw, name, member.linkname)
        return (Entry(name, "link", target=target), ()) if gate.wanted(name) else None
    if member.islnk():
        origin = gate.hard_link(raw, member.linkname)
        name = cast(str, gate.admit(raw, "file", gate.sizes[origin]))
        gate.origins[name] = origin
        return (Entry(name, "file", executable), _again(path, magic, origin, gate)) if gate.wanted(name) else None
    if not member.isreg() or member.issparse():
        gate.refuse(raw, "it is a device, a pipe, a sparse file or of a type unknown here")
    name = cast(str, gate.admit(raw, "file", member.size))
    if not gate.wanted(name):
        return None
    return Entry(name, "file", executable), stream.content(member)


def _again(path: Path, magic: bytes, origin: str, gate: Gate) -> Iterator[bytes]:
    """Yield the content of a file that was passed already; a stream cannot go back, so it is read anew."""
    with _open_tar(path, magic, Gate(gate.archive, gate.limit, False, gate.wanted)) as (archive, stream):
        for member in archive:
            if member.isreg() and gate.relative(member.name) == origin:
                yield from stream.content(member)
                return
    gate.refuse(origin, "it was there and is not any more")


# Zips


def _admit_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, gate: Gate) -> tuple[str, Kind, str] | None:
    kind: Kind = "folder" if info.is_dir() else "file"
    raw, mode = info.orig_filename, info.external_attr >> 16
    if info.flag_bits & 1:
        gate.refuse(raw, "it is encrypted")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        gate.refuse(raw, "it is a device or a pipe")
    if stat.S_ISLNK(mode):
        kind = "link"
    name = gate.admit(raw, kind, info.file_size)
    if name is None:
        return None
    target = ""
    if kind == "link":
        if info.file_size > _HEADER_LIMIT:
            gate.refuse(raw, "its link is too long")
        target = gate.link(raw, name, archive.read(info).decode())
    return name, kind, target


def _read_zip(path: Path, gate: Gate) -> Iterator[tuple[Entry, Content]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            admitted = _admit_zip(archive, info, gate)
            if admitted is None or not gate.wanted(admitted[0]):
                continue
            name, kind, target = admitted
            executable = bool(info.external_attr >> 16 & 0o111)
            content = _zip_content(archive, info) if kind == "file" else ()
            yield Entry(name, kind, executable or kind == "folder", target=target), content


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as stream:
        while data := stream.read(_PIECE):
            yield data


@contextlib.contextmanager
def _damage_named(archive: str) -> Iterator[None]:
    """Turn what the standard library says of a damaged archive into UnsafeArchive."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError,
            UnicodeDecodeError, OverflowError, RuntimeError) as error:  # fmt: skip
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno is not None and type(error).__name__ != "BadGzipFile":
            raise
        raise _damaged(archive, error) from error


def _named(archive: str, content: Content) -> Iterator[bytes]:
    with _damage_named(archive):
        yield from content


def _damaged(archive: str, error: Exception) -> UnsafeArchive:
    return UnsafeArchive(
        f"{archive} is damaged or cut short", notes=[str(error) or type(error).__name__],
        hint="download it again; if that does not help, it was published so",
    )  # fmt: skip
