"""What goes into the packages, what stays out, and all reasons why a package cannot be made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.npm import FULL, VARIANT, make_built, manifest, pretend_built
from support.workspaces import ALL_PLATFORMS, write_json

from pyrunenv.config.package import Package
from pyrunenv.config.workspace import Workspace, load_workspace
from pyrunenv.errors import PublishError, UsageError
from pyrunenv.npm.run import chosen, tarballs
from pyrunenv.npm.tarball import Tarball

MAIN = f"python-{FULL}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_built(tmp_path / "workspace").root


def nothing(_: Package, __: str) -> bytes | None:
    return None


def made(root: Path, **options: Any) -> dict[str, Tarball]:
    """All packages of a workspace, by folder."""
    workspace = load_workspace(root)
    found = tarballs(workspace, workspace.environments, catalogue=True, **{"manifest_of": nothing, **options})
    folders = [e.folder.name for e in workspace.environments]
    return dict(zip([*folders, "catalogue"], found, strict=True))


def refused(root: Path, **options: Any) -> tuple[str, ...]:
    with pytest.raises(PublishError) as caught:
        made(root, **options)
    return caught.value.notes


def edit(path: Path, **change: Any) -> None:
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **change})


def test_a_package_has_its_descriptors_and_manifests_and_nothing_else_of_dist(root: Path) -> None:
    """No log, no left-over of another tool; package.json byte for byte."""
    folder = root / MAIN
    for name in ("dist/build.log", "dist/artifacts/main/archive_sunos.json", "pydist/linux-x64/bin/python", "notes.md",
                 "LICENSE", "CHANGELOG.md", ".npmrc", "dist/.npmrc"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    files = made(root)[MAIN].files
    assert set(files) == {
        "package.json", "LICENSE", "dist/tengo/software/main.sw.json",
        *(f"dist/artifacts/main/archive_{p}.json" for p in ALL_PLATFORMS), *(f"dist/manifest/{p}.json" for p in ALL_PLATFORMS),
    }  # fmt: skip
    assert all(content == (folder / name).read_bytes() for name, content in files.items())
    assert set(made(root)["catalogue"].files) == {
        "package.json", f"dist/tengo/software/{FULL}.sw.json", f"dist/tengo/software/{VARIANT}.sw.json"
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("npm") is None, reason="node and npm are not there to compare with")
def test_the_members_are_those_that_npm_packs(root: Path) -> None:
    """`npm pack` lists the same files, for environments and the catalogue, with and without what it always takes."""
    for name in ("README.md", "LICENSE.txt", "licence", "COPYING", "CHANGELOG.md", "readme~", "README.md~", "NOTICE"):
        (root / MAIN / name).write_text(name)
    (root / MAIN / "README").symlink_to("README.md")
    for folder, tarball in made(root).items():
        done = subprocess.run(
            ["npm", "pack", "--json", "--dry-run", "--offline", "--ignore-scripts"], cwd=root / folder, check=True,
            capture_output=True, env={**os.environ, "npm_config_update_notifier": "false"}, encoding="utf-8",
        )  # fmt: skip
        (listed,) = _entries(json.loads(done.stdout))
        assert sorted(file["path"] for file in listed["files"]) == sorted(tarball.files), folder
        assert listed["filename"] == tarball.file_name
        assert listed["unpackedSize"] == tarball.unpacked_size


def test_what_another_machine_built_comes_from_the_storage(root: Path) -> None:
    """The manifest from beside its archive, the artefact info from package.json: the same package on any machine."""
    whole = made(root)[MAIN]
    stored: dict[str, bytes] = {}
    for platform in ALL_PLATFORMS[1:]:
        path = root / MAIN / f"dist/manifest/{platform}.json"
        stored[platform] = path.read_bytes()
        path.unlink()
        (root / MAIN / f"dist/artifacts/main/archive_{platform}.json").unlink()
    package = load_workspace(root).environments[0].package
    found = made(root, manifest_of=lambda p, platform: stored.get(platform) if p == package else None)
    assert found[MAIN].content == whole.content
    assert refused(root) == tuple(
        f"{FULL} on {platform}: it is not built here, and its manifest is not in storage" for platform in stored
    )


def test_nothing_built_here_at_all_is_as_good(root: Path) -> None:
    """A fresh clone publishes what its storage holds."""
    whole = made(root)[MAIN]
    package = load_workspace(root).environments[0].package
    stored = {p: (root / MAIN / f"dist/manifest/{p}.json").read_bytes() for p in ALL_PLATFORMS}
    shutil.rmtree(root / MAIN / "dist")
    found = made(root, manifest_of=lambda p, platform: stored[platform] if p == package else None)
    assert found[MAIN].content == whole.content


def test_two_builds_of_one_version_are_told_apart(root: Path) -> None:
    """A client believes the package's manifest: it must be the one of the archive in storage."""
    other = json.dumps(manifest(load_workspace(root).environments[0].package, "linux-x64", recipe=2)).encode()

    def manifest_of(package: Package, platform: str) -> bytes | None:
        return other if (platform, package.name.endswith(FULL)) == ("linux-x64", True) else None

    assert refused(root, manifest_of=manifest_of) == (
        f"{FULL} on linux-x64: its manifest in storage is of another build of this version",
    )


