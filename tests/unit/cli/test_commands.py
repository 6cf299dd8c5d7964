"""The commands' surface: help, usage errors, and the exit status of every class of failure."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator

import pytest
import typer

from pyrunenv import cli, errors
from pyrunenv.cli.cache import parse_size

COMMANDS = {
    (): ("new", "outdated", "doctor", "--log-format", "--install-completion", "add", "remove", "lock", "build", "list", "why", "tree", "config", "cache", "wheel", "--version"),
    ("add",): ("--platform", "--beside", "--unpinned", "--no-lock", "--dry-run", "--jobs", "--workspace", "--quiet"),
    ("remove",): ("--platform", "--no-lock", "--dry-run", "--jobs", "--workspace", "--quiet"),
    ("bump",): ("--part", "--message", "--since", "--dry-run", "--workspace", "--quiet"),
    ("why",): ("--platform", "--json", "--workspace", "--lenient"),
    ("tree",): ("--platform", "--depth", "--json", "--workspace", "--lenient"),
    ("lock",): ("--platform", "--check", "--jobs", "--workspace", "--lenient", "--verbose", "--quiet"),
    ("build",): ("--platform", "--all-platforms", "--python", "--locked", "--force", "--fail-fast", "--offline",
                 "--jobs", "--workspace", "--lenient", "--verbose", "--quiet"),
    ("list",): ("--platform", "--json", "--workspace"),
    ("new",): ("--from", "--platform", "--workspace"),
    ("outdated",): ("--platform", "--json", "--workspace"),
    ("cleanup",): ("--all", "--dry-run", "--workspace"),
    ("diff",): ("--format", "--workspace"),
    ("doctor",): ("--platform", "--json", "--workspace"),
    ("config",): ("show", "validate", "schema"),
    ("config", "validate"): ("--format", "--json", "--strict", "--workspace"),
    ("config", "show"): ("--platform", "--explain", "--json", "--workspace"),
    ("catalogue",): ("build", "check"),
    ("catalogue", "check"): ("--format", "--workspace"),
    ("cache",): ("info", "verify", "prune"),
    ("cache", "info"): (),
    ("cache", "verify"): ("--quiet",),
    ("cache", "prune"): ("--max-size", "--quiet"),
    ("wheel",): ("inspect",),
    ("wheel", "inspect"): ("--json",),
}  # fmt: skip
STATUSES = {
    errors.PyrunenvError: 1, errors.UsageError: 2, errors.ConfigError: 3, errors.LockError: 4, errors.FetchError: 5,
    errors.CacheError: 5, errors.UnsafeArchive: 6, errors.InterpreterError: 7, errors.AssembleError: 8,
    errors.WriteError: 8, errors.Busy: 1, errors.ProcessFailed: 9, errors.TargetsFailed: 1, errors.WheelError: 10,
    errors.PublishError: 11, errors.PullError: 12,
}  # fmt: skip


def every_class() -> list[type[errors.PyrunenvError]]:
    """All classes of the tree."""
    found = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    return [value for value in found if issubclass(value, errors.PyrunenvError)]


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the signals to pytest."""
    monkeypatch.setattr(cli, "_heed_signals", lambda: None)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "pyrunenv")
