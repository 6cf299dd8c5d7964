"""A whole workspace: found, read, everything wrong told at once, environments picked."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from support.workspaces import make_workspace, package_json, write_json

from pyrunenv.config.requirements import parse_root
from pyrunenv.config.workspace import find_root, load_workspace
from pyrunenv.errors import ConfigError, UsageError
from pyrunenv.platforms import PLATFORMS

LINUX = PLATFORMS["linux-x64"]
VARIANTS: dict[str, dict[str, Any] | None] = {"3.12.10": {}, "3.12.10-atls": {}, "3.9.1-x": None}


def packages(**keys: Any) -> dict[str, Any]:
    return {"packages": keys}


def notes(root: Path, *, lenient: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_workspace(root, lenient=lenient)
    return list(caught.value.notes)


def test_the_root_is_the_nearest_parent_with_a_shared_config(tmp_path: Path) -> None:
    """From any depth the nearest workspace is found, an outer one is not."""
    make_workspace(tmp_path, {}, {})
    inner = make_workspace(tmp_path / "a" / "b", {}, {"3.12.10": {}})
    assert find_root(inner / "python-3.12.10") == inner
    assert find_root(inner) == inner
    assert find_root(tmp_path / "a") == tmp_path


def test_no_workspace_is_a_usage_error_that_says_what_to_do(tmp_path: Path) -> None:
    """Outside a workspace the error names the file that makes one."""
    with pytest.raises(UsageError) as caught:
        find_root(tmp_path)
    assert "shared-config.json" in caught.value.message
    assert caught.value.hint is not None


def test_environments_are_read_and_sorted_naturally(tmp_path: Path) -> None:
    """Versions sort by number, and each environment knows its folder, versions, package and merged config."""
    own = packages(dependencies=["b"])
    variants = {"3.12.10": own, "3.12.9": None, "3.12.10-atls": {}, "3.10.2": {}}
    make_workspace(tmp_path, packages(dependencies=["a"]), variants, catalogue=True)
    found = load_workspace(tmp_path)
    assert [e.full_version for e in found.environments] == ["3.10.2", "3.12.9", "3.12.10", "3.12.10-atls"]
    assert [e.python_version for e in found.environments] == ["3.10.2", "3.12.9", "3.12.10", "3.12.10"]
    assert [e.target(LINUX).dependencies for e in found.environments] == [("a",), ("a",), ("b",), ("a",)]
    assert found.environments[2].folder == tmp_path / "python-3.12.10"
    assert found.environments[2].package.name == "@test/test.runenv-python-3.12.10"
    assert found.environments[0].platforms() == tuple(PLATFORMS.values())
    assert found.catalogue == tmp_path / "catalogue"
    assert found.catalogue_package is not None
    assert set(found.catalogue_package.entrypoints) == set(variants)


def test_the_python_version_in_package_json_wins_over_the_folder(tmp_path: Path) -> None:
    """The folder's suffix is only the variant's name where package.json has a version."""
    make_workspace(tmp_path, {}, {"3.12-lab": {}})
    write_json(tmp_path / "python-3.12-lab" / "package.json", package_json("3.12-lab", **{"python-version": "3.12.4"}))
    (found,) = load_workspace(tmp_path).environments
    assert (found.full_version, found.python_version) == ("3.12-lab", "3.12.4")


def test_a_target_is_made_once(tmp_path: Path) -> None:
    """The second call gives the same object."""
    make_workspace(tmp_path, {}, {"3.12.10": {}})
    (found,) = load_workspace(tmp_path).environments
    assert found.target(LINUX) is found.target(LINUX)
    assert found.target(LINUX) is not found.target(PLATFORMS["windows-x64"])


@pytest.mark.parametrize("version", ["3.9.1", "3.15.0", "3.12", "2.7.18", "3.12.1rc1", "4.12.1", "3.12.01"])
def test_a_python_version_that_cannot_be_built_is_a_problem(tmp_path: Path, version: str) -> None:
    """Only X.Y.Z from 3.10 to 3.14 is an interpreter's version, wherever it is said."""
    make_workspace(tmp_path, {}, {f"{version}-x": {}, "3.12.10": {}})
    folder = tmp_path / f"python-{version}-x"
    expected = f"`{version}` is not a Python version that can be built, expected X.Y.Z with X.Y from 3.10 to 3.14"
    path = "package.json: block-software.entrypoints.main.environment.artifact.python-version"
    assert notes(tmp_path) == [f"{folder.name}/{path}: {expected}"]
    content = package_json(f"{version}-x")
    del content["block-software"]["entrypoints"]["main"]["environment"]["artifact"]["python-version"]
    write_json(folder / "package.json", content)
    assert notes(tmp_path) == [f"{folder.name}: {expected}"]


