"""What is published beside an archive, so that people and programs can tell what it holds and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrunenv.publish.parcel import Parcel
    from pyrunenv.publish.release import PublishedFile


@dataclass(frozen=True)
class Papers:
    """Writes the papers of archives."""

    def of(self, parcel: Parcel) -> Mapping[str, bytes]:
        """Return the papers of an archive by their kind (:func:`pyrunenv.publish.release.beside`)."""
        return {"manifest.json": parcel.manifest}

    def seal(self, parcel: Parcel, present: Mapping[str, PublishedFile]) -> Mapping[str, bytes]:
        """Return what vouches for an archive and the papers that lie beside it."""
        return {}

    def seal_catalogue(self, content: bytes) -> bytes | None:
        """Return the signature of a catalogue."""
        return None
