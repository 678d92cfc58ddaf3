"""Workflows: what an application does with language models and tools, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import SpecError
from perfmodel.specs.library import SpecLibrary
from perfmodel.specs.provenance import SOURCES_RULE, Source, sources_of
from perfmodel.specs.schema import (
    Block,
    Either,
    Flag,
    Listing,
    Quantity,
    Reading,
    Real,
    Text,
    Whole,
    describe,
    read_spec,
)
from perfmodel.specs.yaml_strict import Node, parse_yaml, read_text
from perfmodel.workloads.usecases import Lengths, lengths_stated

KIND, SCHEMA = "workloads", "workflow/1"
MAIN = "main"
"""The role of a call that names none: the model of the command line."""


@dataclass(frozen=True)
class Call:
    """A call of a language model: it reads what its thread has so far, and ``input`` further tokens.

    ``history`` False: it stands alone, reads its input only and leaves the thread as it was. ``cached`` tokens at the
    start of its prompt are those of every run (a system prompt). ``samples`` answers are written to the one prompt, or
    with ``copies`` so many prompts are asked at once, each with an answer.
    """

    name: str
    role: str
    input_tokens: Lengths
    output_tokens: Lengths
    history: bool = True
    cached_tokens: int = 0
    samples: int = 1
    copies: int = 1


@dataclass(frozen=True)
class Wait:
    """A tool, a search, a person: a time, and what each costs."""

    name: str
    seconds: Lengths
    usd: float = 0.0


@dataclass(frozen=True)
class Parallel:
    """Branches that begin together; it is over with the last of them. Each goes on with the thread as it was."""

    name: str
    branches: tuple[tuple[Stage, ...], ...]


@dataclass(frozen=True)
class Repeat:
    """Stages again and again: ``turns`` times, or on average so often if not ``fixed`` (geometric, up to ``most``)."""

    name: str
    turns: float
    fixed: bool
    most: int
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Choose:
    """Stages that a ``share`` of the runs takes; the rest takes ``otherwise``."""

    name: str
    share: float
    stages: tuple[Stage, ...]
    otherwise: tuple[Stage, ...] = ()


Stage = Call | Wait | Parallel | Repeat | Choose


@dataclass(frozen=True)
class Workflow:
    """A workflow by its stages, one after the other."""

    name: str
    description: str
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]
    sources: tuple[Source, ...]
    path: str

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the roles of its calls, each once, in their order."""
        return tuple(dict.fromkeys(call.role for call in calls_of(self.stages)))


def calls_of(stages: Sequence[Stage]) -> Iterator[Call]:
    """Yield all calls of stages, those inside others too."""
    for stage in stages:
        match stage:
            case Call():
                yield stage
            case Parallel():
                for branch in stage.branches:
                    yield from calls_of(branch)
            case Repeat():
                yield from calls_of(stage.stages)
            case Choose():
                yield from calls_of((*stage.stages, *stage.otherwise))
            case Wait():
                pass


_FIGURES = {name: Real() for name in ("mean", "median", "p90")}
_TIMES = {name: Quantity("seconds") for name in ("mean", "median", "p90")}
_TOKENS = Either(Real(), Block({}, {**_FIGURES, "fixed": Flag()}))
_SECONDS = Either(Quantity("seconds"), Block({}, {**_TIMES, "fixed": Flag()}))


class _Stages:
    """A list of stages: each a mapping with its kind as the one key."""

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        return Listing(_OneStage(), least=1).read(node, path, reading, source)


class _OneStage:
    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        kinds = ", ".join(_RULES)
        if node.mapping is None or len(node.mapping) != 1:
            return reading.fault(node, path, f"must be one of {kinds} with its fields, not {describe(node)}")
        return Block({}, _RULES, sourced=False).read(node, path, reading, source)


