"""``CHANGELOG.md``: one entry is written, ``## 1.5.0 - 2025-11-23``, and every other byte stays.

What follows from the files stands between two comments of HTML, so that a later run can write it anew and leave alone what
people wrote around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import semver
from markdown_it import MarkdownIt

from pyrunenv.errors import UsageError

NAME = "CHANGELOG.md"
BEGIN, END = "<!-- what changed, by pyrunenv bump -->", "<!-- /what changed -->"

# `## 1.5.0`, `## v1.5.0 (2025-01-01)`, `## [1.5.0] - 2025-01-01`
_HEADING = re.compile(r"\[?v?(\d+\.\d+\.\d+[0-9A-Za-z.+-]*)\]?(?=[\s(]|$)")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # as Markdown has lines, which str.splitlines has not


@dataclass(frozen=True)
class Entry:
    """A part of the file: lines from ``start`` up to ``end``; ``version`` is None for what tells of none."""

    version: str | None
    start: int
    end: int


class Changelog:
    """A changelog's text; UTF-8, and what is not survives."""

    def __init__(self, content: bytes | None, title: str = "Changelog") -> None:
        text = f"# {title}\n".encode() if content is None else content
        self._lines = _LINE.findall(text.decode("utf-8", "surrogateescape"))
        self._newline = "\r\n" if any(line.endswith("\r\n") for line in self._lines) else "\n"

    def has(self, version: str) -> bool:
        """Return whether there is an entry for a version."""
        return any(entry.version == version for entry in self._entries())

    def with_entry(self, version: str, day: str, paragraphs: Sequence[str], changes: str, since: str) -> bytes:
        """Return the file with an entry for a version: the newest, above all others.

        An entry that is there already keeps its text, gets the paragraphs that it lacks, and its changes anew; so does one
        of ours for another version after ``since``, which a run that was stopped, or one with less to tell, has left.
        """
        entry = self._own(version, since)
        heading, block = f"## {version} - {day}\n", f"{BEGIN}\n\n{changes}\n\n{END}"
        if entry is None:
            return self._inserted("\n".join([heading, *(f"{text}\n" for text in paragraphs), f"{block}\n"]))
        first, body = self._lines[entry.start], "".join(self._lines[entry.start + 1 : entry.end])
        lacking = [text for text in paragraphs if self._as_here(text) not in body]
        new = self._as_here("\n\n".join([*lacking, block]))
        if (ours := _block(body)) is not None:
            first = first if entry.version == version else self._as_here(heading)
            body = body[: ours[0]] + new + body[ours[1] :]
        else:
            tail = "\n\n" if entry.end < len(self._lines) else "\n"
            body += self._as_here(_gap(first + body)) + new + self._as_here(tail)
        return self._bytes([*self._lines[: entry.start], first, body, *self._lines[entry.end :]])

    def _own(self, version: str, since: str) -> Entry | None:
        entries = [entry for entry in self._entries() if entry.version]
        same = next((entry for entry in entries if entry.version == version), None)
        later = (entry for entry in entries if _later(entry.version, since))
        return same or next((e for e in later if _block("".join(self._lines[e.start : e.end])) is not None), None)

    def _inserted(self, text: str) -> bytes:
        place = next((entry.start for entry in self._entries() if entry.version), len(self._lines))
        above = "".join(self._lines[:place])
        tail = "\n" if place < len(self._lines) else ""
        return self._bytes([above, self._as_here(_gap(above) + text + tail), *self._lines[place:]])

    def _entries(self) -> Iterator[Entry]:
        """The parts of the file that begin with a heading of the first or second level."""
        tokens = MarkdownIt().parse("".join(self._lines))
        found = [
            (token.map[0], tokens[index + 1].content)
            for index, token in enumerate(tokens)
            if token.type == "heading_open" and token.tag in ("h1", "h2") and token.map and token.level == 0
        ]
        starts = [*(start for start, _ in found), len(self._lines)]
        for (start, title), end in zip(found, starts[1:], strict=True):
            match = _HEADING.match(title)
            yield Entry(match[1] if match and semver.Version.is_valid(match[1]) else None, start, end)

    def _as_here(self, text: str) -> str:
        return text.replace("\n", self._newline)

    @staticmethod
    def _bytes(parts: Sequence[str]) -> bytes:
        return "".join(parts).encode("utf-8", "surrogateescape")


def check_paragraphs(paragraphs: Sequence[str]) -> list[str]:
    """Return the texts of ``-m`` without the space around them; raises UsageError for what is no text of an entry."""
    texts = [paragraph.strip().replace("\r\n", "\n") for paragraph in paragraphs]
    if not texts or not all(texts):
        raise UsageError("the text of the changelog is empty", hint='say what changed for users: -m "Scanpy 1.12"')
    for text in texts:
        if any(t.type == "heading_open" and t.tag in ("h1", "h2") for t in MarkdownIt().parse(text)):
            raise UsageError(
                "a text with a heading would end the changelog's entry", hint="leave `#` and `##` out of -m"
            )
    return texts


def _block(text: str) -> tuple[int, int] | None:
    """Where what we wrote begins and ends, comments included; a begin without an end is not ours any more."""
    end = text.rfind(END)
    begin = text.rfind(BEGIN, 0, max(end, 0))
    return (begin, end + len(END)) if begin >= 0 else None


def _gap(above: str) -> str:
    """What makes an empty line after a text."""
    if not above or re.search(r"(?:\r\n|\r|\n){2}\Z", above):
        return ""
    return "\n" if above[-1] in "\r\n" else "\n\n"


def _later(version: str | None, since: str) -> bool:
    return version is not None and semver.Version.parse(version) > semver.Version.parse(since)
