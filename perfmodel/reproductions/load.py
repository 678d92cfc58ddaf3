"""Reproductions as frozen views of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import SpecError
from perfmodel.reproductions.rules import REPRODUCTION_RULE, Value
from perfmodel.specs.library import SpecLibrary
from perfmodel.specs.provenance import Source, sources_of
from perfmodel.specs.schema import read_spec
from perfmodel.specs.yaml_strict import parse_yaml, read_text

KIND, SCHEMA = "workloads", "reproduction/1"


@dataclass(frozen=True)
class Input:
    """A number or word that a derivation takes: the paper's (``ours`` false) or assumed by us."""

    name: str
    value: Any
    ours: bool
    note: str
    source: Source


@dataclass(frozen=True)
class Result:
    """One figure: the expression that derives it, and what is published (both ends the same, or a range; or None)."""

    name: str
    quantity: str
    unit: str
    ours: str
    low: float | None
    high: float | None
    conditions: str
    expected_ratio: float | None
    reason: str
    source: Source | None

    @property
    def published(self) -> float | dict[str, float] | None:
        """The figure, or a mapping with the ``low`` and the ``high`` end that are stated; None where nothing is."""
        if self.low is not None and self.low == self.high:
            return self.low
        ends = {"low": self.low, "high": self.high}
        return {name: end for name, end in ends.items() if end is not None} or None


@dataclass(frozen=True)
class Reproduction:
    """A published result with all that derives it again."""

    name: str
    title: str
    conditions: str
    inputs: tuple[Input, ...]
    parts: Mapping[str, Mapping[str, Any]]
    let: Mapping[str, str]
    results: tuple[Result, ...]
    assumptions: tuple[str, ...]
    sources: tuple[Source, ...]
    path: str


def list_reproductions() -> tuple[str, ...]:
    """Return the names of all reproductions, sorted."""
    return _LIBRARY.names()


def load_reproduction(name_or_path: str | Path) -> Reproduction:
    """Return a reproduction by name, alias or path; errors as for :meth:`SpecLibrary.load`."""
    return _LIBRARY.load(name_or_path)


def _load(path: Path) -> Reproduction:
    values, cited = read_spec(REPRODUCTION_RULE, parse_yaml(read_text(path), str(path)), str(path), SCHEMA)
    if values["name"] != path.stem:
        raise SpecError(f"name is '{values['name']}', but the file is {path.name}", str(path))
    sources = {source.id: source for source in sources_of(values["sources"])}
    inputs = [
        Input(name, given.value, ours, given.note, sources[given.source])
        for ours, block in ((False, "paper"), (True, "ours"))
        for name, given in _given(values, block)
    ]
    _check_names(values, [one.name for one in inputs], path)
    results = tuple(_result(row, f"results[{i}].published", cited, sources) for i, row in enumerate(values["results"]))
    return Reproduction(
        values["name"], values["title"], values["conditions"], tuple(inputs), values["parts"], values.get("let", {}),
        results, tuple(values.get("assumptions", ())), tuple(sources.values()), str(path),
    )  # fmt: skip


_LIBRARY = SpecLibrary(KIND, "reproduction", _load)


def _given(values: Mapping[str, Any], block: str) -> list[tuple[str, Value]]:
    return list(values.get(block, {}).items())


def _check_names(values: Mapping[str, Any], inputs: list[str], path: Path) -> None:
    """Refuse two things of one name: an expression could not tell them apart."""
    names = [*inputs, *values["parts"], *values.get("let", {})]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(
                f"the name '{name}' stands for two things; inputs, parts and let share their names", str(path)
            )
    results = [row["name"] for row in values["results"]]
    if len(set(results)) < len(results):
        raise SpecError("two results have the same name", str(path))


def _result(row: Mapping[str, Any], path: str, cited: Mapping[str, str], sources: Mapping[str, Source]) -> Result:
    published = row.get("published")
    ends = published if isinstance(published, Mapping) else {"low": published, "high": published}
    ids = [cited[key] for key in (path, f"{path}.low", f"{path}.high") if key in cited]
    return Result(
        row["name"], row["quantity"], row.get("unit", ""), row["ours"], ends.get("low"), ends.get("high"),
        row.get("conditions", ""), row.get("expected_ratio"), row.get("reason", ""),
        sources[ids[0]] if ids else None,
    )  # fmt: skip
