"""`config show --explain`: each value, where it comes from, what it replaced."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.workspaces import make_workspace

from pyrunenv import cli
from pyrunenv.config.explain import Explained, explain
from pyrunenv.config.problems import KeyPath, show_path
from pyrunenv.config.workspace import load_workspace
from pyrunenv.platforms import PLATFORMS

LINUX = PLATFORMS["linux-x64"]
OWN = "python-3.12.10/config.json"


def explained(
    root: Path, shared: dict[str, Any], own: dict[str, Any] | None, platform: Any = None
) -> dict[str, Explained]:
    make_workspace(root, shared, {"3.12.10": own})
    workspace = load_workspace(root)
    return {show_path(e.path): e for e in explain(workspace, workspace.environments[0], platform)}


def place(entry: Explained) -> str:
    return f"{entry.origin.file}: {show_path(entry.origin.path)}" if entry.origin else "default"


def test_scalars_name_the_file_that_won_and_what_it_replaced(tmp_path: Path) -> None:
    """The environment's over the shared one's, and defaults where nobody says anything."""
    shared = {"floors": {"glibc": "2.17", "macos": "13.0"}}
    found = explained(tmp_path, shared, {"floors": {"glibc": "2.28"}}, LINUX)
    assert place(found["floors.glibc"]) == f"{OWN}: floors.glibc"
    assert [(o.file, o.value) for o in found["floors.glibc"].replaced] == [("shared-config.json", "2.17")]
    assert place(found["floors.macos"]) == "shared-config.json: floors.macos"
    assert place(found["build.timeout"]) == "default"
    assert found["build.timeout"].value == 60.0
    assert "build.timeout" not in explained(tmp_path, shared, {})


def test_lists_name_each_item_and_dependencies_the_list_they_replaced(tmp_path: Path) -> None:
    """Joined lists keep the origin of each item; the roots of the shared file are gone as a whole."""
    shared = {
        "packages": {"dependencies": ["a"], "noDeps": ["x"]},
        "registries": {"additional": ["https://s.example/"]},
    }
    own = {"packages": {"dependencies": ["b", "x"], "noDeps": ["b"]}}
    found = explained(tmp_path, shared, own)
    assert [(o.file, o.value) for o in found["packages.dependencies"].replaced] == [("shared-config.json", ["a"])]
    assert place(found["packages.dependencies[1]"]) == f"{OWN}: packages.dependencies[1]"
    assert place(found["packages.noDeps[1]"]) == "shared-config.json: packages.noDeps[0]"
    assert place(found["registries.additional[0]"]) == "shared-config.json: registries.additional[0]"


def test_an_override_is_the_origin_of_the_root_that_it_changes(tmp_path: Path) -> None:
    """And the root as it was written is what was replaced; platform roots come after the global ones."""
    shared = {
        "packages": {"overrides": {"a": "2"}, "platformSpecific": {"linux-x64": {"dependencies": ["a==1.5", "c"]}}}
    }
    found = explained(tmp_path, shared, {"packages": {"dependencies": ["A[x]==1", "b"]}}, LINUX)
    assert [found[f"packages.dependencies[{n}]"].value for n in range(4)] == ["A[x]==2", "b", "a==2", "c"]
    first = found["packages.dependencies[0]"]
    assert place(first) == "shared-config.json: packages.overrides.a"
    assert [(o.file, show_path(o.path), o.value) for o in first.replaced] == [
        (OWN, "packages.dependencies[0]", "A[x]==1")
    ]
    last = "shared-config.json: packages.platformSpecific.linux-x64.dependencies[1]"
    assert place(found["packages.dependencies[3]"]) == last


def test_a_packages_entry_replaces_the_whole_map_of_the_other_file(tmp_path: Path) -> None:
    """So does an empty one, which takes it back."""
    shared = {"packages": {"dependencies": ["a", "b"], "skip": {"a": {"linux-x64": "s"}, "b": {"linux-x64": "t"}}}}
    found = explained(tmp_path, shared, {"packages": {"skip": {"a": {"windows-x64": "o"}, "b": {}}}})
    (replaced,) = found["packages.skip.a.windows-x64"].replaced
    assert (replaced.file, replaced.value) == ("shared-config.json", {"linux-x64": "s"})
    assert "packages.skip.a.linux-x64" not in found
    assert [o.value for o in found["packages.skip.b"].replaced] == [{"linux-x64": "t"}]


def test_a_platforms_resolution_wins_over_the_global_one_of_its_file(tmp_path: Path) -> None:
    """But the environment's global one wins over the shared file's for the platform."""
    special = {"platformSpecific": {"linux-x64": {"resolution": {"mode": "separate", "strictMissing": False}}}}
    own = {"packages": {"resolution": {"mode": "together"}}}
    found = explained(tmp_path, {"packages": special}, own, LINUX)
    assert place(found["packages.resolution.mode"]) == f"{OWN}: packages.resolution.mode"
    strict = "shared-config.json: packages.platformSpecific.linux-x64.resolution.strictMissing"
    assert place(found["packages.resolution.strictMissing"]) == strict


def test_a_consumers_file_is_named(tmp_path: Path) -> None:
    """Its requirements stand there and nowhere else."""
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "r.txt").write_text("a\nb\n")
    found = explained(tmp_path, {"consumers": {"c": "blocks/r.txt", "d": {"requirements": ["a"], "ensure": True}}}, {})
    assert found["consumers.c.requirements"].value == ["a", "b"]
    assert place(found["consumers.c.requirements"]) == "blocks/r.txt: consumers.c.requirements"
    assert place(found["consumers.d.ensure"]) == "shared-config.json: consumers.d.ensure"


def test_as_a_person_sees_it(tmp_path: Path, capsys: Any) -> None:
    """Lines and JSON; a password is in neither."""
    login = "https://u:secret1@s.example/simple"
    make_workspace(
        tmp_path,
        {"floors": {"glibc": "2.17"}, "registries": {"default": login}},
        {"3.12.10": {"floors": {"glibc": "2.28"}}},
    )
    assert cli.run(["config", "show", "-C", str(tmp_path), "--explain"]) == 0
    out = capsys.readouterr().out
    assert (
        f'floors.glibc = "2.28"  ({OWN}: floors.glibc)\n    in place of "2.17"  (shared-config.json: floors.glibc)\n'
        in out
    )
    assert cli.run(["config", "show", "-C", str(tmp_path), "--explain", "--json"]) == 0
    text = capsys.readouterr().out
    assert {"path": "floors.glibc", "value": "2.28", "file": OWN, "from": "floors.glibc", "replaced": [
        {"file": "shared-config.json", "path": "floors.glibc", "value": "2.17"}]} in json.loads(text)  # fmt: skip
    assert "secret1" not in out + text


NAMES = st.sampled_from(["a", "b", "c"])
ROOTS = st.lists(st.builds("{}=={}".format, NAMES, st.integers(1, 3)), max_size=4)
KEYS = st.sampled_from(["linux-x64", "windows-x64"])


def some(**keys: Any) -> Any:
    return st.fixed_dictionaries({}, optional=keys)


RESOLUTION = some(
    mode=st.sampled_from(["grouped", "together"]), strictMissing=st.booleans(), onlyBinaryList=st.lists(NAMES)
)
COPIES = st.lists(st.builds(lambda a, b: {"from": a, "to": b}, NAMES, NAMES), max_size=2)
REGISTRY = st.builds(lambda n, u: {"name": n, "url": f"https://{u}.example"}, NAMES, NAMES)
CONFIGS = some(
    registries=some(default=st.just("https://d.example"), additional=st.lists(REGISTRY, max_size=2, unique_by=lambda r: r["name"])),
    floors=some(glibc=st.sampled_from(["2.17", "2.28"]), macos=st.just("12.0")),
    build=some(timeout=st.integers(1, 90), enableLogging=st.booleans()),
    consumers=st.dictionaries(NAMES, ROOTS, max_size=2),
    packages=some(
        dependencies=ROOTS, overrides=st.dictionaries(NAMES, st.sampled_from(["5", "6"]), max_size=2), copyFiles=COPIES,
        noDeps=st.lists(NAMES, max_size=2), resolution=RESOLUTION,
        skip=st.dictionaries(NAMES, st.dictionaries(KEYS, st.sampled_from(["r", "s"]), max_size=2), max_size=2),
        buildWheel=st.dictionaries(NAMES, st.dictionaries(KEYS, some(reason=st.just("r"), env=st.just({"A": "b"}))), max_size=1),
        platformSpecific=st.dictionaries(KEYS, some(dependencies=ROOTS, copyFiles=COPIES, resolution=RESOLUTION), max_size=2),
    ),
)  # fmt: skip


def put(tree: Any, path: KeyPath, value: Any) -> Any:
    """Build a tree again from its leaves; items of lists come in order."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        tree = tree or []
        assert step == len(tree)
        return [*tree, value]
    tree = tree or {}
    return {**tree, step: put(tree.get(step), rest, value)}


