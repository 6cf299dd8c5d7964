"""The failure of one attempt to download; :mod:`pyrunenv.fetch.reasons` finds its words."""

from __future__ import annotations

from pyrunenv.secrets import mask


class Problem(Exception):
    """An attempt failed. ``again`` tells whether another may succeed, ``after`` how many seconds the server asks."""

    def __init__(self, reason: str, *, again: bool, after: float | None = None, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = mask(reason)
        self.again = again
        self.after = after
        self.hint = hint
