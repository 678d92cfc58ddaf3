"""Typer without what makes it slow to start: no rich help, and no pydantic for words and flags."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


def without_pydantic(parameters: Iterable[Any]) -> None:
    """Make parameters take their values as they are written: our own checks turn words into numbers.

    Typer would import pydantic to validate that a string is one, which takes longer than the answer.
    """
    for parameter in parameters:
        parameter.process_value = partial(_process, parameter)


def _process(parameter: Any, ctx: Any, value: Any) -> Any:
    if value is None and (parameter.multiple or parameter.nargs == -1):
        value = ()
    if parameter.required and parameter.value_is_missing(value):
        shown = parameter.metavar or parameter.name
        named = f"option '{parameter.opts[0]}'" if parameter.opts[0].startswith("-") else f"argument '{shown}'"
        raise typer.BadParameter(f"missing {named}", ctx=ctx)
    return value if parameter.callback is None else parameter.callback(ctx, parameter, value)


class PlainCommand(TyperCommand):
    """A command whose parameters are all words, lists of words and flags."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        without_pydantic(self.params)
        return super().parse_args(ctx, args)


class PlainGroup(TyperGroup):
    """A group of such commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        without_pydantic(self.params)
        return super().parse_args(ctx, args)


def new_app(help_text: str | None = None) -> typer.Typer:
    """Return an empty Typer application with our settings; with a help text it is a group by noun."""
    return typer.Typer(
        cls=PlainGroup, help=help_text, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )  # fmt: skip


def examples(*lines: str) -> str:
    """Return an epilog that shows example command lines."""
    shown = "\n".join(f"  perfmodel {line}" for line in lines)
    return f"\b\nExample{'s' if len(lines) > 1 else ''}:\n{shown}"
