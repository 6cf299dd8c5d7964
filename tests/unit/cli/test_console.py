"""What a person sees: lines, colours, errors, tables, in every kind of stream."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.workspaces import make_workspace

from pyrunenv import cli, secrets, units
from pyrunenv.cli import console
from pyrunenv.errors import PyrunenvError, UnsafeArchive

FAILURE = UnsafeArchive("a.whl was refused", notes=["first\nsecond line", "third"], hint="do this\nor that")
RENDERED = """\
error[unsafe-archive]: a.whl was refused
  first
  second line
  third
hint: do this
or that
"""


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave verbosity and logging as they were; nothing of the shell decides on colours."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cli, "_heed_signals", lambda: None)
    root = logging.getLogger("pyrunenv")
    handlers, level, propagate, state = root.handlers[:], root.level, root.propagate, dict(console._state)
    last = logging.lastResort
    yield
    logging.lastResort = last
    logging.captureWarnings(False)
    console.set_log_format("text")
    root.handlers[:], root.level, root.propagate = handlers, level, propagate
    console._state.update(state)


def test_an_error_has_its_code_notes_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of a note is indented; nothing goes to standard output."""
    console.Console().error(FAILURE)
    assert capsys.readouterr() == ("", RENDERED)


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are the same as on a pipe, with the prefixes painted."""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    console.Console().error(FAILURE)
    console.Console().warn("beware", ["of it"])
    painted = terminal.getvalue()
    assert painted.startswith("\x1b[1;31merror[unsafe-archive]\x1b[0m: a.whl")
    assert "\x1b[1;36mhint\x1b[0m: do this" in painted
    assert painted.endswith("\x1b[33mwarning\x1b[0m: beware\n  note: of it\n")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colours_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """NO_COLOR and a dumb terminal are heeded."""
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    console.Console().error(FAILURE)
    assert terminal.getvalue() == RENDERED


def test_an_empty_no_color_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """By no-color.org the variable must be present and not empty."""
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    console.Console().error(FAILURE)
    assert "\x1b[" in terminal.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "shift_jis"])
def test_what_a_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """Names of any script, and surrogates of a broken file name, are printed everywhere without an exception."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    shown = console.Console()
    for text in ("naïve/ключ/环境/🐍", "broken \udcff"):
        shown.result(text)
        shown.table(("name",), [(text,)])
        shown.error(PyrunenvError(text, notes=[text], hint=text))
        shown.warn(text)
    for stream in (out, err):
        stream.flush()
        written = stream.buffer.getvalue()  # type: ignore[attr-defined]
        assert b"\\udcff" in written
        assert b"\\U0001f40d" in written


def test_quiet_keeps_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """With -q notes are silent, the rest is not."""
    console.set_verbosity(0, True)
    shown = console.Console()
    shown.note("by the way")
    shown.warn("beware")
    shown.error(PyrunenvError("failed"))
    assert capsys.readouterr().err == "warning: beware\nerror[failed]: failed\n"


DECIDED = "INFO pyrunenv.x: decided\n"
RAN = "DEBUG pyrunenv.x: ran https://****@host/x\n"


@pytest.mark.parametrize(("verbose", "said"), [(0, ""), (1, DECIDED), (2, DECIDED + RAN), (3, DECIDED + RAN)])
def test_verbosity_shows_decisions_then_programs(capsys: pytest.CaptureFixture[str], verbose: int, said: str) -> None:
    """-v shows what was decided, -vv every program that is run as well; each masked."""
    console.set_verbosity(verbose, False)
    log = logging.getLogger("pyrunenv.x")
    log.info("decided")
    log.debug("ran https://user:secret@host/x")
    assert capsys.readouterr().err == said


def test_secrets_are_masked_wherever_they_appear(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registered password is in no message, note, hint, table or result."""
    monkeypatch.setattr(secrets, "_known", set())
    secrets.register("hunter2!")
    shown = console.Console()
    shown.error(PyrunenvError("a hunter2! b", notes=["hunter2!"], hint="hunter2!"))
    shown.warn("hunter2!", ["hunter2!"])
    shown.note("hunter2!")
    shown.result("hunter2!")
    shown.table(("x",), [("hunter2!",)])
    shown.defect(ValueError("hunter2!"))
    out, err = capsys.readouterr()
    assert "hunter2!" not in out + err
    assert (out + err).count("****") == 9


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers end at one column, words begin at one; no line ends with spaces."""
    console.Console().table(("name", "size", "state"), [("a", "5 B", ""), ("longer", "12.0 kB", "ok")], right=(1,))
    assert capsys.readouterr().out == "name       size  state\na           5 B\nlonger  12.0 kB  ok\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (2_340_000_000, "2.34 GB")],
)
def test_sizes(count: int, text: str) -> None:
    """Sizes are in powers of ten."""
    assert units.size(count) == text


@pytest.mark.parametrize(("words", "traceback"), [([], False), (["-v"], True)])
def test_a_defect_is_no_traceback_unless_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], traceback: bool
) -> None:
    """What should not have happened is error[internal] with status 70; -v adds where it happened."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr("pyrunenv.config.workspace.find_root", broken)
    assert cli.run(["list", *words]) == 70
    said = capsys.readouterr().err
    assert said.startswith("error[internal]: RuntimeError: out of cheese\n")
    assert ("Traceback (most recent call last)" in said) is traceback
    assert "hint: this is a defect of pyrunenv" in said


def lines(text: str) -> list[dict[str, Any]]:
    """Each line of what was said, as the object that it must be."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("words", [["--log-format", "json"], []])
