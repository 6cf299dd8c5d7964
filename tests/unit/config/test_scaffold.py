"""New environments: what is made, after whom, what is refused, and that a failure leaves nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.workspaces import ALL_PLATFORMS, make_workspace, package_json, write_json

from pyrunenv.config.scaffold import Scaffold, plan
from pyrunenv.config.workspace import Workspace, load_workspace
from pyrunenv.errors import PyrunenvError, UsageError, WriteError
from pyrunenv.platforms import PLATFORMS

FULL = "3.13.0-sc"


def made(
    workspace: Workspace, full: str = FULL, source: str | None = None, platforms: tuple[str, ...] = ()
) -> Scaffold:
    """Plan and write."""
    chosen = workspace.select([source], workspace.root)[0] if source else None
    scaffold = plan(workspace, full, chosen, [PLATFORMS[key] for key in platforms])
    scaffold.write()
    return scaffold


def read(root: Path, full: str = FULL, name: str = "package.json") -> Any:
    return json.loads((root / f"python-{full}" / name).read_text(encoding="utf-8"))


def artifact(package: Any) -> Any:
    return package["block-software"]["entrypoints"]["main"]["environment"]["artifact"]


def files(root: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None for path in root.rglob("*")
    }


def loads(root: Path) -> Workspace:
    """Load the workspace, which must be without a problem or a warning."""
    workspace = load_workspace(root)
    assert workspace.warnings == ()
    return workspace


def test_in_an_empty_workspace(tmp_path: Path) -> None:
    """No environment, no catalogue: everything is assumed, and said."""
    root = make_workspace(tmp_path, {}, {})
    scaffold = made(load_workspace(root))
    (environment,) = loads(root).environments
    assert (environment.full_version, environment.python_version) == (FULL, "3.13.0")
    assert environment.package.name == f"runenv-python-{FULL}"
    assert environment.package.version == "0.1.0"
    assert environment.package.platforms == ALL_PLATFORMS
    assert (environment.package.registry.name, environment.package.bin_dir) == ("platforma-open", "bin")
    assert environment.config.packages.dependencies == ()
    assert (root / f"python-{FULL}" / "README.md").read_text().startswith(f"# Python {FULL}\n")
    said = "\n".join(scaffold.said)
    for part in ("npm name is `runenv-python-3.13.0-sc`", "five platforms", "registry is", "no catalogue lists it"):
        assert part in said


@pytest.mark.parametrize(
    ("catalogue", "expected"),
    [
        ("@scope/group.runenv-python-3", "@scope/group.runenv-python-3.13.0-sc"),
        ("@scope/python", "@scope/python-3.13.0-sc"),
        ("@scope/everything", "@scope/runenv-python-3.13.0-sc"),
        ("everything", "runenv-python-3.13.0-sc"),
    ],
)
def test_with_a_catalogue_alone_its_name_is_the_pattern(tmp_path: Path, catalogue: str, expected: str) -> None:
    """And it gets its first entry; that the name was assumed is said."""
    root = make_workspace(tmp_path, {}, {}, catalogue=True)
    path = root / "catalogue" / "package.json"
    write_json(path, {**json.loads(path.read_text()), "name": catalogue})
    scaffold = made(load_workspace(root))
    assert scaffold.name == expected
    assert f"the npm name is `{expected}`, after the catalogue's" in scaffold.said[0]
    listed = loads(root).catalogue_package
    assert listed is not None
    assert listed.entrypoints == {FULL: f"{expected}/dist/tengo/software/main.sw.json"}
    assert listed.dependencies == {expected: "0.1.0"}


def test_name_registry_and_platforms_are_those_of_most_others(tmp_path: Path) -> None:
    """The one that differs is not followed; nothing was assumed, so nothing is said but for the roots."""
    registry = {"name": "lab", "downloadURL": "https://lab.example/"}
    root = make_workspace(
        tmp_path, {}, {"3.12.9": {}, "3.12.10-b": {}, "3.12.10": {}}, platforms=ALL_PLATFORMS[:2], registry=registry,
        catalogue=True,
    )  # fmt: skip
    other = package_json("3.12.10", scope="@other", platforms=("windows-x64",), registry="else", binDir="prog")
    write_json(root / "python-3.12.10" / "package.json", other)
    (root / "catalogue" / "package.json").unlink()
    for full in ("3.12.9", "3.12.10-b", "3.12.10"):
        path = root / f"python-{full}" / "package.json"
        write_json(path, {**json.loads(path.read_text()), "license": "MIT", "author": full})
    scaffold = made(load_workspace(root))
    package = read(root)
    assert package["name"] == f"@test/test.runenv-python-{FULL}"
    assert artifact(package)["registry"] == registry
    assert artifact(package)["binDir"] == "bin"
    assert list(artifact(package)["roots"]) == list(ALL_PLATFORMS[:2])
    assert package["license"] == "MIT"
    assert "author" not in package
    assert [sentence for sentence in scaffold.said if "catalogue" not in sentence] == []
    loads(root)


def test_a_registry_by_name_brings_its_addresses(tmp_path: Path) -> None:
    """What stands beside the others' entry points is needed by the new one too."""
    root = make_workspace(tmp_path, {}, {"3.12.10": {}}, registry="lab")
    path = root / "python-3.12.10" / "package.json"
    package = json.loads(path.read_text())
    package["block-software"]["registries"] = {"binary": {"lab": {"downloadURL": "https://lab.example/"}}}
    write_json(path, package)
    made(load_workspace(root))
    found = {e.full_version: e.package.registry.download_url for e in loads(root).environments}
    assert found == {"3.12.10": "https://lab.example/", FULL: "https://lab.example/"}


