"""Finds an archive as the Backend's blocks find it: through the catalogue's npm package and the environment's."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrunenv.config.package import WELL_KNOWN_REGISTRIES, PackageRegistry
from pyrunenv.errors import PullError
from pyrunenv.files import sha256_bytes
from pyrunenv.npm.tarball import integrity, unpack
from pyrunenv.publish.descriptors import ENTRY_POINT
from pyrunenv.publish.parcel import check_manifest
from pyrunenv.publish.release import PublishedArchive, PublishedFile, Release, beside
from pyrunenv.pull.resolve import Asked, Chosen

if TYPE_CHECKING:
    from pyrunenv.npm.registry import Registry
    from pyrunenv.pull.sources import Source


@dataclass(frozen=True)
class Npm:
    """Packages of an npm registry; ``registry_of`` gives each package's, ``open_source`` what lies below a URL."""

    registry_of: Callable[[str], Registry]
    open_source: Callable[[str], Source]

    def choose(self, asked: Asked, platform: str, catalogue: Asked) -> Chosen:
        """Return the archive that is asked for; raises PullError or NpmError where there is none."""
        files, version = self._package(catalogue.name, catalogue.version)
        listed = _json(files, "package.json", catalogue.name)
        entries = {
            public: str(entry.get("reference", "")).partition("/dist/")[0]
            for public, entry in listed.get("block-software", {}).get("entrypoints", {}).items()
        }
        name = entries.get(asked.name) or (asked.name if asked.name in entries.values() else None)
        if name is None:
            close = difflib.get_close_matches(asked.name, entries, n=1, cutoff=0.6)
            raise PullError(
                f"the catalogue {catalogue.name} {version} has no `{asked.name}`",
                notes=[f"it has: {', '.join(entries)}"], hint=f"did you mean `{close[0]}`?" if close else None,
            )  # fmt: skip
        return self._archive(name, asked.version or listed.get("dependencies", {}).get(name), platform)

    def _archive(self, name: str, wanted: str | None, platform: str) -> Chosen:
        files, version = self._package(name, wanted)
        what = f"{name} {version}"
        info = f"dist/artifacts/{ENTRY_POINT}/archive_{platform}.json"
        if info not in files:
            made = sorted(path.partition("archive_")[2].removesuffix(".json") for path in files if "/archive_" in path)
            raise PullError(f"{what} is not made for {platform}", hint=f"it is made for: {', '.join(made)}")
        artifact = _json(files, info, what)
        path = f"dist/manifest/{platform}.json"
        if path not in files:
            raise PullError(
                f"the package {what} does not tell its archives' digests", notes=[f"it has no {path}"],
                hint="it was published by another program: name the archive itself with --from URL",
            )  # fmt: skip
        manifest = _json(files, path, what)
        package = _json(files, "package.json", what)
        try:
            if (package["name"], package["version"]) != (name, version):
                raise ValueError(f"package.json is of {package['name']} {package['version']}")
            address, told = artifact["uploadPath"], manifest["archive"]
            check_manifest(manifest, name, version, platform)
            archive = PublishedArchive(
                address=address, size=told["size"], sha256=told["sha256"],
                manifest=PublishedFile(
                    address=beside(address)["manifest.json"], size=len(files[path]), sha256=sha256_bytes(files[path])
                ),
            )  # fmt: skip
            release = Release(
                name=name, version=version, environment=manifest["environment"], registry=artifact["registryName"],
                download_url=artifact.get("registryURL"), archives={platform: archive},
                descriptor=_json(files, f"dist/tengo/software/{ENTRY_POINT}.sw.json", what),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise PullError(f"the package {what} is not what it should be", notes=[str(error)]) from None
        return Chosen(release, platform, archive, self.open_source(_base(release)))

    def _package(self, name: str, version: str | None) -> tuple[Mapping[str, bytes], str]:
        """Return the files of a package's version, or of the newest, verified against the registry's digest."""
        registry = self.registry_of(name)
        known = registry.packument(name)
        version = known.tags.get(version or "latest", version)
        found = known.versions.get(version or "")
        if version is None or found is None:
            hint = f"it has: {', '.join(list(known.versions)[-5:])}" if known.versions else "check the name, and .npmrc"
            raise PullError(f"{registry.url} has no {name} {version or ''}".rstrip(), hint=hint)
        content = registry.tarball(name, found)
        digest = next((word for word in found.integrity.split() if word.startswith("sha512-")), None)
        if digest is None or integrity(content) != digest:
            raise PullError(
                f"the tarball of {name} {version} is not the one that {registry.url} tells of",
                notes=[f"told: {digest or 'no sha512'}", f"sent: {integrity(content)}"], hint="run again",
            )  # fmt: skip
        return unpack(content, f"{name} {version}"), version


def _base(release: Release) -> str:
    """Where a registry's clients download, as far as this machine is told."""
    registry = PackageRegistry(release.registry)
    url = release.download_url or WELL_KNOWN_REGISTRIES.get(release.registry) or registry.storage()
    if url is None:
        raise PullError(
            f"{release.name} does not tell where its registry `{release.registry}` is downloaded from",
            hint=f"set {registry.storage_variable} to the registry's storage",
        )
    return url


def _json(files: Mapping[str, bytes], path: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(files[path])
    except (KeyError, ValueError) as error:
        raise PullError(f"the package {what} has no {path} that can be read", notes=[str(error)]) from None
    if not isinstance(value, dict):
        raise PullError(f"the package {what} has no {path} that can be read")
    return value
