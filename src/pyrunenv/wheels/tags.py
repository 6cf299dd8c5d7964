"""The wheel tags that fit a target (PEP 425), from the target's data alone."""

from __future__ import annotations

from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags

from pyrunenv.platforms import Platform, wheel_platform_tags


@cache
def supported_tags(platform: Platform, python_version: str, glibc: str, macos: str) -> tuple[Tag, ...]:
    """Return the tags that a CPython of ``python_version`` on ``platform`` takes, the most specific first."""
    major, minor = (int(part) for part in python_version.split(".")[:2])
    interpreter = f"cp{major}{minor}"
    platforms = tuple(wheel_platform_tags(platform, glibc=glibc, macos=macos))
    native = cpython_tags((major, minor), [interpreter], platforms)
    return (*native, *compatible_tags((major, minor), interpreter, platforms))
