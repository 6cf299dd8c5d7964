"""The bill of materials and the provenance of an archive: valid, the same each time, and nobody's secrets."""

from __future__ import annotations

import json
import subprocess
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pyrunenv.bundle import copyfiles
from pyrunenv.lock.model import Floors, Lock, LockedInterpreter, LockedPackage
from pyrunenv.publish.provenance import provenance
from pyrunenv.publish.sbom import sbom
from pyrunenv.wheels.metadata import read_metadata

LICENCES: dict[str, list[tuple[str, str]]] = {
    "expression": [("License-Expression", "Apache-2.0 OR BSD-2-Clause"), ("License", "ignored")],
    "no-expression": [("License-Expression", "whatever (see the file)")],
    "classified": [("Classifier", "License :: OSI Approved :: MIT License"), ("Classifier", "License :: OSI Approved"),
                   ("Classifier", "Programming Language :: Python")],
    "named": [("License", "MIT")],
    "both": [("License", "Apache-2.0"), ("Classifier", "License :: OSI Approved :: Apache Software License")],
    "loosely": [("License", "BSD"), ("Classifier", "License :: OSI Approved :: BSD License")],
    "nearly": [("License", "MIT AND ("), ("License", "another")],
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
        "inputs": {"lock": "d" * 64, "recipe": 2, "copyFiles": copyfiles.digest(())}, "floors": {"glibc": "2.28", "macos": "13.0"},
        "interpreter": {"version": "3.12.10", "url": "https://host/cpython.tar.gz", "sha256": "a" * 64, "tree": "b" * 64},
        "wheels": [
            *(wheel(name) for name in LICENCES),
            wheel("private", index="https://index.example/simple"),
            wheel("built", index=None, builtFrom={"kind": "git", "url": "https://host/r.git", "commit": "e" * 40}),
            wheel("from-sdist", builtFrom={"kind": "sdist", "url": "https://host/s-1.0.tar.gz", "sha256": "8" * 64}),
            wheel("from-folder", index=None, builtFrom={"kind": "folder", "url": "vendor/x", "sha256": "7" * 64}),
            wheel("cuda", version="1!1.0+cu118", file="cuda-1!1.0+cu118-py3-none-any.whl"),
            wheel("twice", groups=["group-1"]),
            wheel("twice", version="2.0", file="twice-2.0-py3-none-any.whl", groups=["group-2"]),
        ],
        "archive": {"sha256": "f" * 64, "size": 9},
    }  # fmt: skip


def metadata_of(file: str) -> Message | None:
    """The METADATA of one is not to be had."""
    message = Message()
    name = file.partition("-1")[0]
    for key, value in LICENCES.get(name, ()):
        message[key] = value
    return None if name == "private" else message


def a_lock(needs: dict[tuple[str, str], list[tuple[str, str]]]) -> Lock:
    """A lock of which only what needs what is looked at."""
    packages = tuple(LockedPackage(*key, dependencies=tuple(needed)) for key, needed in needs.items())
    python = LockedInterpreter("standalone", "3.12.10")
    return Lock("e", "windows-x64", "3.12.10", "", {}, Floors("2.28", "13.0"), python, (), packages, ())


LOCK = a_lock({
    ("private", "1.0"): [("silent", "1.0"), ("twice", "2.0"), ("private", "1.0"), ("skipped-there", "1.0")],
    ("named", "1.0"): [("twice", "1.0")],
})  # fmt: skip


def test_a_bill_of_materials_is_valid_whatever_a_wheel_says_of_its_licence(manifest: dict[str, Any]) -> None:
    """Checked by CycloneDX's own schema; expressions, names and texts that are no expressions."""
    content = sbom(manifest, metadata_of, LOCK)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    assert content == sbom(manifest, metadata_of, LOCK)
    assert b"timestamp" not in content
    value = json.loads(content)
    licences = {component["name"]: component.get("licenses") for component in value["components"]}
    assert licences["expression"] == [{"expression": "Apache-2.0 OR BSD-2-Clause"}]
    assert licences["classified"] == [{"license": {"name": "MIT License"}}]
    assert licences["named"] == [{"license": {"id": "MIT"}}]
    assert licences["both"] == [{"license": {"id": "Apache-2.0"}}]
    assert licences["loosely"] == [{"license": {"name": "BSD License"}}]
    assert licences["nearly"] == [{"license": {"name": "MIT AND ("}}]
    assert licences["private"] is None
    assert licences["a-whole-text"] == [{"license": {"name": "The Licence"}}]
    assert licences["silent"] is None
    assert licences["cpython"] == [{"license": {"id": "Python-2.0"}}]


