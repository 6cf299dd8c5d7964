"""Every merge rule of the design, each with its own test."""

from typing import Any

import pytest

from pyrunenv.config.merge import for_platform, merge, root_names
from pyrunenv.config.schema import PYPI, BuildOptions, Config, Floors, Resolution, TargetConfig
from pyrunenv.platforms import PLATFORMS

LINUX, WINDOWS = PLATFORMS["linux-x64"], PLATFORMS["windows-x64"]


def config(value: dict[str, Any]) -> Config:
    return Config.model_validate(value, by_alias=True, by_name=False)


def target(shared: dict[str, Any], own: dict[str, Any] | None = None, platform: str = "linux-x64") -> TargetConfig:
    return for_platform(merge(config(shared), None if own is None else config(own)), PLATFORMS[platform])


def packages(**keys: Any) -> dict[str, Any]:
    return {"packages": keys}


def test_an_empty_config_gives_the_defaults() -> None:
    """What nobody says has the default that the design names."""
    found = target({})
    assert found.registries.default == PYPI
    assert found.registries.strategy == "best-match"
    assert found.python.source == "standalone"
    assert found.resolution == Resolution()
    assert (found.resolution.mode, found.resolution.strict_missing, found.resolution.allow_source_all) == (
        "grouped", True, True)  # fmt: skip
    assert found.floors == Floors(glibc="2.28", macos="13.0")
    assert found.build == BuildOptions(enable_logging=False, parallel_downloads=True, timeout=60.0)
    assert (found.dependencies, found.skip, found.no_deps, found.consumers) == ((), {}, (), ())


@pytest.mark.parametrize("own", [None, {}, {"packages": {}, "python": {}, "registries": {}}])
def test_an_absent_or_empty_own_file_leaves_the_shared_one(own: dict[str, Any] | None) -> None:
    """Without a word of the environment's own, the shared config serves alone."""
    shared = {
        "registries": {"default": "https://a.org/simple", "additional": ["https://b.org/simple"]},
        "python": {"source": "local", "archives": {"linux-x64": {"url": "https://a.org/x", "sha256": "0" * 64}}},
        "packages": {"dependencies": ["a"], "skip": {"a": {"linux-x64": "why"}}, "noDeps": ["a"]},
        "consumers": {"c": ["a"]},
        "floors": {"glibc": "2.17"},
    }
    assert target(shared, own) == target(shared)


def test_scalars_merge_per_key() -> None:
    """`build`, `floors`, `python` and `registries` take each scalar from the environment where it has one."""
    shared = {
        "build": {"timeout": 5, "enableLogging": True, "parallelDownloads": False},
        "floors": {"glibc": "2.17", "macos": "11.0"},
        "python": {"source": "local", "build": "20250101", "mirror": "https://m.org"},
        "registries": {"default": "https://a.org/simple", "strategy": "first-index"},
    }
    own = {
        "build": {"enableLogging": False},
        "floors": {"macos": "12.0"},
        "python": {"build": "20250529"},
        "registries": {"strategy": "best-match"},
    }
    found = target(shared, own)
    assert found.build == BuildOptions(enable_logging=False, parallel_downloads=False, timeout=5)
    assert found.floors == Floors(glibc="2.17", macos="12.0")
    assert (found.python.source, found.python.build, found.python.mirror) == ("local", "20250529", "https://m.org")
    assert (found.registries.default, found.registries.strategy) == ("https://a.org/simple", "best-match")


def test_archives_merge_per_platform() -> None:
    """An environment's archive replaces the shared one of its platform and leaves the others."""

    def source(text: str) -> dict[str, str]:
        return {"url": f"https://a.org/{text}", "sha256": "A" * 64}

    shared = {"python": {"archives": {"linux-x64": source("s"), "windows-x64": source("s")}}}
    own = {"python": {"archives": {"linux-x64": source("o"), "macosx-x64": source("o")}}}
    found = target(shared, own).python.archives
    assert {key: value.url[-1] for key, value in found.items()} == {
        "linux-x64": "o", "windows-x64": "s", "macosx-x64": "o"}  # fmt: skip
    assert found["linux-x64"].sha256 == "a" * 64


