"""What a run shows while it works: bars on a terminal, a line for each finished target elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyrunenv.cli.console import Console
from pyrunenv.units import size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Download, Fetcher
    from pyrunenv.lock.run import Target
    from pyrunenv.steps import Built


@contextmanager
def fetching(
    *, timeout: float = 60.0, connections: int = 16, offline: bool = False, bars: Bars | None = None
) -> Iterator[tuple[Cache, Fetcher]]:
    """Open the machine's cache, and a fetcher into it for one command."""
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher

    cache = Cache.from_environment()
    received = bars.received if bars else None
    with Fetcher(cache, connections=connections, timeout=timeout, offline=offline, on_progress=received) as fetcher:
        yield cache, fetcher


@dataclass(frozen=True)
class _Shown:
    """What is on the terminal: one bar for the bytes, one line for each target that is worked on."""

    download: Progress
    targets: Progress


class Bars:
    """A :class:`pyrunenv.steps.Reporter`: one bar for the bytes, one line for each target."""

    def __init__(self, console: Console, shown: _Shown | None) -> None:
        self._console = console
        self._shown = shown
        self._lock = threading.Lock()
        self._bytes: TaskID | None = None
        self._total = 0
        self._lines: dict[str, TaskID] = {}

    def received(self, download: Download, count: int) -> None:
        """Count bytes that arrived."""
        self.advance(count)

    def advance(self, count: int) -> None:
        """Move the bar of the bytes."""
        if self._shown is not None and self._bytes is not None:
            self._shown.download.advance(self._bytes, count)

    def downloading(self, target: Target, total: int) -> None:
        self.expect("download", total)

    def expect(self, what: str, total: int) -> None:
        """Make the bar of the bytes longer by so many."""
        if self._shown is None:
            return
        with self._lock:
            if self._bytes is None:
                self._bytes = self._shown.download.add_task(what, total=0)
            self._total += total
            self._shown.download.update(self._bytes, total=self._total)

    def step(self, target: Target, name: str) -> None:
        if self._console.json:
            self._console.note(f"{target}: {name}", **_names(target), step=name)
        if self._shown is None:
            return
        with self._lock:
            if str(target) not in self._lines:
                self._lines[str(target)] = self._shown.targets.add_task("", total=None)
            self._shown.targets.update(self._lines[str(target)], description=f"{target}: {name}")

    def built(self, result: Built) -> None:
        if self._shown is not None and str(result.target) in self._lines:
            self._shown.targets.remove_task(self._lines.pop(str(result.target)))
        state = "up to date" if result.reused else "built"
        took = f", {sum(result.seconds.values()):.1f} s" if result.seconds else ""
        mark = "" if result.publishable else ", for trying only: it can never be published"
        self._console.note(
            f"{state:10} {result.target}: {size(result.archive_size)}{took}{mark}",
            **_names(result.target),
            state=state,
            bytes=result.archive_size,
            seconds=round(sum(result.seconds.values()), 3),
        )

    def warn(self, text: str) -> None:
        self._console.warn(text)


def _names(target: Target) -> dict[str, str]:
    return {"environment": target.environment.full_version, "platform": target.platform.key}


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Show bars on a terminal for as long as the block runs; plain lines elsewhere."""
    if not console.interactive or console.quiet:
        yield Bars(console, None)
        return
    from rich.console import Console as RichConsole
    from rich.live import Live
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn
    from rich.table import Table

    text = TextColumn("{task.description}")
    download = Progress(text, BarColumn(), DownloadColumn(), TransferSpeedColumn())
    targets = Progress(SpinnerColumn(), text)
    shown = Table.grid()
    shown.add_row(download)
    shown.add_row(targets)
    with Live(shown, console=RichConsole(stderr=True), transient=True):
        yield Bars(console, _Shown(download, targets))
