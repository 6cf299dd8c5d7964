"""Reads package.json of an environment and of the catalogue (``contract/backend.md``); npm's keys are left alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pyrunenv.config.fields import check_path, check_platform, check_url, check_variable
from pyrunenv.config.load import Findings, read_json
from pyrunenv.config.problems import KeyPath, Problem, kind_of

ArchiveType = Literal["tgz", "zip"]
WELL_KNOWN_REGISTRIES = {"platforma-open": "https://bin.pl-open.science/"}

_NAME = re.compile(r"^(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*$", re.IGNORECASE)
_VERSION = re.compile(r"^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$")  # semver, as npm wants it
_SOFTWARE: KeyPath = ("block-software", "entrypoints")
_ARTIFACT: KeyPath = (*_SOFTWARE, "main", "environment", "artifact")


@dataclass(frozen=True)
class PackageRegistry:
    """Where archives are published: ``download_url`` is for clients, ``storage_url`` is what ``publish`` writes to."""

    name: str
    download_url: str | None = None
    storage_url: str | None = None

    @property
    def storage_variable(self) -> str:
        """The environment variable that tells the storage before package.json does."""
        return f"PL_REGISTRY_{re.sub('[^A-Z0-9]', '_', self.name.upper())}_UPLOAD_URL"

    def storage(self, env: Mapping[str, str] = os.environ) -> str | None:
        """Return the URL of the storage that archives are published to; None where nothing tells it."""
        return env.get(self.storage_variable) or self.storage_url


@dataclass(frozen=True)
class Package:
    """One environment's package.json. ``platforms`` are those of ``roots``, in the file's order.

    ``python_version`` is None where the file has none and the folder's name tells it; ``raw`` is the whole file.
    """

    name: str
    version: str
    description: str
    python_version: str | None
    platforms: tuple[str, ...]
    roots: Mapping[str, str]
    bin_dir: str
    env_vars: tuple[str, ...]
    registry: PackageRegistry
    archive_type: ArchiveType = "tgz"
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class CataloguePackage:
    """The catalogue's package.json. ``entrypoints`` maps each public name to its reference, in the file's order."""

    name: str
    version: str
    description: str
    entrypoints: Mapping[str, str]
    dependencies: Mapping[str, str]
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def load_package(path: Path, shown: str, findings: Findings) -> Package | None:
    """Return an environment's package.json, or None with problems in ``findings``; raises Unreadable."""
    before = len(findings.problems)
    reader = _Reader(read_json(path, shown, findings, nulls=True), shown, findings)
    roots = {
        key: value
        for key, value in reader.texts((*_ARTIFACT, "roots"), required=True).items()
        if reader.good((*_ARTIFACT, "roots", key), _root, key, value)
    }
    if reader.get((*_ARTIFACT, "roots"), required=False) == {}:
        reader.problem((*_ARTIFACT, "roots"), "names no platform")
    for key, expected in (("type", "environment"), ("runtime", "python")):
        reader.choice((*_ARTIFACT, key), (expected,))
    zipped = reader.choice((*_ARTIFACT, "archiveType"), ("tgz", "zip"), default="tgz") == "zip"
    package = Package(
        name=reader.checked(("name",), _npm_name),
        version=reader.checked(("version",), _version),
        description=reader.text(("description",), required=False),
        python_version=reader.text((*_ARTIFACT, "python-version"), required=False) or None,
        platforms=tuple(roots),
        roots=roots,
        bin_dir=reader.checked((*_ARTIFACT, "binDir"), check_path),
        env_vars=tuple(_env_vars(reader)),
        registry=_registry(reader),
        archive_type="zip" if zipped else "tgz",
        raw=reader.document,
    )
    return package if len(findings.problems) == before else None


def load_catalogue(path: Path, shown: str, findings: Findings) -> CataloguePackage | None:
    """Return the catalogue's package.json, or None with problems in ``findings``; raises Unreadable."""
    before = len(findings.problems)
    reader = _Reader(read_json(path, shown, findings, nulls=True), shown, findings)
    entrypoints = {
        name: reader.text((*_SOFTWARE, name, "reference"))
        for name in reader.mapping(_SOFTWARE, required=True)
        if reader.good((*_SOFTWARE, name), _public_name, name)
    }
    package = CataloguePackage(
        name=reader.checked(("name",), _npm_name),
        version=reader.checked(("version",), _version),
        description=reader.text(("description",), required=False),
        entrypoints=entrypoints,
        dependencies=reader.texts(("dependencies",), required=False),
        raw=reader.document,
    )
    return package if len(findings.problems) == before else None


