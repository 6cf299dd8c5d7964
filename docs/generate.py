"""Writes the pages of docs/reference/ and docs/config.schema.json from the program itself.

python docs/generate.py            # writes what changed
python docs/generate.py --check    # writes nothing; exit status 1 where a page is not fresh
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from pyrunenv import errors
from pyrunenv.cli import application
from pyrunenv.config.json_schema import config_schema
from pyrunenv.platforms import PLATFORMS

DOCS = Path(__file__).parent


def pages() -> dict[Path, str]:
    """Return every generated file with its text."""
    schema = config_schema()
    return {
        DOCS / "config.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        DOCS / "reference" / "configuration.md": "\n".join(_configuration(schema)) + "\n",
        DOCS / "reference" / "commands.md": "\n".join(_commands()) + "\n",
    }


def _configuration(schema: dict[str, Any]) -> Iterator[str]:
    yield "# Configuration reference"
    yield ""
    yield "Every key of `shared-config.json` and `config.json`, made from [the JSON Schema](../config.schema.json) that"
    yield "`pyrunenv config schema` prints. How the two files are merged, and examples: [Configuration](../configuration.md)."
    yield ""
    yield f"`<platform>` is one of {', '.join(f'`{key}`' for key in PLATFORMS)}; `<name>` a package's or a consumer's name."
    section = None
    for path, table in _keys(schema, schema, ""):
        top = path.partition(".")[0]
        if top != section:
            section = top
            yield ""
            yield f"## `{top}`"
            yield ""
            yield "| key | type | default | meaning |"
            yield "|---|---|---|---|"
        default = f"`{json.dumps(table['default'])}`" if "default" in table else ""
        yield f"| `{path}` | {_type(schema, table)} | {default} | {table['description'].replace('|', chr(92) + '|')} |"


def _keys(schema: dict[str, Any], table: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (key path, its table) of all keys, through maps, lists and alternatives."""
    table = _resolved(schema, table)
    for alternative in table.get("anyOf", ()):
        yield from _keys(schema, alternative, path)
    for key, value in table.get("properties", {}).items():
        here = f"{path}.{key}" if path else key
        yield here, value
        yield from _keys(schema, value, here)
    maps = [table["additionalProperties"]] if isinstance(table.get("additionalProperties"), dict) else []
    for value in (*maps, *table.get("patternProperties", {}).values()):
        word = "<platform>" if "propertyNames" in table else "<name>"
        yield from _keys(schema, value, f"{path}.{word}")
    if "items" in table:
        yield from _keys(schema, table["items"], f"{path}[]")


def _resolved(schema: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in table:
        return table
    found: dict[str, Any] = schema["$defs"][table["$ref"].rpartition("/")[2]]
    return found


def _type(schema: dict[str, Any], table: dict[str, Any]) -> str:
    table = _resolved(schema, table)
    if "enum" in table:
        return "platform" if table["enum"] == list(PLATFORMS) else ", ".join(f"`{value}`" for value in table["enum"])
    alternatives = table.get("anyOf", table.get("oneOf"))
    if alternatives:
        return " or ".join(dict.fromkeys(_type(schema, alternative) for alternative in alternatives))
    if table["type"] == "array":
        return f"list of {_type(schema, table['items'])}"
    if table["type"] == "object" and "properties" not in table:
        inner = [*table.get("patternProperties", {}).values()]
        inner += [table["additionalProperties"]] if isinstance(table.get("additionalProperties"), dict) else []
        return f"map of {_type(schema, inner[0])}"
    return {"string": "text", "boolean": "true or false", "number": "number", "object": "object"}[table["type"]]


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "What `--help` says, for all commands. `ENV` is a full version (`3.12.10-atls`), a folder, an npm name, or a glob of"
    yield "one; without it: the environment around the current folder, else all. Exit statuses are at the end."
    command = typer.main.get_command(application())
    yield from _command(command, "pyrunenv")
    yield ""
    yield "## Exit statuses"
    yield ""
    yield "| status | meaning |"
    yield "|---|---|"
    yield "| 0 | done |"
    by_status: dict[int, list[str]] = {}
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.PyrunenvError):
            by_status.setdefault(kind.exit_status, []).append(f"`{kind.code}`")
    for status, codes in sorted(by_status.items()):
        found = ", or a check found something" if status == 1 else ""
        yield f"| {status} | {', '.join(sorted(set(codes)))}{found} |"
    yield "| 70 | a defect of pyrunenv |"
    yield "| 130 | interrupted |"
    yield ""
    yield "Failures are shown as `error[code]: …`, with the codes of the table. `build` goes on with its other targets after a failure,"
    yield "lists all failures at the end, and then exits with 1, whatever their codes."


def _command(command: Any, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    if inner is None:
        usage = " ".join([name, *(["[OPTIONS]"] if options else []), *(a.metavar or a.name.upper() for a in arguments)])
        yield ""
        yield f"## {name}"
        yield ""
        yield str(command.help).strip()
        yield ""
        yield f"    {usage}"
        if command.epilog:
            yield ""
            yield f"{command.epilog.replace('Example: ', 'Example: `')}`"
    if options and (inner is None or name == "pyrunenv"):
        yield ""
        yield "| option | meaning |"
        yield "|---|---|"
        for option in options:
            words = ", ".join(f"`{word}`" for word in (*option.opts, *option.secondary_opts))
            metavar = "" if option.is_flag or option.count else f" {option.metavar or option.name.upper()}"
            yield f"| {words}{f' `{metavar.strip()}`' if metavar else ''} | {(option.help or '').replace('|', chr(92) + '|')} |"
    for key, value in (inner or {}).items():
        yield from _command(value, f"{name} {key}")


def main() -> int:
    stale = []
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if "--check" not in sys.argv:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(DOCS.parent)} {'is not fresh' if '--check' in sys.argv else 'written'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