def test_roots_of_the_shared_file_hold_and_are_said(tmp_path: Path) -> None:
    """An empty list of its own would take them back."""
    root = make_workspace(tmp_path, {"packages": {"dependencies": ["numpy", "six"]}}, {})
    scaffold = made(load_workspace(root))
    assert loads(root).environments[0].config.packages.dependencies == ("numpy", "six")
    assert "it has the 2 roots of shared-config.json, until it gets a list of its own" in scaffold.said


CONFIG = """{
    "packages" : {"dependencies": ["numpy == 2.2.6",   "six"],
        "copyFiles": [{"from": "tools/", "to": "bin"}, {"from": "data/./motd.txt", "to": "share/motd.txt"}],
        "platformSpecific": {"windows-x64": {"copyFiles": [{"from": "win.txt", "to": "share/win.txt"}]}},
        "buildWheel": {"six": {"linux-x64": {"sourceDir": "src/six", "patches": ["patches/six.patch", "shared.patch"],
            "env": {"CFLAGS": "-I{packageRoot}/include -O2"}}}}},
    "consumers": {"a": "needs/a.txt", "b": {"requirements": "../common/b.txt"}}
}"""
NAMED = {
    "tools/run.sh": "#!/bin/sh\n", "tools/lib/x.txt": "x\n", "data/motd.txt": "hi\n", "win.txt": "w\n",
    "src/six/setup.py": "", "patches/six.patch": "p\n", "include/deep/x.h": "h\n",
    "needs/a.txt": "-r more/c.txt\nnumpy\n", "needs/more/c.txt": "six\n",
}  # fmt: skip
UNNAMED = ("notes.txt", "data/other.txt", "pylock.linux-x64.toml", "tools/__pycache__/x.pyc", "pydist/linux-x64/x",
           "dist/x", "build/x", "needs/d.txt")  # fmt: skip


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    """A workspace whose environment names files in every way that there is."""
    root = make_workspace(tmp_path, {}, {"3.12.10-x": {}}, platforms=("linux-x64", "windows-x64"), catalogue=True)
    folder = root / "python-3.12.10-x"
    (folder / "config.json").write_text(CONFIG, encoding="utf-8")
    for path, text in {**NAMED, **dict.fromkeys(UNNAMED, "no\n")}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "tools/run.sh").chmod(0o755)
    for path in ("common/b.txt", "shared.patch"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("six\n", encoding="utf-8")
    return root


def test_a_copy_has_the_text_and_all_that_it_names(rich: Path) -> None:
    """Letter by letter, run bits too; not its locks, nor what nobody names, nor what lies beside the folder."""
    scaffold = made(load_workspace(rich), FULL, "3.12.10-x")
    folder = rich / f"python-{FULL}"
    assert (folder / "config.json").read_text() == CONFIG
    assert {path for path, content in files(folder).items() if content is not None} == {
        *NAMED, "config.json", "package.json", "README.md",
    }  # fmt: skip
    assert {path: (folder / path).read_text() for path in NAMED} == NAMED
    assert (folder / "tools/run.sh").stat().st_mode & 0o777 == 0o755
    assert (folder / "win.txt").stat().st_mode & 0o777 == 0o644
    assert scaffold.said == ()
    source, copy = loads(rich).environments
    assert copy.config.consumers == source.config.consumers
    assert copy.package.platforms == source.package.platforms


def test_the_others_platforms_can_be_replaced(rich: Path) -> None:
    """What is asked for holds, in the table's order."""
    made(load_workspace(rich), FULL, "3.12.10-x", ("linux-x64",))
    assert list(artifact(read(rich))["roots"].items()) == [("linux-x64", "./pydist/linux-x64")]


def test_what_is_named_and_not_there_is_said(rich: Path) -> None:
    """The source could not be built either."""
    (rich / "python-3.12.10-x/win.txt").unlink()
    (rich / "python-3.12.10-x/patches/six.patch").unlink()
    scaffold = made(load_workspace(rich), FULL, "3.12.10-x")
    assert len(scaffold.said) == 1
    assert scaffold.said[0].startswith("not copied, since they are not in python-3.12.10-x, or links out of")
    assert scaffold.said[0].endswith(": win.txt, patches/six.patch")


def test_links_become_what_they_lead_to(rich: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Inside the workspace; a folder that holds itself does not go on for ever, and what is outside stays there."""
    folder = rich / "python-3.12.10-x"
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("secret", encoding="utf-8")
    (folder / "tools/again").symlink_to(".")
    (folder / "tools/other.txt").symlink_to("../data/other.txt")
    (folder / "win.txt").unlink()
    (folder / "win.txt").symlink_to(outside)
    scaffold = made(load_workspace(rich), FULL, "3.12.10-x")
    copy = rich / f"python-{FULL}"
    assert not any(path.is_symlink() for path in copy.rglob("*"))
    assert (copy / "tools/other.txt").read_text() == "no\n"
    assert not (copy / "tools/again").exists()
    assert not (copy / "win.txt").exists()
    assert "win.txt" in scaffold.said[0]


def test_no_link_inside_a_named_folder_brings_what_is_outside(
    rich: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Not a file, not a folder of it; it is said."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("secret", encoding="utf-8")
    (rich / "python-3.12.10-x/tools/secret").symlink_to(outside / "secret")
    (rich / "python-3.12.10-x/tools/folder").symlink_to(outside)
    (rich / "python-3.12.10-x/tools/itself").symlink_to("itself")
    scaffold = made(load_workspace(rich), FULL, "3.12.10-x")
    assert all(content != b"secret" for content in files(rich / f"python-{FULL}").values())
    assert scaffold.said[0].endswith(": tools/folder, tools/itself, tools/secret")


def test_package_json_keeps_its_form_and_what_else_it_says(rich: Path) -> None:
    """Indentation, order, line ends and npm's own keys; the folder in `repository` is the new one."""
    path = rich / "python-3.12.10-x" / "package.json"
    package = json.loads(path.read_text())
    package |= {"repository": {"type": "git", "directory": "envs/python-3.12.10-x/"}, "scripts": {"x": "y"}}
    artifact(package)["envVars"] = ["A=b"]
    path.write_bytes(json.dumps(package, indent="\t").replace("\n", "\r\n").encode())
    made(load_workspace(rich), FULL, "3.12.10-x")
    text = (rich / f"python-{FULL}/package.json").read_bytes().decode()
    expected = path.read_bytes().decode().replace("3.12.10-x", FULL).replace("3.12.10", "3.13.0")
    assert text == expected.replace('"version": "1.0.0"', '"version": "0.1.0"').replace(f"{FULL}/", FULL)


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("3.12.10", "Python 3.12.10 with 3.12.100 and x3.12.10.", "Python 3.13.0-sc with 3.12.100 and x3.12.10."),
        ("3.12.10-x", "Python 3.12.10 for antibodies", "Python 3.13.0 for antibodies"),
        ("3.12.10-x", "Python 3.12.10-x, and not 3.12.10-xy", "Python 3.13.0-sc, and not 3.12.10-xy"),
        ("3.12.10-x", "for everybody", "for everybody"),
    ],
)
def test_a_description_is_about_the_new_one(tmp_path: Path, source: str, text: str, expected: str) -> None:
    """Whole versions are replaced, and nothing that only looks like one."""
    root = make_workspace(tmp_path, {}, {source: {}})
    path = root / f"python-{source}" / "package.json"
    write_json(path, {**json.loads(path.read_text()), "description": text})
    made(load_workspace(root), FULL, source)
    assert read(root)["description"] == expected


