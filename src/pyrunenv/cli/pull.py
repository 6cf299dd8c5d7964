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
from pyrunenv.errors import UsageError

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.publish.signing import TrustedKey
    from pyrunenv.pull.resolve import Asked, Chosen

FROM = "PYRUNENV_FROM"
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
        typer.Option("--from", metavar="FROM", help=f"A catalogue's npm package, a storage URL, an archive. [{FROM}]"),
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

    console = Console()
    set_verbosity(verbose, quiet)
    asked = Asked.parse(environment)
    wanted = platforms.platform(platform) if platform else platforms.host()
    key = _trusted(trust or os.environ.get(TRUST))
    with bars(console) as shown, fetching(bars=shown) as (cache, fetcher):
        chosen = _choose(asked, wanted.key, source or os.environ.get(FROM), key, folder, cache, fetcher, console)
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


def _choose(
    asked: Asked, platform: str, given: str | None, key: TrustedKey | None, folder: Path | None, cache: Cache,
    fetcher: Fetcher, console: Console,
) -> Chosen:  # fmt: skip
    """Find the archive, by what --from names: an archive, a storage, or else a catalogue's npm package."""
    from pyrunenv.pull.resolve import check_signed, choose
    from pyrunenv.pull.single import choose_archive
    from pyrunenv.pull.sources import Web, open_source

    place, catalogue = _place(given, folder)
    base, _, name = place.rpartition("/")
    if name.endswith((".tgz", ".zip")):
        path = _local(place)
        told = choose_archive(asked, platform, Web(base, fetcher), name, path)
        if key is not None:
            check_signed(told.chosen, key)
        elif not told.vouched:
            console.warn(f"nothing beside {place} tells what it should be: it is taken as it is")
        return told.chosen
    return choose(asked, platform, open_source(place, cache, fetcher), catalogue, key)


def _place(given: str | None, folder: Path | None) -> tuple[str, str | None]:
    """Return a URL and the npm name of a catalogue, as far as they are known; raises UsageError without a URL."""
    if given is None:
        return _of_workspace(folder)
    url, _, catalogue = given.partition("#")
    if "://" in url:
        return url, catalogue or None
    if Path(url).exists():
        return Path(url).absolute().as_uri(), catalogue or None
    raise UsageError(
        f"`{given}` is neither a URL nor a file or folder that is there", hint="--from names where to look"
    )


def _of_workspace(folder: Path | None) -> tuple[str, str | None]:
    """Where the environments of the workspace around are downloaded from, and its catalogue."""
    from pyrunenv.config.workspace import find_root, load_workspace

    hint = f"say where to look with --from, or set {FROM}"
    try:
        workspace = load_workspace(find_root((folder or Path()).resolve()))
    except UsageError:
        raise UsageError("no catalogue is named, and there is no workspace here", hint=hint) from None
    registries = {environment.package.registry for environment in workspace.environments}
    urls = {registry.download_url or registry.storage() for registry in registries}
    url = next(iter(urls), None)
    if len(urls) != 1 or url is None or workspace.catalogue_package is None:
        raise UsageError("the workspace does not tell where its environments are downloaded from", hint=hint)
    return url, workspace.catalogue_package.name


def _local(url: str) -> Path | None:
    from pyrunenv.fetch.session import file_path

    return file_path(url) if url.startswith("file:") else None
