"""The only module that reads tar and zip archives made by others, and writes the tars that the cache keeps.

An archive with one member that could reach outside its tree, or that two file systems would unpack differently, is refused
whole: POSIX.1-2001 pax and GNU tars (gzip, bzip2, xz; zstd where this Python has it), and zips after PKWARE's APPNOTE.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn, cast

from pyrunenv.errors import UnsafeArchive

Kind = Literal["file", "link", "folder"]
LIMIT = 4 << 30
"""Bytes that an archive may unpack to, where nothing else is said."""

_HEADER_LIMIT = 1 << 20  # of pax and GNU long-name headers, which tarfile reads into memory whole
_TAR_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
                   tarfile.GNUTYPE_LONGLINK)  # fmt: skip
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "123456789¹²³")}


@dataclass(frozen=True)
class Entry:
    """One member. ``path`` is relative and posix; a folder has no content, and only a link has a ``target``."""

    path: str
    kind: Kind
    executable: bool = False
    content: bytes = b""
    target: str = ""


def read_archive(
    path: Path,
    *,
    limit_bytes: int = LIMIT,
    windows: bool = False,
    wanted: Callable[[str], bool] | None = None,
    name: str | None = None,
) -> Iterator[Entry]:
    """Yield an archive's members, one in memory at a time; its format is told by its first bytes.

    ``windows`` also refuses names that Windows cannot hold. Members that are not ``wanted`` are checked but neither read
    nor yielded, nor do they count as names that differ only by case. ``name`` stands for the archive in messages.
    Raises UnsafeArchive when it meets the member that must not be unpacked: use nothing until the last one was yielded.
    """
    gate = _Gate(name or path.name, limit_bytes, windows, wanted or (lambda _: True))
    with _damage_named(gate.archive):
        with path.open("rb") as stream:
            magic = stream.read(6)
        if magic[:2] == b"PK":
            yield from _read_zip(path, gate)
        else:
            yield from _read_tar(path, magic, gate)


def check_wheel_members(path: Path, *, name: str | None = None, limit_bytes: int = LIMIT) -> None:
    """Refuse a wheel that holds a member :func:`read_archive` would refuse. Reads its directory and not its data."""
    gate = _Gate(name or path.name, limit_bytes, True, lambda _: True)
    with _damage_named(gate.archive), zipfile.ZipFile(path) as archive:
        with path.open("rb") as stream:
            stream.seek(-22 - len(archive.comment), os.SEEK_END)
            if stream.read(4) != b"PK\5\6":
                gate.refuse(None, "it goes on after its end")
        for info in archive.infolist():
            _admit_zip(archive, info, gate)


def write_tar(entries: Iterable[Entry], out: BinaryIO, mtime: int) -> None:
    """Write entries in the order given as an uncompressed tar whose bytes depend on them and ``mtime`` alone."""
    size = 0
    for entry in entries:
        info = tarfile.TarInfo(entry.path)
        info.mtime, info.size = mtime, len(entry.content)
        info.mode = 0o755 if entry.executable or entry.kind == "folder" else 0o644
        if entry.kind == "folder":
            info.type = tarfile.DIRTYPE
        elif entry.kind == "link":
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        padding = bytes(-len(entry.content) % tarfile.BLOCKSIZE)
        out.write(header + entry.content + padding)
        size += len(header) + len(entry.content) + len(padding)
    out.write(bytes(2 * tarfile.BLOCKSIZE + -(size + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE))


def extract_tree(tar_path: Path, folder: Path) -> None:
    """Unpack a tar of :func:`write_tar` into ``folder``: modes 644 and 755 whatever the umask, its times kept.

    The tar is taken as whole and ours (its digest was checked); for the archives of others there is :func:`read_archive`.
    """
    made = {""}
    times: dict[str, float] = {}
    with tarfile.open(tar_path, "r:", encoding="utf-8") as archive, tar_path.open("rb") as data:
        for member in archive:
            parent = member.name if member.isdir() else member.name.rpartition("/")[0]
            _make_folders(folder, parent, made)
            times[parent] = member.mtime
            target = os.path.join(folder, member.name)
            if member.issym():
                os.symlink(member.linkname, target)
                if os.utime in os.supports_follow_symlinks:
                    os.utime(target, (member.mtime, member.mtime), follow_symlinks=False)
            elif not member.isdir():
                data.seek(member.offset_data)
                with open(target, "xb") as out:  # noqa: PTH123 - a Path each would cost more than the writing
                    out.write(data.read(member.size))
                os.chmod(target, member.mode)  # noqa: PTH101
                os.utime(target, (member.mtime, member.mtime))
    last = max(times.values(), default=0)
    for name in sorted(made - {""}, reverse=True):
        os.utime(os.path.join(folder, name), (last, last))


def _make_folders(folder: Path, name: str, made: set[str]) -> None:
    if name not in made:
        _make_folders(folder, name.rpartition("/")[0], made)
        made.add(name)
        target = os.path.join(folder, name)
        with contextlib.suppress(FileExistsError):
            os.mkdir(target)  # noqa: PTH102
        os.chmod(target, 0o755)  # noqa: PTH101


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


@dataclass
class _Gate:
    """Decides on members by their names, kinds and sizes; remembers those that it has seen."""

    archive: str
    limit: int
    windows: bool
    wanted: Callable[[str], bool]
    kinds: dict[str, Kind] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def refuse(self, member: str | None, why: str) -> NoReturn:
        subject = f"{self.archive} was refused" + (f" because of its member `{member!s}`" if member is not None else "")
        raise UnsafeArchive(f"{subject}: {why}", hint="get it from where it was published, or name another archive")

    def admit(self, raw: str, kind: Kind, size: int = 0) -> str | None:
        """Return a member's normalised path; None for the root itself."""
        path = self.relative(raw)
        if not path:
            return None if kind == "folder" else self.refuse(raw, "it has no name")
        self._place(raw, path, kind)
        self.size += size
        if self.size > self.limit:
            self.refuse(raw, f"with it the archive unpacks to more than {self.limit} bytes")
        if self.wanted(path):
            self._compare(raw, path)
        return path

    def relative(self, raw: str) -> str:
        if "\\" in raw or raw.startswith("/") or (raw[1:2] == ":" and raw[0].isalpha()):
            self.refuse(raw, "its path is absolute or holds a backslash")
        if "\0" in raw or any("\ud800" <= char <= "\udfff" for char in raw):
            self.refuse(ascii(raw), "its name is not text")
        parts = [part for part in raw.split("/") if part not in ("", ".")]
        if ".." in parts:
            self.refuse(raw, "its path holds `..`")
        if self.windows:
            for part in parts:
                if part.partition(".")[0].rstrip().lower() in _RESERVED or part[-1] in ". ":
                    self.refuse(raw, f"Windows cannot hold a file named `{part}`")
                if any(char in '<>:"|?*' or char < " " for char in part):
                    self.refuse(raw, f"Windows cannot hold a file named `{part!a}`")
        return "/".join(parts)

    def _place(self, raw: str, path: str, kind: Kind) -> None:
        parent = path.rpartition("/")[0]
        while parent and self.kinds.get(parent) != "folder":
            if parent in self.kinds:
                self.refuse(raw, f"it lies below `{parent}`, which is no folder")
            self.kinds[parent] = "folder"
            parent = parent.rpartition("/")[0]
        if path in self.kinds and not kind == self.kinds[path] == "folder":
            self.refuse(raw, "two members have this path")
        self.kinds[path] = kind

    def _compare(self, raw: str, path: str) -> None:
        while path:
            # NFC after folding, since case-insensitive file systems compare composed names
            folded = path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())
            other = self.spelled.setdefault(folded, path)
            if other != path:
                self.refuse(raw, f"`{path}` and `{other}` differ only by case or composition")
            path = path.rpartition("/")[0]

    def link(self, raw: str, path: str, target: str) -> str:
        """Return a symbolic link's target, or refuse it.

        Steps upwards may only come first: `a/..` leads elsewhere than it seems where `a` is itself a link.
        """
        if target.startswith("/") or "\\" in target or (target[1:2] == ":") or "\0" in target or not target:
            self.refuse(raw, f"it links to `{target}`")
        parts = [part for part in target.split("/") if part not in ("", ".")]
        ups = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
        if ups > path.count("/") or ".." in parts[ups:]:
            self.refuse(raw, f"it links to `{target}`, outside the archive or by a way that cannot be followed")
        return target


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


