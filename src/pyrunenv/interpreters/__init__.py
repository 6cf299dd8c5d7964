"""Where a bundle's CPython comes from, and how it becomes a portable tree of one layout (``contract/backend.md``)."""

from pyrunenv.interpreters.choose import choose
from pyrunenv.interpreters.prepare import PreparedInterpreter, prepare

__all__ = ["PreparedInterpreter", "choose", "prepare"]
