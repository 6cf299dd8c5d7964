"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyrunenv.secrets import mask

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Result:
    """``what`` of a ``subject``, ``where`` it is (a URL, a path), what was found, and a ``remedy`` where there is one.

    An ``error`` is what a build would fail of; a ``warning`` is what it would not, and somebody should know all the same.
    """

    subject: str
    status: Status
    what: str
    detail: str = ""
    remedy: str = ""
    where: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it for programs, credentials masked."""
        return {name: mask(text) for name, text in vars(self).items()}
