"""The roots of one target: what its configuration asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from pyrunenv.config.merge import root_name
from pyrunenv.platforms import Platform, marker_environment

if TYPE_CHECKING:
    from pyrunenv.config.schema import TargetConfig


@dataclass(frozen=True)
class Root:
    """One requirement of the config; ``position`` tells two equal ones apart."""

    position: int
    requirement: str
    name: str
    asked: str = ""
    """What the resolver is asked for in its place."""

    @property
    def question(self) -> str:
        return self.asked or self.requirement


def wanted_roots(config: TargetConfig, platform: Platform, python_version: str) -> list[Root]:
    """Return the roots that the target's markers let in, without the skipped ones, in the config's order."""
    environment = marker_environment(platform, python_version)
    roots = []
    for position, requirement in enumerate(config.dependencies):
        name = root_name(requirement) or requirement
        if name in config.skip:
            continue
        try:
            marker = Requirement(requirement).marker
        except InvalidRequirement:
            marker = None  # a bare git URL, which cannot carry one
        if marker is None or marker.evaluate({**environment, "extra": ""}):
            roots.append(Root(position, requirement, name))
    return roots
