"""Workspaces that are each broken in one way, and all that ``config validate`` says of them, as snapshots.

``UPDATE_SNAPSHOTS=1 pytest tests/unit/checks`` writes the snapshots anew; read the difference before you commit it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.locks_text import lock_text
from support.workspaces import make_workspace, package_json, write_json

from pyrunenv import cli

SNAPSHOTS = Path(__file__).parent / "snapshots"
ARTIFACT = ("block-software", "entrypoints", "main", "environment", "artifact")
OWN = "python-3.12.10/config.json"
PACKAGE = "python-3.12.10/package.json"
CATALOGUE = "catalogue/package.json"
SHARED = "shared-config.json"

Case = Callable[[Path], None]
CASES: dict[str, Case] = {}


def base(root: Path) -> None:
    """A workspace without a finding: two environments of all platforms, one of two."""
    shared = {
        "registries": {"default": "https://pypi.org/simple"},
        "packages": {"dependencies": ["requests==2.32.5"], "skip": {"parasail": {"windows-x64": "no wheel"}}},
    }
    own = {
        "packages": {
            "dependencies": ["numpy==2.2.6", "parasail==1.3.4", "PyYAML==6.0.3"],
            "overrides": {"numpy": "2.2.5"},
            "copyFiles": [{"from": "files/motd.txt", "to": "share/motd.txt"}],
        }
    }
    make_workspace(root, shared, {"3.12.10": own, "3.12.10-sc": {}, "3.13.0": {}}, catalogue=True)
    write_json(root / "python-3.13.0" / "package.json", package_json("3.13.0", platforms=("linux-x64", "macosx-x64")))
    (root / "python-3.12.10" / "files").mkdir()
    (root / "python-3.12.10" / "files" / "motd.txt").write_text("hello\n")


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def change(root: Path, file: str, *path: str | int, to: Any = None) -> None:
    """Set a value of a JSON file, keys on the way made; without ``to`` remove it."""
    document = json.loads((root / file).read_text())
    here = document
    for step in path[:-1]:
        here = here.setdefault(step, {}) if isinstance(here, dict) else here[step]
    if to is None:
        del here[path[-1]]
    elif isinstance(here, list) and path[-1] == len(here):
        here.append(to)
    else:
        here[path[-1]] = to
    write_json(root / file, document)


def roots(root: Path, *more: str, file: str = OWN) -> None:
    document = json.loads((root / file).read_text())
    document["packages"]["dependencies"] += more
    write_json(root / file, document)


def lock_all(root: Path, *names: str) -> None:
    """Lay a lock for every target of the workspace, which holds some names."""
    for folder in root.glob("python-*"):
        listed = json.loads((folder / "package.json").read_text())
        for step in ARTIFACT:
            listed = listed[step]
        for platform in listed["roots"]:
            (folder / f"pylock.{platform}.toml").write_text(lock_text(*names))


# fmt: off
@case
def sound(root: Path) -> None: pass
@case
def unknown_key_at_the_top(root: Path) -> None: change(root, OWN, "pakages", to={})
@case
def unknown_key_below(root: Path) -> None: change(root, OWN, "packages", "override", to={})
@case
def unknown_key_far_below(root: Path) -> None: change(root, SHARED, "packages", "resolution", "strictMising", to=True)
@case
def unknown_key_like_nothing(root: Path) -> None: change(root, SHARED, "floors", "zzz", to="1.0")
@case
def skip_one_level_too_high(root: Path) -> None: change(root, OWN, "skip", to={"numpy": {"linux-x64": "why"}})
@case
def resolution_one_level_too_high(root: Path) -> None: change(root, SHARED, "resolution", to={"mode": "together"})
@case
def glibc_at_the_top(root: Path) -> None: change(root, SHARED, "glibc", to="2.28")
@case
def unknown_platform_in_skip(root: Path) -> None: change(root, SHARED, "packages", "skip", "parasail", "linux-x46", to="why")
@case
def unknown_platform_in_platform_specific(root: Path) -> None: change(root, OWN, "packages", "platformSpecific", to={"darwin": {}})
@case
def unknown_platform_of_a_consumer(root: Path) -> None: change(root, OWN, "consumers", to={"c": {"requirements": ["numpy"], "platforms": ["win-x64"]}})
@case
def single_equals(root: Path) -> None: roots(root, "scipy=1.15")
@case
def a_url_without_a_name(root: Path) -> None: roots(root, "https://example.org/x-1-py3-none-any.whl")
@case
def a_requirement_that_is_none(root: Path) -> None: roots(root, "scipy >> 1")
@case
def a_requirement_that_is_no_text(root: Path) -> None: change(root, OWN, "packages", "dependencies", 1, to=5)
@case
def a_list_that_is_a_text(root: Path) -> None: change(root, OWN, "packages", "dependencies", to="numpy")
@case
def the_same_requirement_twice(root: Path) -> None: roots(root, "numpy==2.2.6")
@case
def the_same_requirement_in_other_words(root: Path) -> None: roots(root, "numpy == 2.2.6.0")
@case
def two_pins_of_one_name_are_fine(root: Path) -> None: roots(root, "numpy==1.26.4")
@case
def a_blank_requirement(root: Path) -> None: roots(root, "  ")
@case
def an_override_that_matches_nothing(root: Path) -> None: change(root, OWN, "packages", "overrides", "scipy", to="1.15")
@case
def a_shared_override_that_matches_nothing(root: Path) -> None: change(root, SHARED, "packages", "overrides", to={"scipy": "1.15"})
@case
def an_override_that_is_no_version(root: Path) -> None: change(root, OWN, "packages", "overrides", "numpy", to="newest")
@case
def no_deps_that_match_nothing(root: Path) -> None: change(root, OWN, "packages", "noDeps", to=["Scipy"])
@case
def a_skip_that_matches_nothing_locked(root: Path) -> None:
    change(root, OWN, "packages", "skip", to={"ghost": {"linux-x64": "why"}})
    lock_all(root, "numpy", "deep")
@case
def a_skip_of_something_deep_is_fine(root: Path) -> None:
    change(root, OWN, "packages", "skip", to={"deep": {"linux-x64": "why"}})
    lock_all(root, "numpy", "deep")
@case
def a_skip_is_not_judged_without_locks(root: Path) -> None: change(root, OWN, "packages", "skip", to={"ghost": {"linux-x64": "why"}})
@case
def a_shared_skip_that_matches_nothing_locked(root: Path) -> None:
    change(root, SHARED, "packages", "skip", "ghost", to={"linux-x64": "why"})
    lock_all(root, "numpy")
@case
def a_skip_taken_back_that_nobody_gave(root: Path) -> None: change(root, OWN, "packages", "skip", to={"numpy": {}})
@case
def an_empty_reason(root: Path) -> None: change(root, SHARED, "packages", "skip", "parasail", "windows-x64", to=" ")
@case
def a_skip_for_a_platform_that_is_not_listed(root: Path) -> None: change(root, "python-3.13.0/config.json", "packages", to={"dependencies": ["a"], "skip": {"a": {"windows-x64": "why"}}})
@case
def a_consumer_on_a_platform_that_is_not_listed(root: Path) -> None: change(root, "python-3.13.0/config.json", "consumers", to={"c": {"requirements": ["requests"], "platforms": ["linux-x64", "windows-x64"]}})
@case
def platform_specific_for_one_that_is_not_listed(root: Path) -> None: change(root, "python-3.13.0/config.json", "packages", to={"platformSpecific": {"windows-x64": {"dependencies": ["a"]}}})
@case
def a_root_skipped_on_every_platform(root: Path) -> None: change(root, "python-3.13.0/config.json", "packages", to={"dependencies": ["b", "A"], "skip": {"A": {"linux-x64": "why", "macosx-x64": "why"}}})
@case
def a_platforms_root_skipped_there(root: Path) -> None: change(root, "python-3.13.0/config.json", "packages", to={"platformSpecific": {"linux-x64": {"dependencies": ["a"]}}, "skip": {"a": {"linux-x64": "why"}}})
@case
def a_shared_root_skipped_everywhere(root: Path) -> None: change(root, SHARED, "packages", "skip", "requests", to=dict.fromkeys(("linux-x64", "linux-aarch64", "macosx-x64", "macosx-aarch64", "windows-x64"), "why"))
@case
def copy_files_without_a_source(root: Path) -> None: (root / "python-3.12.10" / "files" / "motd.txt").unlink()
@case
def copy_files_of_the_shared_file_without_a_source(root: Path) -> None: change(root, SHARED, "packages", "copyFiles", to=[{"from": "files/motd.txt", "to": "share/other.txt"}])
@case
def copy_files_that_leads_outside(root: Path) -> None:
    (root / "python-3.12.10" / "files" / "motd.txt").unlink()
    (root / "python-3.12.10" / "files" / "motd.txt").symlink_to("../../shared-config.json")
@case
def copy_files_into_the_wheelhouse(root: Path) -> None: change(root, OWN, "packages", "copyFiles", 0, "to", to="packages/x.whl")
@case
def copy_files_with_an_unknown_placeholder(root: Path) -> None: change(root, OWN, "packages", "copyFiles", 0, "to", to="{sitepackages}/x.py")
@case
def copy_files_from_an_absolute_path(root: Path) -> None: change(root, OWN, "packages", "copyFiles", 0, "from", to="/etc/motd")
@case
def copy_files_of_which_two_are_wrong_in_two_ways(root: Path) -> None:
    change(root, OWN, "packages", "copyFiles", to=[{"from": "a", "to": "../x"}, {"from": "files/gone", "to": "share/x"}])
@case
def copy_files_without_to(root: Path) -> None: change(root, OWN, "packages", "copyFiles", 0, "to")
@case
def one_package_in_two_spellings_in_a_map(root: Path) -> None: change(root, OWN, "packages", "overrides", to={"PyYAML": "6", "pyyaml": "5"})
@case
def one_package_in_two_spellings(root: Path) -> None: change(root, OWN, "packages", "skip", to={"pyyaml": {"linux-x64": "why"}})
@case
def another_spelling_than_the_shared_file(root: Path) -> None: roots(root, "Parasail==1.3.3")
@case
def a_password_in_a_registry(root: Path) -> None: change(root, SHARED, "registries", "default", to="https://me:s3cret-word@pypi.lab.example/simple")
@case
def a_token_in_an_additional_registry(root: Path) -> None: change(root, OWN, "registries", to={"additional": [{"name": "lab", "url": "https://s3cret-word@pypi.lab.example/simple"}]})
@case
def a_token_in_a_git_requirement(root: Path) -> None: roots(root, "lab @ git+https://s3cret-word@git.lab.example/lab@0123456789abcdef0123456789abcdef01234567")
@case
def a_user_for_ssh_is_fine(root: Path) -> None: roots(root, "lab @ git+ssh://git@git.lab.example/lab@0123456789abcdef0123456789abcdef01234567")
@case
def a_registry_twice(root: Path) -> None: change(root, SHARED, "registries", "additional", to=["https://a.example/simple", "https://pypi.org/simple/"])
@case
def two_registries_of_one_name(root: Path) -> None: change(root, SHARED, "registries", "additional", to=[{"name": "x", "url": "https://a.example"}, {"name": "x", "url": "https://b.example"}])
@case
def a_registry_that_is_no_url(root: Path) -> None: change(root, SHARED, "registries", "default", to="pypi.org/simple")
@case
def another_python_than_the_folder_says(root: Path) -> None: change(root, PACKAGE, *ARTIFACT, "python-version", to="3.12.9")
@case
def a_python_that_cannot_be_built(root: Path) -> None: change(root, PACKAGE, *ARTIFACT, "python-version", to="3.8.20")
@case
def another_npm_name_than_the_folder_says(root: Path) -> None: change(root, PACKAGE, "name", to="@test/test.runenv-python-3.12.11")
@case
def a_root_that_is_not_below_pydist(root: Path) -> None: change(root, PACKAGE, *ARTIFACT, "roots", "linux-x64", to="./dist/linux-x64")
@case
def two_environments_of_one_name(root: Path) -> None:
    change(root, "python-3.12.10-sc/package.json", "name", to="@test/test.runenv-python-3.12.10")
@case
def no_catalogue_entry(root: Path) -> None: change(root, CATALOGUE, "block-software", "entrypoints", "3.13.0")
@case
def a_catalogue_entry_without_an_environment(root: Path) -> None:
    change(root, CATALOGUE, "block-software", "entrypoints", "3.12.4", to={"reference": "@test/gone/dist/tengo/software/main.sw.json"})
@case
def a_catalogue_entry_that_refers_to_another(root: Path) -> None:
    change(root, CATALOGUE, "block-software", "entrypoints", "3.13.0", "reference", to="@test/test.runenv-python-3.12.10/dist/tengo/software/main.sw.json")
@case
def another_version_in_the_catalogue(root: Path) -> None: change(root, CATALOGUE, "dependencies", "@test/test.runenv-python-3.13.0", to="0.9.0")
@case
def a_dependency_of_the_catalogue_that_no_entry_has(root: Path) -> None: change(root, CATALOGUE, "dependencies", "@test/other", to="1.0.0")
@case
def archive_without_archives(root: Path) -> None: change(root, SHARED, "python", to={"source": "archive"})
@case
def must_and_must_not_be_built(root: Path) -> None:
    change(root, OWN, "packages", "forceSource", to={"numpy": {"linux-x64": "why"}})
    change(root, OWN, "packages", "resolution", to={"onlyBinaryList": ["NumPy"]})
    change(root, OWN, "packages", "dependencies", 0, to="NumPy==2.2.6")
    change(root, OWN, "packages", "overrides", to={"NumPy": "2.2.5"})
    change(root, OWN, "packages", "forceSource", to={"NumPy": {"linux-x64": "why"}})
@case
def a_source_folder_and_a_patch_that_are_not_there(root: Path) -> None:
    change(root, OWN, "packages", "buildWheel", to={"parasail": {"linux-x64": {"sourceDir": "sources/parasail", "patches": ["p.patch"]}}})
@case
def a_requirements_file_that_is_not_there(root: Path) -> None: change(root, OWN, "consumers", to={"block": "blocks/requirements.txt"})
@case
def a_wrong_line_in_a_requirements_file(root: Path) -> None:
    (root / "python-3.12.10" / "r.txt").write_text("numpy\n--hash=sha256:1\n")
    change(root, OWN, "consumers", to={"block": "r.txt"})
@case
def a_sha256_that_is_none(root: Path) -> None: change(root, SHARED, "python", to={"archives": {"linux-x64": {"url": "https://x.example/p.tgz", "sha256": "abc"}}})
@case
def a_floor_that_is_a_number(root: Path) -> None: change(root, SHARED, "floors", to={"glibc": 2.28})
@case
def a_timeout_of_nothing(root: Path) -> None: change(root, SHARED, "build", to={"timeout": 0})
@case
def a_trailing_comma(root: Path) -> None: (root / OWN).write_text('{\n  "packages": {\n    "dependencies": [],\n  }\n}\n')
@case
def a_comment(root: Path) -> None: (root / OWN).write_text('{\n  // mine\n  "packages": {}\n}\n')
@case
def an_empty_file(root: Path) -> None: (root / OWN).write_text("")
@case
def not_utf8(root: Path) -> None: (root / OWN).write_bytes(b'{"packages": {"dependencies": ["\xff"]}}')
@case
def a_list_in_place_of_an_object(root: Path) -> None: (root / SHARED).write_text("[]\n")
@case
def a_null(root: Path) -> None: (root / OWN).write_text('{"floors": null}\n')
@case
def a_key_twice(root: Path) -> None: (root / OWN).write_text('{\n  "floors": {"glibc": "2.28", "glibc": "2.17"}\n}\n')
@case
def half_a_surrogate(root: Path) -> None: (root / OWN).write_text('{"packages": {"skip": {"requests": {"linux-x64": "\\ud800"}}}}')
@case
def nested_too_deeply(root: Path) -> None: (root / OWN).write_text("[" * 100_000)
@case
def a_folder_in_a_files_place(root: Path) -> None:
    (root / PACKAGE).unlink()
    (root / PACKAGE).mkdir()
@case
def a_link_that_leads_nowhere(root: Path) -> None:
    (root / OWN).unlink()
    (root / OWN).symlink_to("gone.json")
@case
def no_package_json(root: Path) -> None: (root / PACKAGE).unlink()
@case
def no_config_json(root: Path) -> None: (root / "python-3.12.10-sc" / "config.json").unlink()
@case
def a_folder_that_is_no_environment(root: Path) -> None: (root / "python-3.11.4").mkdir()
@case
def places_are_counted_in_characters(root: Path) -> None:
    text = '\ufeff{\r\n\t"packages": {"skip": {"requests": {"linux-x64": "größer ↑"}}, "überschuss": 1}\r\n}\r\n'
    (root / OWN).write_bytes(text.encode())
@case
def no_environment_at_all(root: Path) -> None:
    for folder in root.glob("python-*"):
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()
    (root / CATALOGUE).unlink()
    write_json(root / SHARED, {})
# fmt: on


def said(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.run(["config", "validate", "-C", str(root), *words])
    out, err = (text.replace(str(root), "<root>") for text in capsys.readouterr())
    return status, out, err


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_heed_signals", lambda: None)


@pytest.mark.parametrize("name", CASES)
def test_one_fault_has_exactly_its_findings(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole output is the snapshot's; the exit status goes with it, and JSON tells the same."""
    base(tmp_path)
    CASES[name](tmp_path)
    status, out, err = said(tmp_path, capsys)
    snapshot = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(out + err, encoding="utf-8")
    assert out + err == snapshot.read_text(encoding="utf-8")
    findings = json.loads(said(tmp_path, capsys, "--json")[1])
    assert len(findings) == len(out.splitlines())
    assert status == (1 if any(finding["level"] == "error" for finding in findings) else 0)
    assert "s3cret-word" not in out + err + json.dumps(findings)
    strict, _, _ = said(tmp_path, capsys, "--strict")
    assert strict == (1 if findings else 0)


