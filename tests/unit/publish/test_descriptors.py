"""Descriptors, byte for byte as in contract/golden."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyrunenv.config.load import Findings
from pyrunenv.config.package import CataloguePackage, Package, PackageRegistry, load_catalogue, load_package
from pyrunenv.errors import ConfigError
from pyrunenv.platforms import PLATFORMS
from pyrunenv.publish import descriptors

GOLDEN = Path(__file__).parents[2] / "contract" / "golden"
LINUX = PLATFORMS["linux-x64"]


def loaded(load: Any, path: Path) -> Any:
    found = load(path, "package.json", Findings())
    assert found is not None
    return found


@pytest.fixture
def package() -> Package:
    found: Package = loaded(load_package, GOLDEN / "environment/package.json")
    return found


@pytest.fixture
def catalogue() -> CataloguePackage:
    found: CataloguePackage = loaded(load_catalogue, GOLDEN / "catalogue/package.json")
    return found


@pytest.fixture
def packages(package: Package) -> list[Package]:
    """The environments of the golden catalogue, at other versions than it depends on."""
    variants = {"": (), "-atls": (), "-sccoda": ("RPY2_CFFI_MODE=ABI",), "-rapids": ("RPY2_CFFI_MODE=ABI",),
                "-h5ad": ("RPY2_CFFI_MODE=ABI",)}  # fmt: skip
    return [replace(package, name=package.name + suffix, env_vars=env) for suffix, env in variants.items()]


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_environment_s_files_are_the_golden_ones(package: Package, tmp_path: Path) -> None:
    """Every file of all five platforms, none more, none less, to the byte."""
    descriptors.write(tmp_path, package, PLATFORMS.values())
    assert tree(tmp_path / "dist") == tree(GOLDEN / "environment/dist")


def test_a_catalogue_s_files_are_the_golden_ones(
    catalogue: CataloguePackage, packages: list[Package], tmp_path: Path
) -> None:
    """The referenced descriptors are repeated at the versions that the catalogue depends on."""
    descriptors.write_catalogue(tmp_path, catalogue, packages)
    assert tree(tmp_path / "dist") == tree(GOLDEN / "catalogue/dist")


def test_addresses(package: Package) -> None:
    """The archive's name is its address with dashes; a zip ends in .zip everywhere."""
    address = "software/platforma-open/milaboratories.runenv-python-3.12.10/main/1.3.24-linux-x64"
    assert descriptors.upload_path(package, LINUX) == f"{address}.tgz"
    assert descriptors.archive_name(package, LINUX) == (
        "pkg-software-platforma-open-milaboratories.runenv-python-3.12.10-main-1.3.24-linux-x64.tgz"
    )
    zipped = replace(package, archive_type="zip")
    assert descriptors.upload_path(zipped, LINUX) == f"{address}.zip"
    assert descriptors.archive_name(zipped, LINUX).endswith("-main-1.3.24-linux-x64.zip")
    assert json.loads(descriptors.descriptor(zipped))["runEnv"]["package"].endswith("/1.3.24-{os}-{arch}.zip")


def test_a_registry_without_download_url(package: Package) -> None:
    """Where no URL is known the key is left out; a given one is told."""
    unknown = replace(package, registry=PackageRegistry("ours", None, "s3://ours/software"))
    assert "registryURL" not in json.loads(descriptors.artifact_info(unknown, LINUX))
    assert "s3://" not in descriptors.artifact_info(unknown, LINUX)
    given = replace(package, registry=PackageRegistry("ours", "https://bin.example/"))
    assert json.loads(descriptors.artifact_info(given, LINUX))["registryURL"] == "https://bin.example/"
    assert json.loads(descriptors.descriptor(given))["runEnv"]["registry"] == "ours"


def test_the_folder_s_python_version_serves_where_the_file_has_none(package: Package) -> None:
    """package.json wins; without either there is no descriptor."""
    bare = replace(package, python_version=None)
    assert descriptors.descriptor(bare, "3.12.10") == descriptors.descriptor(package, "3.11.1")
    with pytest.raises(ConfigError, match="does not say its Python version"):
        descriptors.descriptor(bare)


def test_files_that_are_right_are_left_alone(package: Package, tmp_path: Path) -> None:
    """A second run does not touch them, so that nothing downstream is rebuilt."""
    descriptors.write(tmp_path, package, [LINUX])
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")}
    descriptors.write(tmp_path, package, [LINUX])
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")} == before


@pytest.mark.parametrize("given", ["workspace:*", "workspace:^", "workspace:1.3.24"])
def test_workspace_versions_are_the_environment_s_own(
    catalogue: CataloguePackage, packages: list[Package], given: str
) -> None:
    """pnpm replaces them when it publishes, by the version that the environment has then."""
    dependencies = {**catalogue.dependencies, packages[0].name: given}
    found = descriptors.catalogue_descriptors(replace(catalogue, dependencies=dependencies), packages)
    assert found["3.12.10"] == (GOLDEN / "environment/dist/tengo/software/main.sw.json").read_text()


def test_references_that_lead_nowhere_are_all_told(catalogue: CataloguePackage, packages: list[Package]) -> None:
    """An unknown environment, a path that is none, a missing dependency and a range: one error."""
    atls, h5ad, sccoda = (
        f"@platforma-open/milaboratories.runenv-python-3.12.10-{n}" for n in ("atls", "h5ad", "sccoda")
    )
    dependencies = {**catalogue.dependencies, h5ad: "^1.1.3", sccoda: "1.3.x"}
    del dependencies[atls]
    broken = replace(
        catalogue, dependencies=dependencies,
        entrypoints={**catalogue.entrypoints, "lost": "@x/y/dist/tengo/software/main.sw.json", "odd": f"{atls}/main"},
    )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        descriptors.catalogue_descriptors(broken, packages)
    assert caught.value.notes == (
        f"3.12.10-atls: refers to {atls}, and the dependencies lack it",
        f"3.12.10-sccoda: refers to {sccoda}, and the dependencies have it at `1.3.x`, which is not one exact version",
        f"3.12.10-h5ad: refers to {h5ad}, and the dependencies have it at `^1.1.3`, which is not one exact version",
        "lost: `@x/y/dist/tengo/software/main.sw.json` names no environment of this workspace",
        f"odd: `{atls}/main` does not end in /dist/tengo/software/main.sw.json",
    )


def test_a_prerelease_is_an_exact_version(catalogue: CataloguePackage, packages: list[Package]) -> None:
    """A version with letters after its dash is as exact as any."""
    dependencies = {**catalogue.dependencies, packages[0].name: "2.0.0-next.1"}
    found = descriptors.catalogue_descriptors(replace(catalogue, dependencies=dependencies), packages)
    assert "/main/2.0.0-next.1-{os}-{arch}.tgz" in found["3.12.10"]


def test_names_that_the_catalogue_dropped_go(
    catalogue: CataloguePackage, packages: list[Package], tmp_path: Path
) -> None:
    """A descriptor of an entry point that is no more would still be published."""
    descriptors.write_catalogue(tmp_path, catalogue, packages)
    fewer = {name: ref for name, ref in catalogue.entrypoints.items() if name != "3.12.10-atls"}
    descriptors.write_catalogue(tmp_path, replace(catalogue, entrypoints=fewer), packages)
    assert not (tmp_path / "dist/tengo/software/3.12.10-atls.sw.json").exists()
    assert len(list((tmp_path / "dist/tengo/software").iterdir())) == 4