def test_consumers_merge_per_name_and_go_by_platform() -> None:
    """A consumer of the same name is replaced; one for other platforms is not in the target."""
    shared = {"consumers": {"a": ["x"], "b": {"requirements": ["y"], "platforms": ["windows-x64"], "ensure": True}}}
    own = {"consumers": {"a": {"requirements": ["z"], "ensure": True}}}
    assert [(c.name, c.requirements, c.ensure) for c in target(shared, own).consumers] == [("a", ("z",), True)]
    assert [c.name for c in target(shared, own, "windows-x64").consumers] == ["a", "b"]


def test_additional_registries_are_a_union_with_the_own_ones_first() -> None:
    """The environment's entries come first, repeats go, an entry with the same name replaces."""
    shared = {"registries": {"additional": ["https://a.org/simple/", {"url": "https://old.org", "name": "n"}]}}
    own = {"registries": {"additional": [{"url": "https://new.org", "name": "n"}, "https://a.org/simple"]}}
    found = target(shared, own).registries.additional
    assert [(r.name, r.url) for r in found] == [("n", "https://new.org"), (None, "https://a.org/simple")]


def test_an_entry_that_pins_packages_survives_one_that_does_not() -> None:
    """The shared promise that names come from one registry alone is not lost to a plain entry of the same URL."""
    shared = {"registries": {"additional": [{"url": "https://a.org", "packages": ["My_Pkg"]}]}}
    own = {"registries": {"additional": ["https://a.org"]}}
    assert [r.packages for r in target(shared, own).registries.additional] == [None, ("my-pkg",)]


def test_no_deps_and_copy_files_are_unions_with_the_own_ones_first() -> None:
    """Lists that add up do so without repeats, names compared normalised."""
    shared = packages(noDeps=["A_b", "c"], copyFiles=[{"from": "x", "to": "y"}, {"from": "s", "to": "t"}])
    own = packages(noDeps=["d", "a-B"], copyFiles=[{"from": "s", "to": "t"}])
    found = target(shared, own)
    assert found.no_deps == ("d", "a-b", "c")
    assert [(c.source, c.to) for c in found.copy_files] == [("s", "t"), ("x", "y")]


def test_resolution_lists_are_unions_and_scalars_are_replaced() -> None:
    """Lists of `resolution` add up, its scalars go per key."""
    shared = packages(resolution={"mode": "together", "strictMissing": False, "onlyBinaryList": ["a"]})
    own = packages(resolution={"mode": "separate", "onlyBinaryList": ["b", "A"], "allowSourceList": ["c"]})
    found = target(shared, own).resolution
    assert (found.mode, found.strict_missing) == ("separate", False)
    assert (found.only_binary_list, found.allow_source_list) == (("b", "a"), ("c",))


@pytest.mark.parametrize(
    ("own", "expected"),
    [({}, ("a", "b")), ({"dependencies": ["c"]}, ("c",)), ({"dependencies": []}, ())],
)
def test_dependencies_are_replaced_not_joined(own: dict[str, Any], expected: tuple[str, ...]) -> None:
    """An own list replaces the shared one, absent keeps it, an empty one means none."""
    assert target(packages(dependencies=["a", "b"]), {"packages": own}).dependencies == expected


@pytest.mark.parametrize(
    ("key", "value", "attribute"),
    [("skip", "why", "skip"), ("forceSource", "why", "force_source"), ("buildWheel", {"reason": "why"}, "build_wheel")],
)
def test_a_packages_platform_map_is_replaced_whole(key: str, value: Any, attribute: str) -> None:
    """`skip`, `forceSource` and `buildWheel` go per package under any spelling, and `{}` takes a shared one back."""
    both = {"linux-x64": value, "windows-x64": value}
    shared = packages(**{key: {"My.Pkg": both, "gone": both, "kept": both}})
    own = packages(**{key: {"my_pkg": {"windows-x64": value}, "Gone": {}}})
    assert set(getattr(target(shared, own), attribute)) == {"kept"}
    assert set(getattr(target(shared, own, "windows-x64"), attribute)) == {"kept", "my-pkg"}


