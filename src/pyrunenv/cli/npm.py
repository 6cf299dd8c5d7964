"""``pyrunenv npm``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pyrunenv import secrets
from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.cli.publish import StorageUrl
from pyrunenv.cli.shape import App
from pyrunenv.errors import PublishError
from pyrunenv.units import size

if TYPE_CHECKING:
    from pyrunenv.config.package import Package
    from pyrunenv.config.workspace import Workspace
    from pyrunenv.npm.registry import Registry
    from pyrunenv.npm.run import Planned
    from pyrunenv.npm.tarball import Tarball

app = App(help="Make and publish npm packages, without node.", epilog="Example: pyrunenv npm publish --dry-run")

Packages = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ENV]...",
        autocompletion=options.environments_here,
        help="An environment as elsewhere, or `catalogue`. Default: this folder's, else all and the catalogue.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


@app.add("pack", "Write the packages' tarballs.", "npm pack 3.12.10 --to out")
def pack(
    environments: Packages = None,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where to. Default: the current folder.")] = Path(),
    storage_url: StorageUrl = None,
    dry_run: DryRun = False,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Write what `npm publish` would send: package.json and the descriptors and manifests in dist/.

    Manifests of platforms that other machines built come from the storage.
    """
    from pyrunenv.files import write_atomic
    from pyrunenv.npm.run import chosen, tarballs

    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    found, catalogue = chosen(workspace, environments or (), start)
    storage = _Storage(storage_url, required=False)
    packed = tarballs(workspace, found, catalogue=catalogue, manifest_of=storage.manifest_of)
    for tarball in packed if not dry_run else ():
        write_atomic(to / tarball.file_name, tarball.content)
    rows = [(*_facts(tarball), str(to / tarball.file_name)) for tarball in packed]
    if not console.quiet:
        console.table(("package", "version", "files", "size", "tarball"), rows, right=(2, 3))
    return 0


@app.add("publish", "Publish packages, the catalogue last.", "npm publish --registry https://npm.example/ --dry-run")
def publish(
    environments: Packages = None,
    registry: Annotated[
        str | None, typer.Option("--registry", metavar="URL", help="Where to. Default: what .npmrc says.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="TAG", help="The tag to put on it. Default: latest.")
    ] = None,
    access: Annotated[
        Literal["public", "restricted"] | None,
        typer.Option("--access", metavar="public|restricted", help="Who may see a new package."),
    ] = None,
    otp: Annotated[str | None, typer.Option("--otp", metavar="CODE", help="A one-time password.")] = None,
    storage_url: StorageUrl = None,
    dry_run: DryRun = False,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Publish environments whose archives are all in storage, then the catalogue. The login is .npmrc's, or NPM_TOKEN.

    What is there already is not sent again; a version that is there with other content is an error.
    """
    console = Console()
    secrets.register(otp)
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    to = _Registries(workspace, registry, otp)
    return send(workspace, environments or (), start, console, to, storage_url, dry_run, tag=tag, access=access)


def send(
    workspace: Workspace, environments: Sequence[str], start: Path, console: Console, registries: _Registries | None = None,
    storage_url: str | None = None, dry_run: bool = False, *, tag: str | None = None, access: str | None = None,
) -> int:  # fmt: skip
    """Publish the packages of environments and, with all of them, the catalogue's; show what was done."""
    from pyrunenv.npm import run

    found, catalogue = run.chosen(workspace, environments, start)
    registries = registries or _Registries(workspace, None, None)
    storage = _Storage(storage_url, required=True)
    packed = run.tarballs(
        workspace, found, catalogue=catalogue, manifest_of=storage.manifest_of, check_published=storage.lacking
    )
    planned = run.plan(packed, registries.of, tag=tag)
    if dry_run:
        _summary(planned, console)
        return 0
    report = run.publish(planned, access=access)
    _summary(report.packages, console)
    if report.failure is not None:
        raise report.failure
    return 0


def _facts(tarball: Tarball) -> tuple[str, str, str, str]:
    return tarball.name, tarball.version, str(len(tarball.files)), size(len(tarball.content))


def _summary(packages: Sequence[Planned], console: Console) -> None:
    rows = [(*_facts(p.tarball), p.state, p.tag, p.registry.url) for p in packages]
    if not console.quiet:
        console.table(("package", "version", "files", "size", "state", "tag", "registry"), rows, right=(2, 3))


class _Registries:
    """The npm registry of each package."""

    def __init__(self, workspace: Workspace, given: str | None, otp: str | None) -> None:
        from pyrunenv.npm.npmrc import Npmrc

        self._npmrc = Npmrc.read(workspace.root)
        self._given, self._otp = given, otp
        self._open: dict[str, Registry] = {}

    def of(self, name: str, publish_config: Mapping[str, object]) -> Registry:
        from pyrunenv.npm.registry import Registry

        url = self._npmrc.registry(name, publish_config, self._given)
        if url not in self._open:
            self._open[url] = Registry(url, self._npmrc, otp=self._otp)
        return self._open[url]


class _Storage:
    """What the storages of the packages' registries hold; where none is known that is nothing, unless ``required``."""

    def __init__(self, given: str | None, *, required: bool) -> None:
        from pyrunenv.publish.run import Storages

        self._storages = Storages(given)
        self._required = required

    def manifest_of(self, package: Package, platform: str) -> bytes | None:
        from pyrunenv.publish.announce import manifest_of

        try:
            storage = self._storages.of(package.registry)
        except PublishError:
            if self._required:
                raise
            return None
        return manifest_of(storage, package, platform)

    def lacking(self, package: Package) -> list[str]:
        from pyrunenv.publish.announce import lacking

        return lacking(self._storages.of(package.registry), package)
