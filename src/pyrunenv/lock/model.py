"""What a lock says, as values; :mod:`pyrunenv.lock.pylock` reads and writes them as PEP 751."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class LockedWheel:
    """One wheel file. ``size`` is in bytes, ``sha256`` in hexadecimal, ``upload_time`` as the index wrote it (RFC 3339)."""

    filename: str
    url: str
    sha256: str
    size: int | None = None
    upload_time: str | None = None


@dataclass(frozen=True)
class LockedSource:
    """What a wheel is built from.

    ``url`` is that of a file (an sdist of an index, or an archive that a root names), of a git repository, or the path of
    a folder, relative to the environment's. ``sha256`` is the file's, or the digest of what lies in the folder.
    """

    kind: Literal["sdist", "archive", "git", "folder"]
    url: str
    filename: str = ""
    sha256: str | None = None
    size: int | None = None
    upload_time: str | None = None
    commit: str | None = None
    revision: str | None = None
    """What the requirement named: a branch, a tag, a short commit."""
    subdirectory: str | None = None

    @property
    def digest(self) -> str:
        """The digest of a file or folder; of a git source its commit."""
        return self.sha256 or self.commit or ""

    @property
    def identity(self) -> str:
        """What tells one source from all others."""
        return f"{self.commit}#{self.subdirectory or ''}" if self.kind == "git" else f"{self.sha256}"


@dataclass(frozen=True)
class LockedBuild:
    """How a wheel is built from source.

    ``requires`` are the build requirements for the machine that builds, which is of the platform ``host``; ``headers`` are
    the target's own of those that bring headers or libraries to compile with.
    """

    host: str
    requires: tuple[LockedWheel, ...] = ()
    headers: tuple[LockedWheel, ...] = ()
    compiler: str | None = None
    """The version of ziglang: another one makes other bytes."""


@dataclass(frozen=True)
class LockedPackage:
    """One version of one package: a wheel, or a source and how it is built.

    ``groups`` are those that hold it; ``dependencies`` are (name, version) pairs.
    """

    name: str
    version: str
    wheel: LockedWheel | None = None
    index: str | None = None
    dependencies: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()
    direct: bool = False
    """Whether a root named this file by URL (PEP 751 ``archive``) and no index serves it."""
    source: LockedSource | None = None
    build: LockedBuild | None = None

    @property
    def file(self) -> LockedWheel | LockedSource:
        """The wheel, or what it is built from."""
        found = self.wheel or self.source
        assert found is not None
        return found


@dataclass(frozen=True)
class Eviction:
    """Why a root is not in a group: the resolver's sentence."""

    group: str
    reason: str


@dataclass(frozen=True)
class LockedRoot:
    """One root and where it landed. ``installs_alone`` is false for a ``noDeps`` root whose needs the group lacks."""

    requirement: str
    name: str
    groups: tuple[str, ...]
    evictions: tuple[Eviction, ...] = ()
    no_deps: bool = False
    needs_no_deps: bool = False
    """Whether it installs only with ``--no-deps``, because what its metadata asks for is not in the wheelhouse."""


@dataclass(frozen=True)
class MissingRoot:
    """A root that was left out because it cannot be had (``strictMissing: false``)."""

    requirement: str
    name: str
    reason: str


@dataclass(frozen=True)
class LockedInterpreter:
    """Which CPython a bundle gets. ``local`` has neither URL nor digest; ``build`` is python-build-standalone's date."""

    source: str
    version: str
    build: str | None = None
    url: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Floors:
    """The oldest glibc and macOS that a bundle must run on, as ``major.minor``."""

    glibc: str
    macos: str


@dataclass(frozen=True)
class Lock:
    """One target's lock. ``inputs`` maps each input's name to its digest; ``digest`` is that of all of them."""

    environment: str
    platform: str
    python_version: str
    digest: str
    inputs: Mapping[str, str]
    floors: Floors
    interpreter: LockedInterpreter
    groups: tuple[str, ...] = ()
    packages: tuple[LockedPackage, ...] = ()
    roots: tuple[LockedRoot, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[MissingRoot, ...] = ()
    served_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names that several registries have, with the URLs of all that were asked, in their order."""
    exclude_newer: str | None = None
    """The ``--exclude-newer`` that the lock was made with: for the reader; a later lock does not repeat it."""

    @property
    def wheels(self) -> tuple[LockedWheel, ...]:
        """The wheels that there are; what is built from source has none yet."""
        return tuple(package.wheel for package in self.packages if package.wheel is not None)

    @property
    def to_build(self) -> tuple[LockedPackage, ...]:
        """The packages without a wheel."""
        return tuple(package for package in self.packages if package.wheel is None)