def bare(value: Any) -> Any:
    """A tree without what is empty: an empty list has no item to explain."""
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if bare(item) not in ({}, [])}
    return [bare(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None)
@given(CONFIGS, CONFIGS, st.sampled_from([None, LINUX]))
def test_it_tells_the_merged_values_and_each_origin_holds_what_it_is_said_to(
    shared: Any, own: Any, platform: Any
) -> None:
    """Nothing is left out, nothing invented, whatever the two files say."""
    with tempfile.TemporaryDirectory() as name:
        root = make_workspace(Path(name), shared, {"3.12.10": own})
        workspace = load_workspace(root)
    environment = workspace.environments[0]
    entries = explain(workspace, environment, platform)
    tree: Any = {}
    for entry in entries:
        if entry.path == ("packages", "dependencies"):
            continue
        tree = put(tree, entry.path, entry.value)
    merged = environment.target(platform).plain() if platform else environment.config.plain()
    assert bare(tree) == bare(merged)
    files = {OWN: own, "shared-config.json": shared}
    for entry in entries:
        for origin in [entry.origin, *entry.replaced] if entry.origin else []:
            here: Any = files[origin.file]
            for step in origin.path:
                if isinstance(here, list) and origin.path[:1] == ("consumers",):
                    break
                here = here[step]
            if origin.path[:1] == ("consumers",):
                continue
            if isinstance(here, list):
                here = list(dict.fromkeys(here))  # what stands there twice counts once
            assert bare(here) == bare(origin.value)
