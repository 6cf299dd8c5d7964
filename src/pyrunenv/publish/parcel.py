"""What is to be published: built archives that may leave the house, each with its manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv.bundle.manifest import manifest_path
from pyrunenv.errors import PublishError
from pyrunenv.publish.descriptors import archive_name, upload_path
from pyrunenv.stamp import Stamp, Wanted
from pyrunenv.steps import archive_time, copies_of

if TYPE_CHECKING:
    from pyrunenv.config.package import Package
    from pyrunenv.lock.run import Target


@dataclass(frozen=True)
class Parcel:
    """One archive to be published. ``manifest`` is the manifest's file as it is, ``size`` in bytes.

    ``mtime`` is the time of its members, in seconds since 1970.
    """

    target: Target
    archive: Path
    sha256: str
    size: int
    manifest: bytes
    mtime: int

    @property
    def bundle(self) -> Path:
        """The folder that the archive was packed from."""
        return self.target.environment.folder / "pydist" / self.target.platform.key

    @property
    def package(self) -> Package:
        return self.target.environment.package

    @property
    def address(self) -> str:
        """Where it goes in its registry's storage."""
        return upload_path(self.package, self.target.platform)

    @property
    def contents(self) -> dict[str, Any]:
        """The manifest as data."""
        value: dict[str, Any] = json.loads(self.manifest)
        return value


def parcels(targets: Iterable[Target]) -> list[Parcel]:
    """Return all targets' archives; raises PublishError with every one that is not there, or must not be published."""
    found, refused = [], []
    for target in targets:
        try:
            found.append(_parcel(target))
        except ValueError as error:
            refused.append(f"{target}: {error}")
    if refused:
        count = "1 target" if len(refused) == 1 else f"{len(refused)} targets"
        raise PublishError(
            f"{count} cannot be published as they are", notes=refused,
            hint="build them with `pyrunenv build --locked`; nothing was uploaded",
        )  # fmt: skip
    return found


def check_manifest(manifest: Any, name: str, version: str, platform: str) -> None:
    """Raise ValueError with the reason why what a manifest tells of cannot be this version's archive."""
    try:
        told = (manifest["package"]["name"], manifest["package"]["version"], manifest["platform"])
        because, publishable = manifest["unpublishableBecause"], manifest["publishable"]
        size, sha256 = manifest["archive"]["size"], manifest["archive"]["sha256"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"its manifest cannot be read ({error})") from None
    if told != (name, version, platform):
        raise ValueError(f"its manifest is of {told[0]} {told[1]} on {told[2]}")
    if not publishable:
        raise ValueError("; ".join(because) or "its manifest says that it must not be")
    if not isinstance(size, int) or not isinstance(sha256, str):
        raise ValueError("its manifest cannot be read (the archive's size and digest)")


def _parcel(target: Target) -> Parcel:
    folder, platform = target.environment.folder, target.platform.key
    package = target.environment.package
    stamp = Stamp.read(folder, platform)
    if stamp is None:
        raise ValueError("it is not built")
    # which interpreter, time and program made it does not matter here: it is there
    wanted = replace(
        Wanted.of(target, copies_of(target), stamp.wanted.python, archive_time()),
        recipe=stamp.wanted.recipe, mtime=stamp.wanted.mtime,
    )  # fmt: skip
    if (reason := stamp.outdated(folder, platform, wanted)) is not None:
        raise ValueError(f"what was built is out of date: {reason}")
    content = manifest_path(folder, platform).read_bytes()
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise ValueError(f"its manifest cannot be read ({error})") from None
    check_manifest(manifest, package.name, package.version, platform)
    archive = folder / archive_name(package, target.platform)
    if archive.name != stamp.archive[0] or manifest["archive"]["size"] != stamp.archive[1]:
        raise ValueError("its manifest tells of another archive")
    told = manifest["archive"]
    return Parcel(target, archive, told["sha256"], told["size"], content, stamp.wanted.mtime)
