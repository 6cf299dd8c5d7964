"""Writes a zip (PKWARE APPNOTE 6.3.9). Python's own zipfile cannot be told which compressor to use; ours is pinned."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pyrunenv.files import CHUNK
from pyrunenv.packing.deflate import END, STORED_BLOCK, Deflater, Pieces, crc32, deflater
from pyrunenv.packing.tree import Member

_STORED, _DEFLATED = 0, 8
_UTF8 = 1 << 11
_UNIX = 3 << 8
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_EARLIEST = 315_532_800  # 1980-01-01, the first day that a zip can hold


@dataclass(frozen=True)
class _Entry:
    member: Member
    name: bytes
    method: int
    when: int
    offset: int
    crc: int = 0
    size: int = 0
    packed: int = 0

    @property
    def _common(self) -> bytes:
        version = 45 if self.wide else 20
        flags = 0 if self.name.isascii() else _UTF8
        sizes = (_MAX32, _MAX32) if self.wide else (self.packed, self.size)
        return struct.pack("<HHHIIII", version, flags, self.method, self.when, self.crc, *sizes)

    @property
    def wide(self) -> bool:
        """Whether sizes need 64 bits; judged by the member's size, known before its data is written."""
        return self.member.size > _MAX32 - (1 << 24)

    def local(self) -> bytes:
        extra = struct.pack("<HHQQ", 1, 16, self.size, self.packed) if self.wide else b""
        return b"PK\3\4" + self._common + struct.pack("<HH", len(self.name), len(extra)) + self.name + extra

    def central(self) -> bytes:
        far = self.offset >= _MAX32
        wide = [self.size, self.packed] * self.wide + [self.offset] * far
        extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        kind = 0o120000 if self.member.is_link else 0o040000 if self.member.is_folder else 0o100000
        attributes = (kind | self.member.mode) << 16 | (0x10 if self.member.is_folder else 0)
        made = _UNIX | (45 if wide else 20)
        tail = struct.pack(
            "<HHHHHII", len(self.name), len(extra), 0, 0, 0, attributes, _MAX32 if far else self.offset
        )  # fmt: skip
        return b"PK\1\2" + struct.pack("<H", made) + self._common + tail + self.name + extra


def write_zip(found: Sequence[Member], out: BinaryIO, *, mtime: int, jobs: int) -> None:
    """Write members to a seekable stream: what is compressed already stored, the rest deflated, links as links."""
    when = _dos_time(mtime)
    done: list[_Entry] = []
    with deflater(jobs) as blocks:
        for member in found:
            done.append(_write(member, out, when, blocks))
    start = out.tell()
    for entry in done:
        out.write(entry.central())
    out.write(_end(len(done), start, out.tell() - start))


def _write(member: Member, out: BinaryIO, when: int, blocks: Deflater) -> _Entry:
    name = (member.name + "/" * member.is_folder).encode()
    plain = member.is_folder or member.is_link or member.compressed or not member.size
    entry = _Entry(member, name, _STORED if plain else _DEFLATED, when, out.tell())
    out.write(entry.local())
    begin, crc, size = out.tell(), 0, 0
    for chunk in _content(member):
        crc, size = crc32(chunk, crc), size + len(chunk)
        if plain:
            out.write(chunk)
        else:
            _write_all(out, blocks.plain(chunk))
    if not plain:
        _write_all(out, blocks.finish())
        out.write(END)
    end = out.tell()
    entry = _Entry(member, name, entry.method, when, entry.offset, crc, size, end - begin)
    out.seek(entry.offset)
    out.write(entry.local())
    out.seek(end)
    return entry


def _write_all(out: BinaryIO, blocks: Iterator[Pieces]) -> None:
    for pieces in blocks:
        for piece in pieces:
            out.write(piece)


def _content(member: Member) -> Iterator[bytes | memoryview]:
    if member.is_link:
        yield member.target.encode()
    elif not member.is_folder:
        yield from member.chunks(STORED_BLOCK if member.compressed else CHUNK)


def _end(count: int, start: int, size: int) -> bytes:
    wide = b""
    if count >= _MAX16 or start >= _MAX32 or size >= _MAX32:
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, _UNIX | 45, 45, 0, 0, count, count, size, start)
        wide = record + struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1)
    count, size, start = min(count, _MAX16), min(size, _MAX32), min(start, _MAX32)
    return wide + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, start, 0)


def _dos_time(mtime: int) -> int:
    at = time.gmtime(max(mtime, _EARLIEST))
    date = (min(at.tm_year, 2107) - 1980) << 9 | at.tm_mon << 5 | at.tm_mday
    return date << 16 | at.tm_hour << 11 | at.tm_min << 5 | at.tm_sec // 2
