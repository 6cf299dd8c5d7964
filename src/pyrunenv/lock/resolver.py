"""Drives ``uv pip compile`` for one target: its markers, tags, Python and floors, never the host's.

One question is one run that writes a PEP 751 file, which holds URL, size and digest of the one wheel that fits; what that
file lacks (which registry served a package, what needs it) comes from a second, offline run in the annotated
requirements format. No run executes anybody's code: sdists are never built here.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pyrunenv import process
from pyrunenv.config.schema import Registries
from pyrunenv.errors import ProcessFailed, ResolverFailed
from pyrunenv.lock.model import Floors
from pyrunenv.platforms import Platform

_NO_SOLUTION = "No solution found when resolving dependencies"
_NOT_A_WHEEL = re.compile(
    r"Building source distributions .* is disabled|building from source is disabled", re.IGNORECASE
)
_CAUSE = re.compile(r"^\s*(?:cause:|╰─▶|├─▶|×)\s*")
_NEEDS_WHEEL = re.compile(r"Wheels are required for `([^`]+)`")
_NO_WHEEL = re.compile(r"[Bb]ecause (?:only )?([A-Za-z0-9][A-Za-z0-9._-]*?)(?:[=<>!~]=?\S*)? has no (?:usable )?wheels")
_FILE_KEYS = ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_HTTP_RETRIES")

# Several resolvers start at once, and name servers drop bursts; glibc would wait five seconds before it asks again.
_QUICK_NAMES = "timeout:1 attempts:5"

# The glibc versions that uv has a target for; any other floor is rounded down, which can only leave wheels out.
_UV_GLIBC = (17, 28, *range(31, 41))


@dataclass(frozen=True)
class ResolvedPackage:
    """One package of one resolution; ``hashes`` is empty where the index names none."""

    name: str
    version: str
    url: str
    filename: str
    size: int | None
    sha256: str | None
    upload_time: str | None
    direct: bool = False


@dataclass(frozen=True)
class Resolution:
    """What a list of requirements resolves to, by normalised name."""

    packages: Mapping[str, ResolvedPackage]

    @property
    def versions(self) -> dict[str, str]:
        return {name: package.version for name, package in self.packages.items()}


@dataclass(frozen=True)
class Refusal:
    """Why a list of requirements has no solution, in the resolver's words."""

    reason: str

    @property
    def without_wheel(self) -> tuple[str, ...]:
        """Names that the resolver would have to build, as it tells them."""
        found = [*_NEEDS_WHEEL.findall(self.reason), *_NO_WHEEL.findall(self.reason)]
        return tuple(dict.fromkeys(canonicalize_name(name) for name in found))

    @property
    def sentence(self) -> str:
        """The reason without its hints, on one line."""
        return " ".join(line.strip() for line in self.reason.split("\n\nhint:")[0].splitlines())


@dataclass(frozen=True)
class Edges:
    """For each package of a resolution: the registry that served it, and the packages that asked for it."""

    index: Mapping[str, str]
    needed_by: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Resolver:
    """Answers questions for one target. ``unavailable`` are names that must not be part of any answer."""

    platform: Platform
    python_version: str
    floors: Floors
    registries: Registries
    cache: Path
    unavailable: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """Further words for uv: what to upgrade, what to leave out by date."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Credentials of registries, as the variables that uv reads."""

    def resolve(
        self, requirements: Sequence[str], preferences: Mapping[str, str] | None = None, *, no_deps: bool = False
    ) -> Resolution | Refusal:
        """Resolve together; ``preferences`` (name → version) are kept where they fit.

        Raises ResolverFailed where there is no answer: a registry that is down, a file that cannot be read.
        """
        with tempfile.TemporaryDirectory(prefix="pyrunenv-") as folder:
            output = Path(folder, "pylock.toml")
            if preferences:
                output.write_text(_preferred(preferences), encoding="utf-8")
            words = ["--format", "pylock.toml", "--output-file", str(output), *(["--no-deps"] if no_deps else [])]
            done = self._compile(Path(folder), requirements, words)
            if done.status:
                return self._refusal(done)
            document = tomllib.loads(output.read_text(encoding="utf-8"))
        return Resolution({p.name: p for p in (_package(entry) for entry in document.get("packages", ()))})

    def edges(self, requirements: Sequence[str], resolution: Resolution) -> Edges:
        """Tell for an earlier answer who needs whom and which registry served what; works without the network."""
        with tempfile.TemporaryDirectory(prefix="pyrunenv-") as folder:
            output = Path(folder, "requirements.txt")
            pins = "".join(f"{name}=={version}\n" for name, version in resolution.versions.items())
            output.write_text(pins, encoding="utf-8")
            words = ["--emit-index-annotation", "--annotation-style", "split", "--output-file", str(output)]
            for attempt in (["--offline"], []):
                done = self._compile(Path(folder), requirements, [*words, *attempt])
                if not done.status:
                    return _parse_edges(output.read_text(encoding="utf-8"))
        raise ResolverFailed("the resolver did not repeat its answer", notes=done.stderr.splitlines()[-10:])

    def _compile(self, folder: Path, requirements: Sequence[str], words: Sequence[str]) -> process.Completed:
        source = folder / "roots.in"
        source.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        constraints = folder / "unavailable.in"
        constraints.write_text("".join(f"{name}<0\n" for name in self.unavailable), encoding="utf-8")
        command = [
            uv_program(), "pip", "compile", str(source), "--constraints", str(constraints), *words, *self._words,
        ]  # fmt: skip
        return process.run(command, env=self._variables, cwd=folder, check=False)

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return (
            "--python", sys.executable, "--python-version", self.python_version,
            "--python-platform", uv_platform(self.platform, self.floors),
            "--only-binary", ":all:", "--no-config", "--no-header", "--quiet", "--no-progress", "--color", "never",
            *_index_words(self.registries), *self.options,
        )  # fmt: skip

    @cached_property
    def _variables(self) -> dict[str, str]:
        """The host's environment without what would steer the resolver behind the configuration's back."""
        inherited = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_")) or name in _FILE_KEYS
        }  # fmt: skip
        return {
            "UV_HTTP_RETRIES": "3", "RES_OPTIONS": _QUICK_NAMES, **inherited, "UV_CACHE_DIR": str(self.cache), "UV_PYTHON_DOWNLOADS": "never",
            "MACOSX_DEPLOYMENT_TARGET": self.floors.macos, **self.environment,
        }  # fmt: skip

    def _refusal(self, done: process.Completed) -> Refusal:
        text = done.stderr.strip()
        if _NO_SOLUTION in text or _NOT_A_WHEEL.search(text):
            return Refusal(_reason(text))
        notes = [_CAUSE.sub("", line.strip()).removeprefix("error: ") for line in text.splitlines() if line.strip()]
        raise ResolverFailed(
            f"the resolver failed for {self.platform}", notes=notes[-12:],
            hint="check the registries in `registries` and the network, then run again",
        )  # fmt: skip


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


