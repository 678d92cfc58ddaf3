"""Errors that a user can mend: each says what is wrong, where, the nearest valid name, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def nearest(name: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """Return up to ``count`` of the choices that are spelt most like ``name``, best first."""
    from difflib import get_close_matches  # 5 ms of start-up that only a mistake should pay

    by_key = {choice.lower(): choice for choice in choices}
    return [by_key[key] for key in get_close_matches(name.lower(), list(by_key), n=count, cutoff=0.5)]


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return `` - did you mean 'x'?`` for the nearest choice, or an empty string if none is near."""
    found = nearest(name, choices, count=1)
    return f" - did you mean '{found[0]}'?" if found else ""


class PerfmodelError(Exception):
    """Anything that the user can mend; ``exit_code`` is what the command line returns for it."""

    exit_code = 2


class InputError(PerfmodelError):
    """An argument has a value that it cannot have."""


class UnknownNameError(PerfmodelError):
    """A name that is not in the library; ``nearest`` holds up to three names that are."""

    def __init__(self, what: str, name: str, choices: Iterable[str], mend: str = "") -> None:
        known = list(choices)
        self.what, self.name, self.nearest = what, name, nearest(name, known)
        if self.nearest:
            hint = f"; nearest: {', '.join(self.nearest)}"
        else:
            hint = f"; there are {len(known)}, such as {', '.join(known[:3])}" if known else "; there are none"
        super().__init__(f"no {what} '{name}'{hint}" + (f" ({mend})" if mend else ""))


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a file: ``line`` and ``column`` count from 1 (0: unknown), ``field`` is a dotted path."""

    line: int
    column: int
    field: str
    message: str

    def text(self, file: str) -> str:
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class SpecError(PerfmodelError):
    """A spec file with faults: all of them in ``faults``; ``line``, ``column`` and ``field`` are the first one's."""

    def __init__(
        self,
        message: str,
        file: str = "",
        line: int = 0,
        column: int = 0,
        field: str = "",
        faults: Sequence[Fault] = (),
    ) -> None:
        self.file = file
        self.faults = tuple(faults) or (Fault(line, column, field, message),)
        first = self.faults[0]
        self.line, self.column, self.field = first.line, first.column, first.field
        super().__init__("\n".join(fault.text(file) if file else fault.message for fault in self.faults))

    @classmethod
    def of(cls, file: str, faults: Sequence[Fault]) -> SpecError:
        """Return one error for all faults of a file, in the order of their lines."""
        ordered = sorted(faults, key=lambda fault: (fault.line, fault.column))
        return cls(ordered[0].message, file, faults=ordered)


class PlanError(PerfmodelError):
    """A plan that cannot be, such as more shards than heads, with the reason."""

    exit_code = 3


class ImportRefused(PerfmodelError):
    """A model file of a family or with a field that is not understood: refused rather than guessed."""


class ValidationFailed(PerfmodelError):
    """A validation whose error is outside its tolerance."""

    exit_code = 5