def test_overrides_reach_every_root_of_the_name_and_add_none() -> None:
    """An override replaces global and platform roots alike, keeps extras and markers, and adds nothing."""
    shared = packages(
        dependencies=["b==1", "Num_Py[x]==1 ; sys_platform == 'linux'"],
        overrides={"num.py": "2", "b": "9", "none": "3"},
        platformSpecific={"linux-x64": {"dependencies": ["num-py>=1"]}},
    )
    own = packages(overrides={"B": ">=5"})
    assert target(shared, own).dependencies == ("b>=5", 'Num_Py[x]==2; sys_platform == "linux"', "num-py==2")


def test_roots_that_an_override_makes_equal_are_one() -> None:
    """Two pins of one name stay two roots, until an override makes them the same."""
    pins = ["numpy==1", "numpy==2"]
    assert target(packages(dependencies=pins)).dependencies == ("numpy==1", "numpy==2")
    assert target(packages(dependencies=pins, overrides={"numpy": "3"})).dependencies == ("numpy==3",)


def test_platform_lists_are_added_to_the_global_ones() -> None:
    """A platform's roots and files come after the global ones, on that platform only."""
    shared = packages(
        dependencies=["a"],
        copyFiles=[{"from": "f", "to": "f"}],
        platformSpecific={
            "linux-x64": {"dependencies": ["b", "a"], "copyFiles": [{"from": "g", "to": "g"}, {"from": "f", "to": "f"}]}
        },
    )
    assert target(shared).dependencies == ("a", "b")
    assert [c.to for c in target(shared).copy_files] == ["f", "g"]
    assert target(shared, platform="windows-x64").dependencies == ("a",)
    assert [c.to for c in target(shared, platform="windows-x64").copy_files] == ["f"]


def test_platform_specific_parts_merge_by_the_rules_of_their_keys() -> None:
    """Each platform's roots are replaced, its files joined, and platforms that one file has alone are kept."""
    shared = packages(
        dependencies=["a"],
        platformSpecific={
            "linux-x64": {"dependencies": ["s"], "copyFiles": [{"from": "s", "to": "s"}]},
            "windows-x64": {"dependencies": ["w"]},
        },
    )
    own = packages(platformSpecific={"linux-x64": {"dependencies": ["o"], "copyFiles": [{"from": "o", "to": "o"}]}})
    assert target(shared, own).dependencies == ("a", "o")
    assert [c.to for c in target(shared, own).copy_files] == ["o", "s"]
    assert target(shared, own, "windows-x64").dependencies == ("a", "w")


def test_a_platforms_resolution_lies_over_the_global_one() -> None:
    """On its platform, `platformSpecific` wins per scalar and adds to lists; elsewhere it says nothing."""
    shared = packages(
        resolution={"strictMissing": True, "onlyBinaryList": ["a"]},
        platformSpecific={"linux-x64": {"resolution": {"strictMissing": False, "onlyBinaryList": ["b"]}}},
    )
    here, there = target(shared).resolution, target(shared, platform="windows-x64").resolution
    assert (here.strict_missing, here.only_binary_list) == (False, ("b", "a"))
    assert (there.strict_missing, there.only_binary_list) == (True, ("a",))


def test_the_environment_wins_over_a_shared_platforms_resolution() -> None:
    """What the environment says for all platforms beats what the shared file says for one, but not its own."""
    shared = packages(platformSpecific={"linux-x64": {"resolution": {"strictMissing": False, "mode": "together"}}})
    own = packages(resolution={"strictMissing": True})
    found = target(shared, own).resolution
    assert (found.strict_missing, found.mode) == (True, "together")
    own["packages"]["platformSpecific"] = {"linux-x64": {"resolution": {"strictMissing": False}}}
    assert target(shared, own).resolution.strict_missing is False


