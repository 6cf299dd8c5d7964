"""Pages of registries (PEP 503 and 691) as the gate passes them on: JSON, every file's URL absolute.

Formats: https://packaging.python.org/en/latest/specifications/simple-repository-api/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from pyrunenv.errors import UsageError
from pyrunenv.lock.answers import root_file_name

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

JSON = "application/vnd.pypi.simple.v1+json"
_VERSION = "1"  # the major one (PEP 629): within it pages only gain keys
ACCEPT = f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


class UnknownVersionError(ValueError):
    """A page of another major version of the API, which may mean anything (PEP 629)."""


@dataclass(frozen=True)
class Page:
    """A project's page: the JSON to pass on; ``dated`` is False where no file has an upload time."""

    content: bytes
    dated: bool


def rewrite(
    content: bytes, content_type: str, url: str, project: str, *, before: datetime | None, place: Callable[[str], str]
) -> Page:
    """Read a page that ``url`` served. ``place`` maps each file's absolute URL to the one to pass on.

    With ``before`` files that were uploaded later, or at an unknown time, are left out; a page without any time is
    exempted. Raises ValueError for what is no page.
    """
    document = json.loads(content) if "json" in content_type else _from_html(content, url, project)
    if not isinstance(document, dict) or not isinstance(document.get("files"), list):
        raise ValueError("it is no page of a package index")
    version = str((document.get("meta") or {}).get("api-version", _VERSION))
    if version.partition(".")[0] != _VERSION:
        raise UnknownVersionError(f"its version of the simple API is {version}, and known is {_VERSION}")
    files: list[dict[str, Any]] = document["files"]
    dated = not files or any(file.get("upload-time") for file in files)
    if before is not None and dated:
        limit = before.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        files = [file for file in files if _uploaded_before(file, before, limit)]
    for file in files:
        found: str = file["url"]
        file["url"] = place(found if found.startswith("https://") else urljoin(url, found))
    return Page(json.dumps({**document, "files": files}).encode(), dated)


def moment(text: str) -> datetime:
    """Read ``--exclude-newer``: a date, which includes that day in UTC, or a time as in RFC 3339. Raises UsageError."""
    try:
        if len(text) == len("2025-01-31"):
            return datetime.combine(datetime.fromisoformat(text).date() + timedelta(days=1), time(), UTC)
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(
            f"`{text}` is no date", hint="give a day like 2025-01-31, or a time like 2025-01-31T12:00:00Z"
        ) from None
    return found.astimezone(UTC)


def _uploaded_before(file: Mapping[str, Any], before: datetime, limit: str) -> bool:
    """``limit`` is ``before`` in whole seconds: most times are told apart as text, which is ten times as fast."""
    text = file.get("upload-time")
    if not text:
        return False
    if text.endswith("Z") and len(text) > len(limit) and text[: len(limit)] != limit:
        return bool(text < limit)
    uploaded = datetime.fromisoformat(text)
    return (uploaded if uploaded.tzinfo else uploaded.replace(tzinfo=UTC)) < before


def _from_html(content: bytes, url: str, project: str) -> dict[str, Any]:
    from pypi_simple import ProjectPage, UnsupportedRepoVersionError

    try:
        page = ProjectPage.from_html(project, content, base_url=url)
    except UnsupportedRepoVersionError as error:
        raise ValueError(str(error)) from error
    return {"meta": {"api-version": "1.1"}, "name": project, "files": list(_files(page.packages))}


def _files(packages: Iterable[DistributionPackage]) -> Iterable[dict[str, Any]]:
    for package in packages:
        metadata = package.metadata_digests or bool(package.has_metadata)
        name = root_file_name(package.url)
        file: dict[str, Any] = {"filename": name, "url": package.url, "hashes": package.digests}
        file["requires-python"] = package.requires_python
        file["yanked"] = (package.yanked_reason or True) if package.is_yanked else False
        file["core-metadata"] = metadata
        yield {key: value for key, value in file.items() if value is not None}
