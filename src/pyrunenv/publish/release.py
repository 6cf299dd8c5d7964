"""What stands in a storage beside the archives, so that a client finds and trusts them (``docs/publishing.md``).

A release is one version of an environment with all its archives; the catalogue holds a release for each public name.
Both are JSON documents that follow from their inputs alone: publishing the same again gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from pyrunenv.errors import PullError
from pyrunenv.publish.descriptors import ENTRY_POINT

FORMAT = 1
"""Raised whenever a reader of older documents would misread a new one."""
CONTENT = "content/sha256"
"""Below it lies, under its digest, what several archives share."""


class Document(BaseModel):
    """A JSON document in a storage."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, extra="ignore")

    @classmethod
    def parse(cls, content: bytes | str, where: str) -> Self:
        """Read a document; raises PullError where it is none, or one of a later format."""
        try:
            document = cls.model_validate_json(content)
        except ValidationError as error:
            notes = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()[:5]]
            raise PullError(f"{where} is not what it should be", notes=notes) from None
        if (found := getattr(document, "format", FORMAT)) > FORMAT:
            raise PullError(f"{where} has the format {found}, and known is {FORMAT}", hint="use a newer pyrunenv")
        return document

    def to_json(self) -> bytes:
        return (self.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n").encode()


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0)]
# What becomes part of paths on a client's disk is checked here, whoever wrote the document.
_Name = Annotated[str, Field(pattern=r"^(@[A-Za-z0-9~][A-Za-z0-9._~-]*/)?[A-Za-z0-9~][A-Za-z0-9._~-]*$")]
_Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$")]
_Platform = Annotated[str, Field(pattern=r"^(linux|macosx|windows)-(x64|aarch64)$")]


class PublishedFile(Document):
    """A file in a storage: its address below the storage's top, size in bytes, sha256 in hexadecimal."""

    address: str
    size: Size
    sha256: Sha256


class PublishedArchive(PublishedFile):
    """An archive, and its manifest beside it, which one that was handed over alone has none of."""

    manifest: PublishedFile | None = None


class Release(Document):
    """One version of an environment. ``environment`` is its full version, ``archives`` maps platforms.

    ``descriptor`` is the Backend's (``contract/backend.md``); ``download_url`` is where its registry's clients download.
    """

    format: int = FORMAT
    name: _Name
    version: _Version
    environment: str
    registry: str
    download_url: str | None = None
    descriptor: Mapping[str, Any]
    archives: Mapping[_Platform, PublishedArchive]


class Catalogue(Document):
    """All public names of a catalogue's version, each with its release."""

    format: int = FORMAT
    name: _Name
    version: _Version
    description: str = ""
    entrypoints: Mapping[str, Release]


def release_address(name: str, version: str) -> str:
    """Return where a release lies in its registry's storage; ``name`` is the npm package's."""
    return f"software/{name.removeprefix('@')}/{ENTRY_POINT}/{version}.json"


def catalogue_address(name: str, version: str = "latest") -> str:
    """Return where a version of a catalogue lies: immutable, but for ``latest``, a copy of the newest."""
    return f"catalogue/{name.removeprefix('@')}/{version}.json"


def content_address(sha256: str) -> str:
    """Return where a part that archives share lies."""
    return f"{CONTENT}/{sha256[:2]}/{sha256}"


def beside(address: str) -> dict[str, str]:
    """Map what is published beside an archive to its address."""
    base = PurePosixPath(address)
    return {
        kind: f"{base}.{kind}"
        for kind in ("sha256", "manifest.json", "cdx.json", "provenance.json", "statement.json", "statement.sig",
                     "statement.sigstore.json", "parts.json")
    }  # fmt: skip
