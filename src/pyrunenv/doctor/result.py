"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pyrunenv.secrets import mask

Status = Literal["ok", "absent", "warning", "error"]


@dataclass(frozen=True)
class Result:
    """``absent`` is an optional thing that nothing here needs; an ``error`` is what a build would fail of."""

    subject: str
    status: Status
    what: str
    detail: str = ""
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it for programs, credentials masked."""
        return {name: mask(text) for name, text in vars(self).items()}
