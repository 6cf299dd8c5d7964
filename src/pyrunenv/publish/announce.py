"""Tells clients what was published: the release of an environment, then the catalogue, whose newest is put in one step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import semver

from pyrunenv.errors import PullError, StorageError
from pyrunenv.files import sha256_bytes
from pyrunenv.platforms import PLATFORMS
from pyrunenv.publish.descriptors import depended_version, descriptor, upload_path
from pyrunenv.publish.parcel import check_manifest
from pyrunenv.publish.release import (
    Catalogue,
    PublishedArchive,
    PublishedFile,
    Release,
    beside,
    catalogue_address,
    release_address,
)

if TYPE_CHECKING:
    from pyrunenv.config.package import CataloguePackage, Package
    from pyrunenv.config.workspace import Environment
    from pyrunenv.publish.storage import Found, Storage

Told = Literal["published", "there already", "replaced", "older than the newest"]
_TRIES = 20
_BUMP = "bump the version of what changed (`pyrunenv bump`), or replace it with --force"


class Waiting(Exception):
    """Something cannot be told yet, for these reasons: what it names is not in the storage."""

    def __init__(self, reasons: Iterable[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


def lacking(storage: Storage, package: Package) -> list[str]:
    """Return why not all archives of a version are in storage; nothing where they are."""
    reasons = []
    for platform in package.platforms:
        try:
            _published(storage, package, platform)
        except ValueError as error:
            reasons.append(f"{package.name} {package.version} on {platform}: {error}")
    return reasons


def manifest_of(storage: Storage, package: Package, platform: str) -> bytes | None:
    """Return the manifest that lies beside an archive; None where there is none."""
    found = storage.read(beside(upload_path(package, PLATFORMS[platform]))["manifest.json"])
    return found.content if found else None


def announce_release(
    storage: Storage, environment: Environment, sent: Mapping[str, PublishedArchive], *, force: bool = False
) -> tuple[Release, Told]:
    """Put the release of an environment. ``sent`` maps platforms to archives that this run sent.

    Raises Waiting while an archive of another platform is not there, StorageError where the version was released with
    other archives.
    """
    package = environment.package
    archives, reasons = dict(sent), []
    for platform in package.platforms:
        if platform not in archives:
            try:
                archives[platform] = _published(storage, package, platform)
            except ValueError as error:
                reasons.append(f"{environment.full_version} on {platform}: {error}")
    if reasons:
        raise Waiting(reasons)
    release = Release(
        name=package.name,
        version=package.version,
        environment=environment.full_version,
        registry=package.registry.name,
        download_url=package.registry.download_url,
        descriptor=json.loads(descriptor(package, environment.python_version)),
        archives={platform: archives[platform] for platform in package.platforms},
    )
    address = release_address(package.name, package.version)
    return release, _put(storage, address, release.to_json(), force=force)


def compose_catalogue(
    storage: Storage, catalogue: CataloguePackage, packages: Sequence[Package], known: Mapping[str, Release]
) -> Catalogue:
    """Return a catalogue as it is published. ``known`` maps npm names to releases of this run.

    Raises Waiting where the version of an environment that it names is not released.
    """
    by_name = {package.name: package for package in packages}
    entries: dict[str, Release] = {}
    reasons = []
    for public, reference in catalogue.entrypoints.items():
        package = by_name.get(reference.partition("/dist/")[0])
        version = depended_version(catalogue, package) if package else None
        if package is None or version is None:
            reasons.append(f"{public}: see `pyrunenv catalogue check`")
            continue
        release = known.get(package.name)
        if release is None or release.version != version:
            release = read_release(storage, package.name, version)
        if release is None:
            reasons.append(f"{public}: {package.name} {version} is not published in {storage.shown}")
        else:
            entries[public] = release
    if reasons:
        raise Waiting(reasons)
    return Catalogue(
        name=catalogue.name, version=catalogue.version, description=catalogue.description, entrypoints=entries
    )


def announce_catalogue(
    storage: Storage, catalogue: Catalogue, *, force: bool = False,
    seal: Callable[[bytes], bytes | None] = lambda _: None,
) -> Told:  # fmt: skip
    """Put a version of the catalogue, its signature, and in one last step the newest.

    A newest that is newer stays. Raises StorageError where the version is there with other content.
    """
    content = catalogue.to_json()
    address = catalogue_address(catalogue.name, catalogue.version)
    told = _put(storage, address, content, force=force)
    if (signature := seal(content)) is not None:
        _put(storage, f"{address}.sig", signature, force=force)
    newest = catalogue_address(catalogue.name)
    for _ in range(_TRIES):
        before = storage.read(newest)
        if before is not None and before.content == content:
            return told
        if before is not None and _newer(before, catalogue, storage.url(newest)):
            return "older than the newest"
        if storage.replace(newest, content, before):
            return "published" if told == "there already" else told
    raise StorageError(f"{storage.url(newest)} changes all the time", hint="other runs publish there: run again later")


def read_release(storage: Storage, name: str, version: str) -> Release | None:
    """Return a release that stands in a storage; None where there is none."""
    address = release_address(name, version)
    found = storage.read(address)
    return Release.parse(found.content, storage.url(address)) if found else None


def _newer(before: Found, catalogue: Catalogue, where: str) -> bool:
    try:
        there = semver.Version.parse(Catalogue.parse(before.content, where).version)
    except (ValueError, PullError):
        raise StorageError(
            f"{where} is no catalogue that can be read", hint="look who put it there; --force does not replace it"
        ) from None
    return there > semver.Version.parse(catalogue.version)


def _published(storage: Storage, package: Package, platform: str) -> PublishedArchive:
    """What stands in the storage of an archive and its manifest; raises ValueError where it is not whole."""
    address = upload_path(package, PLATFORMS[platform])
    size = storage.size(address)
    manifest = manifest_of(storage, package, platform)
    if size is None or manifest is None:
        raise ValueError("its archive is not in storage" if size is None else "its manifest is not in storage")
    try:
        contents = json.loads(manifest)
    except ValueError:
        raise ValueError("its manifest in storage cannot be read") from None
    check_manifest(contents, package.name, package.version, platform)
    if contents["archive"]["size"] != size:
        raise ValueError(f"its archive in storage has {size} bytes, and {contents['archive']['size']} in its manifest")
    paper = PublishedFile(address=beside(address)["manifest.json"], size=len(manifest), sha256=sha256_bytes(manifest))
    return PublishedArchive(address=address, size=size, sha256=contents["archive"]["sha256"], manifest=paper)


def _put(storage: Storage, address: str, content: bytes, *, force: bool) -> Told:
    if storage.create(address, content):
        return "published"
    found = storage.read(address)
    if found is not None and found.content == content:
        return "there already"
    if not force:
        raise StorageError(
            f"{storage.url(address)} is there already, with other content",
            notes=[f"there: sha256 {sha256_bytes(found.content) if found else 'gone by now'}",
                   f"here: sha256 {sha256_bytes(content)}"],
            hint=_BUMP,
        )  # fmt: skip
    storage.overwrite(address, content)
    return "replaced"
