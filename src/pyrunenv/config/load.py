"""Reads one JSON file, or one config file with the requirements files it names. Faults are collected, not thrown."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pyrunenv.config.document import Place
from pyrunenv.config.problems import KeyPath, Problem, kind_of, translate
from pyrunenv.config.requirements import meaning
from pyrunenv.config.requirements_file import RequirementsFileError, read_requirements
from pyrunenv.config.schema import Config, ConsumerPart


class Unreadable(Exception):
    """A file that cannot be read or parsed; ``problem`` says which and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass
class Findings:
    """What was found wrong on the way. With ``lenient`` an unreadable file is a warning."""

    lenient: bool = False
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)
    """The JSON of each file that was read, for checks of what the schema makes even: spelling, repeats."""

    def unreadable(self, problem: Problem) -> None:
        """Note a file that is left out."""
        (self.warnings if self.lenient else self.problems).append(problem)


def read_json(path: Path, shown: str, findings: Findings, *, nulls: bool = False, content: bytes | None = None) -> Any:
    """Return a file's JSON (UTF-8, with or without a byte order mark); raises Unreadable.

    ``content`` is what the file would hold, and is read in its place.

    Keys that stand twice in one object, and null unless ``nulls``, are problems: the first would be dropped without a
    word, and the second could mean "absent" as well as "empty".
    """
    odd: list[tuple[dict[str, Any], str, str]] = []

    def make(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            odd.extend((made, key, "stands here twice") for key in made if keys.count(key) > 1)
        if not nulls and None in made.values():
            odd.extend((made, key, "is null, leave it out instead") for key, value in made.items() if value is None)
        return made

    document = findings.documents[shown] = _parse(path, shown, make, content)
    if odd:
        places = {id(value): (index, where) for index, (where, value) in enumerate(_objects(document, ()))}
        # the parser comes up from the innermost object; one that lost to a second of its key is in no place any more
        found = sorted((*places[id(owner)], key, what) for owner, key, what in odd if id(owner) in places)
        findings.problems.extend(Problem(shown, (*where, key), what) for _, where, key, what in found)
    return document


def _parse(path: Path, shown: str, make: Any, content: bytes | None) -> Any:
    def refuse(text: str) -> Any:
        raise ValueError(f"`{text}` is not JSON")

    try:
        text = (path.read_bytes() if content is None else content).decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=make, parse_constant=refuse)
        if "\\ud" in text.lower():
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except UnicodeEncodeError:
        message = "holds half of a surrogate pair (`\\ud…`), which is no character"
    except OSError as error:
        message = f"cannot be read: {(error.strerror or str(error)).lower()}"
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 (byte {error.start})"
    except json.JSONDecodeError as error:
        reason, place = _not_json(text, error)
        raise Unreadable(Problem(shown, (), reason, place)) from None
    except RecursionError:
        message = "is nested too deeply"
    except ValueError as error:
        message = str(error).partition(";")[0].lower()
    raise Unreadable(Problem(shown, (), message))


def _not_json(text: str, error: json.JSONDecodeError) -> tuple[str, Place]:
    """What is wrong in words, and where it was written, which is seldom where the parser stumbles."""
    before = text[: error.pos].rstrip()
    end = Place(before.count("\n") + 1, len(before) - before.rfind("\n") - 1)
    here = Place(error.lineno, error.colno)
    if not text.strip():
        return "is empty, expected an object", here
    if text[error.pos :].lstrip(", \t\r\n").startswith(("//", "/*", "#")):
        return "comments are not JSON", here
    if before.endswith(",") and text[error.pos : error.pos + 1] in ("]", "}", ""):
        return "there is a comma behind the last item", end
    if error.msg.startswith("Expecting ','"):
        return "a comma is missing behind this", end
    if error.msg.startswith("Invalid control character"):
        return "a text holds a tab or the end of a line: write `\\t` or `\\n`, or close the text", here
    return f"{error.msg[:1].lower()}{error.msg[1:]}", here


