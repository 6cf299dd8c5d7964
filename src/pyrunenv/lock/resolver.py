"""Drives ``uv pip compile`` for one target: its markers, tags, Python and floors, never the host's.

One question is one run that writes a PEP 751 file, which holds URL, size and digest of the one wheel that fits; what that
file lacks (which registry served a package, what needs it) comes from a second, offline run in the annotated
requirements format. No run executes anybody's code: sdists are never built here.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv import process
from pyrunenv.config.schema import Registries
from pyrunenv.errors import ProcessFailed, ResolverFailed
from pyrunenv.fetch.cache import MAKE_ROOM
from pyrunenv.lock.answers import (
    NO_SOLUTION,
    Edges,
    Refusal,
    Resolution,
    preferred,
    read_edges,
    read_failure,
    read_package,
    read_reason,
    read_yanked,
    root_file_name,
)
from pyrunenv.lock.model import Floors
from pyrunenv.platforms import Platform
from pyrunenv.secrets import strip_credentials
from pyrunenv.wheels.tags import supported_tags

if TYPE_CHECKING:
    from packaging.tags import Tag

    from pyrunenv.lock.gate import Gate, Passage, Silence
    from pyrunenv.lock.shelf import Shelf

__all__ = ["Edges", "Refusal", "Resolution", "Resolver", "root_file_name", "uv_platform", "uv_program"]

_NOT_A_WHEEL = re.compile(
    r"Building source distributions .* is disabled|building from source is disabled", re.IGNORECASE
)
_REFUSED = re.compile(r"replied 40[137]\b")
_UNANSWERED = re.compile(r"Failed to fetch: `?(https?://[^\s`]+)`?")
_LOGIN = "give its login in UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, in its URL, or in netrc"
_REACH = "check its address in `registries`, the network and the proxy, then run again"
# ENOSPC and EDQUOT, as Rust prints them
_FULL = re.compile(r"\(os error (?:28|122)\)")
_LOCKED_OUT = re.compile(r"An index (?:URL )?\((\S+)\) (?:could not be queried|returned a 40[13])[^\n]*")
_FILE_KEYS = ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_HTTP_RETRIES")

# Several resolvers start at once, and name servers drop bursts; glibc would wait five seconds before it asks again.
_QUICK_NAMES = "timeout:1 attempts:5"

# Seconds that the resolver waits for the metadata of what is built from source: a backend may have to be run for it.
_PATIENCE = "1800"

# Held by the one run that goes ahead where the resolver's cache is new.
_ahead = threading.Lock()

# The glibc versions that uv has a target for; any other floor is rounded down, which can only leave wheels out.
_UV_GLIBC = (17, 28, *range(31, 41))


@dataclass(frozen=True)
class Resolver:
    """Answers questions for one target. ``unavailable`` are names that must not be part of any answer."""

    platform: Platform
    python_version: str
    floors: Floors
    registries: Registries
    cache: Path
    unavailable: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Credentials of registries, as the variables that uv reads."""
    passage: Passage | None = None
    """The registries behind the gate, where uv alone could not follow the rules."""
    shelf: Shelf | None = None
    """What may be built from source for an answer."""
    gate: Gate | None = None

    def resolve(
        self, requirements: Sequence[str], preferences: Mapping[str, str] | None = None, *, no_deps: bool = False
    ) -> Resolution | Refusal:
        """Resolve together; ``preferences`` (name → version) are kept where they fit.

        Raises ResolverFailed where there is no answer: a registry that is down, a file that cannot be read.
        """
        with self._scratch() as folder:
            output = folder / "pylock.toml"
            if preferences:
                output.write_text(preferred(preferences), encoding="utf-8")
            words = ["--format", "pylock.toml", "--output-file", str(output), *(["--no-deps"] if no_deps else [])]
            done = self._compile(folder, requirements, words)
            if done.status:
                refusal = self._refusal(done)
                stuck = set(refusal.without_wheel) & (preferences or {}).keys()
                if not stuck:
                    return refusal
                # uv prefers a version even in a registry that has no wheel of it, where another one has.
                remaining = {name: version for name, version in (preferences or {}).items() if name not in stuck}
                return self.resolve(requirements, remaining, no_deps=no_deps)
            document = tomllib.loads(self._real(output.read_text(encoding="utf-8")))
        packages = [read_package(entry, self._ranks) for entry in document.get("packages", ())]
        if self.gate:
            packages = [replace(p, candidate=self.gate.candidate(p.url)) for p in packages]
        return Resolution({p.name: p for p in packages}, read_yanked(done.stderr), self.shelf)

    def edges(self, requirements: Sequence[str], resolution: Resolution, *, no_deps: bool = False) -> Edges:
        """Tell for an earlier answer who needs whom and which registry served what; works without the network."""
        if resolution.shelf is not self.shelf:
            return replace(self, shelf=resolution.shelf).edges(requirements, resolution, no_deps=no_deps)
        # As constraints, not as preferences: uv prefers a version even in a registry that has no wheel of it.
        pins = [f"{name}==={p.version}" for name, p in resolution.packages.items() if not p.direct]
        with self._scratch() as folder:
            output = folder / "requirements.txt"
            words = ["--emit-index-annotation", "--annotation-style", "split", "--output-file", str(output)]
            words += ["--no-deps"] if no_deps else []
            for attempt in (["--offline"], []):
                done = self._compile(folder, requirements, [*words, *attempt], pins)
                if not done.status:
                    return read_edges(self._real(output.read_text(encoding="utf-8")))
        raise ResolverFailed("the resolver did not repeat its answer", notes=done.stderr.splitlines()[-10:])

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """Give a folder in the cache, where what a killed process leaves is found and removed."""
        from pyrunenv.fetch.cache import Cache

        cache = Cache(self.cache.parent)
        with cache.temporary() as folder:
            with cache.guarded("write", folder):
                folder.mkdir()
            yield folder

    def _compile(
        self, folder: Path, requirements: Sequence[str], words: Sequence[str], pins: Sequence[str] = ()
    ) -> process.Completed:
        source = folder / "roots.in"
        source.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        constraints = folder / "constraints.in"
        lines = [*(f"{name}<0" for name in self.unavailable), *pins]
        constraints.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        command = [
            uv_program(), "pip", "compile", str(source), "--constraints", str(constraints), *words, *self._words,
        ]  # fmt: skip
        done = self._run(command, folder)
        return replace(done, stderr=self._real(done.stderr))

    def _run(self, command: Sequence[str], folder: Path) -> process.Completed:
        """Run uv. Where its cache is new one run goes ahead, so that not each asks for the same pages, and about Python.

        Never one with a shelf: what it asks of that may take further runs, which must not wait for it.
        """
        run = partial(process.run, command, env=self._variables, cwd=folder, check=False)
        with _ahead:
            if self.shelf is None and not self.cache.exists():
                return run()
        return run()

    def _real(self, text: str) -> str:
        """Name registries by their own addresses, not by those of the gate."""
        return self.passage.real(text) if self.passage else text

    @cached_property
    def _ranks(self) -> Mapping[Tag, int]:
        floors = self.floors
        tags = supported_tags(self.platform, self.python_version, floors.glibc, floors.macos)
        return {tag: rank for rank, tag in enumerate(tags)}

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return (
            "--python", sys.executable, "--python-version", self.python_version,
            "--python-platform", uv_platform(self.platform, self.floors),
            "--only-binary", ":all:", "--no-config", "--no-header", "--no-progress", "--color", "never",
            *_index_words(self.registries, self.passage, self.shelf),
        )  # fmt: skip

    @cached_property
    def _variables(self) -> dict[str, str]:
        """The host's environment without what would steer the resolver behind the configuration's back."""
        inherited = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_")) or name in _FILE_KEYS
        }  # fmt: skip
        variables = {
            "UV_HTTP_RETRIES": "3", "RES_OPTIONS": _QUICK_NAMES, **inherited, "UV_CACHE_DIR": str(self.cache), "UV_PYTHON_DOWNLOADS": "never",
            "MACOSX_DEPLOYMENT_TARGET": self.floors.macos, **self.environment,
        }  # fmt: skip
        if self.shelf:
            variables["UV_HTTP_TIMEOUT"] = _PATIENCE
        return self.gate.variables(variables) if self.gate and (self.passage or self.gate.shelves) else variables

    def _refusal(self, done: process.Completed) -> Refusal:
        text = done.stderr.strip()
        locked_out = _LOCKED_OUT.search(text)
        for filename, failure in self.shelf.failures.items() if self.shelf else ():
            if filename in text:
                return Refusal(failure.message, filename.split("-")[0].replace("_", "-"), failure)
        if (NO_SOLUTION in text or _NOT_A_WHEEL.search(text)) and not locked_out:
            return Refusal(read_reason(text))
        if self.passage and (silent := self.passage.silent()):
            raise unanswered(silent)
        if locked_out:
            raise ResolverFailed(f"the registry {locked_out[1]} refuses to answer", notes=[locked_out[0]], hint=_LOGIN)
        if found := _UNANSWERED.search(text):
            raise ResolverFailed(
                f"the registry {_registry_of(found[1], self.registries)} does not answer",
                notes=read_failure(text)[-6:], hint=_REACH,
            )  # fmt: skip
        full = _FULL.search(text)
        raise ResolverFailed(
            f"the resolver failed for {self.platform}" + (": no space is left on the disk" if full else ""),
            notes=read_failure(text)[-12:],
            hint=MAKE_ROOM if full else "check the registries in `registries` and the network, then run again",
        )


