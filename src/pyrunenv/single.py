"""One wheel, alone: a requirement, built from source for a target as a bundle of it would get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pyrunenv.config.merge import root_name

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.lock.run import Target
    from pyrunenv.wheels.workshop import BuiltWheel


def build_one(requirement: str, target: Target, cache: Cache, fetcher: Fetcher) -> BuiltWheel:
    """Choose a version as locking would, had it no wheel, and build it; the target's config says how.

    Raises LockError, BuildFailed, SourceError, InterpreterError or FetchError.
    """
    from pyrunenv.lock.gate import Gate
    from pyrunenv.lock.run import LockRun

    name = canonicalize_name(root_name(requirement) or "")
    config = target.config
    policy = config.resolution
    # Asked for by a person, whatever the policy of the environment: built, and not left out.
    forced = policy.model_copy(update={
        "force_no_binary_list": (*policy.force_no_binary_list, *([name] if name else [])),
        "only_binary_list": tuple(other for other in policy.only_binary_list if other != name),
    })  # fmt: skip
    skip = {other: reason for other, reason in config.skip.items() if other != name}
    with Gate() as gate:
        locker = LockRun(cache, fetcher).locker(
            target, config.model_copy(update={"resolution": forced, "skip": skip}), gate
        )
        candidate = locker.choose_source(requirement)
        sources = locker.sources
        return sources.workshop.build(sources.order(candidate), sources.plan(candidate), sources.headers())