class _Counted:
    """A stream that ends with an error where more comes out of it than the archive may hold."""

    def __init__(self, stream: BinaryIO, gate: _Gate) -> None:
        self._stream, self._gate = stream, gate
        # Every member costs a header and padding besides its content.
        self._left = 2 * gate.limit + (64 << 20)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            self._gate.refuse(None, f"it unpacks to more than {self._gate.limit} bytes")
        return data


@contextlib.contextmanager
def _open_tar(path: Path, magic: bytes, gate: _Gate) -> Iterator[tuple[tarfile.TarFile, _Counted]]:
    import bz2
    import gzip

    with contextlib.ExitStack() as stack:
        stream: BinaryIO
        if magic[:2] == b"\x1f\x8b":
            stream = cast(BinaryIO, stack.enter_context(gzip.open(path, "rb")))
        elif magic[:3] == b"BZh":
            stream = cast(BinaryIO, stack.enter_context(bz2.open(path, "rb")))
        elif magic == b"\xfd7zXZ\0":
            stream = cast(BinaryIO, stack.enter_context(lzma.open(path, "rb")))
        elif magic[:4] == b"\x28\xb5\x2f\xfd":
            stream = stack.enter_context(_open_zstd(path, gate))
        else:
            stream = stack.enter_context(path.open("rb"))
        counted = _Counted(stream, gate)
        yield (
            stack.enter_context(
                tarfile.open(
                    fileobj=cast(Any, counted), mode="r|", bufsize=1 << 18, tarinfo=_Header,
                    encoding="utf-8", errors="surrogateescape",
                )
            ),
            counted,
        )  # fmt: skip


