"""The next version, as semver.org has it; prereleases included."""

from __future__ import annotations

from dataclasses import dataclass

import semver

from pyrunenv.bump.reasons import Part
from pyrunenv.errors import ConfigError


@dataclass(frozen=True)
class Step:
    """From a published version to the next. ``pending``: the files had a higher one already, which nobody published."""

    before: str
    after: str
    pending: str | None = None


def parsed(version: str, where: str) -> semver.Version:
    """Return a version to compare; raises ConfigError for one that npm would take and semver does not know."""
    try:
        return semver.Version.parse(version)
    except ValueError:
        raise ConfigError(
            f"the version `{version}` of {where} cannot be raised", hint="give it the form of https://semver.org: 1.0.0"
        ) from None


def step(published: str, present: str, part: Part, where: str) -> Step:
    """Return the step from the published version by a part.

    A present version that is as high or higher stays, be it only a prerelease of it; one below the published is a
    ConfigError.
    """
    was, now = parsed(published, where), parsed(present, where)
    if now < was:
        raise ConfigError(
            f"{where} has the version {present}, and {published} was published already",
            hint=f"set it to {published} again; what is published keeps its version",
        )
    # what follows `+` does not count, and npm takes no second version that differs in it alone
    wanted = was.replace(build=None).next_version(part.name)
    pending = present if now > was else None
    if pending and now.finalize_version() >= wanted:
        return Step(published, present, pending)
    return Step(published, str(wanted), pending)
