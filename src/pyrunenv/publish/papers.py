"""What is published beside an archive, so that people and programs can tell what it holds and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.files import sha256_file
from pyrunenv.lock.pylock import lock_path, parse
from pyrunenv.publish.provenance import provenance
from pyrunenv.publish.sbom import sbom
from pyrunenv.publish.statement import statement
from pyrunenv.wheels.metadata import read_metadata

if TYPE_CHECKING:
    from pyrunenv.publish.parcel import Parcel
    from pyrunenv.publish.release import PublishedFile
    from pyrunenv.publish.signing import SigningKey


@dataclass(frozen=True)
class Papers:
    """Writes the papers of archives of a workspace; with a key, or by whoever the CI system says, they are signed."""

    workspace: Path
    key: SigningKey | None = None
    keyless: Callable[[bytes], bytes] | None = None

    def of(self, parcel: Parcel) -> Mapping[str, Callable[[], bytes]]:
        """Return what writes the papers of an archive, by their kind (:func:`pyrunenv.publish.release.beside`)."""
        environment = parcel.target.environment
        lock = lock_path(environment.folder, parcel.target.platform.key)
        wheelhouse = parcel.bundle / "packages"
        return {
            "manifest.json": lambda: parcel.manifest,
            "cdx.json": lambda: sbom(
                parcel.contents, lambda name: read_metadata(wheelhouse / name), parse(lock.read_text("utf-8"), lock)
            ),
            "provenance.json": lambda: provenance(parcel.contents, parcel.address, sha256_file(lock), self.workspace),
        }

    def seal(self, parcel: Parcel, present: Mapping[str, PublishedFile]) -> Mapping[str, bytes]:
        """Return what vouches for an archive and the papers that lie beside it."""
        if self.key is None and self.keyless is None:
            return {}
        content = statement(
            name=parcel.package.name, version=parcel.package.version, platform=parcel.target.platform.key,
            address=parcel.address,
            digests={parcel.address: parcel.sha256, **{file.address: file.sha256 for file in present.values()}},
        )  # fmt: skip
        return {"statement.json": content, **({"statement.sig": self.key.sign(content)} if self.key else {})}

    def witness(self, sealed: Mapping[str, bytes]) -> Mapping[str, Callable[[], bytes]]:
        """Return what writes down who sealed an archive; that differs each time, and the first is as good as another."""
        if self.keyless is None:
            return {}
        return {"statement.sigstore.json": partial(self.keyless, sealed["statement.json"])}

    def seal_catalogue(self, content: bytes) -> bytes | None:
        """Return the signature of a catalogue."""
        return self.key.sign(content) if self.key else None