def test_a_bill_of_materials_names_where_things_come_from_and_what_needs_what(manifest: dict[str, Any]) -> None:
    """Package URLs with the index or the source; dependencies on the target's platform, within a group."""
    value = json.loads(sbom(manifest, metadata_of, LOCK))
    purls = {component["name"]: component["purl"] for component in value["components"]}
    assert purls["named"] == "pkg:pypi/named@1.0?file_name=named-1.0-py3-none-any.whl"
    assert "repository_url=https://index.example/simple" in purls["private"]
    assert f"vcs_url=git%2Bhttps://host/r.git%40{'e' * 40}" in purls["built"]
    assert value["metadata"]["component"]["purl"] == "pkg:npm/%40scope/group.env@1.2.3"
    assert "download_url" in purls["from-sdist"]
    assert "vendor" not in purls["from-folder"]
    assert purls["cuda"] == "pkg:pypi/cuda@1%211.0%2Bcu118?file_name=cuda-1%211.0%2Bcu118-py3-none-any.whl"
    needs = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in value["dependencies"]}
    assert needs["private-1.0-py3-none-any.whl"] == {
        "interpreter", "silent-1.0-py3-none-any.whl", "twice-2.0-py3-none-any.whl",
    }  # fmt: skip
    assert needs["named-1.0-py3-none-any.whl"] == {"interpreter", "twice-1.0-py3-none-any.whl"}
    assert len(needs["environment"]) == 1 + len(manifest["wheels"])
    other = json.loads(sbom({**manifest, "archive": {"sha256": "0" * 64}}, metadata_of, LOCK))
    assert other["serialNumber"] != value["serialNumber"]


def test_copied_files_and_a_local_interpreter_are_in_a_bill_of_materials(manifest: dict[str, Any]) -> None:
    """The former as one component with the digest of all; the latter without an address."""
    told = {
        **manifest, "inputs": {**manifest["inputs"], "copyFiles": "6" * 64},
        "interpreter": {**manifest["interpreter"], "url": None, "sha256": None},
    }  # fmt: skip
    content = sbom(told, metadata_of, LOCK)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    value = json.loads(content)
    components = {component["bom-ref"]: component for component in value["components"]}
    assert components["copied-files"]["properties"] == [{"name": "pyrunenv:copyFiles", "value": "6" * 64}]
    assert components["interpreter"]["purl"] == "pkg:generic/cpython@3.12.10"
    assert "copied-files" not in sbom(manifest, metadata_of, LOCK).decode()


def test_a_licence_is_read_in_any_script_and_any_damage(manifest: dict[str, Any], tmp_path: Path) -> None:
    """Metadata is UTF-8; what is none, or holds what no text should, leaves a valid document."""
    manifest["wheels"] = [wheel("x")]
    told = {
        "Лицензия".encode(): "Лицензия",
        b"\xff\xfe bad": "\ufffd\ufffd bad",
        b"a\0b": "a\0b",
        b"y" * 70_000: "y" * 70_000,
    }
    for raw, expected in told.items():
        path = tmp_path / "x-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x-1.0.dist-info/METADATA", b"Name: x\nVersion: 1.0\nLicense: " + raw + b"\n\n")
        content = sbom(manifest, lambda _, path=path: read_metadata(path), LOCK)
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
        (component,) = [c for c in json.loads(content)["components"] if c["name"] == "x"]
        assert component["licenses"] == [{"license": {"name": expected}}]


def test_papers_name_a_wheel_alike(manifest: dict[str, Any], tmp_path: Path) -> None:
    """By one package URL, whatever stands in its version."""
    told = json.loads(provenance(manifest, "a.tgz", "9" * 64, tmp_path, {}))
    uris = {e.get("uri", "") for e in told["predicate"]["buildDefinition"]["resolvedDependencies"]}
    components = json.loads(sbom(manifest, metadata_of, LOCK))["components"]
    assert {c["purl"] for c in components if c["type"] == "library"} == {u for u in uris if u.startswith("pkg:pypi/")}


