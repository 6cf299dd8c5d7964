"""What goes into the npm packages: of an environment package.json and its descriptors and manifests, of the catalogue
package.json and its descriptors; README, LICENSE and COPYING as npm has it. Anything else in dist/ stays at home.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv.bundle.manifest import manifest_path
from pyrunenv.errors import ConfigError
from pyrunenv.npm.tarball import Tarball
from pyrunenv.platforms import PLATFORMS
from pyrunenv.publish.descriptors import ENTRY_POINT, artifact_info, catalogue_descriptors, descriptor, exact_version
from pyrunenv.publish.parcel import check_manifest

if TYPE_CHECKING:
    from pyrunenv.config.package import CataloguePackage, Package
    from pyrunenv.config.workspace import Environment

ManifestOf = Callable[["Package", str], bytes | None]
"""The manifest of a package on a platform that lies in its storage; None where there is none."""

_SOFTWARE = "dist/tengo/software"
# https://github.com/npm/npm-packlist: what it packs whatever `files` says
_ALWAYS = re.compile(r"(?:readme|copying|licen[cs]e)(?:\..*[^~$])?", re.IGNORECASE)
_INSTALLED = ("dependencies", "optionalDependencies", "peerDependencies")
_LOCAL = ("workspace:", "catalog:", "link:", "file:", "portal:")
_REBUILD = "build it again"


class Refused(Exception):
    """A package cannot be made, for these reasons."""

    def __init__(self, reasons: Iterable[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


def environment_tarball(environment: Environment, packages: Sequence[Package], manifest_of: ManifestOf) -> Tarball:
    """Return an environment's package; raises Refused with everything that is not as it must be.

    ``packages`` are the workspace's. What another machine built comes from the storage, and what is built here must
    be what lies there.
    """
    gathered = _Gathered(environment.folder, environment.full_version, environment.package.raw, packages)
    package = environment.package
    built_here = [gathered.platform(package, platform, manifest_of) for platform in package.platforms]
    wanted = descriptor(package, environment.python_version).encode()
    gathered.add(f"{_SOFTWARE}/{ENTRY_POINT}.sw.json", wanted, required=any(built_here), remedy=_REBUILD)
    return gathered.tarball(package.name, package.version)


def catalogue_tarball(
    folder: Path, catalogue: CataloguePackage, packages: Sequence[Package], python_versions: Mapping[str, str]
) -> Tarball:
    """Return the catalogue's package; raises Refused with everything that is not as it must be."""
    gathered = _Gathered(folder, "the catalogue", catalogue.raw, packages)
    remedy = "run `pyrunenv catalogue build`"
    for name, given in catalogue.dependencies.items():
        if exact_version(given, gathered.packages.get(name)) is None:
            gathered.refuse(f"its dependency {name} is `{given}`, which is not one exact version")
    try:
        wanted = catalogue_descriptors(catalogue, packages, python_versions)
    except ConfigError as error:
        raise Refused([*gathered.reasons, *(f"the catalogue: {note}" for note in error.notes)]) from None
    for name, text in wanted.items():
        gathered.add(f"{_SOFTWARE}/{name}.sw.json", text.encode(), required=True, remedy=remedy)
    for path in sorted((folder / _SOFTWARE).glob("*.sw.json")):
        if path.name.removesuffix(".sw.json") not in wanted:
            gathered.refuse(f"{_SOFTWARE}/{path.name} is of no entry point any more: {remedy}")
    return gathered.tarball(catalogue.name, catalogue.version)


class _Gathered:
    """The files of one package, and why they cannot be published."""

    def __init__(self, folder: Path, shown: str, raw: Mapping[str, Any], packages: Sequence[Package]) -> None:
        self.packages = {package.name: package for package in packages}
        self.reasons: list[str] = []
        self._folder, self._shown = folder, shown
        self._files: dict[str, bytes] = {}
        self._manifest = raw
        self._check(raw)
        self._package_json(raw)
        for path in sorted(folder.iterdir()):
            if _ALWAYS.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                self._files[path.name] = path.read_bytes()

    def refuse(self, reason: str, platform: str | None = None) -> None:
        self.reasons.append(f"{self._shown}{f' on {platform}' if platform else ''}: {reason}")

    def tarball(self, name: str, version: str) -> Tarball:
        if self.reasons:
            raise Refused(self.reasons)
        return Tarball(name, version, self._manifest, self._files)

    def add(self, path: str, wanted: bytes, *, required: bool, remedy: str, platform: str | None = None) -> None:
        """Add a file that follows from package.json; what lies here must be that."""
        found = self._read(path)
        if found is None and required:
            self.refuse(f"{path} is not there: {remedy}", platform)
        elif found not in (None, wanted):
            self.refuse(f"{path} is not what package.json says: {remedy}", platform)
        self._files[path] = wanted

    def platform(self, package: Package, platform: str, manifest_of: ManifestOf) -> bool:
        """Add a platform's files; returns whether it is built here."""
        path = manifest_path(self._folder, platform)
        here = self._read(path.relative_to(self._folder).as_posix())
        there = manifest_of(package, platform)
        content = here if here is not None else there
        if content is None:
            self.refuse("it is not built here, and its manifest is not in storage", platform)
            return False
        if here is not None and there not in (None, here):
            self.refuse("its manifest in storage is of another build of this version", platform)
        try:
            check_manifest(_parsed(content), package.name, package.version, platform)
        except ValueError as error:
            self.refuse(str(error), platform)
        self._files[path.relative_to(self._folder).as_posix()] = content
        info = artifact_info(package, PLATFORMS[platform]).encode()
        name = f"dist/artifacts/{ENTRY_POINT}/archive_{platform}.json"
        self.add(name, info, required=here is not None, remedy=_REBUILD, platform=platform)
        return here is not None

    def _check(self, raw: Mapping[str, Any]) -> None:
        if raw.get("private"):
            self.refuse("package.json says `private`")
        if "+" in str(raw.get("version")):
            self.refuse(f"npm drops what stands behind `+` in the version {raw['version']}")
        files = raw.get("files")
        if not isinstance(files, list) or not {_bare(entry) for entry in files} & {"dist"}:
            self.refuse('package.json must have `"files": ["dist/"]`: npm would pack something else without')
        elif more := [str(entry) for entry in files if _bare(entry) != "dist"]:
            self.refuse(f"its `files` names {', '.join(more)}: only dist/ is published, archives go to the storage")

    def _package_json(self, raw: Mapping[str, Any]) -> None:
        """Take package.json byte for byte, unless it has ranges that mean nothing outside of this workspace."""
        content = (self._folder / "package.json").read_bytes()
        exact: dict[str, dict[str, Any]] = {}
        for kind in _INSTALLED:
            for name, given in (raw.get(kind) or {}).items():
                if not str(given).startswith(_LOCAL):
                    continue
                version = exact_version(given, self.packages.get(name))
                if version is None:
                    self.refuse(f"{kind}: {name} at `{given}` cannot be had outside of this workspace")
                else:
                    exact.setdefault(kind, dict(raw[kind]))[name] = version
        if exact:
            # as pnpm writes it
            self._manifest = {**raw, **exact}
            content = json.dumps(self._manifest, indent=2, ensure_ascii=False).encode()
        self._files["package.json"] = content

    def _read(self, relative: str) -> bytes | None:
        path = self._folder / relative
        return path.read_bytes() if path.is_file() else None


def _bare(entry: object) -> str:
    return re.sub(r"(?:/\*{1,2})?/*$", "", str(entry).removeprefix("./").removeprefix("/"))


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ValueError(f"its manifest cannot be read ({error})") from None
