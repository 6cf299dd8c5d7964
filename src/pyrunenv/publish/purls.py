"""Package URLs (https://github.com/package-url/purl-spec) of what a manifest names, the same in every paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packageurl import PackageURL

_PYPI = "https://pypi.org/simple"


def wheel_purl(wheel: Mapping[str, Any]) -> PackageURL:
    """Return the package URL of one of a manifest's wheels: its file, and its index or what it was built from."""
    qualifiers = {"file_name": wheel["file"]}
    if (index := wheel["index"]) and index.rstrip("/") != _PYPI:
        qualifiers["repository_url"] = index
    source = wheel.get("builtFrom")
    if source and source["kind"] == "git":
        qualifiers["vcs_url"] = git_uri(source["url"], source["commit"])
    elif source and source["kind"] != "folder":
        qualifiers["download_url"] = source["url"]
    return PackageURL("pypi", None, wheel["name"], wheel["version"], qualifiers)


def npm_purl(name: str, version: str) -> PackageURL:
    """Return the package URL of an npm package."""
    scope, _, bare = name.rpartition("/")
    return PackageURL("npm", scope or None, bare, version)


def interpreter_purl(told: Mapping[str, Any]) -> PackageURL:
    """Return the package URL of a manifest's interpreter."""
    url, sha256 = told["url"], told["sha256"]
    qualifiers = {"download_url": url, "checksum": f"sha256:{sha256}"} if url and sha256 else None
    return PackageURL("generic", None, "cpython", told["version"], qualifiers)


def git_uri(url: str, commit: str) -> str:
    """Return a commit of a repository as SPDX writes it."""
    return f"git+{url}@{commit}"
