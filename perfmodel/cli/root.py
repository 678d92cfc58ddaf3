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
    "explore": "explore",
    "plan": "plan",
    "simulate": "simulate",
    "workflow": "workflow",
    "cascade": "cascade",
    "fleet": "fleet",
    "tco": "tco",
    "require": "require",
    "sensitivity": "sensitivity",
    "design": "design",
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
    "gallery": "gallery",
    "rerun": "rerun",
}
"""The sub-commands in the order of the help, each with the module of this package that has it."""

GROUPS: dict[str, dict[str, str]] = {
    "Ask": {
        "estimate": "latency, throughput, memory, energy and cost on a device",
        "ops": "the operators of one step: counts, times, what bounds each",
        "explain": "the formula behind a metric",
        "sweep": "every combination of loads, plans and numbers of a device",
        "compare": "models, devices or plans side by side, and why they differ",
        "explore": "one page with sliders that recompute",
        "offload": "weights, experts or cache that lie in host memory or on flash",
    },
    "Decide": {
        "plan": "the best way to deploy a language model on a number of devices",
        "simulate": "requests one by one: percentiles, goodput, whether it keeps up",
        "workflow": "retrieval, agents, best of n: several calls and tools a run",
        "cascade": "a small model before a large one, and when that pays",
        "fleet": "the cheapest mix of devices for requests of many sizes",
        "tco": "what a million tokens cost whoever owns the machines",
        "require": "what a platform must have for a model to keep its limits",
        "sensitivity": "which numbers of machine and load matter most",
        "design": "which chip to build",
    },
    "Measure": {
        "validate": "the model against measured or published figures",
        "choices": "how good the model's choices are, on measured runs",
        "reproduce": "published results derived again",
        "measure": "time kernels on this machine, and calibrate on them",
        "calibrate": "fit a device's coefficients on your own measurements",
    },
    "Libraries": {
        "model": "list, show, import and check models",
        "device": "list, show, compare, check and invent devices",
        "usecase": "list and show kinds of service: lengths and limits",
        "network": "CNNs, vision transformers, ...: memory, cuts, exits, bits",
        "traffic": "DRAM traffic of products, convolutions and attention by buffer",
    },
    "Tables and reports": {
        "run": "answer a CSV table of scenarios",
        "kernels": "time a CSV table of single kernels",
        "rerun": "an old report's command again: numbers then and now",
        "gallery": "build the example reports",
    },
}
"""The sub-commands by purpose, each with what it tells; the help shows them so, without importing any."""

EPILOG = """
\b
Examples:
  perfmodel estimate llama-3.1-8b --on h100-sxm --batch 8
  perfmodel plan llama-3.1-70b --on h100-sxm --gpus 16 --rate 4 --tpot 40ms
  perfmodel compare resnet50 --on rtx-4090,l40s --batch 64

\b
`perfmodel COMMAND --help` has the options and more examples; `perfmodel model
list` and `perfmodel device list` the names. Defaults: perfmodel.toml.

\b
Exit codes: 0 answered, 1 a bug, 2 bad usage or bad input, 3 a plan that
cannot be (said why), 5 a validation outside its tolerance, 130 interrupted.
Answers go to standard output, notes, progress and errors to standard error.
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

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sub-commands by purpose; one that has no purpose yet stands under the last heading."""
        named = [name for group in GROUPS.values() for name in group]
        others = {name: _short(self.get_command(ctx, name)) for name in COMMANDS if name not in named}
        width = max(map(len, COMMANDS))
        for title, group in (*GROUPS.items(), ("Others", others)):
            rows = [(name.ljust(width), text) for name, text in group.items() if name in COMMANDS]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

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


def _short(command: Any) -> str:
    return command.get_short_help_str(58).rstrip(".")


def _version(asked: bool) -> None:
    if asked:
        from perfmodel.specs.used import data_hash

        digest, count = data_hash()
        print(f"perfmodel {__version__}, data {digest} ({count} files)")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version and the hash of the data."),
    ] = False,
    no_config: Annotated[bool, typer.Option("--no-config", help="Leave out the defaults of perfmodel.toml.")] = False,
) -> None:
    """How fast, how big, how much energy, how much money: a neural network on a machine, by closed-form models."""


@cache
def command() -> Any:
    """Return the command that runs everything."""
    app = typer.Typer(
        cls=Commands, callback=_root, epilog=EPILOG, no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    return get_command(app)
