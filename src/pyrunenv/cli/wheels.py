"""``pyrunenv wheel``."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyrunenv.cli import options
from pyrunenv.cli.console import Console
from pyrunenv.cli.shape import App
from pyrunenv.errors import PyrunenvError
from pyrunenv.units import size

if TYPE_CHECKING:
    from pyrunenv.wheels.inspect import Inspection, NativeFile

app = App(help="Build single wheels, and look into wheels.", epilog="Example: pyrunenv wheel inspect dist/*.whl")

_WIDTH = 80


@app.add("inspect", "Show what wheels hold and need.", "wheel inspect dist/*.whl")
def inspect_wheels(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Wheels.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> int:
    """Show what wheels hold and need; exit 1 where one does not keep what its tags and its RECORD promise."""
    from pyrunenv.wheels.check import problems
    from pyrunenv.wheels.inspect import inspect

    console = Console()
    found: list[tuple[Inspection, list[str]]] = []
    failures: list[PyrunenvError] = []
    for file in files:
        try:
            inspection = inspect(file)
            found.append((inspection, problems(inspection)))
        except PyrunenvError as error:
            failures.append(error)
    if as_json:
        console.result(json.dumps([_as_json(*each) for each in found], indent=2, ensure_ascii=False))
    elif found:
        console.result("\n\n".join("\n".join(_lines(*each)) for each in found))
    for failure in failures:
        console.error(failure)
    if failures:
        return failures[0].exit_status
    return 1 if any(wrong for _, wrong in found) else 0


@app.add("build", "Build one package from source, alone.", "wheel build freesasa==2.2.1 --platform windows-x64")
def build_wheel(
    requirement: Annotated[
        str, typer.Argument(metavar="REQUIREMENT", help="As in a config: name==version, git, a URL.")
    ],
    platform: options.Platforms = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--env",
            metavar="ENV",
            autocompletion=options.environments_here,
            help="The environment it is for. Default: this folder's.",
        ),
    ] = None,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the wheel is copied to.")] = Path(),
    folder: options.Folder = None,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Build one package from source, alone, for each platform; without --platform for this host's."""
    from pyrunenv import platforms
    from pyrunenv.cli.progress import fetching
    from pyrunenv.fetch.credentials import learn
    from pyrunenv.lock.run import Target
    from pyrunenv.single import build_one

    console = Console()
    workspace, start = options.open_workspace(folder, console, verbose=verbose, quiet=quiet)
    chosen = workspace.select([environment] if environment else (), start)[0]
    wanted = options.chosen_platforms(platform) or (platforms.host(),)
    failures: list[PyrunenvError] = []
    with fetching(timeout=chosen.target(wanted[0]).build.timeout) as (cache, fetcher):
        for target in (Target(chosen, p) for p in wanted):
            learn(target.config)
            try:
                made = build_one(requirement, target, cache, fetcher)
                place = to / made.filename
                to.mkdir(parents=True, exist_ok=True)
                cache.copy_to(made.sha256, place)
            except PyrunenvError as error:
                failures.append(error)
                continue
            _show_built(place, target.platform.key, made.seconds, console)
    for failure in failures:
        console.error(failure)
    return failures[0].exit_status if failures else 0


def _show_built(place: Path, platform: str, seconds: float, console: Console) -> None:
    from pyrunenv.wheels.inspect import inspect

    found = inspect(place)
    how = f"built in {seconds:.1f} s" if seconds else "was in the cache"
    console.result(str(place))
    needs = sorted({library for file in found.native for library in file.needs})
    floors = sorted({floor.version for file in found.native for _, floor in file.floors})
    kind = f"{len(found.native)} native files" if found.native else "no native code"
    console.note(f"  {platform}: {how}, {size(found.size)}, {kind}")
    if needs:
        console.note(f"  needs: {', '.join(needs)}" + (f"; floor {floors[-1]}" if floors else ""))


def _as_json(inspection: Inspection, wrong: list[str]) -> dict[str, Any]:
    return {
        "filename": inspection.filename, "name": inspection.name, "version": inspection.version,
        "size": inspection.size, "tags": inspection.tags, "record": inspection.record,
        "native": [
            {
                "path": file.path, "format": file.format, "archs": file.archs,
                "floors": {arch: floor.version for arch, floor in file.floors}, "needs": file.needs,
                "missing": file.missing, "signature": file.signature,
            }
            for file in inspection.native
        ],
        "problems": wrong,
    }  # fmt: skip


def _lines(inspection: Inspection, wrong: list[str]) -> Iterator[str]:
    yield inspection.filename
    yield f"  {inspection.name} {inspection.version}, {size(inspection.size)}"
    yield from _wrapped("  tags    ", inspection.tags)
    yield f"  RECORD  {'broken' if inspection.record else 'whole'}"
    yield f"  native  {_count(len(inspection.native), 'file')}"
    for file in inspection.native:
        yield f"    {file.path}"
        yield f"      {', '.join(_traits(file))}"
        if file.needs:
            yield from _wrapped("      needs ", file.needs, ",")
        if file.missing:
            yield from _wrapped("      missing ", file.missing, ",")
    yield f"  {_count(len(wrong), 'problem')}"
    for problem in wrong:
        yield from _wrapped("  - ", problem.split())


def _traits(file: NativeFile) -> Iterator[str]:
    yield " ".join((file.format, *file.archs))
    system = "glibc" if file.format == "elf" else "macOS"
    if (floor := file.floor) is not None:
        yield f"{system} {floor.version}"
    if file.signature is not None:
        yield {"valid": "signature valid", "broken": "signature broken", "none": "not signed"}[file.signature]
    if file.damaged:
        yield "damaged"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _wrapped(label: str, words: list[str] | tuple[str, ...], comma: str = "") -> list[str]:
    """Return lines of at most 80 columns, no word of which is broken."""
    indent = " " * len(label)
    return textwrap.wrap(
        f"{comma} ".join(words), _WIDTH, initial_indent=label, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
