"""How results and failures look: plain lines on a pipe, colours and progress on a terminal.

Messages go to standard error, results to standard output.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

from pyrunenv.errors import PyrunenvError
from pyrunenv.secrets import mask

_state = {"verbosity": 0}


def set_verbosity(verbose: int, quiet: bool) -> None:
    """Set how much is said: -1 errors and warnings alone, 0 the usual, 1 decisions, 2 every program that is run."""
    verbosity = -1 if quiet else verbose
    _state["verbosity"] = verbosity
    level = {0: logging.WARNING, 1: logging.INFO}.get(max(verbosity, 0), logging.DEBUG)
    # The level is the handler's, and not only the logger's: logs of targets (pyrunenv.logs) hold more than is shown.
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)
    handler.setFormatter(_MaskingFormatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("pyrunenv")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False


class _MaskingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class Console:
    """Writes to the two standard streams; every text is masked."""

    @property
    def quiet(self) -> bool:
        return _state["verbosity"] < 0

    @property
    def interactive(self) -> bool:
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def colours(self) -> bool:
        """Whether to paint: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
        return self.interactive and not os.environ.get("NO_COLOR")

    def note(self, text: str) -> None:
        """Say something that is neither a result nor a problem; not with ``-q``."""
        if not self.quiet:
            self._write(text)

    def warn(self, text: str, notes: Sequence[str] = ()) -> None:
        self._write(_paint("warning", "33", self.colours) + f": {text}", *[f"  note: {n}" for n in notes])

    def error(self, error: PyrunenvError) -> None:
        """Render a failure: ``error[code]: what``, its notes, its hint."""
        self._write(_paint(f"error[{error.code}]", "1;31", self.colours) + f": {error.message}")
        for note in error.notes:
            self._write(*(f"  {line}" for line in (note.splitlines() or [""])))
        if error.hint:
            first, *rest = error.hint.splitlines()
            self._write(_paint("hint", "1;36", self.colours) + f": {first}", *rest)

    def defect(self, error: Exception) -> None:
        """Render what should not have happened; the traceback only where somebody asked for details."""
        self._write(_paint("error[internal]", "1;31", self.colours) + f": {type(error).__name__}: {error}")
        if _state["verbosity"] > 0:
            self._write("".join(traceback.format_exception(error)))
        more = "report it" if _state["verbosity"] > 0 else "run again with -v for details, and report it"
        self._write(_paint("hint", "1;36", self.colours) + f": this is a defect of pyrunenv; {more}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        """Print a table to standard output: aligned columns, two spaces between, nothing cut."""
        widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
        for row in [columns, *rows]:
            cells = [
                cell.rjust(width) if i in right else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(map(str, row), widths, strict=True))
            ]
            _put(sys.stdout, "  ".join(cells).rstrip())
        # Now and not when Python ends, which has no way to say that nobody reads any more.
        sys.stdout.flush()

    def result(self, text: str) -> None:
        _put(sys.stdout, text)
        sys.stdout.flush()

    @staticmethod
    def _write(*lines: str) -> None:
        for line in lines:
            _put(sys.stderr, line)
        sys.stderr.flush()


def _put(stream: TextIO, text: str) -> None:
    """Write a line; what the stream's encoding lacks is escaped."""
    line = mask(text) + "\n"
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding))


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