def test_provenance_tells_all_inputs_and_nothing_of_the_machine(manifest: dict[str, Any], tmp_path: Path) -> None:
    """The lock, the interpreter, each wheel and source, the workspace's commit without its login."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    commit = committed(checkout, "https://user:hunter22@git.example/envs.git")
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
    assert f"git+https://git.example/envs.git@{commit}" in found
    assert b"hunter22" not in content
    assert str(tmp_path).encode() not in content
    assert "metadata" not in value["predicate"]["runDetails"]
    assert provenance(manifest, "software/a.tgz", "9" * 64, tmp_path / "elsewhere", {}) != content


@pytest.mark.parametrize(
    ("remote", "uri"),
    [
        ("https://user:hunter22@git.example/envs.git", "git+https://git.example/envs.git"),
        ("ssh://git@git.example/envs.git", "git+ssh://git.example/envs.git"),
        ("git@git.example:group/envs.git", "git+ssh://git.example/group/envs.git"),
        ("/srv/envs.git", None),
        ("file:///srv/envs.git", None),
        ("C:/envs.git", None),
        (None, None),
    ],
)
def test_the_workspaces_commit_is_told_by_its_public_address(
    manifest: dict[str, Any], tmp_path: Path, remote: str | None, uri: str | None
) -> None:
    """Without a login, and not where that is a folder of this machine."""
    commit = committed(tmp_path, remote)
    assert sources(provenance(manifest, "a.tgz", "9" * 64, tmp_path, {})) == ({f"{uri}@{commit}"} if uri else set())


@pytest.mark.parametrize("what", ["changed", "never committed", "elsewhere"])
def test_a_commit_that_does_not_hold_the_environment_is_not_told(
    manifest: dict[str, Any], tmp_path: Path, what: str
) -> None:
    """A changed file, a lock that git does not know, a folder that is no checkout."""
    committed(
        tmp_path, "https://git.example/envs.git", without="pylock.windows-x64.toml" if what == "never committed" else ""
    )
    if what == "changed":
        (tmp_path / "python-3.12.10-x/package.json").write_text("2", encoding="utf-8")
    workspace = tmp_path / "nowhere" if what == "elsewhere" else tmp_path
    assert sources(provenance(manifest, "a.tgz", "9" * 64, workspace, {})) == set()


def committed(root: Path, remote: str | None, without: str = "") -> str:
    """Make a repository of the manifest's environment, and return its commit."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (root / "python-3.12.10-x").mkdir()
    git("init", "-q")
    for name in ("pylock.windows-x64.toml", "package.json"):
        (root / "python-3.12.10-x" / name).write_text("1", encoding="utf-8")
        if name != without:
            git("add", f"python-3.12.10-x/{name}")
    git("commit", "-qm", "one")
    if remote:
        git("remote", "add", "origin", remote)
    return git("rev-parse", "HEAD")


def sources(content: bytes) -> set[str]:
    """The commits that a provenance names, but for a wheel's."""
    told = json.loads(content)["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {e["uri"] for e in told if e.get("uri", "").startswith("git+") and "host/r.git" not in e["uri"]}


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "o/r", "GITHUB_SERVER_URL": "https://g.example"},
         "https://g.example/o/r/actions/runs/7/attempts/1"),
        ({"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_REPOSITORY": "o/r"},
         "https://github.com/o/r/actions/runs/7/attempts/2"),
        ({"CI_JOB_URL": "https://user:hunter22@gitlab.example/o/r/-/jobs/9"}, "https://gitlab.example/o/r/-/jobs/9"),
        ({"GITHUB_RUN_ID": "7", "CI": "true"}, None),
    ],
)  # fmt: skip
def test_the_run_of_a_ci_system_is_told(
    manifest: dict[str, Any], tmp_path: Path, env: dict[str, str], told: str | None
) -> None:
    """By its page, without a login; anywhere else nothing is."""
    details = json.loads(provenance(manifest, "a.tgz", "9" * 64, tmp_path, env))["predicate"]["runDetails"]
    assert details.get("metadata", {}).get("invocationId") == told
