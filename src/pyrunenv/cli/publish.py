"""``pyrunenv publish``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.cli.progress import bars
from pyrunenv.units import size

if TYPE_CHECKING:
    from pyrunenv.publish.run import PublishReport

StorageUrl = Annotated[
    str | None,
    typer.Option("--storage-url", metavar="URL", help="Where to: s3://, s3e://, gs://, az://, file:// ."),
]


def publish(
    environments: options.Environments = None,
    platform: options.Platforms = None,
    storage_url: StorageUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there with other bytes.")] = False,
    verify_remote: Annotated[
        bool, typer.Option("--verify-remote", help="Read all bytes back from the storage.")
    ] = False,
    share: Annotated[
        bool, typer.Option("--share", help="Put each wheel by its digest as well: clients fetch only what they lack.")
    ] = False,
    npm: Annotated[
        bool, typer.Option("--npm", help="Publish the npm packages after it, as `npm publish` does.")
    ] = False,
    sign: Annotated[
        str | None,
        typer.Option(
            "--sign", metavar="KEY", help="An Ed25519 key (PEM) to sign with, or `keyless`. [PYRUNENV_SIGNING_KEY]"
        ),
    ] = None,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Upload built archives, then what tells of them, then the catalogue; what is there already is not sent again.

    An interrupted run leaves the old catalogue whole, and running again finishes it.
    """
    from pyrunenv.publish.keyless import WORD, keyless_signer
    from pyrunenv.publish.papers import Papers
    from pyrunenv.publish.parcel import parcels
    from pyrunenv.publish.run import Publisher, Storages
    from pyrunenv.publish.signing import SIGNING_KEY, load_signing_key

    console = Console()
    given = sign or os.environ.get(SIGNING_KEY)
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    papers = (
        Papers(workspace.root, keyless=keyless_signer())
        if given == WORD
        else Papers(workspace.root, load_signing_key(given) if given else None)
    )
    chosen = workspace.select(environments or (), start)
    found = parcels(options.targets_of(chosen, options.chosen_platforms(platform), console))
    with bars(console) as shown:
        publisher = Publisher(Storages(storage_url), papers, force, verify_remote, share, shown.advance)
        if dry_run:
            report = publisher.look(found)
        else:
            shown.expect("upload", sum(parcel.size for parcel in found))
            report = publisher.run(workspace, chosen, found)
    _summary(report, console)
    if npm and not dry_run and not report.failures and not report.waiting:
        from pyrunenv.cli.npm import send

        return send(workspace, environments or (), start, console, storage_url=storage_url)
    # what another machine has built is waited for without complaint where this run was asked for a part
    return _outcome(report, console, whole=not (environments or platform))


def _summary(report: PublishReport, console: Console) -> None:
    rows: list[tuple[str, ...]] = [
        (p.target.environment.full_version, p.target.platform.key, outcome, size(p.size), p.address)
        for p, outcome in [*((s.parcel, s.outcome) for s in report.sent), *report.would]
    ]
    rows += [(r.environment, "release", told, "", f"{r.name} {r.version}") for r, told in report.releases]
    if report.catalogue is not None:
        rows.append(("catalogue", "", report.catalogue, "", ""))
    if rows and not console.quiet:
        console.table(("environment", "platform", "state", "archive", "address"), rows, right=(3,))


def _outcome(report: PublishReport, console: Console, *, whole: bool) -> int:
    for _, error in report.failures:
        console.error(error)
    if report.waiting and not report.failures:
        tell = console.warn if whole else console.note
        tell("the catalogue waits for what is not in storage yet: " + "; ".join(report.waiting))
    return 1 if report.failures or (whole and report.waiting) else 0
