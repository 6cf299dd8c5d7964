"""How environments are named: full versions, folders, and the npm names that go with them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyrunenv.config.workspace import HIGHEST_MINOR, LOWEST_MINOR, PREFIX
from pyrunenv.errors import UsageError

if TYPE_CHECKING:
    from pyrunenv.config.package import CataloguePackage
    from pyrunenv.config.workspace import Environment

EXAMPLE = "3.13.0-sc"

_NEW = re.compile(r"3\.(0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[a-z0-9]+(?:[._-][a-z0-9]+)*)?", re.ASCII)


def check_new(full_version: str) -> str:
    """Return the Python version of a new environment's full version; raises UsageError.

    Stricter than what is read: it becomes a folder on file systems that ignore case, a file, and a new npm name, in
    which the registry takes no capitals.
    """
    bare = full_version.removeprefix(PREFIX)
    if match := _NEW.fullmatch(full_version):
        if LOWEST_MINOR <= int(match[1]) <= HIGHEST_MINOR:
            return full_version.partition("-")[0]
        raise UsageError(
            f"Python 3.{match[1]} cannot be built",
            hint=f"take a version from 3.{LOWEST_MINOR} to 3.{HIGHEST_MINOR}, as `{EXAMPLE}`",
        )
    notes = [f"expected X.Y.Z or X.Y.Z-name, the name in small letters, digits, `.`, `_` and `-`, as `{EXAMPLE}`"]
    close = next((word for word in (bare, bare.lower(), bare.lower().replace("+", "-")) if _NEW.fullmatch(word)), None)
    hint = f"did you mean `{close}`?" if close else f"for example: pyrunenv new {EXAMPLE}"
    raise UsageError(f"`{full_version}` is not the full version of a new environment", notes=notes, hint=hint)


def prefix_of(environment: Environment) -> str | None:
    """What stands before the full version in an environment's npm name; None where it does not end in it."""
    name, full = environment.package.name, environment.full_version
    return name.removesuffix(full) if name.endswith(f"-{full}") else None


def common_prefix(environments: Iterable[Environment]) -> str | None:
    """The prefix that most environments' npm names have, of equals the first; None where none has one."""
    found = Counter(prefix for e in environments if (prefix := prefix_of(e)) is not None)
    return found.most_common(1)[0][0] if found else None


def assumed_prefix(catalogue: CataloguePackage | None) -> str:
    """A prefix where no environment tells it: from the catalogue's name, which ends in ``-python-3`` or has a scope."""
    if catalogue is None:
        return "runenv-python-"
    stem = re.sub(r"-\d+(\.\d+)*$", "", catalogue.name)
    if stem.endswith("python"):
        return f"{stem}-"
    scope, slash, _ = catalogue.name.rpartition("/")
    return f"{scope}{slash}runenv-python-"
