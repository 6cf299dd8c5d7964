"""Which members of an archive may be unpacked: their names, kinds and sizes, whatever the format."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from pyrunenv.errors import UnsafeArchive

Kind = Literal["file", "link", "folder"]

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "123456789¹²³")}
# Nearly all names are so: plain to every system, and normalised. Looking at each part takes four times as long.
_PART = r"(?!(?i:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:[./]|\Z))\.?[A-Za-z0-9_](?:[A-Za-z0-9_.+-]*[A-Za-z0-9_+-])?"
_PLAIN = re.compile(rf"{_PART}(?:/{_PART})*")


@dataclass
class Gate:
    """Decides on members by their names, kinds and sizes; remembers those that it has seen."""

    archive: str
    limit: int
    windows: bool
    wanted: Callable[[str], bool]
    kinds: dict[str, Kind] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    """Hard links, and the file that each stands for."""
    size: int = 0

    def refuse(self, member: str | None, why: str) -> NoReturn:
        """Raise UnsafeArchive, naming the archive and the member."""
        subject = f"{self.archive} was refused" + (f" because of its member `{member!s}`" if member is not None else "")
        raise UnsafeArchive(f"{subject}: {why}", hint="get it from where it was published, or name another archive")

    def admit(self, raw: str, kind: Kind, size: int = 0) -> str | None:
        """Return a member's normalised path; None for the root itself."""
        path = self.relative(raw)
        if not path:
            return None if kind == "folder" else self.refuse(raw, "it has no name")
        self._place(raw, path, kind)
        self.size += size
        self.sizes[path] = size
        if self.size > self.limit:
            self.refuse(raw, f"with it the archive unpacks to more than {self.limit} bytes")
        if self.wanted(path):
            self._compare(raw, path)
        return path

    def relative(self, raw: str) -> str:
        """Return a member's path without `.` and empty parts, or refuse it."""
        if _PLAIN.fullmatch(raw):
            return raw
        if "\\" in raw or raw.startswith("/") or (raw[1:2] == ":" and raw[0].isalpha()):
            self.refuse(raw, "its path is absolute or holds a backslash")
        if "\0" in raw or (not raw.isascii() and any("\ud800" <= char <= "\udfff" for char in raw)):
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
            other = self.spelled.get(folded)
            if other is not None:
                if other != path:
                    self.refuse(raw, f"`{path}` and `{other}` differ only by case or composition")
                return  # and so are the folders that it lies in
            self.spelled[folded] = path
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

    def hard_link(self, raw: str, target: str) -> str:
        """Return the path of the file that a hard link stands for, or refuse the link."""
        try:
            origin = self.relative(target)
        except UnsafeArchive:
            origin = ""
        if self.kinds.get(origin) != "file":
            self.refuse(raw, f"it is a hard link to `{target}`, which is no file before it")
        return self.origins.get(origin, origin)
