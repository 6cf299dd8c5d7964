"""``pyrunenv catalogue``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.cli import options
from pyrunenv.cli.console import Console, set_verbosity
from pyrunenv.cli.findings import Form, Format, show_findings
from pyrunenv.cli.shape import App
from pyrunenv.errors import UsageError

if TYPE_CHECKING:
    from pyrunenv.config.package import CataloguePackage
    from pyrunenv.config.workspace import Workspace

app = App(help="Keep the list of published environments.", epilog="Example: pyrunenv catalogue check")


@app.add("build", "Write the entry points' descriptors.", "catalogue build")
def build(folder: options.Folder = None, verbose: options.Verbose = 0, quiet: options.Quiet = False) -> int:
    """Write the descriptors of all entry points, each at the version that the catalogue depends on."""
    from pyrunenv.publish.descriptors import write_catalogue

    console = Console()
    workspace, _ = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    place, package = _catalogue(workspace)
    versions = {e.package.name: e.python_version for e in workspace.environments}
    for path in write_catalogue(place, package, [e.package for e in workspace.environments], versions):
        console.result(str(path))
    return 0


@app.add("check", "Compare it with the environments.", "catalogue check --format github")
def check(
    form: Form = Format.text,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Compare the catalogue with the environments: entries without one, ones without an entry, versions that differ.

    Exit status: 0 they agree, 1 they do not.
    """
    from pyrunenv.checks import check_catalogue
    from pyrunenv.config.workspace import find_root, load_workspace

    console = Console()
    set_verbosity(verbose, quiet)
    start = (folder or Path()).resolve()
    workspace = load_workspace(find_root(start))
    _catalogue(workspace)
    return show_findings(check_catalogue(workspace), workspace.root, start, form, console)


def _catalogue(workspace: Workspace) -> tuple[Path, CataloguePackage]:
    if workspace.catalogue is None or workspace.catalogue_package is None:
        raise UsageError(
            f"{workspace.root} has no catalogue",
            hint="it is an npm package of its own: catalogue/package.json, with `block-software.entrypoints` and `dependencies`",
        )
    return workspace.catalogue, workspace.catalogue_package
