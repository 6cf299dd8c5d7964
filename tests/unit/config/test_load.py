"""One file: JSON as it should be, faults as a person wants to read them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrunenv.config.load import Findings, Unreadable, load_config, read_json
from pyrunenv.config.schema import Config


def load(folder: Path, content: Any, *, lenient: bool = False) -> tuple[Config, list[str], list[str]]:
    path = folder / "config.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    findings = Findings(lenient)
    found = load_config(path, "e/config.json", findings)
    return found, [str(p) for p in findings.problems], [str(w) for w in findings.warnings]


def problems(folder: Path, content: Any) -> list[str]:
    return load(folder, content)[1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{\n  "packages": {,}\n}', "e/config.json:2:16: expecting property name enclosed in double quotes"),
        ("{} x", "e/config.json:1:4: extra data"),
        ("", "e/config.json:1:1: is empty, expected an object"),
        ('{\n  // no\n  "build": {}\n}', "e/config.json:2:3: comments are not JSON"),
        (b"\xff\xfe{\x00}\x00", "e/config.json: is not UTF-8 (byte 0)"),
        ('{"build": {"timeout": NaN}}', "e/config.json: `nan` is not json"),
        ("[" * 100_000, "e/config.json: is nested too deeply"),
        ('{"\\uD800": 1}', "e/config.json: holds half of a surrogate pair"),
        ("[]", "e/config.json: expected an object, got a list"),
        ("3", "e/config.json: expected an object, got a number"),
    ],
)
def test_what_is_no_json_object_is_told_with_its_place(tmp_path: Path, content: str | bytes, expected: str) -> None:
    """A file that cannot be parsed names itself, and line and column where there are any."""
    (found,) = problems(tmp_path, content)
    assert found.startswith(expected)


def test_a_number_that_python_will_not_read_is_a_problem(tmp_path: Path) -> None:
    """An integer of 5000 digits is a problem, not a ValueError."""
    (found,) = problems(tmp_path, '{"build": {"timeout": ' + "1" * 5000 + "}}")
    assert "integer" in found


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    """A file that a Windows editor wrote is read."""
    found, wrong, _ = load(tmp_path, b'\xef\xbb\xbf{"packages": {"dependencies": ["a"]}}')
    assert (found.packages.dependencies, wrong) == (("a",), [])


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    """Duplicate keys are told with their path, at any depth, lists included."""
    text = (
        '{"packages": {"skip": {"a": {"linux-x64": "x"}, "a": {}}, "copyFiles": [{"to": "1", "from": "a", "to": "b"}]}}'
    )
    assert problems(tmp_path, text) == [
        "e/config.json: packages.skip.a: stands here twice",
        "e/config.json: packages.copyFiles[0].to: stands here twice",
    ]


def test_null_is_told_once(tmp_path: Path) -> None:
    """Null is neither absent nor empty, so it is a problem, and one only."""
    assert problems(tmp_path, {"packages": {"dependencies": None, "skip": {"a": None}}}) == [
        "e/config.json: packages.dependencies: is null, leave it out instead",
        "e/config.json: packages.skip.a: is null, leave it out instead",
    ]


P = {"linux-x64": "why"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"package": {}}, "package: unknown key, did you mean `packages`?"),
        ({"skip": {}}, "skip: unknown key here, it belongs in `packages`"),
        ({"packages": {"floors": {}}}, "packages.floors: unknown key here, it belongs at the top of the file"),
        ({"packages": {"resolution": {"strict_missing": True}}},
         "packages.resolution.strict_missing: unknown key, did you mean `strictMissing`?"),
        ({"packages": {"platformSpecific": {"linux-x64": {"dependecies": []}}}},
         "packages.platformSpecific.linux-x64.dependecies: unknown key, did you mean `dependencies`?"),
        ({"packages": {"copyFiles": [{"from": "a", "to": "b", "mode": 1}]}},
         "packages.copyFiles[0].mode: unknown key, expected one of: from, to"),
        ({"packages": {"copyFiles": [{"from": "a"}]}}, "packages.copyFiles[0].to: is missing"),
        ({"packages": {"copyFiles": [{"from": "../a", "to": "b"}]}},
         "packages.copyFiles[0].from: `../a` leads out of the folder"),
        ({"packages": {"copyFiles": [{"from": "a", "to": "/b"}]}},
         "packages.copyFiles[0].to: `/b` is absolute, expected a path inside the folder"),
        ({"packages": {"skip": {"numpy": {"linux-x65": "why"}}}},
         "packages.skip.numpy.linux-x65: unknown platform `linux-x65`, did you mean `linux-x64`?"),
        ({"packages": {"skip": {"numpy": {"linux-x64": " "}}}},
         "packages.skip.numpy.linux-x64: is empty, expected the reason in words"),
        ({"packages": {"skip": {"numpy": "why"}}}, "packages.skip.numpy: expected an object, got text"),
        ({"packages": {"skip": {"PyYAML": P, "pyyaml": P}}},
         "packages.skip: `PyYAML` and `pyyaml` are the same package"),
        ({"packages": {"skip": {"ruamel.yaml": {"linux-x64": 3}}}},
         'packages.skip."ruamel.yaml".linux-x64: expected text, got a number'),
        ({"packages": {"forceSource": {"a==1": P}}}, 'packages.forceSource."a==1": `a==1` is not a package\'s name'),
        ({"packages": {"buildWheel": {"a": {"linux-x64": {"env": {"A B": "c"}}}}}},
         'packages.buildWheel.a.linux-x64.env."A B": `A B` is not the name of an environment variable'),
        ({"packages": {"buildWheel": {"a": {"linux-x64": {"configSettings": {"k": [1]}}}}}},
         "packages.buildWheel.a.linux-x64.configSettings.k: expected text or a list of texts"),
        ({"packages": {"dependencies": "numpy"}}, "packages.dependencies: expected a list, got text"),
        ({"packages": {"dependencies": ["ok", "numpy=1"]}},
         "packages.dependencies[1]: `numpy=1` is not a requirement, did you mean `numpy==1`?"),
        ({"packages": {"overrides": {"numpy": "newest"}}},
         "packages.overrides.numpy: `newest` is not a version, a specifier or a direct reference"),
        ({"packages": {"resolution": {"mode": "groupd"}}},
         "packages.resolution.mode: `groupd` is not known, did you mean `grouped`?"),
        ({"packages": {"resolution": {"strictMissing": "true"}}},
         "packages.resolution.strictMissing: expected true or false, got text"),
        ({"registries": {"default": "pypi.org"}}, ("registries.default: `pypi.org` is not a URL that can be fetched, "
         "expected https://…, http://… or file://…")),
        ({"registries": {"additional": ["https://"]}}, "registries.additional[0]: `https://` names no host"),
        ({"registries": {"additional": [{"url": "https://a.org", "packages": []}]}},
         "registries.additional[0].packages: is empty"),
        ({"registries": {"additional": [{"url": "https://a.org", "name": "n"}, {"url": "https://b.org", "name": "n"}]}},
         "registries: two registries have the name `n`"),
        ({"registries": {"strategy": 1}},
         "registries.strategy: a number is not known, expected one of: best-match, first-index"),
        ({"python": {"build": "2025"}}, "python.build: `2025` is not a build, expected a date like `20250529`"),
        ({"python": {"archives": {"linux-x64": {"url": "https://a.org/x", "sha256": "0"}}}},
         "python.archives.linux-x64.sha256: `0` is not a sha256, expected 64 hexadecimal digits"),
        ({"floors": {"glibc": 2.28}}, "floors.glibc: expected text, got a number"),
        ({"floors": {"glibc": "2"}}, "floors.glibc: `2` is not a floor, expected a text like `2.28`"),
        ({"build": {"timeout": 0}}, "build.timeout: expected more than 0, got 0"),
        ({"build": {"timeout": True}}, "build.timeout: expected a number, got true or false"),
        ({"build": {"parallelDownloads": 1}}, "build.parallelDownloads: expected true or false, got a number"),
        ({"consumers": {"c": 3}}, "consumers.c: expected a list of requirements, a path, or an object"),
        ({"consumers": {"c": {"requirements": 3}}},
         "consumers.c.requirements: expected a list of requirements or a path"),
        ({"packages": {"platformSpecific": {"linux-x64": {"noDeps": []}}}},
         "packages.platformSpecific.linux-x64.noDeps: unknown key here, it belongs in `packages`"),
        ({"consumers": {"c": ["a", "b=1"]}}, "consumers.c[1]: `b=1` is not a requirement, did you mean `b==1`?"),
        ({"consumers": {"c": {"requirements": ["b=1"]}}},
         "consumers.c.requirements[0]: `b=1` is not a requirement, did you mean `b==1`?"),
        ({"consumers": {"c": {"ensure": True}}}, "consumers.c.requirements: is missing"),
        ({"consumers": {"c": {"requirements": [], "platforms": ["linux"]}}},
         "consumers.c.platforms[0]: unknown platform `linux`, did you mean `linux-x64`?"),
        ({"consumers": {"c": "/etc/x"}},
         "consumers.c: `/etc/x` is not a relative path, write it with `/`, from the folder of this file"),
    ],
)  # fmt: skip
def test_each_fault_has_its_key_path_and_sentence(tmp_path: Path, content: Any, expected: str) -> None:
    """One fault gives one problem, with the path as the file has it and no word of the schema's library."""
    assert problems(tmp_path, content) == [f"e/config.json: {expected}"]


