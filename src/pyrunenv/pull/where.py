"""What ``--from`` may name: an archive, a storage or web address, a catalogue's npm package; without it, the workspace's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunenv.errors import UsageError
from pyrunenv.pull.resolve import Asked, check_signed, choose
from pyrunenv.pull.single import Told, choose_archive
from pyrunenv.pull.sources import Source, Web, open_source

if TYPE_CHECKING:
    from pyrunenv.fetch.cache import Cache
    from pyrunenv.fetch.download import Fetcher
    from pyrunenv.publish.signing import TrustedKey
    from pyrunenv.pull.resolve import Chosen

FROM = "PYRUNENV_FROM"
_NPM = re.compile(r"(@[^@/\s:]+/[^@/\s:]+|[a-z0-9][\w.-]*)(?:@([\w.+-]+))?")
"""A package, perhaps with a version or a tag."""


@dataclass(frozen=True)
class Finder:
    """Finds archives from a folder, which may be in a workspace; ``key`` must have signed them, where there is one."""

    cache: Cache
    fetcher: Fetcher
    folder: Path
    key: TrustedKey | None = None

    def find(self, asked: Asked, platform: str, given: str | None) -> Told:
        """Return the archive that is asked for, and whether anything vouches for it.

        Raises UsageError, PullError, NpmError, StorageError or Untrusted.
        """
        if given and not Path(given).exists() and (package := _NPM.fullmatch(given)):
            told = Told(self._npm(asked, platform, Asked(package[1], package[2])), vouched=True)
        else:
            place, catalogue = self._place(given)
            base, _, name = place.rpartition("/")
            if not name.endswith((".tgz", ".zip")):
                return Told(choose(asked, platform, self._source(place), catalogue, self.key), vouched=True)
            told = choose_archive(asked, platform, Web(base, self.fetcher), name, _local(place))
        if self.key is not None:
            check_signed(told.chosen, self.key)
        return told

    def _source(self, url: str) -> Source:
        return open_source(url, self.cache, self.fetcher)

    def _npm(self, asked: Asked, platform: str, catalogue: Asked) -> Chosen:
        from pyrunenv.npm.npmrc import Npmrc
        from pyrunenv.npm.registry import Registry
        from pyrunenv.pull.npm import Npm

        npmrc = Npmrc.read(self.folder)
        npm = Npm(lambda name: Registry(npmrc.registry(name, {}), npmrc), self._source)
        return npm.choose(asked, platform, catalogue)

    def _place(self, given: str | None) -> tuple[str, str | None]:
        """Return a URL and the npm name of a catalogue, as far as they are known; raises UsageError without a URL."""
        if given is None:
            return _of_workspace(self.folder)
        url, _, catalogue = given.partition("#")
        if "://" in url:
            return url, catalogue or None
        if Path(url).exists():
            return Path(url).absolute().as_uri(), catalogue or None
        raise UsageError(
            f"`{given}` is neither a URL, nor a file or folder that is there, nor the name of an npm package",
            hint="--from names where to look",
        )


def _of_workspace(folder: Path) -> tuple[str, str | None]:
    """Where the environments of the workspace around are downloaded from, and its catalogue."""
    from pyrunenv.config.workspace import find_root, load_workspace

    hint = f"say where to look with --from, or set {FROM}"
    try:
        root = find_root(folder)
    except UsageError:
        raise UsageError("no catalogue is named, and there is no workspace here", hint=hint) from None
    workspace = load_workspace(root)
    registries = {environment.package.registry for environment in workspace.environments}
    urls = {registry.download_url or registry.storage() for registry in registries}
    url = next(iter(urls), None)
    if len(urls) != 1 or url is None or workspace.catalogue_package is None:
        raise UsageError("the workspace does not tell where its environments are downloaded from", hint=hint)
    return url, workspace.catalogue_package.name


def _local(url: str) -> Path | None:
    from pyrunenv.fetch.urls import file_path

    return file_path(url) if url.startswith("file:") else None
