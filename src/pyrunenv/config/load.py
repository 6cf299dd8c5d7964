"""Reads one JSON file, or one config file with the requirements files it names. Faults are collected, not thrown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pyrunenv.config.problems import KeyPath, Problem, kind_of, translate
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

    def unreadable(self, problem: Problem) -> None:
        """Note a file that is left out."""
        (self.warnings if self.lenient else self.problems).append(problem)


def read_json(path: Path, shown: str, findings: Findings, *, nulls: bool = False) -> Any:
    """Return a file's JSON (UTF-8, with or without a byte order mark); raises Unreadable.

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

    document = _parse(path, shown, make)
    if odd:
        places = {id(value): (index, where) for index, (where, value) in enumerate(_objects(document, ()))}
        # the parser comes up from the innermost object; one that lost to a second of its key is in no place any more
        found = sorted((*places[id(owner)], key, what) for owner, key, what in odd if id(owner) in places)
        findings.problems.extend(Problem(shown, (*where, key), what) for _, where, key, what in found)
    return document


def _parse(path: Path, shown: str, make: Any) -> Any:
    def refuse(text: str) -> Any:
        raise ValueError(f"`{text}` is not JSON")

    try:
        text = path.read_bytes().decode("utf-8-sig")
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
        comment = text[error.pos :].lstrip(", \t\r\n").startswith(("//", "/*", "#"))
        reason = "comments are not JSON" if comment else f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise Unreadable(Problem(f"{shown}:{error.lineno}:{error.colno}", (), reason)) from None
    except RecursionError:
        message = "is nested too deeply"
    except ValueError as error:
        message = str(error).partition(";")[0].lower()
    raise Unreadable(Problem(shown, (), message))


def _objects(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from _objects(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _objects(item, (*path, index))


def load_config(path: Path, shown: str, findings: Findings) -> Config:
    """Return one config file, its consumers' requirements files read; what is wrong goes to ``findings``.

    Where nothing can be made of the file, an empty config stands in, so that the rest is looked at too.
    """
    try:
        document = read_json(path, shown, findings)
    except Unreadable as error:
        findings.unreadable(error.problem)
        return Config()
    if not isinstance(document, dict):
        findings.problems.append(Problem(shown, (), f"expected an object, got {kind_of(document)}"))
        return Config()
    try:
        config = Config.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        known = {problem.path for problem in findings.problems if problem.file == shown}
        found = translate(error, Config, document, shown)
        findings.problems.extend(problem for problem in found if problem.path not in known)
        return Config()
    findings.warnings.extend(_ignored(document, config, shown))
    return _with_requirements(config, path.parent, shown, findings)


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


def _ignored(document: dict[str, Any], config: Config, shown: str) -> Iterator[Problem]:
    """Yield a warning for each blank or repeated entry of a list of roots, which the schema has dropped."""
    packages = config.packages
    lists: list[tuple[tuple[str, ...], tuple[str, ...] | None]] = [
        (("packages", "dependencies"), packages.dependencies)
    ]
    for key, part in packages.platform_specific.items():
        lists.append((("packages", "platformSpecific", key, "dependencies"), part.dependencies))
    for path, kept in lists:
        if kept is None:
            continue
        written: Any = document
        for step in path:
            written = written[step]
        if len(kept) == len(written):
            continue
        seen: set[str] = set()
        for index, item in enumerate(map(str.strip, written)):
            if not item or item in seen:
                yield Problem(shown, (*path, index), f"`{item}` stands here twice" if item else "is blank, ignored")
            seen.add(item)
