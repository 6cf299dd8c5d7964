"""An archive that was handed over by itself, with what lies beside it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.errors import PullError, UsageError
from pyrunenv.files import sha256_bytes, sha256_file
from pyrunenv.publish.release import PublishedArchive, PublishedFile, Release, beside
from pyrunenv.pull.resolve import Asked, Chosen

if TYPE_CHECKING:
    from pyrunenv.pull.sources import Source


@dataclass(frozen=True)
class Told:
    """An archive to pull, and whether anything but its own bytes tells what it should be."""

    chosen: Chosen
    vouched: bool


def choose_archive(asked: Asked, platform: str, source: Source, name: str, path: Path | None) -> Told:
    """Return an archive that lies in ``source`` under a name; ``path`` is where that is on this machine's disk.

    Its manifest beside it tells what it is; without one a file on this disk is taken for what was asked for.
    """
    papers = beside(name)
    manifest = None
    with suppress(PullError):
        manifest = source.read(papers["manifest.json"])
    if manifest is None:
        return _bare(asked, platform, source, name, path)
    try:
        value = json.loads(manifest)
        package, archive = value["package"], value["archive"]
        # a statement vouches for the manifest too: it alone tells which environment this is
        told_by = PublishedFile(address=papers["manifest.json"], size=len(manifest), sha256=sha256_bytes(manifest))
        release = Release(
            name=package["name"], version=package["version"], environment=value["environment"], registry="",
            descriptor={},
            archives={value["platform"]: PublishedArchive(
                address=name, size=archive["size"], sha256=archive["sha256"], manifest=told_by)},
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise PullError(f"{source.shown(papers['manifest.json'])} is no manifest", notes=[str(error)]) from None
    told = f"{release.name} {release.version} on {value['platform']}"
    fits = asked.name in (release.name, release.environment) and asked.version in (None, release.version)
    if not fits or value["platform"] != platform:
        raise PullError(f"{source.shown(name)} is {told}", hint="ask for that, or name another archive")
    return Told(Chosen(release, platform, release.archives[platform], source, alone=True), vouched=True)


def _bare(asked: Asked, platform: str, source: Source, name: str, path: Path | None) -> Told:
    digest = ""
    with suppress(PullError, IndexError):
        digest = source.read(beside(name)["sha256"]).decode("ascii", "replace").split()[0]
    if path is None:
        raise PullError(
            f"nothing beside {source.shown(name)} tells what it is",
            hint="publish it with its manifest, or download it and give the file",
        )
    archive = PublishedArchive(address=name, size=path.stat().st_size, sha256=digest or sha256_file(path))
    try:
        release = Release(
            name=asked.name, version=asked.version or "0.0.0", environment=asked.name, registry="", descriptor={},
            archives={platform: archive},
        )  # fmt: skip
    except ValueError:
        raise UsageError(
            f"`{asked}` is no name with a version", hint="write 3.12.10@1.2.0, or the name alone"
        ) from None
    return Told(Chosen(release, platform, archive, source, alone=True), vouched=bool(digest))
