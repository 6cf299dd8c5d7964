"""A tree on its way into the cache: many files in one temporary file, whatever the host's file system can hold."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from pyrunenv.archives import Entry


class Tree:
    """Files and links by posix path. Contents lie in a temporary file without a name; folders are not kept.

    Usable once entered as a context.
    """

    def __init__(self, folder: Path) -> None:
        # unbuffered, since whole files are written and read
        self._spool = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by __exit__
        self._end = 0
        self._files: dict[str, tuple[int, int, bool]] = {}
        self._links: dict[str, str] = {}

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def add(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Add a file, or replace it (and a link of that name)."""
        self._links.pop(path, None)
        self._spool.seek(self._end)
        left = memoryview(content)
        while left:
            left = left[self._spool.write(left) :]
        self._files[path] = (self._end, len(content), executable)
        self._end += len(content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link, or replace it (and a file of that name)."""
        self._files.pop(path, None)
        self._links[path] = target

    def remove(self, path: str) -> None:
        self._files.pop(path, None)
        self._links.pop(path, None)

    def files(self) -> list[str]:
        """Return the paths of all files, sorted."""
        return sorted(self._files)

    def read(self, path: str, size: int | None = None) -> bytes:
        """Return a file's content, or its first ``size`` bytes."""
        offset, length, _ = self._files[path]
        self._spool.seek(offset)
        wanted = length if size is None else min(size, length)
        content = self._spool.read(wanted)
        while len(content) < wanted and (more := self._spool.read(wanted - len(content))):
            content += more
        return content

    def executable(self, path: str) -> bool:
        return self._files[path][2]

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
