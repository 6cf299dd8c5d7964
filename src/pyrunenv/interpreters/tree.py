"""A tree on its way into the cache: many files in memory, whatever names the host's file system can hold."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from pyrunenv.archives import Entry

# Bytes of contents that are kept in memory; a stripped CPython has 30 to 60 MB.
_IN_MEMORY = 64 << 20


class _Stored(NamedTuple):
    """Where in the temporary file a content lies."""

    offset: int
    size: int


class Tree:
    """Files and links by posix path; folders are not kept. What is too much for memory lies in a temporary file.

    Usable once entered as a context.
    """

    def __init__(self, folder: Path) -> None:
        # unbuffered, since whole files are written and read
        self._spool = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by __exit__
        self._end = 0
        self._held = 0
        self._files: dict[str, tuple[bytes | _Stored, bool]] = {}
        self._links: dict[str, str] = {}

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def names(self, path: str) -> bool:
        """Whether there is a file or a link of this path."""
        return path in self._files or path in self._links

    def add(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Add a file, or replace it (and a link of that name)."""
        self.remove(path)
        self._files[path] = (self._kept(content), executable)

    def _kept(self, content: bytes) -> bytes | _Stored:
        if self._held + len(content) <= _IN_MEMORY:
            self._held += len(content)
            return content
        stored = _Stored(self._end, len(content))
        self._spool.seek(self._end)
        left = memoryview(content)
        while left:
            left = left[self._spool.write(left) :]
        self._end += len(content)
        return stored

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link, or replace it (and a file of that name)."""
        self.remove(path)
        self._links[path] = target

    def remove(self, path: str) -> None:
        content, _ = self._files.pop(path, (b"", False))
        self._held -= len(content) if isinstance(content, bytes) else 0
        self._links.pop(path, None)

    def files(self) -> list[str]:
        """Return the paths of all files, sorted."""
        return sorted(self._files)

    def read(self, path: str, size: int | None = None) -> bytes:
        """Return a file's content, or its first ``size`` bytes."""
        content, _ = self._files[path]
        if isinstance(content, bytes):
            return content[:size]
        self._spool.seek(content.offset)
        wanted = content.size if size is None else min(size, content.size)
        found = self._spool.read(wanted)
        while len(found) < wanted and (more := self._spool.read(wanted - len(found))):
            found += more
        return found

    def executable(self, path: str) -> bool:
        return self._files[path][1]

    def update(self, path: str, change: Callable[[bytes], bytes | None]) -> None:
        """Change a file's content; it is removed where ``change`` returns None."""
        before = self.read(path)
        after = change(before)
        if after is None:
            self.remove(path)
        elif after != before:
            self.add(path, after, executable=self.executable(path))

    def drop_dangling_links(self) -> None:
        """Remove links that lead to nothing in the tree, and those that lead to such links."""
        while gone := [path for path, target in self._links.items() if not self._leads_somewhere(path, target)]:
            for path in gone:
                del self._links[path]

    def _leads_somewhere(self, path: str, target: str) -> bool:
        resolved = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        return (resolved in self._files or resolved in self._links) and resolved != path

    def entries(self) -> Iterator[Entry]:
        """Yield everything, sorted bytewise by path."""
        for path in sorted([*self._files, *self._links], key=str.encode):
            if path in self._links:
                yield Entry(path, "link", target=self._links[path])
            else:
                yield Entry(path, "file", self.executable(path), self.read(path))
