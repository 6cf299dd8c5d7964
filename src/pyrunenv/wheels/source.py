"""Source trees: an sdist or a git checkout, unpacked; what its pyproject.toml says; metadata that needs no code to be run."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrunenv.errors import SourceError

LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
LEGACY_REQUIRES = ("setuptools>=40.8.0",)
"""What stands in for a `build-system` table that is not there (PEP 517, PEP 518)."""
_RELIABLE = (2, 2)
"""The first version of core metadata in which an sdist's PKG-INFO holds for its wheels too (PEP 643)."""
_NEEDED = ("requires-dist", "requires-python", "provides-extra", "version", "name")


@dataclass(frozen=True)
class BuildSystem:
    """The `build-system` table of a tree."""

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...] | None


def unpack(archive: Path, filename: str, into: Path) -> Path:
    """Unpack an sdist into the new folder ``into`` and return the tree's root; raises UnsafeArchive or SourceError."""
    from pyrunenv.archives import read_archive

    into.mkdir(parents=True)
    for entry in read_archive(archive, name=filename):
        path = into / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "folder":
            path.mkdir(exist_ok=True)
        elif entry.kind == "link":
            path.symlink_to(entry.target)
        else:
            path.write_bytes(entry.content)
            path.chmod(0o755 if entry.executable else 0o644)
    tops = [path for path in into.iterdir() if path.is_dir()]
    if len(tops) == 1 and not any(path.is_file() for path in into.iterdir()):
        return tops[0]
    if (into / "pyproject.toml").exists() or (into / "setup.py").exists():
        return into
    raise SourceError(f"{filename} holds no source tree", notes=["an sdist has one folder on top (PEP 625)"])


def read_build_system(tree: Path) -> BuildSystem:
    """Read a tree's build system; raises SourceError where the tree has none, or says nonsense."""
    path = tree / "pyproject.toml"
    if not path.exists():
        if not (tree / "setup.py").exists():
            raise SourceError(f"{tree.name} has neither a pyproject.toml nor a setup.py: it cannot be built")
        return BuildSystem(LEGACY_REQUIRES, LEGACY_BACKEND, None)
    table = _read_toml(path).get("build-system")
    if table is None:
        return BuildSystem(LEGACY_REQUIRES, LEGACY_BACKEND, None)
    if not isinstance(table, dict):
        raise SourceError(f"`build-system` of {tree.name} is no table")
    requires, backend, backend_path = table.get("requires", []), table.get("build-backend"), table.get("backend-path")
    if not _is_texts(requires):
        raise SourceError(f"the build-system table of {tree.name} has no list of requirements")
    if not isinstance(backend, str | None) or not (backend_path is None or _is_texts(backend_path)):
        raise SourceError(f"the build-system table of {tree.name} names no build backend")
    return BuildSystem(tuple(requires), backend or LEGACY_BACKEND, tuple(backend_path) if backend_path else None)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def static_metadata(tree: Path, *, edited: bool = False) -> bytes | None:
    """Return core metadata of a tree that holds whatever it is built for, without running its code; None if there is none.

    It is that of PKG-INFO, where that is reliable (PEP 643), else what the `project` table says of dependencies (PEP 621)
    with the name and version of PKG-INFO, which are those of the sdist. Of a tree that was ``edited`` since it was an sdist
    PKG-INFO may tell what was true before.
    """
    from email.parser import BytesParser

    path = tree / "PKG-INFO"
    if not path.exists():
        return None
    content = path.read_bytes()
    fields = BytesParser().parsebytes(content, headersonly=True)
    version = tuple(int(part) for part in (fields["Metadata-Version"] or "0").split(".") if part.isdecimal())
    dynamic = {name.lower() for name in fields.get_all("Dynamic", ())}
    if not edited and version >= _RELIABLE and dynamic.isdisjoint(_NEEDED):
        return content
    pyproject = tree / "pyproject.toml"
    project = _read_toml(pyproject).get("project") if pyproject.exists() else None
    if not project or not {"dependencies", "optional-dependencies"}.isdisjoint(project.get("dynamic", ())):
        return None
    return _from_project(project, fields["Name"], project.get("version", fields["Version"]))


def _from_project(project: dict[str, Any], name: str, version: str) -> bytes:
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    if requires_python := project.get("requires-python"):
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in project.get("dependencies", ())]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f"Requires-Dist: {_of_extra(requirement, extra)}" for requirement in requirements]
    return ("\n".join(lines) + "\n").encode()


def _of_extra(requirement: str, extra: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement as error:
        raise SourceError(f"the extra `{extra}` names no requirement: {error}") from error
    condition = f"({parsed.marker}) and " if parsed.marker else ""
    parsed.marker = None
    separator = " ;" if parsed.url else ";"
    return f"{parsed}{separator} {condition}extra == '{extra}'"


def folder_digest(folder: Path) -> str:
    """Return a digest of what lies in a folder: names, contents, run bits; without version control's own files."""
    import hashlib

    from pyrunenv.files import digest_of, sha256_file

    rows: list[Sequence[object]] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in (".git", ".hg", ".svn", "__pycache__"))
        # links to folders too, which are not followed
        for name in sorted([*names, *(name for name in folders if Path(place, name).is_symlink())]):
            path = Path(place, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                rows.append([relative, hashlib.sha256(os.fsencode(path.readlink())).hexdigest(), "link"])
            else:
                rows.append([relative, sha256_file(path), bool(path.stat().st_mode & 0o100)])
    return digest_of(rows)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path.parent.name}/pyproject.toml cannot be read: {error}") from error
