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

from pyrunenv.bundle import copyfiles
from pyrunenv.publish.purls import interpreter_purl, npm_purl, wheel_purl

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

    from pyrunenv.lock.model import Lock

_NAMESPACE = uuid.UUID("5a0d6d1c-7a3e-5f0c-9d0e-1f1f3b6f5b8e")
_CLASSIFIER = "License :: "


def sbom(manifest: Mapping[str, Any], metadata_of: Callable[[str], Message | None], lock: Lock) -> bytes:
    """Return the bill of materials of what a manifest tells of; the lock, which it was built from, tells what needs what.

    ``metadata_of`` maps a wheel's file name to its METADATA; without that no licence is told.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    whole, interpreter = _environment(manifest), _interpreter(manifest["interpreter"])
    wheels = {(w["name"], w["version"]): _wheel(w, metadata_of(w["file"])) for w in manifest["wheels"]}
    components = [interpreter, *wheels.values(), *_copies(manifest["inputs"]["copyFiles"])]
    serial = uuid.uuid5(_NAMESPACE, manifest["archive"]["sha256"])
    bom = Bom(serial_number=serial, components=components)
    bom.metadata.component = whole
    bom.register_dependency(whole, components)
    needed = {(package.name, package.version): package.dependencies for package in lock.packages}
    for key, wheel in wheels.items():
        others = [wheels[other] for other in needed.get(key, ()) if other in wheels and other != key]
        bom.register_dependency(wheel, [interpreter, *others])
    value = json.loads(JsonV1Dot6(bom).output_as_string())
    value["metadata"].pop("timestamp", None)
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _environment(manifest: Mapping[str, Any]) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType

    package = manifest["package"]
    return Component(
        type=ComponentType.PLATFORM, name=package["name"], version=package["version"], bom_ref="environment",
        purl=npm_purl(package["name"], package["version"]),
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

    url, sha256 = told["url"], told["sha256"]
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []
    references = (
        [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url), hashes=hashes)] if url else []
    )
    return Component(
        type=ComponentType.PLATFORM, name="cpython", version=told["version"], bom_ref="interpreter",
        purl=interpreter_purl(told),
        licenses=[LicenseFactory().make_from_string("Python-2.0")], external_references=references,
    )  # fmt: skip


def _wheel(wheel: Mapping[str, Any], metadata: Message | None) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        type=ComponentType.LIBRARY, name=wheel["name"], version=wheel["version"], bom_ref=wheel["file"],
        purl=wheel_purl(wheel), hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel["sha256"])],
        licenses=_licenses(metadata) if metadata else (),
        properties=[Property(name="pyrunenv:group", value=group) for group in wheel["groups"]],
    )  # fmt: skip


def _copies(digest: str) -> Iterator[Component]:
    """What ``copyFiles`` puts into the bundle, as one component, where there is any."""
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType

    if digest != copyfiles.digest(()):
        # the digest is one of names and contents, and no file's
        told = [Property(name="pyrunenv:copyFiles", value=digest)]
        yield Component(type=ComponentType.FILE, name="copied files", bom_ref="copied-files", properties=told)


def _licenses(metadata: Message) -> list[License]:
    """What a wheel says of its licence: an expression (PEP 639), a name that SPDX knows, its classifiers, a text's first line."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.license import DisjunctiveLicense

    factory = LicenseFactory()
    if expression := str(metadata.get("License-Expression") or "").strip():
        return [factory.make_from_string(expression)]
    text = str(metadata.get("License") or "").strip().splitlines()
    said = factory.make_from_string(text[0].strip()) if text and text[0].strip() != "UNKNOWN" else None
    if said and not (isinstance(said, DisjunctiveLicense) and said.name):
        return [said]
    classified = [str(line) for line in metadata.get_all("Classifier", ()) if str(line).startswith(_CLASSIFIER)]
    names = {line.rpartition(" :: ")[2] for line in classified if line.count(" :: ") > 1}
    return [DisjunctiveLicense(name=name) for name in sorted(names)] or ([said] if said else [])