def test_merging_changes_neither_file() -> None:
    """One shared config serves 200 environments, so a merge must leave it as it was."""
    shared = config(packages(dependencies=["a"], skip={"a": {"linux-x64": "why"}}, overrides={"a": "1"}))
    own = config(packages(dependencies=["b"], skip={"a": {}}, overrides={"b": "2"}))
    before = (shared.model_dump_json(), own.model_dump_json())
    merge(shared, own)
    assert (shared.model_dump_json(), own.model_dump_json()) == before


def test_the_names_of_roots_are_those_of_all_platforms() -> None:
    """`root_names` looks at global and platform roots, normalised, and passes nameless ones over."""
    shared = packages(
        dependencies=["A_b==1", "git+https://example.org/"], platformSpecific={"windows-x64": {"dependencies": ["c"]}}
    )
    assert root_names(config(shared)) == {"a-b", "c"}


def test_what_a_target_shows_is_a_config_that_gives_the_same_target() -> None:
    """`to_json` is in the config file's own form: read again, it says the same."""
    shared = {
        "registries": {"additional": [{"url": "https://a.org", "name": "n", "packages": ["p"]}]},
        "python": {"archives": {"linux-x64": {"url": "https://a.org/x", "sha256": "0" * 64}}, "build": "20250529"},
        "packages": {
            "dependencies": ["a==1 ; os_name == 'posix'", "git+https://e.org/a/b@c"],
            "overrides": {"a": "2"},
            "skip": {"s": {"linux-x64": "why"}},
            "forceSource": {"f": {"linux-x64": "why"}},
            "buildWheel": {
                "w": {"linux-x64": {"configSettings": {"k": ["v", "w"], "l": "m"}, "env": {"A": "b"},
                                    "buildRequires": ["setuptools<80"], "sourceDir": "src"}}
            },
            "noDeps": ["a"],
            "copyFiles": [{"from": "x", "to": "{site-packages}/x"}],
            "resolution": {"mode": "separate", "allowSourceAll": False, "allowSourceList": ["z"]},
        },
        "consumers": {"c": {"requirements": ["a"], "platforms": ["linux-x64"], "ensure": True}, "d": ["b"]},
        "build": {"timeout": 1.5},
        "floors": {"glibc": "2.17"},
    }  # fmt: skip
    first = target(shared)
    shown = first.to_json()
    assert list(shown) == ["registries", "python", "packages", "consumers", "build", "floors"]
    assert shown["packages"]["skip"] == {"s": {"linux-x64": "why"}}
    assert shown["packages"]["copyFiles"] == [{"from": "x", "to": "{site-packages}/x"}]
    assert target(shown) == first


def test_what_a_target_shows_holds_no_password() -> None:
    """`to_json` is for people: userinfo in URLs is masked."""
    shared = {
        "registries": {"default": "https://me:hunter22@a.org/simple", "additional": ["https://tok3n@b.org"]},
        "packages": {"dependencies": ["x @ https://me:hunter22@a.org/x.whl"]},
    }
    shown = str(target(shared).to_json())
    assert "hunter22" not in shown
    assert "tok3n" not in shown
    assert target(shared).registries.default == "https://me:hunter22@a.org/simple"


def test_a_merged_config_shows_what_was_said_and_no_more() -> None:
    """`Config.to_json` keeps an explicit empty list, drops what nobody said, and masks credentials."""
    shared = config({"registries": {"default": "https://me:hunter22@a.org/simple"}, "floors": {"glibc": "2.17"}})
    own = config(packages(dependencies=[], skip={"a": {"linux-x64": "why"}, "b": {}}))
    assert merge(shared, own).to_json() == {
        "registries": {"default": "https://****@a.org/simple"},
        "packages": {"dependencies": [], "skip": {"a": {"linux-x64": "why"}}},
        "floors": {"glibc": "2.17"},
    }
    assert Config().to_json() == {}