def test_a_source_without_a_config_gets_one_all_the_same(tmp_path: Path) -> None:
    """Else the new one would begin with a warning."""
    root = make_workspace(tmp_path, {}, {"3.12.10": None})
    made(load_workspace(root), FULL, "3.12.10")
    assert read(root, name="config.json") == {"packages": {"dependencies": []}}


def test_a_readme_that_is_copied_is_the_others(rich: Path) -> None:
    """It is part of the bundle then."""
    folder = rich / "python-3.12.10-x"
    (folder / "README.md").write_text("read me\n", encoding="utf-8")
    (folder / "config.json").write_text(CONFIG.replace("data/./motd.txt", "README.md"), encoding="utf-8")
    made(load_workspace(rich), FULL, "3.12.10-x")
    assert (rich / f"python-{FULL}" / "README.md").read_text() == "read me\n"


CATALOGUE = """{
\t"name": "@test/python-3", "version": "1.0.0",
\t"block-software": {"entrypoints": {
\t\t"3.12.9": {"reference": "@test/test.runenv-python-3.12.9/dist/tengo/software/main.sw.json"},
\t\t"3.12.10": {"reference": "@test/test.runenv-python-3.12.10/dist/tengo/software/main.sw.json"}
\t}},
\t"dependencies": {
\t\t"@test/test.runenv-python-3.12.10": "1.0.0",
\t\t"@test/test.runenv-python-3.12.9": "1.0.0"
\t}
}"""


