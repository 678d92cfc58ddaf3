"""The command line that is being answered: what an output says about where it comes from, so as to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from perfmodel import __version__

OUTPUTS = ("json", "csv", "html", "xlsx", "markdown", "parquet", "dask")
"""Parameters that say where an answer goes, not what is asked: they are no part of a stored command."""

MOST_FILES, MOST_NUMBERS = 40, 120
_ASIDE = ("inputs", "spec_hashes", "operators", "notes", "seconds", "device", "front", "points", "fields", "symbols")
"""Parts of an answer that are no headline."""


@dataclass(frozen=True)
class Invocation:
    """One command line: the words that ask the same again, defaults of files spelt out, and its parameters."""

    words: tuple[str, ...] = ()
    inputs: Mapping[str, Any] | None = None

    @property
    def command(self) -> str:
        """The command line as a shell takes it."""
        return shlex.join(("perfmodel", *self.words))


_current: ContextVar[Invocation | None] = ContextVar("perfmodel_invocation", default=None)


@contextmanager
def invoked(invocation: Invocation) -> Iterator[None]:
    """Make an invocation the one that outputs name."""
    token = _current.set(invocation)
    try:
        yield
    finally:
        _current.reset(token)


def invocation_of(context: Any) -> Invocation:
    """Return the invocation of a parsed command: its positional words, then the options that were set."""
    path = tuple(context.command_path.split()[1:])
    positional: list[str] = []
    options: list[str] = []
    for parameter in context.command.params:
        value, source = context.params.get(parameter.name), context.get_parameter_source(parameter.name)
        if parameter.name in OUTPUTS or not parameter.expose_value or source is None or source.name == "DEFAULT":
            continue
        if parameter.param_type_name == "argument":
            positional += [value] if isinstance(value, str) else list(value or ())
        else:
            options += _spelt(parameter, value)
    inputs = {name: value for name, value in context.params.items() if value not in ("", None, (), False)}
    kept = {name: value for name, value in inputs.items() if name not in OUTPUTS}
    return Invocation((*path, *positional, *options), kept)


def _spelt(parameter: Any, value: Any) -> list[str]:
    """Return an option with its value as words."""
    name = parameter.opts[0]
    if isinstance(value, bool):
        return [name] if value else list(parameter.secondary_opts[:1])
    if isinstance(value, (list, tuple)):
        return [word for one in value for word in (name, str(one))]
    # a value such as -1 would be taken for an option of its own
    return [f"{name}={value}"] if str(value).startswith("-") and value != "-" else [name, str(value)]


def stamped(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report with ``version``, ``command``, ``inputs`` and ``spec_hashes``, those that it lacks.

    Outside a command, which has no command line to name, it stays as it is.
    """
    current = _current.get()
    if current is None:
        return dict(report)
    said: dict[str, Any] = {"version": __version__}
    if current.words:
        said["command"] = current.command
    if current.inputs is not None:
        said["inputs"] = dict(current.inputs)
    own = report.get("spec_hashes") or {}
    others = {name: digest for name, digest in spec_hashes().items() if digest not in own.values()}
    if own or others:
        said["spec_hashes"] = {**own, **others}
    return {**report, **{name: value for name, value in said.items() if name not in report or name == "spec_hashes"}}


def spec_hashes() -> dict[str, str]:
    """Return the hashes of the spec files that were read, or one over all where they are many."""
    from perfmodel.specs.used import used_files

    found = used_files()
    if len(found) <= MOST_FILES:
        return found
    import hashlib

    together = hashlib.sha256("".join(f"{name}:{digest}\n" for name, digest in found.items()).encode())
    return {f"{len(found)} files": together.hexdigest()[:16]}


def stamp(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page or a workbook keeps of an answer: who gave it, to which command, and its headline numbers."""
    whole = stamped(report)
    kept = {name: whole[name] for name in ("schema", "version", "command", "spec_hashes") if name in whole}
    return {**kept, "headline": headline(whole)}


def headline(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of an answer by their dotted names, the outermost first, at most a hundred or so.

    An object of ``expected`` with its band counts as its expected value.
    """
    found: dict[str, float] = {}
    level: list[tuple[str, Any]] = [(name, value) for name, value in report.items() if name not in _ASIDE]
    while level and len(found) < MOST_NUMBERS:
        deeper: list[tuple[str, Any]] = []
        for name, value in level:
            if isinstance(value, Mapping) and isinstance(value.get("expected"), (int, float)):
                found[name] = float(value["expected"])
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                found[name] = float(value)
            else:
                deeper += _inside(name, value)
        level = deeper
    return dict(list(found.items())[:MOST_NUMBERS])


def _inside(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"{name}.{key}", inner) for key, inner in value.items() if key not in _ASIDE]
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [(f"{name}.{place}", inner) for place, inner in enumerate(value) if not isinstance(inner, str)]
    return []


def own_process(words: Sequence[str]) -> list[str]:
    """Return the line that runs a command in a process of its own, wherever perfmodel was imported from."""
    import sys
    from pathlib import Path

    import perfmodel

    root = str(Path(perfmodel.__file__).resolve().parent.parent)
    program = f"import sys; sys.path.insert(0, {root!r}); from perfmodel.cli import main; main()"
    # -P: a yaml.py in the working directory is not ours
    return [sys.executable, "-P", "-c", program, *words]
