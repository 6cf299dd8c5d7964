"""``pyrunenv config``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console, set_verbosity
from pyrunenv.cli.findings import Form, Format, show_findings
from pyrunenv.cli.shape import App
from pyrunenv.config.problems import show_path
from pyrunenv.errors import UsageError
from pyrunenv.secrets import masked

if TYPE_CHECKING:
    from pyrunenv.config.explain import Explained
    from pyrunenv.platforms import Platform

app = App(help="Look at the configuration, and check it.", epilog="Example: pyrunenv config show 3.12.10 --explain")


@app.add("validate", "Tell everything that is wrong, at once.", "config validate --format github --strict")
def validate(
    environments: options.Environments = None,
    form: Form = Format.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings as well.")] = False,
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Tell everything that is wrong in the workspace's files at once, with file, line and column.

    Exit status: 0 no error, 1 errors (with --strict: or warnings).
    """
    from pyrunenv.checks import check_workspace
    from pyrunenv.config.workspace import find_root

    console = Console()
    set_verbosity(verbose, quiet)
    start = (folder or Path()).resolve()
    root = find_root(start)
    found = check_workspace(root, environments or (), start)
    return show_findings(found, root, start, Format.json if as_json else form, console, strict=strict)


@app.add("show", "Show the merged configuration.", "config show 3.12.10 --platform linux-x64 --explain")
def show(
    environment: options.OneEnvironment = None,
    platform: options.Platforms = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say where each value comes from, and what it replaced.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with --explain too.")] = False,
    folder: options.Folder = None,
    lenient: options.Lenient = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Print the merged configuration as JSON; with --platform, what a build of that target really uses."""
    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet, lenient=lenient)
    chosen = options.only_one(workspace, environment, start)
    wanted = options.chosen_platforms(platform)
    targets = options.targets_of([chosen], wanted, console) if wanted else []
    if wanted and not targets:
        raise UsageError(f"{chosen.full_version} is not made for {', '.join(p.key for p in wanted)}")
    platforms: list[Platform | None] = [*(target.platform for target in targets)] or [None]
    if explain:
        from pyrunenv.config.explain import explain as explained

        found = {at.key if at else "": explained(workspace, chosen, at) for at in platforms}
        if not as_json:
            for key, entries in found.items():
                if len(found) > 1:
                    console.result(f"{key}:")
                for entry in entries:
                    _show_explained(entry, console)
            return 0
        shown: dict[str, Any] = {key: [_explained_json(entry) for entry in entries] for key, entries in found.items()}
    else:
        shown = {at.key if at else "": (chosen.target(at) if at else chosen.config).to_json() for at in platforms}
    result = shown if len(shown) > 1 else next(iter(shown.values()))
    console.result(json.dumps(result, indent=2, ensure_ascii=False))
    return 0


def _show_explained(entry: Explained, console: Console) -> None:
    origin = entry.origin
    where = f"{origin.file}: {show_path(origin.path)}" if origin else "default"
    console.result(f"{show_path(entry.path)} = {_value(entry.value)}  ({where})")
    for replaced in entry.replaced:
        console.result(f"    in place of {_value(replaced.value)}  ({replaced.file}: {show_path(replaced.path)})")


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 or not isinstance(value, list) else f"{len(value)} entries"


def _explained_json(entry: Explained) -> dict[str, Any]:
    origin = entry.origin
    return {
        "path": show_path(entry.path),
        "value": masked(entry.value),
        "file": origin.file if origin else None,
        "from": show_path(origin.path) if origin else None,
        "replaced": [
            {"file": other.file, "path": show_path(other.path), "value": masked(other.value)}
            for other in entry.replaced
        ],
    }


@app.add("schema", "Print the JSON Schema, for editors.", "config schema > config.schema.json")
def schema() -> int:
    """Print the JSON Schema of shared-config.json and config.json, for editors: name it by `$schema`."""
    from pyrunenv.config.json_schema import config_schema

    Console().result(json.dumps(config_schema(), indent=2, ensure_ascii=False))
    return 0
