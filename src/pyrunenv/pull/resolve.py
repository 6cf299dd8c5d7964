"""From what a person asks for to one archive: through a catalogue, or straight to the release of a version."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import semver

from pyrunenv.errors import PullError, Untrusted, UsageError
from pyrunenv.publish.descriptors import ENTRY_POINT
from pyrunenv.publish.release import (
    Catalogue,
    PublishedArchive,
    Release,
    beside,
    catalogue_address,
    release_address,
)

if TYPE_CHECKING:
    from pyrunenv.publish.signing import TrustedKey
    from pyrunenv.pull.sources import Source

_WORD = re.compile(r"(?P<name>(?:@[\w.~-]+/)?[\w.~-]+)(?:@(?P<version>[\w.+-]+))?")


@dataclass(frozen=True)
class Asked:
    """What a person asks for: a catalogue's public name or an npm name, and a version of that package."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name

    @classmethod
    def parse(cls, word: str) -> Asked:
        found = _WORD.fullmatch(word)
        if found is None:
            raise UsageError(f"`{word}` names no environment", hint="write 3.12.10-atls, 3.12.10-atls@1.2.0 or @scope/name@1.2.0")  # fmt: skip
        return cls(found["name"], found["version"])


@dataclass(frozen=True)
class Chosen:
    """One archive of one release, and where it is read from; one that was handed over ``alone`` has nothing around it."""

    release: Release
    platform: str
    archive: PublishedArchive
    source: Source
    alone: bool = False

    def __str__(self) -> str:
        return f"{self.release.name} {self.release.version} on {self.platform}"


def choose(asked: Asked, platform: str, source: Source, catalogue: str | None, key: TrustedKey | None) -> Chosen:
    """Return the archive that is asked for. ``catalogue`` is an npm name, for where there are several.

    Raises PullError where there is none, Untrusted where ``key`` did not sign what leads to it.
    """
    release = _release(asked, source, catalogue, key)
    archive = release.archives.get(platform)
    if archive is None:
        raise PullError(
            f"{release.name} {release.version} is not made for {platform}",
            hint=f"it is made for: {', '.join(release.archives)}",
        )
    chosen = Chosen(release, platform, archive, source)
    if key is not None:
        check_signed(chosen, key)
    return chosen


def _release(asked: Asked, source: Source, catalogue: str | None, key: TrustedKey | None) -> Release:
    if asked.version is not None and "/" in asked.name:
        return _read_release(source, asked.name, asked.version)
    if catalogue is None and not source.catalogues() and (release := _newest(asked, source)) is not None:
        return release
    listed = _catalogue(source, catalogue, key)
    by_name = {**{release.name: release for release in listed.entrypoints.values()}, **listed.entrypoints}
    release = by_name.get(asked.name)
    if release is None:
        close = difflib.get_close_matches(asked.name, by_name, n=1, cutoff=0.6)
        raise PullError(
            f"the catalogue {listed.name} {listed.version} has no `{asked.name}`",
            notes=[f"it has: {', '.join(listed.entrypoints)}"],
            hint=f"did you mean `{close[0]}`?" if close else None,
        )
    if asked.version in (None, release.version):
        return release
    return _read_release(source, release.name, asked.version or "")


def _newest(asked: Asked, source: Source) -> Release | None:
    """Return a release of a storage that has no catalogue: the newest, or the version that is asked for."""
    released: dict[str, list[str]] = {}
    for name, version in source.releases():
        own = name.rpartition("/")[2]
        if (asked.name in (name, own) or own.endswith(f"-{asked.name}")) and semver.Version.is_valid(version):
            released.setdefault(name, []).append(version)
    if len(released) != 1:
        return None
    name, versions = next(iter(released.items()))
    return _read_release(source, name, asked.version or max(versions, key=semver.Version.parse))


def _read_release(source: Source, name: str, version: str) -> Release:
    address = release_address(name, version)
    release = Release.parse(source.read(address), source.shown(address))
    if (release.name, release.version) != (name, version):
        raise PullError(
            f"{source.shown(address)} is of {release.name} {release.version}, and {name} {version} was asked for"
        )
    return release


def _catalogue(source: Source, name: str | None, key: TrustedKey | None) -> Catalogue:
    if name is None:
        found = source.catalogues()
        if len(found) != 1:
            raise PullError(
                f"{source.shown('')} has {len(found)} catalogues, and none was named" if found
                else f"which catalogue of {source.shown('')} is meant cannot be told",
                notes=[f"it has: {', '.join(found)}"] if found else [],
                hint="name it at the end of --from: URL#@scope/name",
            )  # fmt: skip
        name = found[0]
    address = catalogue_address(name)
    content = source.read(address)
    catalogue = Catalogue.parse(content, source.shown(address))
    if key is not None:
        signed = f"{catalogue_address(catalogue.name, catalogue.version)}.sig"
        signature = _optional(lambda: source.read(signed), f"the catalogue {catalogue.name} {catalogue.version}")
        key.verify(content, signature, source.shown(address))
    return catalogue


def check_signed(chosen: Chosen, key: TrustedKey) -> None:
    """Raise Untrusted unless the key's owner published this archive under this name, version and platform."""
    from pyrunenv.publish.statement import check_statement

    papers, source, release = beside(chosen.archive.address), chosen.source, chosen.release
    statement = _optional(lambda: source.read(papers["statement.json"]), str(chosen))
    signature = _optional(lambda: source.read(papers["statement.sig"]), str(chosen))
    suffix = chosen.archive.address.rpartition(".")[2]
    # not the address that led to it, which may be that of a copy
    address = f"software/{release.name.removeprefix('@')}/{ENTRY_POINT}/{release.version}-{chosen.platform}.{suffix}"
    told = chosen.archive.manifest
    manifest = {beside(address)["manifest.json"]: told.sha256} if told else {}
    check_statement(
        statement, signature, key, name=release.name, version=release.version, platform=chosen.platform,
        address=address, digests={address: chosen.archive.sha256, **manifest},
    )  # fmt: skip


def _optional(read: Callable[[], bytes], what: str) -> bytes:
    try:
        return read()
    except PullError as error:
        raise Untrusted(
            f"{what} is not signed", notes=[error.message, *error.notes],
            hint="pull it without --trust if you trust where it comes from, or ask who publishes it to sign",
        ) from error  # fmt: skip