def test_the_names_of_attributes_are_no_keys(tmp_path: Path) -> None:
    """What the code calls `source` is `from` in a file, and nothing else."""
    assert problems(tmp_path, {"packages": {"copyFiles": [{"source": "a", "to": "b"}]}}) == [
        "e/config.json: packages.copyFiles[0].from: is missing",
        "e/config.json: packages.copyFiles[0].source: unknown key, expected one of: from, to",
    ]


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Faults in different places do not hide each other."""
    content = {"build": {"timeout": -1, "x": 1}, "packages": {"dependencies": ["a=1", 2]}, "floors": []}
    assert len(problems(tmp_path, content)) == 5


def test_a_password_in_a_faulty_value_is_masked(tmp_path: Path) -> None:
    """A problem that quotes the file does not quote its credentials."""
    (found,) = problems(tmp_path, {"packages": {"dependencies": ["https://me:hunter22@a.org/x.whl"]}})
    assert "hunter22" not in found
    assert "****" in found


def test_blank_and_repeated_roots_are_dropped_with_a_warning(tmp_path: Path) -> None:
    """Older files hold blank lines and repeats: they count for nothing, and are told."""
    content = {
        "packages": {
            "dependencies": ["a", " ", "b==1", "b==2", "a "],
            "platformSpecific": {"linux-x64": {"dependencies": ["c", "c"]}},
        }
    }
    found, wrong, warnings = load(tmp_path, content)
    assert wrong == []
    assert found.packages.dependencies == ("a", "b==1", "b==2")
    assert warnings == [
        "e/config.json: packages.dependencies[1]: is blank, ignored",
        "e/config.json: packages.dependencies[4]: `a` stands here twice",
        "e/config.json: packages.platformSpecific.linux-x64.dependencies[1]: `c` stands here twice",
    ]


def test_absent_differs_from_empty(tmp_path: Path) -> None:
    """An empty list is something said, an absent one is not."""
    assert load(tmp_path, {"packages": {}})[0].packages.dependencies is None
    assert load(tmp_path, {"packages": {"dependencies": []}})[0].packages.dependencies == ()


def test_a_schema_reference_is_accepted(tmp_path: Path) -> None:
    """`$schema` is there for editors."""
    assert problems(tmp_path, {"$schema": "../schema.json"}) == []


@pytest.mark.parametrize("form", ["more/r.txt", {"requirements": "more/r.txt", "ensure": True}])
def test_a_consumers_file_is_read_relative_to_the_config(tmp_path: Path, form: Any) -> None:
    """A path stands for the requirements in the file, in the short form and in the long one."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "r.txt").write_text("numpy==1\n# no\nscipy\n")
    found, wrong, _ = load(tmp_path, {"consumers": {"c": form}})
    assert wrong == []
    assert found.consumers["c"].requirements == ("numpy==1", "scipy")
    assert found.consumers["c"].ensure is isinstance(form, dict)


