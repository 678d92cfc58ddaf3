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
    """A command whose parameters are all words, lists of words and flags; it takes defaults from ``perfmodel.toml``."""

    extras: tuple[str, ...] = ("no_config",)
    """The options of :mod:`perfmodel.cli.settings` that it has beside its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from perfmodel.cli.settings import extra_options

        super().__init__(*args, **kwargs)
        self.params += [extra_options()[name] for name in self.extras]

    def get_params(self, ctx: Any) -> list[Any]:
        return without_pydantic(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        from perfmodel.cli.settings import parsed

        return parsed(self, ctx, list(args), super().parse_args)

    def invoke(self, ctx: Any) -> Any:
        from perfmodel.cli.invocation import invocation_of, invoked

        if (watched := ctx.meta.get("perfmodel.watch")) is not None:
            from perfmodel.cli.watch import watch

            return watch(ctx, watched)
        with invoked(invocation_of(ctx)):
            return super().invoke(ctx)


class WatchedCommand(PlainCommand):
    """A command that can answer again whenever a file that it reads changes."""

    extras = ("watch", "no_config")


class PlannedCommand(PlainCommand):
    """A command that also takes a plan from a file."""

    extras = ("plan_file", "watch", "no_config")


class PlainGroup(TyperGroup):
    """A group of such commands."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sub-commands with the whole first sentence of each."""
        rows = [(name, _sentence(self.get_command(ctx, name))) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def get_params(self, ctx: Any) -> list[Any]:
        return without_pydantic(super().get_params(ctx))


def _sentence(command: Any) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split()).partition(". ")[0].rstrip(".") + "."


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
