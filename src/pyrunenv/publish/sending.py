"""One archive and what lies beside it, on the way into a storage and read back from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING, Literal

from pyrunenv.errors import StorageError
from pyrunenv.files import sha256_bytes
from pyrunenv.publish.parcel import check_manifest
from pyrunenv.publish.parts import share
from pyrunenv.publish.release import PublishedArchive, PublishedFile, beside

if TYPE_CHECKING:
    from pyrunenv.publish.papers import Papers
    from pyrunenv.publish.parcel import Parcel
    from pyrunenv.publish.storage import Storage

Outcome = Literal["uploaded", "there already", "replaced", "would be uploaded", "would be replaced"]
_BUMP = "bump the version (`pyrunenv bump`)"
_ANOTHER = f"{_BUMP}, or replace it with --force"


@dataclass(frozen=True)
class Sent:
    """A parcel that is in the storage, and how it came there."""

    parcel: Parcel
    outcome: Outcome
    published: PublishedArchive


@dataclass(frozen=True)
class Sender:
    """Sends parcels to a storage. ``force`` replaces what is there with other bytes, ``verify`` reads all bytes back.

    ``slots`` bounds how many archives are on their way at a time: each has several parts in memory. With an equal
    archive, papers that are there already are kept. ``shared`` puts its parts beside it as well.
    """

    storage: Storage
    papers: Papers
    slots: Semaphore = field(default_factory=Semaphore)
    force: bool = False
    verify: bool = False
    shared: bool = False
    on_bytes: Callable[[int], None] = lambda _: None

    def look(self, parcel: Parcel) -> Outcome:
        """Say what sending would do; raises StorageError where other bytes are there, and may not be replaced."""
        size = self.storage.size(parcel.address)
        if size is None:
            return "would be uploaded"
        if (other := self._other(parcel, size)) is None:
            return "there already"
        if not self.force:
            raise other
        return "would be replaced"

    def reserve(self, parcels: Sequence[Parcel]) -> dict[Parcel, Outcome]:
        """Look at one environment's parcels, and make sure that no other run publishes other bytes of any of them.

        The digest beside an archive is put first, in one order by all runs: who finds another one there has lost, and
        sends nothing. One that a killed run left is taken up by whoever has the same bytes. Raises StorageError.
        """
        outcomes = self._look_at_all(parcels)
        mine: list[str] = []
        for parcel in sorted(parcels, key=lambda parcel: parcel.address):
            address, content = beside(parcel.address)["sha256"], _digest_file(parcel)
            if outcomes[parcel] == "there already":
                continue
            if self.storage.create(address, content):
                mine.append(address)
            elif self.force:
                self.storage.overwrite(address, content)
            elif (told := self._told_digest(parcel.address)) != parcel.sha256:
                for taken in mine:
                    self.storage.delete(taken)
                raise StorageError(
                    f"{self.storage.url(parcel.address)} is of another run, which publishes it with other bytes",
                    notes=[f"there: sha256 {told}", f"here: sha256 {parcel.sha256}"],
                    hint=f"if that run died, publish its build again, or this one with --force; else {_BUMP}",
                )
        return outcomes

    def send(self, parcel: Parcel, outcome: Outcome) -> Sent:
        """Bring a reserved parcel and its papers into the storage, and read back what is there."""
        done = self._archive(parcel, outcome)
        renew = done == "replaced"
        self._paper(parcel, "sha256", lambda: _digest_file(parcel), renew=renew)
        present = {
            kind: self._paper(parcel, kind, write, renew=renew) for kind, write in self.papers.of(parcel).items()
        }
        sealed = self.papers.seal(parcel, present)
        for kind, content in sealed.items():
            there = self._paper(parcel, kind, partial(bytes, content), renew=renew or self.force)
            if there.sha256 != sha256_bytes(content):
                raise StorageError(
                    f"{self.storage.url(there.address)} is there already, of another key or of other papers",
                    hint="sign anew with --force",
                )
        for kind, write in self.papers.witness(sealed).items():
            self._paper(parcel, kind, write, renew=renew or self.force)
        if self.shared and "tar" in parcel.contents["archive"]:
            self._paper(parcel, "parts.json", lambda: share(parcel, self.storage).to_json(), renew=renew)
        self._read_back(parcel)
        archive = PublishedArchive(
            address=parcel.address, size=parcel.size, sha256=parcel.sha256, manifest=present["manifest.json"]
        )
        return Sent(parcel, done, archive)

    def _look_at_all(self, parcels: Sequence[Parcel]) -> dict[Parcel, Outcome]:
        outcomes: dict[Parcel, Outcome] = {}
        refused: list[StorageError] = []
        for parcel in parcels:
            try:
                outcomes[parcel] = self.look(parcel)
            except StorageError as error:
                refused.append(error)
        if len(refused) == 1:
            raise refused[0]
        if refused:
            notes = [line for error in refused for line in (f"{error.message}:", *error.notes)]
            raise StorageError(
                f"{len(refused)} archives are there already, with other bytes", notes=notes, hint=_ANOTHER
            )
        return outcomes

    def _archive(self, parcel: Parcel, outcome: Outcome) -> Outcome:
        if outcome == "there already":
            self.on_bytes(parcel.size)
            return outcome
        replaced = outcome == "would be replaced"
        address = parcel.address
        with self.slots:
            done = self.storage.upload(
                address, parcel.archive, parcel.sha256, overwrite=replaced, on_bytes=self.on_bytes
            )
        if done:
            return "replaced" if replaced else "uploaded"
        # somebody else was faster; with the same bytes that is as good
        if (digest := self.storage.digest(address)) != parcel.sha256:
            raise self._is_other(parcel, digest, self.storage.size(address))
        return "there already"

    def _other(self, parcel: Parcel, size: int) -> StorageError | None:
        """What is wrong with the object that is there; None where it has the parcel's bytes."""
        digest = self._told_digest(parcel.address) if size == parcel.size else None
        if size == parcel.size and (digest or self.storage.digest(parcel.address)) == parcel.sha256:
            return None
        return self._is_other(parcel, digest or self.storage.digest(parcel.address), size)

    def _is_other(self, parcel: Parcel, digest: str, size: int | None) -> StorageError:
        return StorageError(
            f"{self.storage.url(parcel.address)} is there already, with other bytes",
            notes=[f"there: sha256 {digest}, {size} bytes", f"here: sha256 {parcel.sha256}, {parcel.size} bytes"],
            hint=_ANOTHER,
        )

    def _told_digest(self, address: str) -> str | None:
        """The digest that stands beside an archive, or in the place of one that is to come."""
        found = self.storage.read(beside(address)["sha256"])
        word = found.content.decode("ascii", "replace").split()[:1] if found else []
        return word[0] if word and len(word[0]) == 64 else None

    def _paper(self, parcel: Parcel, kind: str, write: Callable[[], bytes], *, renew: bool) -> PublishedFile:
        """Have a paper beside an archive, the one that is there or else ours; what that says of it is returned."""
        address = beside(parcel.address)[kind]
        if renew:
            content = write()
            self.storage.overwrite(address, content)
        else:
            found = self.storage.read(address)
            content = found.content if found else write()
            if found is None and not self.storage.create(address, content):
                return self._paper(parcel, kind, write, renew=False)  # somebody was faster
        if kind == "sha256" and content.split()[:1] != [parcel.sha256.encode()]:
            raise StorageError(f"{self.storage.url(address)} tells of other bytes than the archive has", hint=_ANOTHER)
        if kind == "manifest.json":
            self._check_manifest(parcel, address, content)
        return PublishedFile(address=address, size=len(content), sha256=sha256_bytes(content))

    def _check_manifest(self, parcel: Parcel, address: str, content: bytes) -> None:
        try:
            manifest = json.loads(content)
            package = parcel.package
            check_manifest(manifest, package.name, package.version, parcel.target.platform.key)
            if manifest["archive"]["sha256"] != parcel.sha256:
                raise ValueError(f"it tells of an archive with the sha256 {manifest['archive']['sha256']}")
        except ValueError as error:
            raise StorageError(
                f"{self.storage.url(address)} is not the manifest of this archive", notes=[str(error)], hint=_ANOTHER
            ) from None

    def _read_back(self, parcel: Parcel) -> None:
        url = self.storage.url(parcel.address)
        size = self.storage.size(parcel.address)
        if size != parcel.size:
            raise StorageError(f"{url} has {size} bytes after it was put, and the archive {parcel.size}")
        if (told := self._told_digest(parcel.address)) != parcel.sha256:
            raise StorageError(f"beside {url} stands the sha256 {told}, and the archive has {parcel.sha256}")
        if self.verify and (found := self.storage.digest(parcel.address)) != parcel.sha256:
            raise StorageError(
                f"{url} has other bytes than were put there", notes=[f"sha256 {found}, expected {parcel.sha256}"],
                hint="the storage damages files, or somebody replaced it: publish with --force",
            )  # fmt: skip


def _digest_file(parcel: Parcel) -> bytes:
    # as sha256sum --check reads it
    return f"{parcel.sha256}  {parcel.address.rpartition('/')[2]}\n".encode()