class _Reader:
    """Takes values out of a JSON document by key path, noting what is missing or of another kind."""

    def __init__(self, document: Any, shown: str, findings: Findings) -> None:
        self.shown, self.findings, self._broken = shown, findings, set[KeyPath]()
        if not isinstance(document, dict):
            self.problem((), f"expected an object, got {kind_of(document)}")
        self.document: dict[str, Any] = document if isinstance(document, dict) else {}

    def problem(self, path: KeyPath, message: str) -> None:
        # once for the outermost place that is wrong, and nothing for what would have stood below it
        if not any(path[:length] in self._broken for length in range(len(path) + 1)):
            self._broken.add(path)
            self.findings.problems.append(Problem(self.shown, path, message))

    def get(self, path: KeyPath, *, required: bool) -> Any:
        here: Any = self.document
        for depth, step in enumerate(path):
            if not isinstance(here, dict):
                self.problem(path[:depth], f"expected an object, got {kind_of(here)}")
                return None
            if step not in here:
                if required:
                    self.problem(path[: depth + 1], "is missing")
                return None
            here = here[step]
        return here

    def _typed(self, path: KeyPath, kind: type, expected: str, *, required: bool) -> Any:
        value = self.get(path, required=required)
        if isinstance(value, kind):
            return value
        if value is not None:
            self.problem(path, f"expected {expected}, got {kind_of(value)}")
        elif required:
            self.problem(path, "is null")
        return kind()

    def text(self, path: KeyPath, *, required: bool = True) -> str:
        value: str = self._typed(path, str, "text", required=required)
        return value

    def mapping(self, path: KeyPath, *, required: bool) -> dict[str, Any]:
        value: dict[str, Any] = self._typed(path, dict, "an object", required=required)
        return value

    def texts(self, path: KeyPath, *, required: bool) -> dict[str, str]:
        return {key: self.text((*path, key)) for key in self.mapping(path, required=required)}

    def good(self, path: KeyPath, check: Any, *values: str) -> bool:
        """Return whether a check passes; a ValueError of it becomes a problem."""
        try:
            check(*values)
        except ValueError as error:
            self.problem(path, str(error))
            return False
        return True

    def checked(self, path: KeyPath, check: Any, *, required: bool = True) -> str:
        value = self.text(path, required=required)
        if value or self.get(path, required=False) == "":
            self.good(path, check, value)
        return value

    def choice(self, path: KeyPath, options: tuple[str, ...], *, default: str | None = None) -> str:
        value = self.text(path, required=default is None)
        given = self.get(path, required=False)
        if isinstance(given, str) and given not in options:
            self.problem(path, f"expected {' or '.join(f'`{option}`' for option in options)}, got `{given}`")
        return value or default or ""


def _registry(reader: _Reader) -> PackageRegistry:
    """The artefact's registry: its own object first, then ``block-software.registries.binary.<name>``."""
    path: KeyPath = (*_ARTIFACT, "registry")
    own = isinstance(reader.get(path, required=True), dict)
    name = reader.text((*path, "name") if own else path)
    if not name.strip():
        reader.problem((*path, "name") if own else path, "is empty, expected the registry's name")
    found: dict[str, str] = {}
    for home in ([path] if own else []) + [("block-software", "registries", "binary", name)]:
        for key in ("downloadURL", "storageURL"):
            check = check_url if key == "downloadURL" else _storage_url
            if text := reader.checked((*home, key), check, required=False):
                found.setdefault(key, text)
    return PackageRegistry(name, found.get("downloadURL", WELL_KNOWN_REGISTRIES.get(name)), found.get("storageURL"))


def _env_vars(reader: _Reader) -> Iterator[str]:
    path: KeyPath = (*_ARTIFACT, "envVars")
    value = reader.get(path, required=False)
    if value is not None and not isinstance(value, list):
        reader.problem(path, f"expected a list, got {kind_of(value)}")
        return
    seen: set[str] = set()
    for index, item in enumerate(value or ()):
        if not isinstance(item, str) or "=" not in item:
            reader.problem(
                (*path, index),
                f"expected `NAME=value`, got {kind_of(item) if not isinstance(item, str) else f'`{item}`'}",
            )
            continue
        name = item.partition("=")[0]
        if reader.good((*path, index), check_variable, name):
            if name in seen:
                reader.problem((*path, index), f"sets `{name}` a second time")
            seen.add(name)
            yield item


def _root(platform: str, path: str) -> None:
    check_platform(platform)
    if path != f"./pydist/{platform}":
        raise ValueError(f"expected `./pydist/{platform}`, got `{path}`")


def _npm_name(name: str) -> None:
    if not _NAME.match(name):
        raise ValueError(f"`{name}` is not an npm package's name")


def _version(version: str) -> None:
    if not _VERSION.match(version):
        raise ValueError(f"`{version}` is not a version, expected a text like `1.0.0`")


def _public_name(name: str) -> None:
    # it becomes a file's name: dist/tengo/software/<name>.sw.json
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise ValueError("is not a public name, expected letters, digits, `.`, `_`, `+`, `-`")


def _storage_url(url: str) -> None:
    if not re.match(r"^[a-z][a-z0-9]*://[^\s/]*/?\S*$", url):
        raise ValueError(f"`{url}` is not a storage URL, expected a text like `s3://bucket/prefix?region=…`")