def _objects(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from _objects(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _objects(item, (*path, index))


def load_config(path: Path, shown: str, findings: Findings, content: bytes | None = None) -> Config:
    """Return one config file, its consumers' requirements files read; what is wrong goes to ``findings``.

    ``content`` is what the file would hold, and is read in its place.

    What is wrong is left out of the config, down to an empty one, so that the rest is looked at too.
    """
    try:
        document = read_json(path, shown, findings, content=content)
    except Unreadable as error:
        findings.unreadable(error.problem)
        return Config()
    if not isinstance(document, dict):
        findings.problems.append(Problem(shown, (), f"expected an object, got {kind_of(document)}"))
        return Config()
    findings.warnings.extend(_ignored(document, shown))
    known = {problem.path for problem in findings.problems if problem.file == shown}
    config: Config | None = None
    rest = document
    while config is None:
        try:
            config = Config.model_validate(rest, by_alias=True, by_name=False)
        except ValidationError as error:
            found = list(translate(error, Config, rest, shown))
            if rest is document:
                findings.problems.extend(problem for problem in found if problem.path not in known)
            rest = _without(rest, [problem.path for problem in found])
    return _with_requirements(config, path.parent, shown, findings)


def _without(document: Any, places: Iterable[KeyPath]) -> Any:
    """Return a document without what stands at some places; where nothing stands there, without what should hold it."""
    rest = copy.deepcopy(document)
    # the last items of a list first, so that the others keep their places until they are taken out
    for place in sorted({_standing(document, place) for place in places}, key=_order, reverse=True):
        if not place:
            return {}
        owner = rest
        for step in place[:-1]:
            owner = owner[step]
        del owner[place[-1]]
    return rest


def _standing(document: Any, place: KeyPath) -> KeyPath:
    """The place itself, or without its last step if nothing stands there."""
    owner = document
    for step in place[:-1]:
        owner = owner[step]
    return place[:-1] if isinstance(owner, dict) and place and place[-1] not in owner else place


def _order(path: KeyPath) -> list[tuple[str, int]]:
    return [("", step) if isinstance(step, int) else (step, 0) for step in path]


def _with_requirements(config: Config, folder: Path, shown: str, findings: Findings) -> Config:
    if not any(isinstance(part.requirements, str) for part in config.consumers.values()):
        return config
    consumers: dict[str, ConsumerPart] = {}
    for name, part in config.consumers.items():
        if not isinstance(part.requirements, str):
            consumers[name] = part
            continue
        try:
            # not resolved: a link to a file means the file it names, a link to a folder the folder's own neighbours
            found = read_requirements(Path(os.path.normpath(folder / part.requirements)))
            consumers[name] = part.model_copy(update={"requirements": found})
        except RequirementsFileError as error:
            problems = [Problem(shown, ("consumers", name), text) for text in error.problems]
            if error.unreadable:
                findings.unreadable(problems[0])
            else:
                findings.problems.extend(problems)
    return config.model_copy(update={"consumers": consumers})


def _ignored(document: dict[str, Any], shown: str) -> Iterator[Problem]:
    """Yield a warning for each blank or repeated entry of a list of roots, which the schema drops."""
    packages = document.get("packages")
    if not isinstance(packages, dict):
        return
    parts = packages.get("platformSpecific")
    lists: list[tuple[KeyPath, Any]] = [(("packages", "dependencies"), packages.get("dependencies"))]
    for key, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            lists.append((("packages", "platformSpecific", key, "dependencies"), part.get("dependencies")))
    for path, written in lists:
        seen: dict[Hashable, int] = {}
        for index, item in enumerate(written if isinstance(written, list) else ()):
            if not isinstance(item, str):
                continue
            if not item.strip():
                yield Problem(shown, (*path, index), "is blank, ignored")
                continue
            try:
                first = seen.setdefault(meaning(item), index)
            except ValueError:
                continue
            if first != index:
                other = written[first].strip()
                again = "stands here twice" if other == item.strip() else f"says the same as `{other}`, ignored"
                yield Problem(shown, (*path, index), f"`{item.strip()}` {again}")
