"""Roots added to a config file, and taken out, with all the rest of its text as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyrunenv.config.document import Document
from pyrunenv.config.fields import did_you_mean
from pyrunenv.config.problems import KeyPath, show_path
from pyrunenv.config.requirements import Root, meaning, parse_root
from pyrunenv.errors import UsageError

_GLOBAL: KeyPath = ("packages", "dependencies")
_BY_NAME = ("overrides", "skip", "forceSource", "buildWheel")


@dataclass
class Edit:
    """A config file under change. ``inherited`` are the roots of the shared file, which hold while it has no list."""

    document: Document
    inherited: Sequence[str] = ()
    said: list[str] = field(default_factory=list)
    """What was done, in sentences."""
    _added: set[tuple[KeyPath, str]] = field(default_factory=set)

    def add(self, requirement: str, platforms: Sequence[str] = (), *, beside: bool = False) -> None:
        """Add a root, or move the one of its name to what is asked now; ``platforms`` empty means all of them.

        ``beside`` keeps other roots of the name, and so do those that were added by this same change. Raises UsageError
        where several have the name, and none is meant, and where it is skipped on a platform that it is added for.
        """
        root = _parsed(requirement)
        self._refuse_skipped(root, platforms)
        for path in _lists(platforms):
            self._own_list(path)
            here = [(index, text) for index, text in self._roots(path) if _name(text) == root.name and root.name]
            before = [(index, text) for index, text in here if (path, text) not in self._added]
            self._added.add((path, root.text))
            if any(meaning(text) == meaning(root.text) for _, text in here):
                self.said.append(f"`{root.text}` is in {show_path(path)} already")
            elif not before or beside:
                self.document = self.document.append(path, root.text)
                self.said.append(f"added `{root.text}` to {show_path(path)}")
            elif len(before) > 1:
                raise UsageError(
                    f"{show_path(path)} has {len(before)} roots named `{root.name}`, and which one is meant cannot be told",
                    notes=[f"`{text}`" for _, text in before],
                    hint="remove the one to replace first, or keep all of them with `--beside`",
                )
            else:
                index, text = before[0]
                self.document = self.document.set((*path, index), root.text)
                self.said.append(f"`{root.text}` replaces `{text}` in {show_path(path)}")
        self._tell_entries(root.name, ("overrides", "skip"))

    def remove(self, requirement: str, platforms: Sequence[str] = ()) -> None:
        """Take out every root of a name, or the one requirement that is written out; raises UsageError for none."""
        root = _parsed(requirement)
        bare = root.name is not None and root.text.strip() == root.written_name
        gone = 0
        if not platforms:
            self._own_list(_GLOBAL, only_if=root.name)
        for path in _lists(platforms) if platforms else self._all_lists():
            for index, text in reversed(list(self._roots(path))):
                if (_name(text) == root.name) if bare else (meaning(text) == meaning(root.text)):
                    self.document = self.document.remove((*path, index))
                    self.said.append(f"removed `{text}` from {show_path(path)}")
                    gone += 1
        if not gone:
            raise self._not_there(root, platforms)
        if not any(_name(text) == root.name for path in self._all_lists() for _, text in self._roots(path)):
            self._tell_entries(root.name, _BY_NAME)

    def pin(self, name: str, version: str) -> None:
        """Write the version behind a root that has none."""
        for path in self._all_lists():
            for index, text in self._roots(path):
                root = parse_root(text)
                if root.name == name and not root.specifier and not root.url:
                    extras = f"[{','.join(root.extras)}]" if root.extras else ""
                    marker = f"; {root.marker}" if root.marker else ""
                    self.document = self.document.set((*path, index), f"{root.written_name}{extras}=={version}{marker}")
                    self.said.append(f"pinned `{name}` to {version}, which all platforms have")

    def _refuse_skipped(self, root: Root, platforms: Sequence[str]) -> None:
        for written, entry in (self._at(("packages", "skip")) or {}).items():
            kept = [key for key in platforms if isinstance(entry, dict) and key in entry]
            if kept and root.name is not None and _name(written) == root.name:
                raise UsageError(
                    f"`{root.name}` is skipped on {', '.join(kept)}, and would stay out of it",
                    notes=[f"{show_path(('packages', 'skip', written, key))}: {entry[key]}" for key in kept],
                    hint="take that entry out of config.json first",
                )

    def _own_list(self, path: KeyPath, only_if: str | None = None) -> None:
        """Give the file a list of its own, with the shared roots, before it is changed."""
        if path != _GLOBAL or self._at(path) is not None or not self.inherited:
            return
        if only_if is None or any(_name(text) == only_if for text in self.inherited):
            self.document = self.document.set(path, list(self.inherited))
            count = len(self.inherited)
            self.said.append(f"the file had no {show_path(path)}: it starts with the {count} of shared-config.json")

    def _roots(self, path: KeyPath) -> Iterator[tuple[int, str]]:
        found = self._at(path)
        for index, text in enumerate(found if isinstance(found, list) else ()):
            if text.strip():
                yield index, text

    def _all_lists(self) -> list[KeyPath]:
        parts = self._at(("packages", "platformSpecific")) or {}
        return [_GLOBAL, *(("packages", "platformSpecific", key, "dependencies") for key in parts)]

    def _at(self, path: KeyPath) -> Any:
        here = self.document.value
        for step in path:
            here = here.get(step) if isinstance(here, dict) else None
        return here

    def _tell_entries(self, name: str | None, keys: Sequence[str]) -> None:
        """Entries that change what a root means, or that mean nothing without it."""
        for key in keys:
            for written in self._at(("packages", key)) or {}:
                if name is not None and _name(written) == name:
                    self.said.append(f"note: {show_path(('packages', key, written))} is about it too")

    def _not_there(self, root: Root, platforms: Sequence[str]) -> UsageError:
        known = {name for path in self._all_lists() for _, text in self._roots(path) if (name := _name(text))}
        where = f" for {', '.join(platforms)} alone" if platforms else ""
        hint = None
        if root.name in known and platforms:
            entry = ", ".join(f'"{platform}": "why not"' for platform in platforms)
            hint = f'it is a root of all platforms; to leave it out there: "skip": {{"{root.name}": {{{entry}}}}}'
        elif root.name not in known:
            close = did_you_mean(root.name or "", sorted(known))
            hint = close.removeprefix(", ") if close.startswith(", did") else None
        return UsageError(f"no root is `{root.text}`{where}", hint=hint)


def _lists(platforms: Sequence[str]) -> list[KeyPath]:
    if not platforms:
        return [_GLOBAL]
    return [("packages", "platformSpecific", platform, "dependencies") for platform in platforms]


def _parsed(requirement: str) -> Root:
    try:
        return parse_root(requirement)
    except ValueError as error:
        raise UsageError(str(error), hint="write it as in a requirements file: `numpy==2.2.6`") from None


def _name(text: str) -> str | None:
    try:
        return parse_root(text).name
    except ValueError:
        return None