def unanswered(silent: Sequence[Silence]) -> ResolverFailed:
    """The failure of a run that needed registries which do not answer, or do not let us in."""
    names = " and ".join(s.registry for s in silent)
    one = len(silent) == 1
    refused = all(_REFUSED.search(s.reason) for s in silent)
    does = f"refuse{'s' if one else ''} to let us in" if refused else f"do{'es' if one else ''} not answer"
    times = [f" ({s.attempts} times)" if s.attempts > 1 else "" for s in silent]
    return ResolverFailed(
        f"the registr{'y' if one else 'ies'} {names} {does}",
        notes=[f"asked for {s.url}{count}: {s.reason}" for s, count in zip(silent, times, strict=True)],
        hint=next((s.hint for s in silent if s.hint), _REACH),
    )


def _registry_of(url: str, registries: Registries) -> str:
    """The registry that a page belongs to, else the page's own address."""
    every = [strip_credentials(u) for u in (registries.default, *(r.url for r in registries.additional))]
    return next((known for known in every if url.startswith(known.rstrip("/"))), url)


def uv_program() -> str:
    """Return the path of the uv that is installed with this program."""
    from uv import find_uv_bin

    try:
        return os.fspath(find_uv_bin())
    except FileNotFoundError as error:
        raise ProcessFailed("uv is not installed beside pyrunenv", hint="install pyrunenv again, with pip") from error


