"""Unpacks environments, into a folder that is named or into this machine's store, and knows them again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.archives import LIMIT, stream_archive
from pyrunenv.bundle.listing import Listing, scan
from pyrunenv.bundle.place import place_lock, remove_stale, replace_folder, temporary_sibling, written
from pyrunenv.errors import PullError
from pyrunenv.files import remove_tree
from pyrunenv.platforms import PLATFORMS
from pyrunenv.steps import EPOCH
from pyrunenv.trees import write_tree

if TYPE_CHECKING:
    from pyrunenv.pull.resolve import Chosen

RECORD = ".pyrunenv.json"
"""In an environment's folder: what was unpacked there."""
_NOT_PULLED = (RECORD, "__pycache__")  # the interpreter itself writes the latter
_LARGEST = 64 << 30


@dataclass(frozen=True)
class Record:
    """What a folder holds: a package's version, for a platform, from an archive with this sha256."""

    name: str
    version: str
    platform: str
    sha256: str
    bin_dir: str
    env_vars: tuple[str, ...]

    @classmethod
    def of(cls, chosen: Chosen) -> Record:
        run_environment = chosen.release.descriptor.get("runEnv", {})
        return cls(
            chosen.release.name, chosen.release.version, chosen.platform, chosen.archive.sha256,
            str(run_environment.get("binDir", "bin")), tuple(run_environment.get("envVars", ())),
        )  # fmt: skip


def store(env: Mapping[str, str] = os.environ) -> Path:
    """Return this machine's store of environments: PYRUNENV_STORE, else a folder among the user's data."""
    given = env.get("PYRUNENV_STORE")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("pyrunenv") / "environments"


def stored_at(record: Record) -> Path:
    """Return where an environment lies in the store, or would."""
    return store() / f"{record.name.rpartition('/')[2]}-{record.version}-{record.platform}-{record.sha256[:12]}"


def held(folder: Path) -> tuple[Record, str | None] | None:
    """Return what was unpacked in a folder and how that was altered; None where it holds nothing of ours."""
    try:
        value = json.loads((folder / RECORD).read_bytes())
        listing = Listing.from_json(value.pop("listing"))
        record = Record(**{**value, "env_vars": tuple(value["env_vars"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record, listing.differs(folder, besides=_NOT_PULLED)


@contextmanager
def place(folder: Path, record: Record, *, force: bool = False) -> Iterator[Path | None]:
    """Give a name to unpack an environment at, which then takes the folder's place; None where it is there already.

    Raises PullError where the folder holds what is not ours to replace.
    """
    with written(f"cannot write {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with place_lock(folder), written(f"cannot write {folder}"):
        if folder.exists() and not force and _as_wanted(folder, record):
            yield None
            return
        remove_stale(folder)
        building = temporary_sibling(folder, "")
        try:
            yield building
            value = {**asdict(record), "listing": scan(building).to_json()}
            (building / RECORD).write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
            replace_folder(building, folder)
        except BaseException:
            remove_tree(building)
            raise


def unpack(archive: Path, building: Path, platform: str, name: str) -> None:
    """Unpack an archive; raises UnsafeArchive where it could write elsewhere."""
    windows = PLATFORMS[platform].windows
    limit = min(_LARGEST, max(LIMIT, 50 * archive.stat().st_size))
    building.mkdir()
    write_tree(stream_archive(archive, limit_bytes=limit, windows=windows, name=name), building, mtime=EPOCH)


def _as_wanted(folder: Path, record: Record) -> bool:
    found = held(folder)
    if found is None:
        if not any(folder.iterdir()):
            return False
        raise PullError(
            f"{folder} is there, and holds no environment that was pulled", hint="name another folder with --to"
        )
    there, altered = found
    if altered is None:
        return there == record
    raise PullError(
        f"{folder} holds {there.name} {there.version}, and was changed since it was pulled", notes=[altered],
        hint="pull with --force to replace it, or name another folder with --to",
    )  # fmt: skip