def root_file_name(url: str) -> str:
    """Return the file name at the end of a URL, decoded and without a fragment."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _index_words(registries: Registries) -> Iterable[str]:
    """Order the registries as uv ranks them: every ``--index`` before ``--default-index``, the first the highest."""
    from pyrunenv.fetch.credentials import named_registries

    *first, last = named_registries(registries)
    for name, url in first:
        yield from ("--index", f"{name}={url}")
    yield from ("--default-index", f"{last[0]}={last[1]}")
    strategy = "unsafe-best-match" if registries.strategy != "first-index" else "first-index"
    yield from ("--index-strategy", strategy)


def _preferred(preferences: Mapping[str, str]) -> str:
    """A lock that holds versions alone: uv keeps what its output file names, where that fits."""
    entries = "".join(f'\n[[packages]]\nname = "{n}"\nversion = "{v}"\n' for n, v in preferences.items())
    return f'lock-version = "1.0"\ncreated-by = "pyrunenv"\n{entries}'


def _package(entry: Mapping[str, Any]) -> ResolvedPackage:
    file = entry["archive"] if "archive" in entry else entry["wheels"][0]
    url = file.get("url") or Path(file["path"]).resolve().as_uri()
    uploaded = file.get("upload-time")
    return ResolvedPackage(
        name=canonicalize_name(entry["name"]),
        version=entry["version"],
        url=url,
        filename=file.get("name") or root_file_name(url),
        size=file.get("size"),
        sha256=file.get("hashes", {}).get("sha256"),
        upload_time=uploaded.isoformat().replace("+00:00", "Z") if uploaded else None,
        direct="archive" in entry,
    )


def _reason(text: str) -> str:
    """Take uv's explanation out of its output: the cause and the hints, without the frame around them."""
    lines = [_CAUSE.sub("", line).rstrip() for line in text.splitlines()]
    kept = [line.strip() if line.strip() else "" for line in lines if _NO_SOLUTION not in line]
    return "\n".join(kept).strip()


def _parse_edges(text: str) -> Edges:
    """Read uv's annotated requirements: ``name==version`` lines, each followed by ``# via`` and ``# from`` comments."""
    index: dict[str, str] = {}
    needed_by: dict[str, tuple[str, ...]] = {}
    name = ""
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            name = _requirement_name(line)
            needed_by[name] = ()
            continue
        comment = line.strip().removeprefix("#").strip()
        if comment.startswith("from "):
            index[name] = comment.removeprefix("from ").strip()
            continue
        source = comment.removeprefix("via").strip()
        if name and source and not source.startswith(("-r ", "-c ")):
            needed_by[name] = (*needed_by[name], canonicalize_name(source.split("[")[0].split(" ")[0]))
    return Edges(index, needed_by)


def _requirement_name(line: str) -> str:
    line = line.removesuffix("\\").strip()
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement:
        return canonicalize_name(re.split(r"[=@ \[]", line, maxsplit=1)[0])