def test_a_consumers_bad_file_is_a_problem_and_lenient_passes_an_absent_one_over(tmp_path: Path) -> None:
    """A missing requirements file is a warning when lenient, a bad line in one never is."""
    (tmp_path / "bad.txt").write_text("numpy=1\n")
    content = {"consumers": {"gone": "gone.txt", "bad": "bad.txt"}}
    gone = "e/config.json: consumers.gone: gone.txt cannot be read: no such file or directory"
    bad = "e/config.json: consumers.bad: bad.txt, line 1: `numpy=1` is not a requirement, did you mean `numpy==1`?"
    assert problems(tmp_path, content) == [gone, bad]
    found, wrong, warnings = load(tmp_path, content, lenient=True)
    assert (wrong, warnings, dict(found.consumers)) == ([bad], [gone], {})


def test_lenient_turns_an_unreadable_file_into_a_warning(tmp_path: Path) -> None:
    """With `--lenient` a broken file is left out, a wrong key in a readable one stays an error."""
    found, wrong, warnings = load(tmp_path, "{", lenient=True)
    assert (found, wrong) == (Config(), [])
    assert warnings[0].startswith("e/config.json:1:2:")
    assert load(tmp_path, {"nothing": 1}, lenient=True)[1] != []


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    """`read_json` tells an absent file and a folder in its place."""
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(Unreadable, match=r"^x\.json: cannot be read: "):
            read_json(path, "x.json", Findings())


KEYS = st.sampled_from(
    ["packages", "skip", "dependencies", "numpy", "linux-x64", "consumers", "requirements", "registries", "additional",
     "url", "overrides", "resolution", "mode", "buildWheel", "configSettings", "python", "archives", "copyFiles",
     "from", "platformSpecific", "build", "timeout", "floors", "glibc", "", "a.b", "\ud800", "$schema"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(document=JSON)
def test_no_document_ends_in_a_traceback(tmp_path: Path, document: Any) -> None:
    """Whatever JSON a file holds, it is loaded or its problems can be printed."""
    for content in (document, {"packages": document}, {"consumers": {"c": document}}, {"registries": document}):
        (tmp_path / "config.json").write_text(json.dumps(content))
        findings = Findings()
        load_config(tmp_path / "config.json", "c", findings)
        assert all(str(problem).encode("utf-8", "backslashreplace") for problem in findings.problems)