def test_everything_wrong_in_a_workspace_is_told_at_once(tmp_path: Path) -> None:
    """Faults of the shared file, of several environments and of the catalogue are one error with all of them."""
    shared = packages(skip={"numpy": {"linux-x65": "why"}})
    make_workspace(
        tmp_path, shared, {"3.12.10": {"nope": 1}, "3.12.11": packages(dependencies=["a=1"])}, catalogue=True
    )
    (tmp_path / "python-3.12.12").mkdir()
    (tmp_path / "python-3.12.12" / "config.json").write_text("{")
    (tmp_path / "catalogue" / "package.json").write_text("[]")
    with pytest.raises(ConfigError) as caught:
        load_workspace(tmp_path)
    assert caught.value.message == "the workspace's configuration has 6 problems"
    assert list(caught.value.notes) == [
        "shared-config.json: packages.skip.numpy.linux-x65: unknown platform `linux-x65`, did you mean `linux-x64`?",
        (
            "python-3.12.10/config.json: nope: unknown key, expected one of: "
            "$schema, registries, python, packages, consumers, build, floors"
        ),
        "python-3.12.11/config.json: packages.dependencies[0]: `a=1` is not a requirement, did you mean `a==1`?",
        "python-3.12.12/config.json:1:2: expecting property name enclosed in double quotes",
        "python-3.12.12/package.json: cannot be read: no such file or directory",
        "catalogue/package.json: expected an object, got a list",
    ]


def test_lenient_goes_on_without_what_cannot_be_read(tmp_path: Path) -> None:
    """A broken config leaves the shared one, a broken package.json leaves the environment out; both are told."""
    make_workspace(tmp_path, packages(dependencies=["a"]), {"3.12.10": {}, "3.12.11": {}}, catalogue=True)
    for path in ("python-3.12.10/config.json", "python-3.12.11/package.json", "catalogue/package.json"):
        (tmp_path / path).write_text("{")
    assert len(notes(tmp_path)) == 3
    found = load_workspace(tmp_path, lenient=True)
    assert [(e.full_version, e.target(LINUX).dependencies) for e in found.environments] == [("3.12.10", ("a",))]
    assert [text.partition(":")[0] for text in found.warnings] == [
        "python-3.12.10/config.json", "python-3.12.11/package.json", "catalogue/package.json"]  # fmt: skip
    assert found.catalogue is None


def test_lenient_forgives_no_wrong_value(tmp_path: Path) -> None:
    """A file that can be read is judged as always."""
    make_workspace(tmp_path, {"nope": 1}, {"3.12.10": {}})
    assert len(notes(tmp_path, lenient=True)) == 1


def test_one_npm_name_twice_is_a_problem(tmp_path: Path) -> None:
    """Two environments of one name would publish over each other."""
    make_workspace(tmp_path, {}, {"3.12.10": {}, "3.12.11": {}})
    write_json(tmp_path / "python-3.12.11" / "package.json", package_json("3.12.10"))
    assert notes(tmp_path) == [
        "python-3.12.11/package.json: name: `@test/test.runenv-python-3.12.10` is the name of python-3.12.10 too"
    ]


