"""What there is of a target: its lock, its bundle, its archive, and whether they go together. Nothing is downloaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pyrunenv.errors import LockFormat
from pyrunenv.files import sha256_file
from pyrunenv.lock.inputs import combined
from pyrunenv.lock.pylock import Outline, lock_path, outline
from pyrunenv.stamp import Stamp

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunenv.lock.run import Target

State = Literal[
    "no lock", "unreadable lock", "stale lock", "locked", "outdated build", "altered bundle", "built", "packed"
]


@dataclass(frozen=True)
class TargetState:
    """One target. Sizes are in bytes and None where there is no such thing; ``changed`` is the newest file's time (UTC)."""

    environment: str
    platform: str
    state: State
    contents: Outline | None = None
    bundle_bytes: int | None = None
    archive_bytes: int | None = None
    archive: str | None = None
    changed: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for programs, the time as RFC 3339; what the lock would tell is left out where there is none."""
        value = asdict(self)
        contents = value.pop("contents") or {}
        contents.pop("digest", None)
        return {**value, **contents, "changed": self.changed.isoformat(timespec="seconds") if self.changed else None}


def state_of(target: Target) -> TargetState:
    """Look at one target."""
    environment, platform = target.environment, target.platform.key
    path = lock_path(environment.folder, platform)
    try:
        lock = outline(environment.folder, platform)
    except LockFormat:
        return TargetState(environment.full_version, platform, "unreadable lock", changed=_time(path))
    if lock is None:
        return TargetState(environment.full_version, platform, "no lock")
    state: State = "locked" if lock.digest == combined(target.inputs()) else "stale lock"
    stamp = Stamp.read(environment.folder, platform)
    bundle = environment.folder / "pydist" / platform
    archive = environment.folder / stamp.archive[0] if stamp is not None else None
    packed = archive if archive is not None and archive.is_file() else None
    built = stamp is not None and bundle.is_dir()
    if stamp is not None and state == "locked" and (built or packed):
        state = _built(stamp, path, bundle, packed=packed is not None)
    return TargetState(
        environment.full_version,
        platform,
        state,
        lock,
        bundle_bytes=stamp.bundle_size if stamp is not None and built else None,
        archive_bytes=stamp.archive[1] if stamp is not None and packed else None,
        archive=packed.name if packed else None,
        changed=_time(packed or path),
    )


def _built(stamp: Stamp, lock: Path, bundle: Path, *, packed: bool) -> State:
    if stamp.wanted.lock != sha256_file(lock):
        return "outdated build"
    if bundle.is_dir() and stamp.listing.differs(bundle) is not None:
        return "altered bundle"
    return "packed" if packed else "built"


def _time(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None
