"""What several archives share, once in a storage: each wheel, and the rest of each bundle, under their digests.

An archive can be put together from them, and its tar's digest, which the manifest tells, shows that it is the same.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pyrunenv.bundle.pack import pack_members
from pyrunenv.packing.tree import Member, members
from pyrunenv.publish.release import Document, Sha256, Size, content_address

if TYPE_CHECKING:
    from pyrunenv.publish.parcel import Parcel
    from pyrunenv.publish.storage import Storage

_WHEELHOUSE = "packages/"
_AT_A_TIME = 4


class Part(Document):
    """Some bytes of an archive: sha256 in hexadecimal, size in bytes."""

    sha256: Sha256
    size: Size


class Wheel(Part):
    """A wheel of the wheelhouse."""

    file: Annotated[str, Field(pattern=r"^[^/\\\\]+\.whl$")]


class Parts(Document):
    """What an archive is put together from. ``rest`` is a tgz of all but the wheels, ``mtime`` the time of all members."""

    format: int = 1
    mtime: int
    rest: Part
    wheels: Sequence[Wheel]

    @property
    def size(self) -> int:
        """The bytes of all parts."""
        return self.rest.size + sum(wheel.size for wheel in self.wheels)


def is_shared(name: str) -> bool:
    """Whether a member of a bundle is a part of its own."""
    return name.startswith(_WHEELHOUSE) and name.endswith(".whl") and "/" not in name.removeprefix(_WHEELHOUSE)


def share(parcel: Parcel, storage: Storage) -> Parts:
    """Put the parts of a bundle into a storage that are not there yet."""
    wheels = [
        Wheel(file=wheel["file"], sha256=wheel["sha256"], size=wheel["size"]) for wheel in parcel.contents["wheels"]
    ]
    with tempfile.TemporaryDirectory(prefix="pyrunenv-") as folder, ThreadPoolExecutor(_AT_A_TIME, "share") as threads:
        futures = [threads.submit(_put, storage, w, parcel.bundle / _WHEELHOUSE / w.file) for w in wheels]
        path = Path(folder) / "rest.tgz"
        packed = pack_members(_rest(parcel.bundle), path, mtime=parcel.mtime, jobs=os.cpu_count() or 1)
        rest = Part(sha256=packed.sha256, size=packed.size)
        _put(storage, rest, path)
        for future in futures:
            future.result()
    return Parts(mtime=parcel.mtime, rest=rest, wheels=wheels)


def _rest(bundle: Path) -> list[Member]:
    return [member for member in members(bundle) if not is_shared(member.name)]


def _put(storage: Storage, part: Part, path: Path) -> None:
    address = content_address(part.sha256)
    if storage.size(address) != part.size:
        storage.upload(address, path, part.sha256, overwrite=True)
