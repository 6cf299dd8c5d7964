"""The command line: parse, call, render. Nothing else in the package exits or prints.

Exit statuses: 0 done; 1 some targets failed, or a check found something; 2 wrong usage; 3 configuration; 4 lock;
5 download or cache; 6 unsafe archive; 7 interpreter; 8 assembly; 9 a program that we run failed; 10 no wheel, or
one that cannot be had; 11 publishing; 12 fetching what was published; 70 a defect of pyrunenv; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import typer

from pyrunenv import process
from pyrunenv.cli.console import Console, set_log_format, set_verbosity
from pyrunenv.cli.shape import App
from pyrunenv.errors import PyrunenvError, UsageError

LOG_FORMAT = "PYRUNENV_LOG_FORMAT"
LOG_OPTION = "--log-format"
_LOG_FORMATS = ("text", "json")
INTERNAL = 70
INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pyrunenv {version('pyrunenv')}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    log_format: str | None = typer.Option(
        None,
        LOG_OPTION,
        metavar="text|json",
        autocompletion=lambda: list(_LOG_FORMATS),
        help=f"How messages are written. [{LOG_FORMAT}]",
    ),
) -> None:
    """Commands do the work; :func:`run` has taken the log format already."""


def _take_log_format(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the last log format among the words, and the other words: before they are parsed, since what is wrong with
    them is to be told in that form, and wherever it stands, since nobody remembers which options come before a command.
    """
    form, rest, words = None, [], list(arguments)
    while words and words[0] != "--":
        word = words.pop(0)
        if word == LOG_OPTION:
            form = words.pop(0) if words else ""
        elif word.startswith(f"{LOG_OPTION}="):
            form = word.partition("=")[2]
        else:
            rest.append(word)
    return form, rest + words


def _choose_log_format(form: str) -> None:
    if form not in _LOG_FORMATS:
        raise UsageError(f"`{form}` is no log format", hint=f"one of: {', '.join(_LOG_FORMATS)}")
    set_log_format(form)
    set_verbosity(0, quiet=False)


# Name → module and function, summary, example.
_COMMANDS = {
    "new": ("scaffold:new", "Make an environment, in one step.", "new 3.13.0-cuda --from 3.12.10-cuda"),
    "add": ("roots:add", "Add roots, lock, show what changed.", "add 3.12.10 polars==1.33.1 --platform linux-x64"),
    "remove": ("roots:remove", "Take roots out, lock, show what changed.", "remove 3.12.10 polars"),
    "lock": ("lock:lock", "Write the locks of all platforms.", "lock 3.12.10 --upgrade-package numpy"),
    "build": ("build:build", "Turn environments into packed bundles.", "build 3.12.10 --all-platforms --locked"),
    "bump": ("bump:bump", "Raise versions of what changed.", "bump 3.12.10 -m 'Scanpy 1.12, faster reads'"),
    "publish": ("publish:publish", "Upload archives, then the catalogue.", "publish --storage-url s3://bucket/runenv"),
    "pull": ("pull:pull", "Get a published environment.", "pull 3.12.10@1.5.0 --from s3://bucket/runenv --to ./env"),
    "list": ("listing:list_environments", "Show how far each target is.", "list --json"),
    "why": ("graph:why", "Say what brings a package in.", "why numcodecs 3.12.10"),
    "tree": ("graph:tree", "Show what each root needs.", "tree 3.12.10 --platform windows-x64 --depth 1"),
    "diff": ("difference:diff", "Show what changed between two states.", "diff 3.12.10 v1.4.0 --format markdown"),
    "outdated": ("outdated:outdated", "Show roots with newer versions.", "outdated 3.12.10 --platform linux-x64"),
    "cleanup": ("cleanup:cleanup", "Remove what builds left.", "cleanup --all --dry-run"),
    "doctor": ("doctor:doctor", "Look whether this machine can build.", "doctor 3.12.10 --platform linux-x64"),
}
# Name of a group of commands → the module of its app.
_GROUPS = {"config": "configs", "catalogue": "catalogue", "cache": "cache", "wheel": "wheels", "npm": "npm"}


def application(words: Sequence[str] = ()) -> App:
    """Return the command line; where ``words`` begin with a command's name that one alone, which takes 50 ms less."""
    app = App(
        name="pyrunenv",
        # the example stands here and not at the end, where it would cost the line of a command
        help="""\b
Portable, locked, offline Python run environments for five platforms.
Example: pyrunenv build 3.12.10 --all-platforms --locked""",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    known = [*_COMMANDS, *_GROUPS]
    for name in [word for word in words[:1] if word in known] or known:
        if name in _GROUPS:
            app.add_typer(import_module(f"{__name__}.{_GROUPS[name]}").app, name=name)
            continue
        place, summary, example = _COMMANDS[name]
        module, _, function = place.partition(":")
        app.add(name, summary, example)(getattr(import_module(f"{__name__}.{module}"), function))
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; every failure is rendered, none is raised."""
    console = Console()
    _choose_log_format("text")
    _heed_signals()
    # Many connections begin at once, and name servers drop bursts: glibc would wait 5 s before it asks again
    # (resolv.conf(5)). It reads this at the first look-up; the resolver's processes inherit it.
    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:5")
    # What else is installed beside us must not change how configurations are read; and looking for it takes 15 ms.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    try:
        form, words = _take_log_format(arguments)
        _choose_log_format(os.environ.get(LOG_FORMAT) or "text" if form is None else form)
        status = typer.main.get_command(application(words)).main(words, prog_name="pyrunenv", standalone_mode=False)
    except PyrunenvError as error:
        console.error(error)
        return error.exit_status
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError" and not console.json:
            console.result(error.format_message())
        else:
            console.error(_usage(error))
        return 2
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        console.defect(error)
        return INTERNAL
    if status == INTERRUPTED:
        # Typer too makes this of Ctrl-C, and says nothing.
        console.note("interrupted; what was finished is kept, and the next run goes on from there")
    return status if isinstance(status, int) else 0


def _heed_signals() -> None:
    """Let Ctrl-C, and SIGTERM alike, end the programs that we run: threads that wait for them would hold us up."""
    if threading.current_thread() is not threading.main_thread():
        return
    process.resume()

    def interrupted(*_: object) -> NoReturn:
        process.stop()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)


def _usage(error: typer.TyperException) -> PyrunenvError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "pyrunenv"
    message = "missing command" if type(error).__name__ == "NoArgsIsHelpError" else error.format_message()
    hint = f"see `{command} --help`"
    if command == "pyrunenv" and (option := getattr(error, "option_name", None)):
        hint = f"options of a command stand behind it: `pyrunenv COMMAND {option} …`; {hint}"
    return UsageError(message[:1].lower() + message[1:].rstrip("."), hint=hint)
