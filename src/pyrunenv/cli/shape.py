"""The shape of ``--help``: plain lines that fit a screen of 80 columns, arguments as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup


class Command(TyperCommand):
    """Shows an argument as its metavar says: ``[ENV]...``, and neither braces around it nor a Python type behind it."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [name for name, _ in self._arguments(ctx)]
        return [str(self.options_metavar), *arguments]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        records = [p.get_help_record(ctx) for p in self.get_params(ctx) if not isinstance(p, TyperArgument)]
        for title, rows in (("Arguments", self._arguments(ctx)), ("Options", [row for row in records if row])):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def _arguments(self, ctx: Any) -> list[tuple[str, str]]:
        found = [p for p in self.get_params(ctx) if isinstance(p, TyperArgument)]
        return [(p.metavar or str(p.name).upper(), p.help or "") for p in found]


class Group(TyperGroup):
    """Shows one option of shell completion, the one that people want."""

    def get_params(self, ctx: Any) -> list[Any]:
        found = super().get_params(ctx)
        for param in found:
            if param.name == "show_completion":
                setattr(param, "hidden", True)  # noqa: B010 - not all kinds of parameters have it
        return found


class App(typer.Typer):
    """A group of commands of this shape; each has a summary for the group's list, and an example."""

    def __init__(self, **given: Any) -> None:
        super().__init__(
            cls=Group, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False, **given
        )

    def add(self, name: str, summary: str, example: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
        """Add a function as a command; ``example`` is what stands behind ``pyrunenv``."""
        return self.command(name, cls=Command, short_help=summary, epilog=f"Example: pyrunenv {example}")