def test_a_folder_without_files_of_ours_is_no_environment(tmp_path: Path) -> None:
    """What a build left behind after a branch was changed is a warning, a file of such a name is nothing."""
    make_workspace(tmp_path, {}, {"3.12.10": {}})
    (tmp_path / "python-3.12.9" / "pydist").mkdir(parents=True)
    (tmp_path / "python-notes.txt").write_text("x")
    found = load_workspace(tmp_path)
    assert [e.full_version for e in found.environments] == ["3.12.10"]
    assert found.warnings == ("python-3.12.9: is no environment: it holds neither config.json nor package.json",)


def test_an_absent_config_is_said(tmp_path: Path) -> None:
    """Without a config.json the shared one serves, with a warning."""
    make_workspace(tmp_path, packages(dependencies=["a"]), {"3.12.10": None})
    assert load_workspace(tmp_path).warnings == (
        "python-3.12.10/config.json: is not there, the shared one serves alone",
    )


def test_a_config_that_is_a_dead_link_is_a_problem(tmp_path: Path) -> None:
    """A link that leads nowhere is a file that cannot be read, not an absent one."""
    make_workspace(tmp_path, {}, {"3.12.10": None})
    (tmp_path / "python-3.12.10" / "config.json").symlink_to("gone.json")
    assert notes(tmp_path) == ["python-3.12.10/config.json: cannot be read: no such file or directory"]


def test_names_that_match_no_root_are_warned_about(tmp_path: Path) -> None:
    """In an environment's file always, in the shared one only when no environment has such a root."""
    shared = packages(
        dependencies=["a"], overrides={"a": "1", "b": "1", "nowhere": "1"}, noDeps=["b", "nobody"], skip={"z": {}}
    )
    own = packages(
        dependencies=["c"],
        platformSpecific={"windows-x64": {"dependencies": ["B"]}},
        overrides={"C": "1", "a": "2"},
        noDeps=["b", "d"],
        skip={"closure-only": {"linux-x64": "why"}, "gone": {}, "Z": {}},
        forceSource={"closure-only": {"linux-x64": "why"}},
    )
    make_workspace(tmp_path, shared, {"3.12.10": own, "3.12.11": {}})
    assert load_workspace(tmp_path).warnings == (
        "shared-config.json: packages.overrides.nowhere: matches no root of any environment",
        "shared-config.json: packages.noDeps[1]: matches no root of any environment",
        "python-3.12.10/config.json: packages.overrides.a: matches no root of this environment",
        "python-3.12.10/config.json: packages.noDeps[1]: matches no root of this environment",
        "python-3.12.10/config.json: packages.skip.gone: takes back nothing: shared-config.json has no such entry",
    )


def test_consumers_paths_start_at_their_files_folder(tmp_path: Path) -> None:
    """A shared consumer's path is relative to the root, an environment's to its folder."""
    shared = {"consumers": {"s": "r.txt"}}
    make_workspace(tmp_path, shared, {"3.12.10": {"consumers": {"o": "r.txt", "up": "../r.txt"}}})
    (tmp_path / "r.txt").write_text("shared\n")
    (tmp_path / "python-3.12.10" / "r.txt").write_text("own\n")
    (found,) = load_workspace(tmp_path).environments
    assert {c.name: c.requirements for c in found.target(LINUX).consumers} == {
        "s": ("shared",), "o": ("own",), "up": ("shared",)}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    names = {"3.12.10": {}, "3.12.10-atls": {}, "3.13.1": {}}
    return make_workspace(tmp_path / "w", {}, names)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["3.12.10"], ["3.12.10"]),
        (["3.12.10*"], ["3.12.10", "3.12.10-atls"]),
        (["3.13.1", "3.12.10"], ["3.12.10", "3.13.1"]),
        (["3.12.10", "3.12.10*"], ["3.12.10", "3.12.10-atls"]),
        (["python-3.13.1"], ["3.13.1"]),
        (["./python-3.13.1/"], ["3.13.1"]),
        (["./python-3.12*"], ["3.12.10", "3.12.10-atls"]),
        (["@test/test.runenv-python-3.12.10-atls"], ["3.12.10-atls"]),
        (["@test/*atls"], ["3.12.10-atls"]),
        (["*"], ["3.12.10", "3.12.10-atls", "3.13.1"]),
    ],
)
def test_environments_are_picked_by_version_folder_name_and_glob(
    workspace: Path, patterns: list[str], expected: list[str]
) -> None:
    """Every form of ENV picks what it names, once, in the workspace's order."""
    found = load_workspace(workspace).select(patterns, workspace)
    assert [e.full_version for e in found] == expected


