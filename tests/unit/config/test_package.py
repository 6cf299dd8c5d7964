"""package.json of environments and catalogue."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.workspaces import ALL_PLATFORMS, catalogue_json, package_json

from pyrunenv.config.load import Findings
from pyrunenv.config.package import CataloguePackage, Package, PackageRegistry, load_catalogue, load_package

GOLDEN = Path(__file__).parents[2] / "contract" / "golden"


def load(folder: Path, content: Any) -> tuple[Package | None, list[str]]:
    path = folder / "package.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    findings = Findings()
    found = load_package(path, "package.json", findings)
    return found, [str(problem) for problem in findings.problems]


def artifact(package: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = package["block-software"]["entrypoints"]["main"]["environment"]["artifact"]
    return found


def test_the_golden_environment_is_read() -> None:
    """The published example gives every value that the rest of the tool needs."""
    findings = Findings()
    found = load_package(GOLDEN / "environment" / "package.json", "package.json", findings)
    assert findings.problems == []
    assert found is not None
    assert (found.name, found.version) == ("@platforma-open/milaboratories.runenv-python-3.12.10", "1.3.24")
    assert found.description == "Python 3.12.10 run environment for Platforma Backend"
    assert (found.python_version, found.bin_dir, found.env_vars) == ("3.12.10", "bin", ())
    assert found.platforms == ALL_PLATFORMS
    assert found.roots["windows-x64"] == "./pydist/windows-x64"
    assert found.registry == PackageRegistry("platforma-open", "https://bin.pl-open.science/", None)
    assert found.archive_type == "tgz"
    assert found.raw["files"] == ["dist/"]


def test_the_golden_catalogue_is_read() -> None:
    """Entry points keep the file's order and their references."""
    findings = Findings()
    found = load_catalogue(GOLDEN / "catalogue" / "package.json", "package.json", findings)
    assert findings.problems == []
    assert isinstance(found, CataloguePackage)
    assert (found.name, found.version) == ("@platforma-open/milaboratories.runenv-python-3", "1.7.4")
    assert list(found.entrypoints) == ["3.12.10", "3.12.10-atls", "3.12.10-sccoda", "3.12.10-rapids", "3.12.10-h5ad"]
    assert found.entrypoints["3.12.10"].endswith("runenv-python-3.12.10/dist/tengo/software/main.sw.json")
    assert found.dependencies["@platforma-open/milaboratories.runenv-python-3.12.10"] == "1.3.3"


def test_platforms_stand_in_the_files_order(tmp_path: Path) -> None:
    """The order of `roots` is the order of the platforms."""
    found, problems = load(tmp_path, package_json("3.12.10", platforms=["windows-x64", "linux-x64"]))
    assert problems == []
    assert found is not None
    assert found.platforms == ("windows-x64", "linux-x64")


def test_optional_parts_may_be_absent(tmp_path: Path) -> None:
    """Description, python-version, envVars and a scope are not needed."""
    content = package_json("3.12.10", scope="")
    del content["description"], artifact(content)["python-version"]
    found, problems = load(tmp_path, content)
    assert problems == []
    assert found is not None
    assert (found.name, found.description, found.python_version) == ("test.runenv-python-3.12.10", "", None)


def test_zip_and_env_vars_are_read(tmp_path: Path) -> None:
    """An artefact may ask for a zip and set variables, whose values may hold anything."""
    found, _ = load(tmp_path, package_json("3.12.10", archiveType="zip", envVars=["A=", "B=x=y z"]))
    assert found is not None
    assert (found.archive_type, found.env_vars) == ("zip", ("A=", "B=x=y z"))


BINARY = {"downloadURL": "https://other.org/", "storageURL": "s3://other/prefix?region=eu"}


@pytest.mark.parametrize(
    ("registry", "binary", "expected"),
    [
        ("lab", None, PackageRegistry("lab")),
        ("lab", {"lab": BINARY}, PackageRegistry("lab", "https://other.org/", "s3://other/prefix?region=eu")),
        ("lab", {"other": BINARY}, PackageRegistry("lab")),
        ({"name": "lab", "storageURL": "file:///srv/x"}, {"lab": BINARY},
         PackageRegistry("lab", "https://other.org/", "file:///srv/x")),
        ({"name": "platforma-open", "downloadURL": "https://mine.org/"}, None,
         PackageRegistry("platforma-open", "https://mine.org/")),
    ],
)  # fmt: skip
def test_the_registrys_addresses_come_from_the_artefact_first(
    tmp_path: Path, registry: Any, binary: Any, expected: PackageRegistry
) -> None:
    """The artefact's own object wins over `block-software.registries`, which serves the registry of that name alone."""
    content = package_json("3.12.10", registry=registry)
    if binary:
        content["block-software"]["registries"] = {"binary": binary}
    found, problems = load(tmp_path, content)
    assert problems == []
    assert found is not None
    assert found.registry == expected


A = "block-software.entrypoints.main.environment.artifact"