def uv_platform(platform: Platform, floors: Floors) -> str:
    """Return uv's name of a target; its macOS floor travels in MACOSX_DEPLOYMENT_TARGET."""
    if platform.system != "linux":
        return platform.triple
    minor = int(floors.glibc.split(".")[1])
    fitting = [known for known in _UV_GLIBC if known <= minor]
    if not fitting:
        raise ResolverFailed(
            f"the glibc floor {floors.glibc} is older than any that the resolver knows",
            hint="set floors.glibc to 2.17 or later",
        )
    return f"{platform.machine}-manylinux_2_{fitting[-1]}"


def _index_words(registries: Registries, passage: Passage | None, shelf: Shelf | None) -> Iterable[str]:
    """Order the registries as uv ranks them: every ``--index`` before ``--default-index``, the first the highest."""
    from pyrunenv.fetch.credentials import named_registries
    from pyrunenv.lock.shelf import NAME

    *first, last = passage.indexes if passage else named_registries(registries)
    several = bool(first)
    if shelf:
        first.insert(0, (NAME, shelf.index))
    for name, url in first:
        yield from ("--index", f"{name}={url}")
    yield from ("--default-index", f"{last[0]}={last[1]}")
    # Where there is no choice, uv says more of a registry that refuses under its own default.
    strategy = "unsafe-best-match" if first and (registries.strategy == "best-match" or not several) else "first-index"
    yield from ("--index-strategy", strategy)