_RULES: dict[str, Any] = {
    "call": Block(
        {"input": _TOKENS, "output": _TOKENS},
        {"name": Text(), "role": Text(), "history": Flag(), "cached": Whole(0), "samples": Whole(), "copies": Whole()},
    ),
    "wait": Block({"time": _SECONDS}, {"name": Text(), "usd": Real()}),
    "parallel": Block({"branches": Listing(_Stages(), least=1)}, {"name": Text()}),
    "repeat": Block(
        {"stages": _Stages()}, {"name": Text(), "turns": Whole(), "mean_turns": Real(1.0), "most": Whole()}
    ),
    "choose": Block({"share": Real(), "stages": _Stages()}, {"name": Text(), "otherwise": _Stages()}),
}
WORKFLOW_RULE = Block(
    {"schema": Text(), "name": Text(), "description": Text(), "stages": _Stages(), "sources": SOURCES_RULE},
    {"aliases": Listing(Text()), "notes": Listing(Text())},
)
"""Every key of a workflow's file: the required ones, then the optional ones."""


def list_workflows() -> tuple[str, ...]:
    """Return the names of all workflows, sorted."""
    return _LIBRARY.names()


def load_workflow(name_or_path: str | Path) -> Workflow:
    """Return a workflow by name, alias or path; errors as for :meth:`SpecLibrary.load`."""
    return _LIBRARY.load(name_or_path)


def _load(path: Path) -> Workflow:
    values, _ = read_spec(WORKFLOW_RULE, parse_yaml(read_text(path), str(path)), str(path), SCHEMA)
    stages = _stages(values["stages"], path)
    if not any(True for _ in calls_of(stages)):
        raise SpecError("has no call of a model", str(path))
    return Workflow(values["name"], values["description"], stages, tuple(values.get("notes", ())),
                    sources_of(values["sources"]), str(path))  # fmt: skip


_LIBRARY = SpecLibrary(KIND, "workflow", _load)


def _stage(read: Mapping[str, Any], path: Path) -> Stage:
    ((kind, fields),) = read.items()
    name = fields.get("name", kind)
    match kind:
        case "call":
            if "copies" in fields and "samples" in fields:
                raise SpecError(
                    f"{name} states samples (of one prompt) and copies (prompts apart); one of them", str(path)
                )
            first, second = (_spread(fields[what], f"{name}.{what}", path) for what in ("input", "output"))
            return Call(name, fields.get("role", MAIN), first, second, fields.get("history", True),
                        fields.get("cached", 0), fields.get("samples", 1), fields.get("copies", 1))  # fmt: skip
        case "wait":
            return Wait(name, _spread(fields["time"], f"{name}.time", path), fields.get("usd", 0.0))
        case "parallel":
            return Parallel(name, tuple(_stages(branch, path) for branch in fields["branches"]))
        case "repeat":
            return _repeat(name, fields, path)
        case _:
            if fields["share"] > 1.0:
                raise SpecError(f"{name}.share is a share of the runs, at most 1, not {fields['share']:g}", str(path))
            return Choose(
                name, fields["share"], _stages(fields["stages"], path), _stages(fields.get("otherwise", ()), path)
            )


def _stages(read: Sequence[Mapping[str, Any]], path: Path) -> tuple[Stage, ...]:
    return tuple(_stage(one, path) for one in read)


def _repeat(name: str, fields: Mapping[str, Any], path: Path) -> Repeat:
    stated = [fields[key] for key in ("turns", "mean_turns") if key in fields]
    if len(stated) != 1:
        raise SpecError(f"{name} states turns (as many each time) or mean_turns (geometric), one of them", str(path))
    return Repeat(name, float(stated[0]), "turns" in fields, fields.get("most", 1000), _stages(fields["stages"], path))


def _spread(stated: Any, field: str, path: Path) -> Lengths:
    """Return a distribution: a plain figure is always the same."""
    return Lengths(stated, 0.0) if isinstance(stated, float) else lengths_stated(stated, field, path)
