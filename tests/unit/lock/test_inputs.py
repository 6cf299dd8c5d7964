"""What makes a lock stale, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyrunenv.config.merge import for_platform, merge
from pyrunenv.config.schema import Config
from pyrunenv.lock.inputs import changed, combined, lock_inputs
from pyrunenv.platforms import PLATFORMS

BASE: dict[str, Any] = {"packages": {"dependencies": ["numpy==2.2.6"]}}


def inputs(value: dict[str, Any], key: str = "linux-x64", version: str = "3.12.10") -> dict[str, str]:
    config = merge(Config.model_validate({}), Config.model_validate(value))
    return lock_inputs(for_platform(config, PLATFORMS[key]), PLATFORMS[key], version, Path())


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"packages": {"dependencies": ["numpy==2.2.7"]}}, "requirements"),
        ({"packages": {**BASE["packages"], "skip": {"x": {"linux-x64": "no"}}}}, "skip"),
        ({"packages": {**BASE["packages"], "noDeps": ["numpy"]}}, "no-deps"),
        ({"packages": {**BASE["packages"], "resolution": {"mode": "together"}}}, "resolution"),
        ({"packages": {**BASE["packages"], "resolution": {"allowSourceAll": False}}}, "sources"),
        ({**BASE, "floors": {"glibc": "2.31"}}, "floor"),
        ({**BASE, "registries": {"default": "https://other.test/simple"}}, "registries"),
        ({**BASE, "python": {"build": "20250529"}}, "interpreter"),
    ],
)
def test_an_input_that_changes_is_named(more: dict[str, Any], name: str) -> None:
    """A change of configuration changes exactly the input that a person would name."""
    before, now = inputs(BASE), inputs({**BASE, **more})
    assert changed(before, now) == (name,)
    assert combined(before) != combined(now)


@pytest.mark.parametrize(
    "more",
    [
        {"build": {"timeout": 5, "enableLogging": True}},
        {"packages": {**BASE["packages"], "copyFiles": [{"from": "a", "to": "b"}]}},
        {"packages": {**BASE["packages"], "skip": {"x": {"windows-x64": "no"}}}},
        {"floors": {"macos": "12.0"}},
        {"registries": {"default": "https://user:secret@pypi.org/simple"}},
    ],
)
def test_what_changes_no_resolution_keeps_a_lock_current(more: dict[str, Any]) -> None:
    """Build options, copied files, another platform's entries and credentials are no inputs."""
    plain = {"registries": {"default": "https://pypi.org/simple"}}
    assert inputs({**BASE, **plain}) == inputs({**BASE, **plain, **more})


def test_a_login_for_an_interpreter_is_no_input() -> None:
    """Another password for a mirror or an archive leaves a lock current; another host does not."""

    def asked(host: str) -> dict[str, str]:
        archives = {"linux-x64": {"url": f"https://{host}/x.tgz", "sha256": "ab" * 32}}
        return inputs({**BASE, "python": {"source": "archive", "mirror": f"https://{host}/pbs", "archives": archives}})

    assert asked("me:one@host.test") == asked("me:two@host.test") == asked("host.test")
    assert changed(asked("host.test"), asked("other.test")) == ("interpreter",)


def test_platform_and_python_are_inputs() -> None:
    """A lock of one target is never taken for another's."""
    assert set(changed(inputs(BASE), inputs(BASE, "macosx-x64"))) == {"platform", "floor"}
    assert changed(inputs(BASE), inputs(BASE, version="3.12.11")) == ("python-version",)
