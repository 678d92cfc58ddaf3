"""A reproduction computed: its parts, then its results beside the published figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from perfmodel.errors import InputError, PerfmodelError
from perfmodel.reproductions.expressions import evaluate
from perfmodel.reproductions.load import Input, Reproduction, Result
from perfmodel.reproductions.registry import answer
from perfmodel.reproductions.rules import REFERENCE

AGREES, NEAR = 1.25, 2.0
"""A ratio within the first factor agrees, within the second is near; anything else is a miss."""


@dataclass(frozen=True)
class Outcome:
    """One result of a reproduction, computed."""

    reproduction: Reproduction
    result: Result
    ours: float

    @property
    def ratio(self) -> float | None:
        """Ours over the published figure; of a range over its nearest end, and 1 within it; None without a figure."""
        low, high = self.result.low, self.result.high
        if low is None and high is None:
            return None
        if low is not None and self.ours < low:
            return self.ours / low
        return self.ours / high if high and self.ours > high else 1.0

    @property
    def verdict(self) -> str:
        """``agrees``, ``near`` or ``miss`` by the ratio; ``ours`` where nothing is published."""
        if self.ratio is None:
            return "ours"
        factor = max(self.ratio, 1.0 / self.ratio) if self.ratio > 0 else float("inf")
        return "agrees" if factor <= AGREES else "near" if factor <= NEAR else "miss"

    def row(self) -> dict[str, Any]:
        """Return the result as one JSON-ready object."""
        whole, result = self.reproduction, self.result
        ours = [one for one in whole.inputs if one.ours]
        paper = [one for one in whole.inputs if not one.ours]
        return {
            "name": whole.name, "result": result.name, "title": whole.title, "quantity": result.quantity,
            "unit": result.unit, "published": result.published, "ours": self.ours, "ratio": self.ratio,
            "verdict": self.verdict, "reason": result.reason,
            "conditions": "; ".join(filter(None, (whole.conditions, result.conditions))),
            "assumptions": [*(assumption(one) for one in ours), *whole.assumptions],
            "inputs": {"paper": [_shown(one) for one in paper], "ours": [_shown(one) for one in ours]},
            "source": None if result.source is None else result.source.citation(),
            "source_verified": None if result.source is None else result.source.verified,
            "derivation": {
                "ours": result.ours, "let": dict(whole.let), "parts": {k: dict(v) for k, v in whole.parts.items()},
            },
            "expected_ratio": result.expected_ratio,
        }  # fmt: skip


def assumption(one: Input) -> str:
    """Return an input of ours as a sentence's worth of text."""
    value = ", ".join(map(str, one.value)) if isinstance(one.value, list) else one.value
    return f"{one.name.replace('_', ' ')} {value}" + (f": {one.note}" if one.note else "")


def _shown(one: Input) -> dict[str, Any]:
    source = one.source
    return {"name": one.name, "value": one.value, "note": one.note, "source": source.citation(),
            "verified": source.verified}  # fmt: skip


def reproduce(reproduction: Reproduction) -> list[Outcome]:
    """Return all results of a reproduction, computed by the package's formulas.

    Errors: :class:`InputError` that names the reproduction and what in it cannot be computed.
    """
    worked = Worked(reproduction)
    return [Outcome(reproduction, result, worked.number(result)) for result in reproduction.results]


class Worked(Mapping[str, Any]):
    """The names of a reproduction's expressions with their values, each computed when it is first asked for."""

    def __init__(self, reproduction: Reproduction) -> None:
        self.reproduction = reproduction
        self._found: dict[str, Any] = dict(self._inputs)

    @cached_property
    def _inputs(self) -> dict[str, Any]:
        return {one.name: one.value for one in self.reproduction.inputs}

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            if name in self.reproduction.let:
                self._found[name] = self._within(f"let {name}", lambda: evaluate(self.reproduction.let[name], self))
            else:
                self._found[name] = self._within(f"part {name}", lambda: self.part(self.reproduction.parts[name]))
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in set(self)

    def __iter__(self) -> Any:
        return iter((*self._inputs, *self.reproduction.parts, *self.reproduction.let))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def number(self, result: Result) -> float:
        """Return one result's number."""
        found = self._within(f"result {result.name}", lambda: evaluate(result.ours, self))
        if isinstance(found, list):
            raise InputError(
                f"{self.reproduction.path}: result {result.name} is a list; reduce it, or take one with at()"
            )
        return float(found)

    def part(self, stated: Mapping[str, Any]) -> Any:
        """Return the answer of a part, or a list of them if it runs over ``each`` value of some arguments."""
        arguments = dict(stated)
        name, each, taken = arguments.pop("kind"), arguments.pop("each", ""), arguments.pop("take", "")
        given = {key: self._resolved(REFERENCE + key) for key in str(taken).split()}
        given |= {key: self._resolved(value) for key, value in arguments.items()}
        if name == "largest":
            given = {"worked": self, **given}
        if not each:
            return answer(name, given)
        keys = str(each).split()
        columns = [given.pop(key) for key in keys]
        return [
            answer(name, {**given, **dict(zip(keys, values, strict=True))}) for values in zip(*columns, strict=True)
        ]

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._resolved(item) for key, item in value.items()}
        if not isinstance(value, str) or not value.startswith(REFERENCE):
            return value
        return self._inputs[value[1:]] if value[1:] in self._inputs else evaluate(value[1:], self)

    def _within(self, what: str, compute: Callable[[], Any]) -> Any:
        try:
            return compute()
        except PerfmodelError as error:
            if not _plain(error):
                raise
            raise type(error)(f"{self.reproduction.name}, {what}: {error}") from error
        except KeyError as error:
            raise InputError(f"{self.reproduction.name}, {what}: no input or part {error}") from None


def _plain(error: PerfmodelError) -> bool:
    return type(error).__init__ is PerfmodelError.__init__