def setting(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda package: artifact(package).__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p.pop("name"), ["name: is missing"]),
        (lambda p: p.update(name="a b"), ["name: `a b` is not an npm package's name"]),
        (lambda p: p.update(name="../x"), ["name: `../x` is not an npm package's name"]),
        (lambda p: p.update(version="1.0"), ["version: `1.0` is not a version, expected a text like `1.0.0`"]),
        (lambda p: p.update(version=1), ["version: expected text, got a number"]),
        (lambda p: p.pop("block-software"), ["block-software: is missing"]),
        (lambda p: p.update({"block-software": []}), ["block-software: expected an object, got a list"]),
        (lambda p: p["block-software"]["entrypoints"].update(main={}),
         ["block-software.entrypoints.main.environment: is missing"]),
        (lambda p: artifact(p).pop("binDir"), [f"{A}.binDir: is missing"]),
        (setting("binDir", "/bin"), [f"{A}.binDir: `/bin` is absolute, expected a path inside the folder"]),
        (setting("binDir", "a/../../b"), [f"{A}.binDir: `a/../../b` leads out of the folder"]),
        (setting("binDir", ""), [f"{A}.binDir: is empty, expected a path"]),
        (setting("roots", {}), [f"{A}.roots: names no platform"]),
        (setting("roots", {"linux-x65": "./pydist/linux-x65"}),
         [f"{A}.roots.linux-x65: unknown platform `linux-x65`, did you mean `linux-x64`?"]),
        (setting("roots", {"linux-x64": "./dist/linux-x64"}),
         [f"{A}.roots.linux-x64: expected `./pydist/linux-x64`, got `./dist/linux-x64`"]),
        (setting("roots", {"linux-x64": 1}), [f"{A}.roots.linux-x64: expected text, got a number"]),
        (setting("envVars", {"A": "b"}), [f"{A}.envVars: expected a list, got an object"]),
        (setting("envVars", ["A", 1, "B=1", "2=3", "B=2"]),
         [f"{A}.envVars[0]: expected `NAME=value`, got `A`", f"{A}.envVars[1]: expected `NAME=value`, got a number",
          f"{A}.envVars[3]: `2` is not the name of an environment variable",
          f"{A}.envVars[4]: sets `B` a second time"]),
        (setting("type", "asset"), [f"{A}.type: expected `environment`, got `asset`"]),
        (setting("runtime", "R"), [f"{A}.runtime: expected `python`, got `R`"]),
        (setting("archiveType", "rar"), [f"{A}.archiveType: expected `tgz` or `zip`, got `rar`"]),
        (setting("registry", None), [f"{A}.registry: is null"]),
        (setting("registry", ""), [f"{A}.registry: is empty, expected the registry's name"]),
        (setting("registry", {"downloadURL": "x"}),
         [f"{A}.registry.name: is missing", (f"{A}.registry.downloadURL: `x` is not a URL that can be fetched, "
          "expected https://…, http://… or file://…")]),
        (setting("registry", {"name": "n", "storageURL": "bucket"}),
         [(f"{A}.registry.storageURL: `bucket` is not a storage URL, expected a text like "
          "`s3://bucket/prefix?region=…`")]),
    ],
)  # fmt: skip
def test_each_fault_has_its_key_path_and_sentence(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], expected: list[str]
) -> None:
    """A broken package.json gives exactly the problems it has, each with its path, and no package."""
    content = package_json("3.12.10")
    change(content)
    found, problems = load(tmp_path, content)
    assert problems == [f"package.json: {text}" for text in expected]
    assert found is None


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Faults in different places do not hide each other."""
    content = package_json("3.12.10", binDir="..", envVars=["x"], roots={"linux": "x"})
    content.update(name="", version="")
    assert len(load(tmp_path, content)[1]) == 5


@pytest.mark.parametrize("content", [[], 3, "x", None, {}, {"block-software": None}])
def test_any_json_is_a_problem_and_not_a_traceback(tmp_path: Path, content: Any) -> None:
    """JSON of another shape is reported."""
    found, problems = load(tmp_path, content)
    assert found is None
    assert problems


def test_a_catalogues_faults_are_told(tmp_path: Path) -> None:
    """A bad public name, a missing reference and a version of another kind are told together."""
    content = catalogue_json({"3.12.10": {"name": "@t/x", "version": "1.0.0"}})
    content["block-software"]["entrypoints"].update({"a/b": {"reference": "x"}, "c": {}})
    content["dependencies"]["y"] = 1
    (tmp_path / "package.json").write_text(json.dumps(content))
    findings = Findings()
    assert load_catalogue(tmp_path / "package.json", "package.json", findings) is None
    assert [str(problem) for problem in findings.problems] == [
        (
            "package.json: block-software.entrypoints.a/b: is not a public name, "
            "expected letters, digits, `.`, `_`, `+`, `-`"
        ),
        "package.json: block-software.entrypoints.c.reference: is missing",
        "package.json: dependencies.y: expected text, got a number",
    ]