def test_messages_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    """By option or variable: each line one object, logging and failures included, and no secret in any of them."""
    make_workspace(tmp_path, {"registries": {"default": "https://u:hunter22@r.example/"}}, {"3.12.10": None})
    if not words:
        monkeypatch.setenv("PYRUNENV_LOG_FORMAT", "json")
    monkeypatch.setattr(
        "pyrunenv.cli.listing.state_of", lambda _: logging.getLogger("pyrunenv.x").info("saw %s", "it") or 1 / 0
    )
    assert cli.run([*words, "list", "-v", "-C", str(tmp_path)]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    said = lines(err)
    assert [entry["level"] for entry in said] == ["warning", "info", "error"]
    assert said[1]["logger"] == "pyrunenv.x"
    assert (said[2]["code"], said[2]["message"]) == ("internal", "ZeroDivisionError: division by zero")
    assert "ZeroDivisionError" in said[2]["traceback"]
    assert all(datetime.fromisoformat(entry["time"]).tzinfo for entry in said)
    assert "hunter22" not in err


def test_a_failure_as_json_has_its_parts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Code, notes and hint are fields; results stay on standard output as they are."""
    assert cli.run(["--log-format", "json", "list", "-C", str(tmp_path)]) == 2
    (entry,) = lines(capsys.readouterr().err)
    assert (entry["code"], entry["level"], entry["notes"]) == ("usage", "error", [])
    assert entry["hint"].startswith("run it in a workspace")
    make_workspace(tmp_path, {}, {"3.12.10": {}})
    assert cli.run(["--log-format", "json", "list", "-C", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("environment ")
    assert err == ""


def test_the_form_of_one_run_is_not_that_of_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    """Text again where nobody asks for JSON."""
    assert cli.run(["--log-format", "json", "list", "--nonsense"]) == 2
    lines(capsys.readouterr().err)
    assert cli.run(["list", "--nonsense"]) == 2
    assert capsys.readouterr().err.startswith("error[usage]: ")


@pytest.mark.parametrize(
    "words",
    [
        ["--log-format", "json", "--nonsense"],
        ["--log-format=json", "nonsense"],
        ["list", "--log-format", "json", "--nonsense"],
        ["--log-format", "text", "list", "--nonsense", "--log-format=json"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_json_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever the option stands, and although the words cannot be parsed; the last one counts."""
    assert cli.run(words) == 2
    (entry,) = lines(capsys.readouterr().err)
    assert entry["code"] == "usage"
    assert "nonsense" in entry["message"]


def test_what_libraries_warn_of_is_json_too_and_masked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Python's own last resort would write the text as it is."""
    make_workspace(tmp_path, {}, {"3.12.10": {}})

    def chatter(_: object) -> None:
        try:
            raise ValueError("https://u:hunter22@r.example/")
        except ValueError:
            for name in ("a_library", "pyrunenv.fetch"):
                logging.getLogger(name).warning("bad headers of https://u:hunter22@r.example/", exc_info=True)
        warnings.showwarning("old", UserWarning, "x.py", 1)
        raise PyrunenvError("é at https://u:hunter22@r.example/", notes=["hunter22@"])

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])  # pytest's own
    monkeypatch.setattr("pyrunenv.cli.listing.state_of", chatter)
    assert cli.run(["list", "--log-format", "json", "-C", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    said = lines(err)
    assert [entry.get("logger") for entry in said] == ["a_library", "pyrunenv.fetch", "py.warnings", None]
    assert all("ValueError" in entry["traceback"] for entry in said[:2])
    assert "//u:" not in err
    assert err.isascii()
    assert said[-1]["message"].startswith("é at https://****@")


def complete(words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a shell is given for the last of the words, as bash asks for it; nothing may stand on standard error."""
    monkeypatch.setenv("_PYRUNENV_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit, match="0"):
        cli.run([])
    out, err = capsys.readouterr()
    assert err == ""
    return out.split()


def test_completion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Environments of the workspace around, or of the one that -C names; platforms; commands."""
    make_workspace(tmp_path, {}, {"3.12.10": {}, "3.12.10-sc": {}, "3.13.0": {}})
    monkeypatch.chdir(tmp_path / "python-3.13.0")
    for command in ("lock", "build", "list", "tree", "outdated", "doctor", "cleanup", "add", "remove", "why numpy",
                    "new 3.14.0 --from", "wheel build x --env", "config show", "config validate"):  # fmt: skip
        assert complete(f"pyrunenv {command} 3.12", capsys, monkeypatch) == ["3.12.10", "3.12.10-sc"], command
    for command in ("lock", "build", "list", "tree", "outdated", "doctor", "add", "new", "config show", "wheel build"):
        found = complete(f"pyrunenv {command} --platform mac", capsys, monkeypatch)
        assert found == ["macosx-x64", "macosx-aarch64"], command
    monkeypatch.chdir("/")
    assert complete("pyrunenv lock 3", capsys, monkeypatch) == []
    assert complete(f"pyrunenv lock -C {tmp_path} 3.13", capsys, monkeypatch) == ["3.13.0"]
    assert complete("pyrunenv do", capsys, monkeypatch) == ["doctor"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("shared-config.json", "{"),
        ("shared-config.json", '{"nonsense": 1}'),
        ("python-3.13.0/package.json", "[" * 9999),
    ],
)
def test_a_broken_workspace_completes_to_nothing(
    file: str, content: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Silently: a shell would show an error in the middle of what is typed."""
    make_workspace(tmp_path, {}, {"3.12.10": {}, "3.13.0": {}})
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text(content)
    assert complete("pyrunenv lock 3", capsys, monkeypatch) == []