def _open_zstd(path: Path, gate: _Gate) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        gate.refuse(None, "it is compressed with zstd, which Python reads from 3.14 on")
    return zstd.open(path, "rb")


def _read_tar(path: Path, magic: bytes, gate: _Gate) -> Iterator[Entry]:
    with _open_tar(path, magic, gate) as (archive, stream):
        for member in archive:
            entry = _tar_entry(archive, member, path, magic, gate)
            if entry is not None:
                yield entry
        while stream.read(1 << 20):  # to the end, where the compressed formats keep their checksum
            pass


def _tar_entry(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, magic: bytes, gate: _Gate
) -> Entry | None:
    raw, executable = member.name, bool(member.mode & 0o111)
    if member.isdir():
        name = gate.admit(raw, "folder")
        return Entry(name, "folder", True) if name and gate.wanted(name) else None
    if member.issym():
        name = cast(str, gate.admit(raw, "link"))
        target = gate.link(raw, name, member.linkname)
        return Entry(name, "link", target=target) if gate.wanted(name) else None
    if member.islnk():
        origin = gate.relative(member.linkname)
        if gate.kinds.get(origin) != "file":
            gate.refuse(raw, f"it is a hard link to `{member.linkname}`, which is no file before it")
        name = cast(str, gate.admit(raw, "file"))
        if not gate.wanted(name):
            return None
        content = _again(path, magic, origin, gate)
        gate.size += len(content)
        return Entry(name, "file", executable, content)
    if not member.isreg() or member.issparse():
        gate.refuse(raw, "it is a device, a pipe, a sparse file or of a type unknown here")
    name = cast(str, gate.admit(raw, "file", member.size))
    if not gate.wanted(name):
        return None
    return Entry(name, "file", executable, cast(BinaryIO, archive.extractfile(member)).read())


def _again(path: Path, magic: bytes, origin: str, gate: _Gate) -> bytes:
    """Return the content of a file that was passed already; a stream cannot go back, so it is read anew."""
    with _open_tar(path, magic, _Gate(gate.archive, gate.limit, False, gate.wanted)) as (archive, _):
        for member in archive:
            if member.isreg() and gate.relative(member.name) == origin:
                return cast(BinaryIO, archive.extractfile(member)).read()
    # A hard link to a hard link: its own origin was found when it was met.
    return gate.refuse(origin, "a hard link leads to a hard link")


# Zips


def _admit_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, gate: _Gate) -> tuple[str, Kind, str] | None:
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


def _read_zip(path: Path, gate: _Gate) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            admitted = _admit_zip(archive, info, gate)
            if admitted is None or not gate.wanted(admitted[0]):
                continue
            name, kind, target = admitted
            executable = bool(info.external_attr >> 16 & 0o111)
            content = archive.read(info) if kind == "file" else b""
            yield Entry(name, kind, executable or kind == "folder", content, target)


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


def _damaged(archive: str, error: Exception) -> UnsafeArchive:
    return UnsafeArchive(
        f"{archive} is damaged or cut short", notes=[str(error) or type(error).__name__],
        hint="download it again; if that does not help, it was published so",
    )  # fmt: skip