def test_there_is_a_snapshot_for_each_case_and_no_other() -> None:
    """A case that is gone takes its snapshot with it."""
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == set(CASES)
    assert len(CASES) >= 80


def test_github_annotations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are those of the repository; what has a meaning in a command is escaped."""
    root = tmp_path / "repo, 100%" / "envs"
    base(root)
    change(root, OWN, "pakages%\n", to={})
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repo, 100%"))
    status, out, _ = said(root, capsys, "--format", "github")
    assert status == 1
    assert out.startswith("::error file=envs/python-3.12.10/config.json,line=")
    assert '"pakages%25\\n": unknown key, did you mean `packages`?' in out
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert "file=repo%2C 100%25/envs/python-3.12.10/" in said(root, capsys, "--format", "github")[1]


def test_some_environments_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Broken ones can be named too; what all share is always told; from inside its folder it is that one."""
    base(tmp_path)
    (tmp_path / OWN).write_text("{")
    (tmp_path / "python-3.12.10-sc" / "package.json").write_text("{")
    change(tmp_path, SHARED, "nope", to=1)
    files = {line.partition(":")[0] for line in said(tmp_path, capsys, "3.12.10")[1].splitlines()}
    assert files == {SHARED, OWN}
    files = {line.partition(":")[0] for line in said(tmp_path, capsys, "*-sc")[1].splitlines()}
    assert files == {SHARED, "python-3.12.10-sc/package.json"}
    inside = {line.partition(":")[0] for line in said(tmp_path / "python-3.12.10-sc", capsys)[1].splitlines()}
    assert inside == {"../shared-config.json", "package.json"}
    status, _, err = said(tmp_path, capsys, "3.99")
    assert (status, "no environment is named `3.99`" in err) == (2, True)


