"""A wheel's RECORD against what the wheel holds.

Source: https://packaging.python.org/en/latest/specifications/binary-distribution-format/ and
https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

_EXEMPT = ("RECORD", "RECORD.jws", "RECORD.p7s")
_ALGORITHMS = {"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"}
"""sha256 or better, as the format demands."""


class _Row(NamedTuple):
    digest: str
    size: str


class Record:
    """Compares members, one at a time, with the RECORD of a ``.dist-info`` folder; None where the wheel has none."""

    def __init__(self, folder: str, content: bytes | None) -> None:
        self._exempt = {f"{folder}/{name}" for name in _EXEMPT}
        self._rows: dict[str, list[_Row]] = {}
        self._problems: list[str] = []
        self._readable = content is not None
        if content is None:
            self._problems.append("there is none")
        else:
            self._read(content)

    def _read(self, content: bytes) -> None:
        try:
            for number, row in enumerate(csv.reader(content.decode().splitlines()), 1):
                if len(row) != 3:
                    self._problems.append(f"line {number} has {len(row)} fields and not 3")
                else:
                    self._rows.setdefault(row[0], []).append(_Row(row[1], row[2]))
        except (UnicodeDecodeError, csv.Error) as error:
            self._problems.append(f"it cannot be read: {error}")
            self._readable = False

    def compare(self, path: str, content: bytes) -> None:
        """Compare a member's content with what is recorded of it."""
        rows = self._rows.pop(path, None)
        if path in self._exempt or not self._readable:
            return
        if rows is None:
            self._problems.append(f"{path} is not listed")
        for row in rows or ():
            self._problems += [f"{path} {what}" for what in _differences(row, content)]

    def problems(self) -> tuple[str, ...]:
        """Return what does not fit, when all members were compared; empty where the RECORD is whole."""
        absent = [f"{path} is listed and not there" for path in self._rows]
        return (*self._problems, *absent)


def _differences(row: _Row, content: bytes) -> Iterator[str]:
    if row.size and row.size != str(len(content)):
        yield f"has {len(content)} bytes and not {row.size}"
    algorithm, _, digest = row.digest.partition("=")
    if not digest:
        yield "is listed without a digest"
    elif algorithm not in _ALGORITHMS:
        yield f"has a digest by {algorithm}, which the format does not allow"
    elif digest.rstrip("=") != _digest(algorithm, content):
        yield f"has another {algorithm} digest"


def _digest(algorithm: str, content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=").decode()
