"""The bill of materials and the provenance of an archive: valid, the same each time, and nobody's secrets."""

from __future__ import annotations

import json
import subprocess
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pyrunenv.publish.provenance import provenance
from pyrunenv.publish.sbom import sbom

LICENCES: dict[str, list[tuple[str, str]]] = {
    "expression": [("License-Expression", "Apache-2.0 OR BSD-2-Clause"), ("License", "ignored")],
    "no-expression": [("License-Expression", "whatever (see the file)")],
    "classified": [("Classifier", "License :: OSI Approved :: MIT License"), ("Classifier", "License :: OSI Approved"),
                   ("Classifier", "Programming Language :: Python")],
    "named": [("License", "MIT")],
    "a-whole-text": [("License", "The Licence\n  of this work, in\n  many lines")],
    "silent": [("License", "UNKNOWN")],
    "ünïcode": [("License", "Лицензия")],
}  # fmt: skip


def wheel(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "version": "1.0", "file": f"{name}-1.0-py3-none-any.whl", "size": 9, "sha256": "c" * 64,
        "index": "https://pypi.org/simple", "groups": ["group-1"], **more,
    }  # fmt: skip


@pytest.fixture
def manifest() -> dict[str, Any]:
    """A manifest with one wheel for each way to tell a licence, one of a private index, one built from git."""
    return {
        "format": 1, "environment": "3.12.10-x", "platform": "windows-x64",
        "package": {"name": "@scope/group.env", "version": "1.2.3"},
        "inputs": {"lock": "d" * 64, "recipe": 2}, "floors": {"glibc": "2.28", "macos": "13.0"},
        "interpreter": {"version": "3.12.10", "url": "https://host/cpython.tar.gz", "sha256": "a" * 64, "tree": "b" * 64},
        "wheels": [
            *(wheel(name) for name in LICENCES),
            wheel("private", index="https://index.example/simple"),
            wheel("built", index=None, builtFrom={"kind": "git", "url": "https://host/r.git", "commit": "e" * 40}),
            wheel("other-group", groups=["group-2"]),
        ],
        "archive": {"sha256": "f" * 64, "size": 9},
    }  # fmt: skip


def metadata_of(file: str) -> Message:
    message = Message()
    name = file.partition("-1.0")[0]
    for key, value in LICENCES.get(name, ()):
        message[key] = value
    if name == "private":
        for line in ("silent>=1", "named; sys_platform == 'linux'", "other-group", "absent", "not a (requirement"):
            message["Requires-Dist"] = line
    return message


def test_a_bill_of_materials_is_valid_whatever_a_wheel_says_of_its_licence(manifest: dict[str, Any]) -> None:
    """Checked by CycloneDX's own schema; expressions, names and texts that are no expressions."""
    content = sbom(manifest, metadata_of)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    assert content == sbom(manifest, metadata_of)
    assert b"timestamp" not in content
    value = json.loads(content)
    licences = {component["name"]: component.get("licenses") for component in value["components"]}
    assert licences["expression"] == [{"expression": "Apache-2.0 OR BSD-2-Clause"}]
    assert licences["classified"] == [{"license": {"name": "MIT License"}}]
    assert licences["named"] == [{"license": {"id": "MIT"}}]
    assert licences["a-whole-text"] == [{"license": {"name": "The Licence"}}]
    assert licences["silent"] is None
    assert licences["cpython"] == [{"license": {"id": "Python-2.0"}}]


def test_a_bill_of_materials_names_where_things_come_from_and_what_needs_what(manifest: dict[str, Any]) -> None:
    """Package URLs with the index or the source; dependencies on the target's platform, within a group."""
    value = json.loads(sbom(manifest, metadata_of))
    purls = {component["name"]: component["purl"] for component in value["components"]}
    assert purls["named"] == "pkg:pypi/named@1.0?file_name=named-1.0-py3-none-any.whl"
    assert "repository_url=https://index.example/simple" in purls["private"]
    assert f"vcs_url=git%2Bhttps://host/r.git%40{'e' * 40}" in purls["built"]
    assert value["metadata"]["component"]["purl"] == "pkg:npm/%40scope/group.env@1.2.3"
    needs = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in value["dependencies"]}
    assert needs["private-1.0-py3-none-any.whl"] == {"interpreter", "silent-1.0-py3-none-any.whl"}
    assert len(needs["environment"]) == 1 + len(manifest["wheels"])
    other = json.loads(sbom({**manifest, "archive": {"sha256": "0" * 64}}, metadata_of))
    assert other["serialNumber"] != value["serialNumber"]


def test_provenance_tells_all_inputs_and_nothing_of_the_machine(manifest: dict[str, Any], tmp_path: Path) -> None:
    """The lock, the interpreter, each wheel and source, the workspace's commit without its login."""
    checkout = tmp_path / "checkout"

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    checkout.mkdir()
    git("init", "-q")
    (checkout / "file").write_text("1", encoding="utf-8")
    git("add", "file")
    git("commit", "-qm", "one")
    git("remote", "add", "origin", "https://user:hunter22@git.example/envs.git")
    content = provenance(manifest, "software/a.tgz", "9" * 64, checkout, {})
    value = json.loads(content)
    assert value["subject"] == [{"name": "software/a.tgz", "digest": {"sha256": "f" * 64}}]
    found = {
        entry.get("uri", entry.get("name")): entry["digest"]
        for entry in value["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert found["pylock.windows-x64.toml"] == {"sha256": "9" * 64}
    assert found["https://host/cpython.tar.gz"] == {"sha256": "a" * 64}
    assert found[f"git+https://host/r.git@{'e' * 40}"] == {"gitCommit": "e" * 40}
    assert f"git+https://git.example/envs.git@{git('rev-parse', 'HEAD')}" in found
    assert b"hunter22" not in content
    assert str(tmp_path).encode() not in content
    assert "metadata" not in value["predicate"]["runDetails"]
    assert provenance(manifest, "software/a.tgz", "9" * 64, tmp_path / "elsewhere", {}) != content
    run = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": "7",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_SERVER_URL": "https://github.com",
    }
    told = json.loads(provenance(manifest, "software/a.tgz", "9" * 64, checkout, run))
    assert (
        told["predicate"]["runDetails"]["metadata"]["invocationId"]
        == "https://github.com/o/r/actions/runs/7/attempts/1"
    )
