"""How results and failures look: plain lines on a pipe, colours and progress on a terminal, JSON where that is asked for.

Messages go to standard error, results to standard output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from pyrunenv.errors import PyrunenvError
from pyrunenv.secrets import mask, masked

_state = {"verbosity": 0}
_form = {"log": "text"}


def set_log_format(form: str) -> None:
    """Choose how messages are written: ``text``, or ``json`` with one object a line."""
    _form["log"] = form


def set_verbosity(verbose: int, quiet: bool) -> None:
    """Set how much is said: -1 errors and warnings alone, 0 the usual, 1 decisions, 2 every program that is run."""
    verbosity = -1 if quiet else verbose
    _state["verbosity"] = verbosity
    level = {0: logging.WARNING, 1: logging.INFO}.get(max(verbosity, 0), logging.DEBUG)
    root = logging.getLogger("pyrunenv")
    # The level is the handler's, and not only the logger's: logs of targets (pyrunenv.logs) hold more than is shown.
    root.handlers[:] = [_handler(level)]
    root.setLevel(level)
    root.propagate = False
    # What libraries warn of would go to standard error as it is: neither masked nor JSON.
    logging.lastResort = _handler(logging.WARNING)
    logging.captureWarnings(_form["log"] == "json")
    logging.getLogger("py.warnings").handlers[:] = [logging.lastResort]


def _handler(level: int) -> logging.StreamHandler[TextIO]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)
    text = _MaskingFormatter("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if _form["log"] == "json" else text)
    return handler


class _MaskingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"logger": record.name}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _json_line(record.levelname.lower(), record.getMessage().strip(), fields)


def _json_line(level: str, message: str, fields: Mapping[str, Any]) -> str:
    """One message as an object: time (RFC 3339, UTC), level, message, and what else is known of it.

    In ASCII: what a stream cannot encode it would escape in a way that JSON does not have.
    """
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps(masked({"time": time, "level": level, "message": message, **fields}))


class Console:
    """Writes to the two standard streams; every text is masked."""

    @property
    def json(self) -> bool:
        """Whether messages are read by a program."""
        return _form["log"] == "json"

    @property
    def quiet(self) -> bool:
        return _state["verbosity"] < 0

    @property
    def interactive(self) -> bool:
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not self.json

    @property
    def colours(self) -> bool:
        """Whether to paint: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
        return self.interactive and not os.environ.get("NO_COLOR")

    def note(self, text: str, **fields: Any) -> None:
        """Say something that is neither a result nor a problem; not with ``-q``. ``fields`` are for programs."""
        if not self.quiet:
            self._say("info", text, fields, [text])

    def warn(self, text: str, notes: Sequence[str] = ()) -> None:
        lines = [_paint("warning", "33", self.colours) + f": {text}", *[f"  note: {n}" for n in notes]]
        self._say("warning", text, {"notes": list(notes)} if notes else {}, lines)

    def error(self, error: PyrunenvError) -> None:
        """Render a failure: ``error[code]: what``, its notes, its hint."""
        lines = [_paint(f"error[{error.code}]", "1;31", self.colours) + f": {error.message}"]
        for note in error.notes:
            lines += [f"  {line}" for line in (note.splitlines() or [""])]
        if error.hint:
            first, *rest = error.hint.splitlines()
            lines += [_paint("hint", "1;36", self.colours) + f": {first}", *rest]
        fields = {"code": error.code, "notes": list(error.notes), "hint": error.hint}
        self._say("error", error.message, fields, lines)

    def defect(self, error: Exception) -> None:
        """Render what should not have happened; the traceback only where somebody asked for details."""
        text = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error)) if _state["verbosity"] > 0 else ""
        more = "report it" if trace else "run again with -v for details, and report it"
        hint = f"this is a defect of pyrunenv; {more}"
        lines = [_paint("error[internal]", "1;31", self.colours) + f": {text}", *([trace] if trace else [])]
        lines.append(_paint("hint", "1;36", self.colours) + f": {hint}")
        self._say("error", text, {"code": "internal", "hint": hint, **({"traceback": trace} if trace else {})}, lines)

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

    def _say(self, level: str, message: str, fields: Mapping[str, Any], lines: Sequence[str]) -> None:
        if self.json:
            sys.stderr.write(_json_line(level, message, fields) + "\n")
        for line in () if self.json else lines:
            _put(sys.stderr, line)
        sys.stderr.flush()


def _put(stream: TextIO, text: str) -> None:
    """Write a line; what the stream's encoding lacks is escaped."""
    line = mask(text) + "\n"
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding))


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