def test_help_names_every_option(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--help and -h exit with 0 and name commands and options; so wide a terminal breaks no word."""
    monkeypatch.setenv("COLUMNS", "200")
    for flag in ("--help", "-h"):
        assert cli.run([*words, flag]) == 0
        shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        for name in (*COMMANDS[words], "--help"):
            assert name in shown, shown


def commands(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command's words."""
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


def test_the_table_above_names_the_commands_of_this_issue() -> None:
    """No command that it lists has vanished or was renamed."""
    assert set(COMMANDS) <= set(commands(typer.main.get_command(cli.application())))


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(cli.application()))), ids=" ".join)
def test_help_fits_a_screen_and_has_an_example(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """80 columns and 30 lines, three more for all commands together; nothing cut, no Python type; the example is right."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= (30 if words else 33), shown
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.search(r"[a-z]\.\.\.$|<(str|bool|int|list|path)\b|\]\]|{", shown, re.MULTILINE), shown
    example = re.search(r"^  Example: pyrunenv (.*)$", shown, re.MULTILINE)
    assert example, shown
    given = example[1].partition(" >")[0].split()
    assert given[: len(words)] == list(words)
    command = typer.main.get_command(cli.application())
    while inner := getattr(command, "commands", None):
        command = inner[given.pop(0)]
    command.make_context("pyrunenv", given)  # raises what a person would be told


def test_a_command_is_loaded_alone() -> None:
    """What is called is there with all that belongs to it, and nothing else is; any other word loads everything."""
    everything = set(commands(typer.main.get_command(cli.application())))
    for name in {words[0] for words in everything if words}:
        alone = set(commands(typer.main.get_command(cli.application([name, "3.12.10"]))))
        assert alone == {words for words in everything if words[:1] in ((), (name,))}
    for words in ([], ["--help"], ["nonsense"], ["--version", "build"]):
        assert set(commands(typer.main.get_command(cli.application(words)))) == everything


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--log-format", "xml", "list"], "`xml` is no log format"),
        (["list", "--log-format"], "`` is no log format"),
        (["--nonsense"], "no such option: --nonsense"),
        (["-C", "/", "list"], "options of a command stand behind it: `pyrunenv COMMAND -C …`"),
        (["list", "-C", "/no/such/folder"], "there is no folder /no/such/folder"),
        (["list", "--platform", "macos-arm64"], "unknown platform `macos-arm64`, did you mean `macosx-aarch64`?"),
        (["nonsense"], "no such command 'nonsense'"),
        (["build", "--jobs", "0"], "--jobs"),
        (["build", "--jobs", "many"], "--jobs"),
        (["build", "--python", "pypy"], "unknown source `pypy`"),
        (["build", "--all-platforms", "--platform", "linux-x64"], "exclude each other"),
        (["why"], "missing argument"),
        (["cache", "prune", "--max-size", "much"], "`much` is not a size"),
    ],
)
def test_wrong_usage_is_status_2_with_a_hint(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what is wrong, the hint what there is; nothing goes to standard output."""
    assert cli.run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error[usage]: ")
    assert said in err
    assert "\nhint: " in err


@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: kind.__name__)
def test_every_class_of_failure_has_its_status_and_code(
    kind: type[errors.PyrunenvError], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a command raises is rendered with the class's code, and the program's status is the class's."""

    def failing(*_: object, **__: object) -> None:
        raise kind("it failed", notes=["a note"], hint="a hint")

    monkeypatch.setattr("pyrunenv.config.workspace.find_root", failing)
    expected = next(STATUSES[base] for base in kind.__mro__ if base in STATUSES)
    assert cli.run(["list"]) == expected
    assert capsys.readouterr().err == f"error[{kind.code}]: it failed\n  a note\nhint: a hint\n"


def test_codes_are_unique_and_documented() -> None:
    """No two classes share a code, codes are kebab-case, and the module's documentation names every status."""
    kinds = every_class()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code) for kind in kinds)
    documented = set(map(int, re.findall(r"\b(\d+) [a-z]", cli.__doc__ or "")))
    assert {kind.exit_status for kind in kinds} <= documented


@pytest.mark.parametrize("error", [KeyboardInterrupt, typer.Abort])
def test_interrupted_says_what_is_next(
    error: type[BaseException], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is status 130 and one line."""

    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr("pyrunenv.config.workspace.find_root", interrupted)
    assert cli.run(["list"]) == 130
    said = capsys.readouterr().err
    assert said.strip() == "interrupted; what was finished is kept, and the next run goes on from there"


@pytest.mark.parametrize("words", [[], ["cache"], ["config"], ["wheel"]], ids=" ".join)
def test_without_a_command_the_help_is_shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is what was asked for, and yet wrong usage for a script; a program that reads messages gets an error."""
    assert cli.run(words) == 2
    out, err = capsys.readouterr()
    assert (out.startswith("Usage: pyrunenv"), err) == (True, "")
    assert cli.run(["--log-format", "json", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, json.loads(err)["message"]) == ("", "missing command")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version names the program and a version."""
    assert cli.run(["--version"]) == 0
    assert re.fullmatch(r"pyrunenv \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("1000000", 1_000_000), ("500MB", 500_000_000), ("20GB", 20 * 10**9), ("1.5 GiB", 3 << 29), ("1k", 1000),
     (" 2 tib ", 2 << 40)],
)  # fmt: skip
def test_sizes_are_read(text: str, count: int) -> None:
    """Powers of ten and of two, with and without the B."""
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "much", "-1", "1.2.3", "5 XB", "GB", "i", "1i", "1ib"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Anything else is a usage error that names it."""
    with pytest.raises(errors.UsageError, match="is not a size"):
        parse_size(text)
