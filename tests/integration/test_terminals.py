"""The program in terminals, pipes, locales and folders of every kind."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from support.product import VERSION, World, make_world

CONFIG = {"packages": {"dependencies": ["chain"]}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world whose folders have spaces and letters of several scripts in their names."""
    with make_world(
        tmp_path / "mit Leerzeichen/naïve-ключ-环境", {VERSION: CONFIG}, platforms=("linux-x64",), small=True
    ) as made:
        yield made


def on_a_terminal(world: World, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run the program on a pseudo-terminal; returns its status and all that it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pyrunenv", *words],
        cwd=world.root, env=world.environment({"TERM": "xterm", **(env or {})}), stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with suppress(OSError):
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    os.close(ours)
    return process.wait(timeout=60), shown.decode()


def test_a_workspace_with_a_strange_path_builds(world: World) -> None:
    """Spaces and letters outside ASCII in every path: lock, build, list and a second run."""
    result = world.run("build", "--all-platforms")
    assert result.status == 0, result.stderr
    assert str(world.root) in result.stdout
    assert world.run("build", "--all-platforms").stdout.count("up to date") == 1


@pytest.mark.parametrize(
    "env",
    [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"},
     {"PYTHONIOENCODING": "latin-1:strict"}],
    ids=["C", "POSIX", "ascii", "latin-1"],
)  # fmt: skip
def test_no_locale_is_too_poor(world: World, env: dict[str, str]) -> None:
    """Names that the locale cannot show are escaped, in results and in errors, and the build is the same."""
    built = world.run("build", "--all-platforms", env=env)
    assert built.status == 0, built.stderr
    assert "mit Leerzeichen/na" in built.stdout
    world.configure(VERSION, {"packages": {"dependencies": ["größe-ключ !!"]}})
    failed = world.run("build", "--all-platforms", env=env)
    assert failed.status == 3
    assert "error[config]" in failed.stderr


def test_pipes_get_plain_lines(world: World) -> None:
    """No escape sequence and no carriage return on a pipe; one line for a finished target."""
    result = world.run("build", "--all-platforms")
    assert "\x1b" not in result.stdout + result.stderr
    assert "\r" not in result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("built      3.12.10 on linux-x64: ")


def test_a_terminal_gets_bars_and_colours(world: World) -> None:
    """Progress while it works, colours in errors; NO_COLOR takes the colours away."""
    status, shown = on_a_terminal(world, "build", "--all-platforms")
    assert status == 0
    assert "\x1b[" in shown
    assert "built      3.12.10 on linux-x64" in shown
    _, failed = on_a_terminal(world, "build", "nonsense")
    assert "\x1b[1;31merror[usage]\x1b[0m: " in failed
    _, plain = on_a_terminal(world, "build", "nonsense", env={"NO_COLOR": "1"})
    assert "error[usage]: " in plain
    assert "\x1b[" not in plain


def test_quiet_says_nothing_when_all_is_well(world: World) -> None:
    """-q prints neither lines nor table; a failure is still told."""
    result = world.run("build", "--all-platforms", "-q")
    assert (result.status, result.stdout, result.stderr) == (0, "", "")
    failed = world.run("build", "nonsense", "-q")
    assert failed.stderr.startswith("error[usage]")
    status, shown = on_a_terminal(world, "build", "--all-platforms", "--force", "-q")
    assert (status, shown) == (0, "")


def test_verbose_shows_decisions_and_very_verbose_programs(world: World) -> None:
    """-v tells why and how long, -vv each program run; standard output is the same."""
    one = world.run("build", "--all-platforms", "-v")
    assert "it never was" in one.stderr
    assert "pack took" in one.stderr
    assert "uv pip compile" not in one.stderr
    world.configure(VERSION, {"packages": {"dependencies": ["pure"]}})
    two = world.run("build", "--all-platforms", "-vv")
    assert "uv pip compile" in two.stderr
    assert two.stdout.splitlines()[0] == one.stdout.splitlines()[0]
