"""Source distributions as the resolver is told of them: wheels that are not built yet, with the metadata they will have.

The resolver must never build anything: it would run a source's code for this machine, and believe what that says. So what
may be built for a target stands on a shelf, an index of its own behind the gate, as a wheel that fits every platform. What
the resolver reads of it is its metadata alone (PEP 658), which :mod:`pyrunenv.wheels.workshop` knows.
"""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from pyrunenv.errors import PyrunenvError
from pyrunenv.files import digest_of
from pyrunenv.lock.model import LockedSource

if TYPE_CHECKING:
    from pyrunenv.lock.gate import Gate

NAME = "built-from-source"
"""The shelf's name among the registries."""


@dataclass(frozen=True)
class Candidate:
    """One version that could be built. ``index`` is the registry that has it, ``yanked`` that registry's reason."""

    name: str
    version: str
    source: LockedSource
    index: str | None = None
    requires_python: str | None = None
    yanked: str | bool = False

    @property
    def filename(self) -> str:
        """What the wheel would be called, were it for every platform."""
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class Shelf:
    """Candidates by the file names of their wheels. ``address`` stays the same while they do."""

    address: str
    entries: Mapping[str, Candidate]
    read: Callable[[Candidate], bytes] = field(repr=False)
    failures: dict[str, PyrunenvError] = field(default_factory=dict)
    """Why metadata cannot be had, by file name."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def of(
        cls, candidates: Iterable[Candidate], scope: object, read: Callable[[Candidate], bytes], gate: Gate
    ) -> Shelf:
        """Put candidates on a shelf; ``scope`` is plain data that their metadata depends on."""
        from pyrunenv.lock.gate import shelf_address

        entries = {c.filename: c for c in candidates}
        rows = sorted(
            [c.filename, c.source.kind, c.source.url, c.source.identity, c.index or "", str(c.yanked)]
            for c in entries.values()
        )
        shelf = cls(shelf_address(digest_of([scope, rows])[:32]), entries, read)
        return gate.show(shelf)

    @property
    def index(self) -> str:
        return f"{self.address}/simple"

    def url(self, candidate: Candidate) -> str:
        """Where the resolver finds a candidate."""
        return f"{self.address}/files/{candidate.filename}"

    def at(self, url: str) -> Candidate | None:
        """Return the candidate that a URL stands for, if it is one of these."""
        before, _, filename = url.rpartition("/")
        return self.entries.get(filename) if before == f"{self.address}/files" else None

    def page(self, project: str) -> bytes | None:
        """The project's page (PEP 691); None where there is none."""
        files: list[dict[str, Any]] = []
        for candidate in self.entries.values():
            if candidate.name == project:
                file = {"filename": candidate.filename, "url": self.url(candidate), "core-metadata": True,
                        "hashes": {"sha256": candidate.source.sha256} if candidate.source.sha256 else {},
                        "yanked": candidate.yanked, "upload-time": candidate.source.upload_time,
                        "requires-python": candidate.requires_python, "size": candidate.source.size}  # fmt: skip
                files.append({key: value for key, value in file.items() if value is not None})
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": files}
        return json.dumps(page).encode() if files else None

    def metadata(self, filename: str) -> bytes | None:
        """Core metadata of a candidate; None where there is none, or it cannot be had (see ``failures``)."""
        candidate = self.entries.get(filename)
        if candidate is None:
            return None
        with self._lock:
            try:
                return self.read(candidate)
            except PyrunenvError as error:
                self.failures[filename] = error
                return None

    def wheel(self, filename: str) -> bytes | None:
        """A wheel with the metadata and nothing else, for a resolver that wants the file."""
        content = self.metadata(filename)
        if content is None:
            return None
        stem = "-".join(filename.split("-")[:2])
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w") as archive:
            members = {
                "METADATA": content,
                "WHEEL": b"Wheel-Version: 1.0\nGenerator: pyrunenv\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                "RECORD": b"",
            }
            for name, body in members.items():
                archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{name}"), body)
        return raw.getvalue()


def name_and_version(metadata: bytes) -> tuple[str, str]:
    """Read the normalised name and the version of core metadata."""
    from email.parser import BytesParser

    fields = BytesParser().parsebytes(metadata, headersonly=True)
    return canonicalize_name(fields["Name"]), fields["Version"]
