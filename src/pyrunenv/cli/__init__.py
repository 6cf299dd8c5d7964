"""The command line: parse, call, render. Nothing else in the package exits or prints.

Exit statuses: 0 done; 1 some targets failed, or a check found something; 2 wrong usage; 3 configuration; 4 lock;
5 download or cache; 6 unsafe archive; 7 interpreter; 8 assembly; 9 a program that we run failed; 10 no wheel, or
one that cannot be had; 70 a defect of pyrunenv; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

import typer

from pyrunenv import process
from pyrunenv.cli import build, cache, configs, doctor, graph, listing, lock, new, outdated, roots, wheels
from pyrunenv.cli.console import Console
from pyrunenv.errors import PyrunenvError

INTERNAL = 70
INTERRUPTED = 130

app = typer.Typer(
    name="pyrunenv",
    help="Portable, locked, offline Python run environments for five platforms, from one host.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 some targets failed or a check found something, 2 usage, 3 configuration, 4 lock, "
    "5 download or cache, 6 unsafe archive, 7 interpreter, 8 assembly, 9 a program that failed, 10 a wheel, 70 a defect, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pyrunenv {version('pyrunenv')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("lock")(lock.lock)
app.command("build")(build.build)
app.command("list", epilog="Example: pyrunenv list --json")(listing.list_environments)
app.command("new", epilog="Example: pyrunenv new 3.13.0-cuda --from 3.12.10-cuda")(new.new)
app.command("add", epilog="Example: pyrunenv add 3.12.10 polars==1.33.1 --platform linux-x64")(roots.add)
app.command("remove", epilog="Example: pyrunenv remove 3.12.10 polars")(roots.remove)
app.command("outdated", epilog="Example: pyrunenv outdated 3.12.10 --platform linux-x64")(outdated.outdated)
app.command("why", epilog="Example: pyrunenv why numcodecs 3.12.10")(graph.why)
app.command("tree", epilog="Example: pyrunenv tree 3.12.10 --platform windows-x64 --depth 1")(graph.tree)
app.command("doctor", epilog="Example: pyrunenv doctor 3.12.10 --platform linux-x64")(doctor.doctor)
app.add_typer(configs.app, name="config")
app.add_typer(cache.app, name="cache")
app.add_typer(wheels.app, name="wheel")


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; every failure is rendered, none is raised."""
    console = Console()
    _heed_signals()
    # Many connections begin at once, and name servers drop bursts: glibc would wait 5 s before it asks again
    # (resolv.conf(5)). It reads this at the first look-up; the resolver's processes inherit it.
    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:5")
    try:
        status = typer.main.get_command(app).main(list(arguments), prog_name="pyrunenv", standalone_mode=False)
    except PyrunenvError as error:
        console.error(error)
        return error.exit_status
    except typer.TyperException as error:
        if error.format_message():  # empty where the help was shown instead, for want of a command
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
    from pyrunenv.errors import UsageError

    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "pyrunenv"
    message = error.format_message()
    return UsageError(message[:1].lower() + message[1:].rstrip("."), hint=f"see `{command} --help`")
