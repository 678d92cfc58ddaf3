"""Typer without what makes it slow to start: no rich help, and no pydantic for words and flags."""

from __future__ import annotations

from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


def without_pydantic(parameters: list[Any]) -> list[Any]:
    """Return the parameters, made to take their values as they are written: our own checks turn words into numbers.

    Typer would import pydantic to validate that a string is one, which takes longer than the answer.
    """
    for parameter in parameters:
        parameter.process_value = partial(_process, parameter)
    return parameters


def _process(parameter: Any, ctx: Any, value: Any) -> Any:
    if value is None and (parameter.multiple or parameter.nargs == -1):
        value = ()
    if parameter.required and parameter.value_is_missing(value):
        return type(parameter).process_value(parameter, ctx, value)  # which raises the usual error
    return value if parameter.callback is None else parameter.callback(ctx, parameter, value)


class PlainCommand(TyperCommand):
    """A command whose parameters are all words, lists of words and flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_pydantic(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of such commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_pydantic(super().get_params(ctx))


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
