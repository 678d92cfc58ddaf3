"""The root command: names its sub-commands and loads the one that is asked for."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command

from perfmodel import __version__
from perfmodel.cli.plain import PlainGroup

COMMANDS = {
    "estimate": "estimate",
    "ops": "ops",
    "sweep": "sweep",
    "compare": "compare",
    "explain": "explain",
    "plan": "plan",
    "simulate": "simulate",
    "fleet": "fleet",
    "tco": "tco",
    "require": "require",
    "sensitivity": "sensitivity",
    "run": "tables",
    "kernels": "tables",
    "validate": "validate",
    "choices": "choices",
    "reproduce": "reproduce",
    "calibrate": "calibrate",
    "measure": "measure",
    "model": "model",
    "device": "device",
    "usecase": "usecase",
    "network": "network_tools",
    "traffic": "traffic",
    "offload": "offload",
}
"""The sub-commands in the order of the help, each with the module of this package that has it."""

EPILOG = """
\b
Examples:
  perfmodel estimate llama-3.1-8b --on h100-sxm --batch 8
  perfmodel estimate resnet50 --on rtx-4090 --batch 128
  perfmodel sweep llama-3.1-70b --on h200-sxm --tp 1,2,4,8 --batch 1:256:x2
  perfmodel device list

\b
Exit codes: 0 answered, 1 a bug, 2 bad usage or bad input, 3 a plan that
cannot be (said why), 5 a validation outside its tolerance. Answers go to
standard output, notes, progress and errors to standard error.
"""


class Commands(PlainGroup):
    """A group that imports a sub-command when it is asked for: each start pays for one command, not for all."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # an unknown name loads them all, so that the error can name the nearest
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.commands[name] = _load(name)
        return self.commands.get(cmd_name)

    def invoke(self, ctx: Any) -> Any:
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_output()
            raise typer.Exit from None
        return found


def _forget_output() -> None:
    """Whoever read our output has gone, as ``head`` does: nothing failed, and nothing more can be said."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _load(name: str) -> Any:
    found: Any = get_command(import_module(f"perfmodel.cli.{COMMANDS[name]}").app)
    return found.commands[name] if COMMANDS[name] == "tables" else found


def _version(asked: bool) -> None:
    if asked:
        print(f"perfmodel {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """How fast and how big a neural network is on a machine, by closed-form models."""


@cache
def command() -> Any:
    """Return the command that runs everything."""
    app = typer.Typer(
        cls=Commands, callback=_root, epilog=EPILOG, no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    return get_command(app)
