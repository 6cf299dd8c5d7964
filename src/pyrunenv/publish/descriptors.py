"""Artefact infos and software descriptors, by which the Backend finds an environment (``contract/backend.md``)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunenv.errors import ConfigError
from pyrunenv.files import write_atomic

if TYPE_CHECKING:
    from pyrunenv.config.package import CataloguePackage, Package
    from pyrunenv.platforms import Platform

ENTRY_POINT = "main"
_EXACT = re.compile(r"\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?")  # https://semver.org
_SOFTWARE = f"dist/tengo/software/{ENTRY_POINT}.sw.json"


def upload_path(package: Package, platform: Platform) -> str:
    """Return an archive's address in its registry."""
    return _address(package, platform.key)


def archive_name(package: Package, platform: Platform) -> str:
    """Return an archive's file name in the environment's folder."""
    return "pkg-" + upload_path(package, platform).replace("/", "-")


def artifact_info(package: Package, platform: Platform) -> str:
    """Return an artefact info: one line of JSON, without a newline at its end."""
    info: dict[str, Any] = {"type": "environment", "platform": platform.key}
    if package.registry.download_url is not None:
        info["registryURL"] = package.registry.download_url
    info["registryName"] = package.registry.name
    info["remoteArtifactLocation"] = _address(package, "{os}-{arch}")
    info["uploadPath"] = upload_path(package, platform)
    return _compact(info)


def descriptor(package: Package, python_version: str | None = None) -> str:
    """Return a software descriptor, one line of JSON. ``python_version`` serves where package.json has none."""
    version = package.python_version or python_version
    if version is None:
        raise ConfigError(
            f"{package.name} does not say its Python version", hint="add `python-version` to its package.json"
        )
    run_environment = {
        "type": "python",
        "python-version": version,
        "envVars": list(package.env_vars),
        "registry": package.registry.name,
        "package": _address(package, "{os}-{arch}"),
        "binDir": package.bin_dir,
    }
    return _compact({"name": f"{package.name}:{ENTRY_POINT}", "runEnv": run_environment}) + "\n"


def write(
    environment_folder: Path, package: Package, platforms: Iterable[Platform], python_version: str | None = None
) -> None:
    """Write the artefact infos of platforms and the descriptor; what has the right content is left alone."""
    for platform in platforms:
        path = environment_folder / "dist" / "artifacts" / ENTRY_POINT / f"archive_{platform.key}.json"
        write_atomic(path, artifact_info(package, platform))
    write_atomic(environment_folder / _SOFTWARE, descriptor(package, python_version))


def catalogue_descriptors(
    catalogue: CataloguePackage, packages: Sequence[Package], python_versions: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Map each public name to its descriptor: the referenced environment's, at the version the catalogue depends on.

    ``packages`` are the workspace's; ``python_versions`` maps npm names to Python versions, for a package.json without.
    Raises ConfigError with every reference that leads nowhere.
    """
    by_name = {package.name: package for package in packages}
    result: dict[str, str] = {}
    problems: list[str] = []
    for name, reference in catalogue.entrypoints.items():
        package = by_name.get(reference.removesuffix(f"/{_SOFTWARE}"))
        if not reference.endswith(f"/{_SOFTWARE}"):
            problems.append(f"{name}: `{reference}` does not end in /{_SOFTWARE}")
        elif package is None:
            problems.append(f"{name}: `{reference}` names no environment of this workspace")
        elif (version := depended_version(catalogue, package)) is None:
            given = catalogue.dependencies.get(package.name)
            asked = "lack it" if given is None else f"have it at `{given}`, which is not one exact version"
            problems.append(f"{name}: refers to {package.name}, and the dependencies {asked}")
        else:
            result[name] = descriptor(replace(package, version=version), (python_versions or {}).get(package.name))
    if problems:
        raise ConfigError(
            f"the catalogue {catalogue.name} refers to what is not there", notes=problems,
            hint="correct package.json: each reference needs an environment, and its exact version in `dependencies`",
        )  # fmt: skip
    return result


def write_catalogue(
    folder: Path,
    catalogue: CataloguePackage,
    packages: Sequence[Package],
    python_versions: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write the catalogue's descriptors, and remove those of names that it no longer has; returns their paths."""
    software = folder / "dist" / "tengo" / "software"
    wanted = catalogue_descriptors(catalogue, packages, python_versions)
    for name, text in wanted.items():
        write_atomic(software / f"{name}.sw.json", text)
    for path in software.glob("*.sw.json"):
        if path.name.removesuffix(".sw.json") not in wanted:
            path.unlink()
    return [software / f"{name}.sw.json" for name in wanted]


def _address(package: Package, platform: str) -> str:
    name = package.name.removeprefix("@")
    return f"software/{name}/{ENTRY_POINT}/{package.version}-{platform}.{package.archive_type}"


def depended_version(catalogue: CataloguePackage, package: Package) -> str | None:
    """Return the exact version the catalogue depends on; a ``workspace:`` range of pnpm is the package's own."""
    given = catalogue.dependencies.get(package.name)
    return None if given is None else exact_version(given, package)


def exact_version(given: str, package: Package | None) -> str | None:
    """Return the exact version that a dependency on a package of the workspace (None: it is not one) means, if any."""
    if given.startswith("workspace:"):
        inner = given.removeprefix("workspace:")
        return package.version if package and inner in ("*", "^", "~", package.version) else None
    return given if _EXACT.fullmatch(given) else None


def _compact(value: Mapping[str, Any]) -> str:
    # as JavaScript's JSON.stringify writes it, for which the golden files stand
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