@pytest.mark.parametrize(
    ("full", "entry", "dependency"), [("3.12.9-b", 1, 2), ("3.12.10-b", 2, 1), ("3.12.11", 2, 1), ("3.13.0", 2, 2)]
)
def test_the_catalogue_keeps_form_and_order(tmp_path: Path, full: str, entry: int, dependency: int) -> None:
    """One member is new in each object, where the order of the others wants it; no other line is another."""
    root = make_workspace(tmp_path, {}, {"3.12.9": {}, "3.12.10": {}}, catalogue=True)
    path = root / "catalogue" / "package.json"
    path.write_text(CATALOGUE, encoding="utf-8")
    made(load_workspace(root), full)
    text = path.read_text(encoding="utf-8")
    after = json.loads(text)
    assert list(after["block-software"]["entrypoints"]).index(full) == entry
    assert list(after["dependencies"]).index(f"@test/test.runenv-python-{full}") == dependency
    rest = re.sub(rf'\n\t\t"[^"]*{full}": (\{{[^}}]*\}}|"0\.1\.0"),?', "", text)
    assert [line.rstrip(",") for line in rest.splitlines()] == [line.rstrip(",") for line in CATALOGUE.splitlines()]
    assert not text.endswith("\n")
    loads(root)


def test_an_unsorted_catalogue_gets_it_at_its_end(tmp_path: Path) -> None:
    """Somebody's own order is not improved."""
    root = make_workspace(tmp_path, {}, {"3.12.10": {}, "3.12.9": {}}, catalogue=True)
    made(load_workspace(root), "3.12.8")
    catalogue = json.loads((root / "catalogue/package.json").read_text())
    assert list(catalogue["block-software"]["entrypoints"]) == ["3.12.10", "3.12.9", "3.12.8"]