def test_a_path_starts_at_the_working_folder(workspace: Path) -> None:
    """A relative folder is seen from where the user is, an absolute one from anywhere."""
    loaded, inside = load_workspace(workspace), workspace / "python-3.12.10"
    for pattern in ("../python-3.13.1", str(workspace / "python-3.13.1")):
        assert [e.full_version for e in loaded.select([pattern], inside)] == ["3.13.1"]
    assert [e.full_version for e in loaded.select(["."], inside)] == ["3.12.10"]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("python-3.12.10", ["3.12.10"]),
        ("python-3.12.10-atls/sub", ["3.12.10-atls"]),
        (".", ["3.12.10", "3.12.10-atls", "3.13.1"]),
        ("docs", ["3.12.10", "3.12.10-atls", "3.13.1"]),
    ],
)
def test_without_a_pattern_the_folder_decides(workspace: Path, place: str, expected: list[str]) -> None:
    """In an environment's folder that one, elsewhere all; a folder whose name only begins alike is another."""
    (workspace / place).mkdir(parents=True, exist_ok=True)
    found = load_workspace(workspace).select([], workspace / place)
    assert [e.full_version for e in found] == expected


def test_a_linked_workspace_is_the_same_one(workspace: Path, tmp_path: Path) -> None:
    """A shell may show a linked path where the system shows the real one."""
    link = tmp_path / "link"
    link.symlink_to(workspace, target_is_directory=True)
    loaded = load_workspace(link)
    assert [e.full_version for e in loaded.select([], workspace / "python-3.13.1")] == ["3.13.1"]
    assert [e.full_version for e in loaded.select(["python-3.13.1"], link)] == ["3.13.1"]


def test_an_unknown_pattern_is_told_with_the_nearest_name(workspace: Path) -> None:
    """One pattern of several that names nothing is an error that lists what there is."""
    with pytest.raises(UsageError) as caught:
        load_workspace(workspace).select(["3.12.10", "3.12.10-atlas"], workspace)
    assert caught.value.message == "no environment is named `3.12.10-atlas`"
    assert caught.value.hint == "did you mean `3.12.10-atls`?"
    assert caught.value.notes == ("environments here: 3.12.10, 3.12.10-atls, 3.13.1",)


def test_nothing_of_a_workspaces_place_is_in_a_target(tmp_path: Path) -> None:
    """The same workspace in two folders gives equal targets."""
    shown = []
    for place in ("a", "b/c"):
        root = make_workspace(tmp_path / place, packages(dependencies=["x"]), {"3.12.10": {}})
        shown.append(json.dumps(load_workspace(root).environments[0].target(LINUX).to_json()))
    assert shown[0] == shown[1]


@pytest.mark.slow
def test_two_hundred_environments_load_quickly(tmp_path: Path) -> None:
    """200 environments of 40 roots each are read in well under a second, the floor of a run with nothing to do."""
    roots = [f"pkg-{i}=={i}.1.2" for i in range(40)]
    skips = {f"pkg-{i}": {"macosx-x64": "no wheel"} for i in range(8)}
    variants: dict[str, dict[str, Any] | None] = {
        f"3.12.{i % 14}-v{i}": packages(dependencies=[f"{root}.{i}" for root in roots], skip=skips) for i in range(200)
    }
    make_workspace(tmp_path, packages(dependencies=roots, skip=skips), variants)
    best = min(_time(tmp_path) for _ in range(3))
    assert best < 0.7


def _time(root: Path) -> float:
    parse_root.cache_clear()
    start = time.process_time()
    load_workspace(root)
    return time.process_time() - start
