"""The two documents of a registry: what it knows of a package, and what is put to publish a version.

The second is npm's own (https://github.com/npm/cli/blob/latest/workspaces/libnpmpublish/lib/publish.js).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from pyrunenv.errors import NpmError

if TYPE_CHECKING:
    from pyrunenv.npm.tarball import Tarball


@dataclass(frozen=True)
class Version:
    """A version that a registry has: the digests it tells, where its tarball lies, whether it is deprecated."""

    integrity: str
    shasum: str
    tarball: str
    deprecated: bool = False


@dataclass(frozen=True)
class Packument:
    """What a registry knows of a package."""

    versions: Mapping[str, Version] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def publish_document(tarball: Tarball, registry: str, *, tag: str, access: str | None) -> dict[str, Any]:
    """Return what is put to publish a version."""
    file = f"{tarball.name}-{tarball.version}.tgz"
    # https would be right; npm writes http, and clients of a https registry use https whatever is written
    url = urljoin(registry, f"{tarball.name}/-/{file}").replace("https://", "http://", 1)
    version = {
        **tarball.manifest,
        "_id": f"{tarball.name}@{tarball.version}",
        "dist": {"integrity": tarball.integrity, "shasum": tarball.shasum, "tarball": url},
    }
    if (readme := tarball.files.get("README.md")) is not None:
        version |= {"readme": readme.decode(errors="replace"), "readmeFilename": "README.md"}
    attachment = {
        "content_type": "application/octet-stream",
        "data": b64encode(tarball.content).decode(),
        "length": len(tarball.content),
    }
    return {
        "_id": tarball.name,
        "name": tarball.name,
        "description": tarball.manifest.get("description"),
        "dist-tags": {tag: tarball.version},
        "versions": {tarball.version: version},
        "access": access,
        "_attachments": {file: attachment},
    }


def read_packument(content: bytes, registry: str, name: str) -> Packument:
    """Read what a registry knows of a package; raises NpmError where it is something else."""
    try:
        document = json.loads(content)
        versions = {
            version: Version(
                str(entry["dist"].get("integrity") or ""), str(entry["dist"].get("shasum") or ""),
                str(entry["dist"]["tarball"]), bool(entry.get("deprecated")),
            )
            for version, entry in (document.get("versions") or {}).items()
        }  # fmt: skip
        return Packument(versions, dict(document.get("dist-tags") or {}))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise NpmError(
            f"what {registry} says of {name} is no document of an npm registry", hint="is it the registry's URL?"
        ) from None