def test_every_reason_is_told_at_once(root: Path) -> None:
    """Of all packages: manifests that do not fit, descriptors that are stale, archives that are not in storage."""
    package = load_workspace(root).environments[0].package
    dist = root / MAIN / "dist"
    write_json(
        dist / "manifest/linux-x64.json",
        manifest(package, "linux-x64", package={"name": package.name, "version": "0.9.0"}),
    )
    write_json(dist / "manifest/linux-aarch64.json",
               manifest(package, "linux-aarch64", publishable=False, unpublishableBecause=["a local interpreter"]))  # fmt: skip
    (dist / "manifest/macosx-x64.json").write_text("{")
    (dist / "artifacts/main/archive_windows-x64.json").write_text("{}")
    (dist / "artifacts/main/archive_macosx-aarch64.json").unlink()
    (dist / "tengo/software/main.sw.json").write_text("{}")
    (root / f"catalogue/dist/tengo/software/{FULL}.sw.json").unlink()
    (root / "catalogue/dist/tengo/software/3.9.9.sw.json").write_text("{}")
    found = refused(root, check_published=lambda p: ["not in storage"] if p.name.endswith("atls") else [])
    told = "\n".join(found)
    for reason in (
        f"{FULL} on linux-x64: its manifest is of {package.name} 0.9.0 on linux-x64",
        f"{FULL} on linux-aarch64: a local interpreter",
        f"{FULL} on macosx-x64: its manifest cannot be read",
        f"{FULL} on windows-x64: dist/artifacts/main/archive_windows-x64.json is not what package.json says",
        f"{FULL} on macosx-aarch64: dist/artifacts/main/archive_macosx-aarch64.json is not there",
        f"{FULL}: dist/tengo/software/main.sw.json is not what package.json says",
        f"the catalogue: dist/tengo/software/{FULL}.sw.json is not there",
        "the catalogue: dist/tengo/software/3.9.9.sw.json is of no entry point any more",
        "not in storage",
    ):
        assert reason in told
    assert len(found) == 9


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"private": True}, "package.json says `private`"),
        ({"version": "1.0.0+local"}, "npm drops what stands behind `+`"),
        ({"files": None}, 'package.json must have `"files": ["dist/"]`'),
        ({"files": ["pydist/"]}, 'package.json must have `"files": ["dist/"]`'),
        ({"files": ["./dist/**", "pydist/"]}, "its `files` names pydist/"),
        ({"dependencies": {"x": "workspace:*"}}, "dependencies: x at `workspace:*` cannot be had outside"),
        ({"dependencies": {"x": "catalog:"}}, "dependencies: x at `catalog:` cannot be had outside"),
    ],
)
def test_what_npm_would_refuse_or_pack_otherwise_is_refused(root: Path, change: dict[str, Any], reason: str) -> None:
    """Before anything is sent."""
    edit(root / MAIN / "package.json", **change)
    pretend_built(root)
    assert any(reason in note for note in refused(root))


def test_ranges_of_the_workspace_become_exact(root: Path) -> None:
    """In the tarball alone, as pnpm writes it; the other keys and their order stay."""
    path = root / "catalogue/package.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    first, second = before["dependencies"]
    edit(path, dependencies={first: "workspace:*", second: "workspace:^"}, devDependencies={"x": "workspace:*"})
    tarball = made(root)["catalogue"]
    assert (
        tarball.files["package.json"]
        == json.dumps({**before, "devDependencies": {"x": "workspace:*"}}, indent=2).encode()
    )
    assert tarball.manifest["dependencies"] == before["dependencies"]
    assert "workspace:" in path.read_text(encoding="utf-8")


def test_the_catalogue_depends_on_exact_versions(root: Path) -> None:
    """A range would let clients get what was never tried."""
    path = root / "catalogue/package.json"
    first, second = json.loads(path.read_text(encoding="utf-8"))["dependencies"]
    edit(path, dependencies={first: "^1.0.0", second: "workspace:^9"})
    told = "\n".join(refused(root))
    assert f"the catalogue: its dependency {first} is `^1.0.0`, which is not one exact version" in told
    assert f"{second} at `workspace:^9` cannot be had" in told


def test_who_is_meant(root: Path) -> None:
    """All and the catalogue; one environment without it; the catalogue by its name, its folder, or from within."""
    workspace = load_workspace(root)

    def names(*patterns: str, start: Path = root) -> tuple[list[str], bool]:
        found, catalogue = chosen(workspace, patterns, start)
        return [e.full_version for e in found], catalogue

    assert names() == ([FULL, VARIANT], True)
    assert names(VARIANT) == ([VARIANT], False)
    assert names(start=root / MAIN / "dist") == ([FULL], False)
    assert names("catalogue/") == ([], True)
    assert names(FULL, "@test/test.runenv-python-3") == ([FULL], True)
    assert names(start=root / "catalogue") == ([], True)
    with pytest.raises(UsageError):
        names("catalog")


def test_a_workspace_without_a_catalogue(root: Path) -> None:
    """Has environments to publish, and that is all."""
    shutil.rmtree(root / "catalogue")
    workspace: Workspace = load_workspace(root)
    found, catalogue = chosen(workspace, (), root)
    assert (len(found), catalogue) == (2, False)
    assert len(tarballs(workspace, found, catalogue=True, manifest_of=nothing)) == 2


def _entries(listed: Any) -> list[Any]:
    """npm 11 lists packages, npm 12 maps their names."""
    return list(listed.values()) if isinstance(listed, dict) else listed
