"""From a command line, a plan file and ``perfmodel.toml`` to the parameters of a command, in that order of weight."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Annotated, Any

import typer

from perfmodel.cli.config import ConfigFile, config_files, defaults_for, read_config
from perfmodel.cli.output import note
from perfmodel.errors import PerfmodelError
from perfmodel.specs.locate import USER_FOLDERS

WATCH, FILES = "perfmodel.watch", "perfmodel.files"
"""Where a context keeps the words to run again, and the files that its parameters came from."""


@cache
def extra_options() -> Mapping[str, Any]:
    """Return the options that commands share without their functions knowing, by name."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def _(
        plan_file: Annotated[
            str,
            typer.Option(
                "--plan",
                metavar="FILE",
                expose_value=False,
                help="Options from a YAML or TOML file: tp, ep, engine, ..",
            ),
        ] = "",
        watch: Annotated[
            bool, typer.Option("--watch", expose_value=False, help="Answer again when a file changes; Ctrl-C ends it.")
        ] = False,
        no_config: Annotated[
            bool, typer.Option("--no-config", expose_value=False, hidden=True, help="Read no perfmodel.toml.")
        ] = False,
    ) -> None: ...

    found: Any = typer.main.get_command(app)
    return {parameter.name: parameter for parameter in found.params}


def parsed(command: Any, context: Any, words: list[str], parse: Callable[[Any, list[str]], list[str]]) -> list[str]:
    """Parse the words of a command over what its plan file and the files of defaults set."""
    if context.resilient_parsing or {"--help", "-h"} & set(words):
        return parse(context, words)
    again = [word for word in words if word != "--watch"]  # before parsing takes words away
    asked: dict[str, Any] = command.make_parser(context).parse_args(list(words))[0]
    path = tuple(context.command_path.split()[1:])
    root = context.find_root()
    files: list[str] = []
    found: dict[str, Any] = {}
    if not (asked.get("no_config") or root.params.get("no_config") or root.meta.get("no_config")):
        for file in map(read_config, config_files()):
            files.append(str(file.path))
            found |= _taken(context, file, path, command, asked)
    planned: dict[str, Any] = {}
    if plan := asked.get("plan_file"):
        from perfmodel.cli.plan_file import plan_options

        planned = plan_options(plan, command, " ".join(path))
        files.append(plan)
    context.default_map = found | planned
    rest = parse(context, words)
    _count_as_said(context, planned)
    _drop_other_engine(context)
    context.meta[FILES] = files
    if asked.get("watch"):
        context.meta[WATCH] = again
    return rest


def _taken(
    context: Any, file: ConfigFile, path: tuple[str, ...], command: Any, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a file sets and the command line does not, add its folders of specs, and say so."""
    found = {name: value for name, value in defaults_for(file, path, command).items() if asked.get(name) is None}
    options = {parameter.name: parameter.opts[0] for parameter in command.params}
    said = [f"{options[name]} {_shown(value)}".strip() for name, value in found.items()]
    if file.folders:
        context.with_resource(with_folders(file.folders))
        said.append(f"specs of {', '.join(file.folders)}")
    if said:
        note(f"{_place(file)} sets {', '.join(said)} (--no-config leaves it out)")
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "" if value else "off"
    return " ".join(value) if isinstance(value, list) else str(value)


def _place(file: ConfigFile) -> str:
    return os.path.relpath(file.path) if file.path.name == "perfmodel.toml" else str(file.path)


@contextmanager
def with_folders(folders: Sequence[str] | None = None) -> Iterator[None]:
    """Search further folders of specs, after those of the environment; without any those of the files of defaults."""
    if folders is None:
        with suppress(PerfmodelError):  # completion says nothing of a file with faults
            folders = [folder for path in config_files() for folder in read_config(path).folders]
    before = os.environ.get(USER_FOLDERS)
    os.environ[USER_FOLDERS] = os.pathsep.join(filter(None, (before, *(folders or ()))))
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(USER_FOLDERS, None)
        else:
            os.environ[USER_FOLDERS] = before


def _count_as_said(context: Any, planned: Mapping[str, Any]) -> None:
    """Make what a plan file sets count as said: an option that the model's kind does not have is then refused."""
    sources: dict[str, Any] = {name: context.get_parameter_source(name) for name in planned}
    for name, source in sources.items():
        if source is not None and source.name == "DEFAULT_MAP":
            context.set_parameter_source(name, source.__class__["COMMANDLINE"])


def _drop_other_engine(context: Any) -> None:
    """Leave out a default engine that runs the other kind of models: vllm is no default for a CNN."""
    source = context.get_parameter_source("engine")
    model = context.params.get("model")
    if source is None or source.name != "DEFAULT_MAP" or not isinstance(model, str) or not context.params["engine"]:
        return
    from perfmodel.workloads.kinds import NETWORK, kind_of

    try:
        network = kind_of(model) == NETWORK
    except PerfmodelError:
        return  # the command says what is wrong with the name
    from perfmodel.serving.scenario import ENGINES

    if network == (context.params["engine"] in ENGINES):
        note(f"the default engine {context.params['engine']} does not run {model}: left out")
        context.params["engine"] = ""