def test_a_catalogue_of_a_pnpm_workspace_is_continued_as_one(tmp_path: Path) -> None:
    """Ranges, and not versions that pnpm would look for elsewhere."""
    root = make_workspace(tmp_path, {}, {"3.12.10": {}}, catalogue=True)
    path = root / "catalogue" / "package.json"
    path.write_text(path.read_text().replace('-3.12.10": "1.0.0"', '-3.12.10": "workspace:^"'), encoding="utf-8")
    made(load_workspace(root))
    assert set(json.loads(path.read_text())["dependencies"].values()) == {"workspace:^"}


@pytest.mark.parametrize(
    ("full", "said"),
    [
        ("3.13", "expected X.Y.Z or X.Y.Z-name"),
        ("python-3.13.0-sc", "did you mean `3.13.0-sc`?"),
        ("3.13.0-SC", "did you mean `3.13.0-sc`?"),
        ("3.13.0+sc", "did you mean `3.13.0-sc`?"),
        ("3.13.0-", "for example: pyrunenv new 3.13.0-sc"),
        ("3.13.0-a/b", "for example"),
        ("3.13.00", "for example"),
        ("../3.13.0", "for example"),
        ("3.13.0-a.", "for example"),
        ("3.13.0-a\n", "for example"),
        ("", "for example"),
        ("3.9.1", "take a version from 3.10 to 3.14"),
        ("3.15.0-x", "take a version from 3.10 to 3.14"),
        ("2.7.18", "for example"),
        ("3.13.0-" + "a" * 250, "npm takes 214"),
    ],
)
def test_what_is_no_full_version_is_refused(tmp_path: Path, full: str, said: str) -> None:
    """With an example, or what was meant; nothing is written."""
    root = make_workspace(tmp_path, {}, {})
    with pytest.raises(UsageError) as caught:
        made(load_workspace(root), full)
    assert said in "\n".join([caught.value.message, *caught.value.notes, caught.value.hint or ""])
    assert set(files(root)) == {"shared-config.json"}


def _folder(root: Path) -> None:
    (root / f"python-{FULL}" / "pydist").mkdir(parents=True)


def _link(root: Path) -> None:
    (root / f"python-{FULL}").symlink_to("nowhere")


def _environment(root: Path) -> None:
    write_json(root / f"python-{FULL}" / "package.json", package_json(FULL))


def _name(root: Path) -> None:
    package = {**package_json("3.12.9"), "name": f"@test/test.runenv-python-{FULL}"}
    write_json(root / "python-3.12.9" / "package.json", package)


def _change_catalogue(root: Path, **keys: Any) -> None:
    path = root / "catalogue" / "package.json"
    write_json(path, {**json.loads(path.read_text()), **keys})


def _entry(root: Path) -> None:
    _change_catalogue(root, **{"block-software": {"entrypoints": {FULL: {"reference": "x"}}}})


def _dependency(root: Path) -> None:
    _change_catalogue(root, dependencies={f"@test/test.runenv-python-{FULL}": "0.0.1"})


