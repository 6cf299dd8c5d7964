"""The bill of materials of a bundle (CycloneDX 1.6, https://cyclonedx.org): its interpreter, every wheel, the environment.

It follows from the manifest and the wheels' own metadata, so that the same archive has the same bytes of it: no time, and a
serial number that comes from the archive's digest.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pyrunenv.platforms import PLATFORMS, marker_environment

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

_NAMESPACE = uuid.UUID("5a0d6d1c-7a3e-5f0c-9d0e-1f1f3b6f5b8e")
_PYPI = "https://pypi.org/simple"
_CLASSIFIER = "License :: "


def sbom(manifest: Mapping[str, Any], metadata_of: Callable[[str], Message]) -> bytes:
    """Return the bill of materials of what a manifest tells of; ``metadata_of`` maps a wheel's file name to its METADATA."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    metadata = {wheel["file"]: metadata_of(wheel["file"]) for wheel in manifest["wheels"]}
    whole, interpreter = _environment(manifest), _interpreter(manifest["interpreter"])
    wheels = {wheel["file"]: _wheel(wheel, metadata[wheel["file"]]) for wheel in manifest["wheels"]}
    serial = uuid.uuid5(_NAMESPACE, manifest["archive"]["sha256"])
    bom = Bom(serial_number=serial, components=[interpreter, *wheels.values()])
    bom.metadata.component = whole
    bom.register_dependency(whole, [interpreter, *wheels.values()])
    for wheel in manifest["wheels"]:
        needed = _needed(wheel, metadata[wheel["file"]], manifest)
        bom.register_dependency(wheels[wheel["file"]], [interpreter, *(wheels[file] for file in needed)])
    value = json.loads(JsonV1Dot6(bom).output_as_string())
    value["metadata"].pop("timestamp", None)
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _environment(manifest: Mapping[str, Any]) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    package = manifest["package"]
    scope, _, name = package["name"].rpartition("/")
    return Component(
        type=ComponentType.PLATFORM, name=package["name"], version=package["version"], bom_ref="environment",
        purl=PackageURL("npm", scope or None, name, package["version"]),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=manifest["archive"]["sha256"])],
        properties=[
            Property(name="pyrunenv:environment", value=manifest["environment"]),
            Property(name="pyrunenv:platform", value=manifest["platform"]),
        ],
    )  # fmt: skip


def _interpreter(told: Mapping[str, Any]) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    url, sha256 = told["url"], told["sha256"]
    qualifiers = {"download_url": url, "checksum": f"sha256:{sha256}"} if url and sha256 else None
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []
    references = (
        [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url), hashes=hashes)] if url else []
    )
    return Component(
        type=ComponentType.PLATFORM, name="cpython", version=told["version"], bom_ref="interpreter",
        purl=PackageURL("generic", None, "cpython", told["version"], qualifiers),
        licenses=[LicenseFactory().make_from_string("Python-2.0")], external_references=references,
    )  # fmt: skip


def _wheel(wheel: Mapping[str, Any], metadata: Message) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    qualifiers = {"file_name": wheel["file"]}
    if (index := wheel["index"]) and index.rstrip("/") != _PYPI:
        qualifiers["repository_url"] = index
    if source := wheel.get("builtFrom"):
        qualifiers["vcs_url" if source["kind"] == "git" else "download_url"] = (
            f"git+{source['url']}@{source['commit']}" if source["kind"] == "git" else source["url"]
        )
    return Component(
        type=ComponentType.LIBRARY, name=wheel["name"], version=wheel["version"], bom_ref=wheel["file"],
        purl=PackageURL("pypi", None, wheel["name"], wheel["version"], qualifiers),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel["sha256"])], licenses=_licenses(metadata),
        properties=[Property(name="pyrunenv:group", value=group) for group in wheel["groups"]],
    )  # fmt: skip


def _licenses(metadata: Message) -> list[License]:
    """What a wheel says of its licence: an expression (PEP 639), else its classifiers, else the first line of a text."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.license import DisjunctiveLicense

    if expression := metadata.get("License-Expression"):
        return [LicenseFactory().make_from_string(str(expression).strip())]
    classified = [str(line) for line in metadata.get_all("Classifier", ()) if str(line).startswith(_CLASSIFIER)]
    names = [line.rpartition(" :: ")[2] for line in classified if line.count(" :: ") > 1]
    if names:
        return [DisjunctiveLicense(name=name) for name in sorted(set(names))]
    text = str(metadata.get("License") or "").strip().splitlines()
    short = text[0].strip() if text else ""
    if not short or short == "UNKNOWN":
        return []
    return [LicenseFactory().make_from_string(short)]


def _needed(wheel: Mapping[str, Any], metadata: Message, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the file names of the wheels that one needs on its platform, as far as its metadata tells."""
    environment = {
        **marker_environment(PLATFORMS[manifest["platform"]], manifest["interpreter"]["version"]),
        "extra": "",
    }
    needed = set()
    for line in metadata.get_all("Requires-Dist", ()):
        try:
            requirement = Requirement(str(line))
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate(environment):
            needed.add(canonicalize_name(requirement.name))
    groups = set(wheel["groups"])
    for other in manifest["wheels"]:
        if other["name"] in needed and groups & set(other["groups"]):
            yield other["file"]
