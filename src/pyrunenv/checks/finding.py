"""One thing that is wrong, with its place in a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from packaging.utils import canonicalize_name

from pyrunenv.config.document import Document, Place
from pyrunenv.config.problems import KeyPath, Problem, show_path
from pyrunenv.config.workspace import CATALOGUE, SHARED, natural
from pyrunenv.secrets import mask

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """``file`` is relative to the workspace's root and may be a folder, which has no ``place``; ``path`` is as shown."""

    level: Level
    file: str
    place: Place | None
    path: str
    message: str

    def __str__(self) -> str:
        return self.text(self.file)

    def text(self, file: str) -> str:
        """Return it as one line, as compilers and editors have it: ``file:line:column: level: path: message``."""
        where = f"{file}:{self.place.line}:{self.place.column}" if self.place else file
        path = f"{self.path}: " if self.path else ""
        return f"{where}: {self.level}: {path}{self.message}"

    def to_json(self) -> dict[str, Any]:
        """Return it for programs; ``line`` and ``column`` count from 1, and are null for a folder."""
        line, column = self.place or (None, None)
        return {"level": self.level, "file": self.file, "line": line, "column": column, "path": self.path,
                "message": self.message}  # fmt: skip

    def to_github(self, file: str) -> str:
        """Return it as a GitHub workflow command, which annotates the line.

        https://docs.github.com/actions/reference/workflow-commands-for-github-actions
        """
        place = f",line={self.place.line},col={self.place.column}" if self.place else ""
        message = f"{self.path}: {self.message}" if self.path else self.message
        return f"::{self.level} file={_property(file)}{place},title=pyrunenv::{_data(message)}"


def located(root: Path, problems: Iterable[tuple[Level, Problem]]) -> list[Finding]:
    """Return problems with their places, sorted by file, then place."""
    documents: dict[str, Document | None] = {}
    findings = []
    for level, problem in problems:
        if problem.file not in documents:
            documents[problem.file] = _read(root / problem.file)
        document = documents[problem.file]
        path = problem.path if problem.place or document is None else _as_written(document, problem.path)
        place = problem.place or (document.place(path) if document else None)
        findings.append(Finding(level, problem.file, place, mask(show_path(path)), mask(problem.message)))
    return sorted(findings, key=lambda finding: (_rank(finding.file), finding.place or Place(0, 0)))


def _rank(file: str) -> tuple[int, list[str | int]]:
    """The shared file first, the catalogue last, versions by number."""
    return (file != SHARED) + file.startswith(f"{CATALOGUE}/"), natural(file)


def _as_written(document: Document, path: KeyPath) -> KeyPath:
    """Names of packages are normalised when a file is read; this is how the file has them."""
    found: list[str | int] = []
    here: Any = document.value if path else None  # what cannot be parsed has no paths
    for step in path:
        if isinstance(here, dict) and isinstance(step, str) and step not in here:
            step = next((key for key in here if canonicalize_name(key) == step), step)
        inside = isinstance(here, dict) and step in here
        inside = inside or (isinstance(here, list) and isinstance(step, int) and step < len(here))
        here = here[step] if inside else None
        found.append(step)
    return tuple(found)


def _read(path: Path) -> Document | None:
    try:
        return Document(path.read_bytes())
    except OSError:
        return None


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