def _catalogue(root: Path) -> None:
    _change_catalogue(root, name=f"@test/test.runenv-python-{FULL}")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (_folder, "is in the way: it exists, and is no environment"),
        (_link, "is in the way: it exists, and is no environment"),
        (_environment, "the environment 3.13.0-sc exists"),
        (_name, "is the npm name of python-3.12.9 already"),
        (_entry, "catalogue/package.json has an entry point `3.13.0-sc` already"),
        (_dependency, "catalogue/package.json depends on `@test/test.runenv-python-3.13.0-sc` already"),
        (_catalogue, "is the catalogue's own npm name"),
    ],
)
def test_nothing_is_overwritten(tmp_path: Path, prepare: Any, said: str) -> None:
    """Each obstacle has its own words, and a hint; the workspace stays as it was."""
    root = make_workspace(tmp_path, {}, {"3.12.10": {}}, catalogue=True)
    prepare(root)
    before = files(root)
    with pytest.raises(UsageError) as caught:
        made(load_workspace(root))
    assert said in caught.value.message
    assert caught.value.hint
    assert files(root) == before


def _cannot(*_: object) -> bool:
    raise WriteError("no room")


def _interrupted(*_: object) -> bool:
    raise KeyboardInterrupt


@pytest.mark.parametrize("failing", [_cannot, _interrupted])
@pytest.mark.parametrize("moment", ["first", "catalogue"])
def test_a_failure_leaves_nothing(rich: Path, monkeypatch: pytest.MonkeyPatch, failing: Any, moment: str) -> None:
    """While the folder is filled, and when the catalogue cannot be written; the same command passes afterwards."""
    before, workspace = files(rich), load_workspace(rich)
    with monkeypatch.context() as patched:
        if moment == "first":
            patched.setattr("pyrunenv.config.scaffold.shutil.copyfile", failing)
        else:
            patched.setattr("pyrunenv.config.scaffold.Catalogue.write", failing)
        with pytest.raises((PyrunenvError, KeyboardInterrupt)):
            made(workspace, FULL, "3.12.10-x")
    assert files(rich) == before
    made(workspace, FULL, "3.12.10-x")


def test_a_catalogue_that_changed_meanwhile_is_not_overwritten(rich: Path) -> None:
    """Between the plan and the writing; the folder is taken back."""
    scaffold = plan(load_workspace(rich), FULL)
    _change_catalogue(rich, version="2.0.0")
    before = files(rich)
    with pytest.raises(WriteError, match="was changed by somebody else meanwhile"):
        scaffold.write()
    assert files(rich) == before


def test_a_folder_that_came_meanwhile_is_not_replaced(rich: Path) -> None:
    """An empty one would be, by a rename."""
    scaffold = plan(load_workspace(rich), FULL)
    (rich / f"python-{FULL}").mkdir()
    before = files(rich)
    with pytest.raises(WriteError, match="was made by somebody else meanwhile"):
        scaffold.write()
    assert files(rich) == before


def test_what_a_killed_run_left_is_taken_away(rich: Path) -> None:
    """Its folder's name is hidden from the workspace, and known to the next run."""
    left = rich / f".python-{FULL}.0123456789ab.tmp"
    left.mkdir()
    (left / "config.json").write_text("{}", encoding="utf-8")
    loads(rich)
    made(load_workspace(rich))
    assert not left.exists()


def test_copies_of_the_shared_file_are_asked_for(tmp_path: Path) -> None:
    """A new environment has none of them yet; a copy of another has."""
    shared = {"packages": {"copyFiles": [{"from": "motd.txt", "to": "share/"}]}}
    root = make_workspace(tmp_path, shared, {"3.12.10": {}})
    (root / "python-3.12.10" / "motd.txt").write_text("hi", encoding="utf-8")
    workspace = load_workspace(root)
    assert any(s.endswith("since shared-config.json copies them: motd.txt") for s in plan(workspace, FULL).said)
    made(workspace, FULL, "3.12.10")
    assert (root / f"python-{FULL}" / "motd.txt").read_text() == "hi"
