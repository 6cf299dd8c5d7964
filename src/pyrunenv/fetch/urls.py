"""What URLs of files tell."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyrunenv.secrets import mask


def file_path(url: str) -> Path:
    """Return the path that a file URL names."""
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))


def file_name(url: str) -> str:
    """Return the file name at the end of a URL, decoded; the URL's host where it has none."""
    parts = urlsplit(url)
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname or mask(url)
