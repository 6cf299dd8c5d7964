"""What a finished target was made from and what it left on disk, so that nothing is made twice.

Kept in ``build/<platform>.json`` of the environment's folder. A target is up to date when its inputs have the same digests
and everything that lies on disk still has the size and time it had: a stamp alone is never believed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv.files import digest_of, write_atomic
from pyrunenv.lock.inputs import combined
from pyrunenv.lock.pylock import lock_path

if TYPE_CHECKING:
    from pyrunenv.bundle.copyfiles import PlannedCopy
    from pyrunenv.bundle.listing import Listing
    from pyrunenv.lock.run import Target

RECIPE = 2
"""Raised whenever this program makes other bytes from the same inputs."""


@dataclass(frozen=True)
class Wanted:
    """The digests of everything that a target is made from."""

    recipe: int
    config: str
    lock: str
    copies: str
    python: str | None
    mtime: int
    package: str

    @classmethod
    def of(cls, target: Target, copies: Sequence[PlannedCopy], python: str | None, mtime: int) -> Wanted:
        """Digest what is there now; an absent lock has the empty digest."""
        from pyrunenv.bundle import copyfiles
        from pyrunenv.publish.descriptors import artifact_info, descriptor

        environment = target.environment
        described = [
            artifact_info(environment.package, target.platform),
            descriptor(environment.package, environment.python_version),
        ]
        return cls(
            recipe=RECIPE,
            config=combined(target.inputs()),
            lock=_digest_of_file(lock_path(environment.folder, target.platform.key)),
            copies=copyfiles.digest(copies) if copies else "",
            python=python,
            mtime=mtime,
            package=digest_of(described),
        )


@dataclass(frozen=True)
class Finished:
    """A finished target as its stamp tells it. ``archive`` is the file's name; sizes are in bytes."""

    archive: str
    archive_size: int
    bundle_size: int
    publishable: bool


@dataclass(frozen=True)
class Stamp:
    """What one build left. ``archive`` is its name, size in bytes and modification time in nanoseconds."""

    wanted: Wanted
    listing: Listing
    archive: tuple[str, int, int]
    bundle_size: int
    publishable: bool

    @classmethod
    def of(cls, wanted: Wanted, listing: Listing, archive: Path, *, publishable: bool) -> Stamp:
        status = archive.stat()
        return cls(wanted, listing, (archive.name, status.st_size, status.st_mtime_ns), listing.size, publishable)

    @classmethod
    def read(cls, folder: Path, platform: str) -> Stamp | None:
        """Return the stamp of a platform in an environment's folder; None where there is none that can be read."""
        from pyrunenv.bundle.listing import Listing

        try:
            value = json.loads(_path(folder, platform).read_bytes())
            name, size, time = value["archive"]
            return cls(
                Wanted(**value["wanted"]), Listing.from_json(value["listing"]), (name, size, time),
                value["bundle_size"], value["publishable"],
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, folder: Path, platform: str) -> None:
        value: dict[str, Any] = {
            "wanted": asdict(self.wanted),
            "archive": self.archive,
            "bundle_size": self.bundle_size,
            "publishable": self.publishable,
            "listing": self.listing.to_json(),
        }
        write_atomic(_path(folder, platform), json.dumps(value, separators=(",", ":")))

    def outdated(self, folder: Path, platform: str, wanted: Wanted) -> str | None:
        """Why the target must be built again; None where it need not."""
        from pyrunenv.bundle.manifest import manifest_path

        before, now = asdict(self.wanted), asdict(wanted)
        if changed := [name for name in now if before[name] != now[name]]:
            return f"its {', '.join(changed)} changed"
        name, size, time = self.archive
        try:
            status = (folder / name).stat()
        except OSError:
            return f"{name} is gone"
        if (status.st_size, status.st_mtime_ns) != (size, time):
            return f"{name} was changed"
        if not manifest_path(folder, platform).is_file():
            return "its manifest is gone"
        return self.listing.differs(folder / "pydist" / platform)

    @property
    def finished(self) -> Finished:
        return Finished(self.archive[0], self.archive[1], self.bundle_size, self.publishable)


def look(folder: Path, platform: str, wanted: Wanted) -> Finished | str:
    """Return what is there of a target, or why it must be built."""
    stamp = Stamp.read(folder, platform)
    if stamp is None:
        return "it never was"
    return stamp.outdated(folder, platform, wanted) or stamp.finished


def listing_of(folder: Path, platform: str) -> Listing | None:
    """Return what a build listed of its bundle, whatever else the stamp says and whichever version wrote it."""
    from pyrunenv.bundle.listing import Listing

    try:
        return Listing.from_json(json.loads(_path(folder, platform).read_bytes())["listing"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(folder: Path, platform: str) -> Path:
    return folder / "build" / f"{platform}.json"


def _digest_of_file(path: Path) -> str:
    from pyrunenv.files import sha256_file

    try:
        return sha256_file(path)
    except OSError:
        return ""
