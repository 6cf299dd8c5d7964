"""``pyrunenv pull``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv import platforms
from pyrunenv.cli import options
from pyrunenv.cli.console import Console, set_verbosity
from pyrunenv.cli.progress import bars, fetching

if TYPE_CHECKING:
    from pyrunenv.publish.signing import TrustedKey

TRUST = "PYRUNENV_TRUST"


def pull(
    environment: Annotated[
        str, typer.Argument(metavar="ENV[@VERSION]", help="A name of the catalogue (3.12.10-atls), or an npm name.")
    ],
    platform: Annotated[
        str | None,
        typer.Option("--platform", metavar="P", autocompletion=options.platform_keys, help="Default: this host's."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Where to. Default: a folder of this machine's store.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FROM", help="A catalogue's npm package, a storage URL, an archive. [PYRUNENV_FROM]"
        ),
    ] = None,
    trust: Annotated[
        str | None, typer.Option("--trust", metavar="KEY", help=f"A public key that must have signed it. [{TRUST}]")
    ] = None,
    requirements: Annotated[
        Path | None, typer.Option("--requirements", "-r", metavar="FILE", help="Make a venv with these, offline.")
    ] = None,
    venv: Annotated[Path, typer.Option("--venv", metavar="DIR", help="Where that venv goes.")] = Path("venv"),
    force: Annotated[bool, typer.Option("--force", help="Replace what is there, even where it was changed.")] = False,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Get an environment as it was published, and print where it lies: exactly what the Backend runs.

    What is there already is not fetched again; an interrupted download goes on where it was.
    """
    from pyrunenv.pull.resolve import Asked
    from pyrunenv.pull.run import pull as get
    from pyrunenv.pull.venv import make_venv
    from pyrunenv.pull.where import FROM, Finder

    console = Console()
    set_verbosity(verbose, quiet)
    asked = Asked.parse(environment)
    wanted = options.named_platform(platform) if platform else platforms.host()
    with bars(console) as shown, fetching(bars=shown) as (cache, fetcher):
        finder = Finder(cache, fetcher, (folder or Path()).resolve(), _trusted(trust or os.environ.get(TRUST)))
        given = source or os.environ.get(FROM)
        told = finder.find(asked, wanted.key, given)
        if not told.vouched:
            console.warn(f"nothing beside {given} tells what it should be: it is taken as it is")
        chosen = told.chosen
        shown.expect("download", chosen.archive.size)
        pulled = get(chosen, cache, to.absolute() if to else None, force=force)
    console.note(f"{chosen} {'is there already' if pulled.reused else 'was unpacked'}")
    if requirements is None:
        console.result(str(pulled.folder))
    else:
        console.result(str(make_venv(pulled.folder, pulled.record, requirements, venv.absolute())))
    return 0


def _trusted(given: str | None) -> TrustedKey | None:
    if not given:
        return None
    from pyrunenv.publish.signing import load_trusted_key

    return load_trusted_key(given)
