"""What the resolver answers, as values, and how they are read out of what uv writes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

if TYPE_CHECKING:
    from packaging.tags import Tag

    from pyrunenv.errors import PyrunenvError
    from pyrunenv.lock.shelf import Candidate, Shelf

NO_SOLUTION = "No solution found when resolving dependencies"
_CAUSE = re.compile(r"^\s*(?:cause:|╰─▶|├─▶|×)\s*")
_NEEDS_WHEEL = re.compile(r"Wheels are required for `([^`]+)`")
_NO_WHEEL = re.compile(r"[Bb]ecause (?:only )?([A-Za-z0-9][A-Za-z0-9._-]*?)(?:[=<>!~]=?\S*)? has no (?:usable )?wheels")
_YANKED = re.compile(r"^warning: `([^`=]+)==\S+` is yanked(?: \(reason: \"(.*)\"\))?$", re.MULTILINE)


@dataclass(frozen=True)
class ResolvedPackage:
    """One package of one resolution; ``sha256`` and ``size`` are None where the index tells none."""

    name: str
    version: str
    url: str
    filename: str
    size: int | None
    sha256: str | None
    upload_time: str | None
    direct: bool = False
    candidate: Candidate | None = None
    """What it is built from, where it is no wheel yet."""


@dataclass(frozen=True)
class Resolution:
    """What a list of requirements resolves to, by normalised name; ``yanked`` names have their reason there."""

    packages: Mapping[str, ResolvedPackage]
    yanked: Mapping[str, str] = field(default_factory=dict)
    shelf: Shelf | None = field(default=None, repr=False, compare=False)
    """What could be built from source when this was answered."""

    @property
    def versions(self) -> dict[str, str]:
        return {name: package.version for name, package in self.packages.items()}


@dataclass(frozen=True)
class Refusal:
    """Why a list of requirements has no solution, in the resolver's words; or the failure to tell what ``culprit`` needs."""

    reason: str
    culprit: str = ""
    failure: PyrunenvError | None = field(default=None, compare=False)

    @property
    def without_wheel(self) -> tuple[str, ...]:
        """Names that the resolver would have to build, as it tells them."""
        found = [*_NEEDS_WHEEL.findall(self.reason), *_NO_WHEEL.findall(self.reason)]
        return tuple(dict.fromkeys(canonicalize_name(name) for name in found))

    def names(self, name: str) -> bool:
        """Whether the reason mentions a package."""
        return re.search(rf"(?<![A-Za-z0-9._-]){re.escape(name)}(?![A-Za-z0-9_-])", self.sentence) is not None

    @property
    def sentence(self) -> str:
        """The reason without its hints, on one line."""
        return " ".join(line.strip() for line in self.reason.split("\n\nhint:")[0].splitlines())


@dataclass(frozen=True)
class Edges:
    """For each package of a resolution: the registry that served it, and the packages that asked for it."""

    index: Mapping[str, str]
    needed_by: Mapping[str, tuple[str, ...]]


def read_package(entry: Mapping[str, Any], ranks: Mapping[Tag, int]) -> ResolvedPackage:
    """Read one entry of uv's pylock, which lists every wheel that fits, by name; the most specific is taken."""
    file = entry["archive"] if "archive" in entry else most_specific(entry["wheels"], ranks)
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


def most_specific(wheels: Sequence[Mapping[str, Any]], ranks: Mapping[Tag, int]) -> Mapping[str, Any]:
    """Return the wheel that pip would take: the best tag, then the highest build tag (PEP 427)."""

    def order(wheel: Mapping[str, Any]) -> tuple[int, tuple[int, str]]:
        try:
            _, _, build, tags = parse_wheel_filename(wheel.get("name") or root_file_name(wheel["url"]))
        except (InvalidWheelFilename, KeyError):
            return -len(ranks) - 1, (0, "")
        return -min(ranks.get(tag, len(ranks)) for tag in tags), build or (-1, "")

    return max(wheels, key=order)


def read_yanked(text: str) -> dict[str, str]:
    """Read uv's warnings about yanked versions: name → the index's reason."""
    return {canonicalize_name(name): reason for name, reason in _YANKED.findall(text)}


def read_reason(text: str) -> str:
    """Take uv's explanation out of its output: the cause and the hints, without the frame around them."""
    lines = [_CAUSE.sub("", line).rstrip() for line in text.splitlines() if not line.startswith("warning:")]
    kept = [line.strip() if line.strip() else "" for line in lines if NO_SOLUTION not in line]
    return "\n".join(kept).strip()


def read_failure(text: str) -> list[str]:
    """Read why uv failed for another reason than the requirements: one line a cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("warning:")]
    return [_CAUSE.sub("", line).removeprefix("error: ") for line in lines]


def preferred(preferences: Mapping[str, str]) -> str:
    """Write a lock that holds versions alone: uv keeps what its output file names, where that fits."""
    entries = "".join(f'\n[[packages]]\nname = "{n}"\nversion = "{v}"\n' for n, v in preferences.items())
    return f'lock-version = "1.0"\ncreated-by = "pyrunenv"\n{entries}'


def read_edges(text: str) -> Edges:
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


def root_file_name(url: str) -> str:
    """Return the file name at the end of a URL, decoded and without a fragment."""
    return unquote(urlsplit(url).path.rpartition("/")[2])