def test_older_forms_are_read_without_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the design defines."""
    base(tmp_path)
    packages = {
        "dependencies": [
            "numpy", "pandas===2.2.3", "scanpy[leiden]>=1.10", "pywin32==310 ; sys_platform == 'win32'", "numba<1,>=0.60",
            "lab @ git+https://git.lab.example/lab@0123456789abcdef0123456789abcdef01234567", "parasail",
            "git+https://git.lab.example/other.git@0123456#egg=other", "x @ https://e.example/x-1-py3-none-any.whl",
        ],
        "noDeps": ["scanpy"], "overrides": {"pandas": ">=2"},
        "resolution": {"mode": "grouped", "strictMissing": False, "allowSourceAll": False, "allowSourceList": ["numba"],
                       "forceNoBinaryList": ["pandas"], "onlyBinaryList": ["numpy"]},
        "buildWheel": {"numba": {"linux-x64": {"buildRequires": ["setuptools"], "env": {"A": "b"}, "configSettings": {"c": ["d"]}}}},
        "forceSource": {"numba": {"linux-x64": "slow wheel"}},
        "platformSpecific": {"linux-x64": {"dependencies": ["cupy-cuda12x==13.4.1"], "resolution": {"strictMissing": True}}},
    }  # fmt: skip
    write_json(
        tmp_path / OWN,
        {"packages": packages, "build": {"enableLogging": True, "parallelDownloads": False, "timeout": 30}},
    )
    assert said(tmp_path, capsys) == (0, "", "no problem found\n")
