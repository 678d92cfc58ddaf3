"""The protocol of operators and their registry."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from perfmodel.counts import Counts
from perfmodel.numeric import Number


@dataclass(frozen=True)
class Operator:
    """One operator on one rank: numeric shape fields, static fields (formats, flags), and its counts.

    ``DOMAIN`` gives, for each numeric field, the range that property tests draw from; every other field is static:
    it picks the formula instead of entering it. ``DOMAIN`` values are ``(least, largest)`` whole numbers.
    """

    KIND: ClassVar[str]
    DOMAIN: ClassVar[Mapping[str, tuple[int, int]]]
    BATCH: ClassVar[str] = "batch"
    """The numeric field that a batch of samples multiplies."""
    GROWS_WITH_CACHE: ClassVar[bool] = False
    """Whether a decode step's operator works on ``kv_tokens`` cached rows, linearly up to its ``window``, if any."""

    def counts(self) -> Counts:
        """Return the operator's flops and bytes."""
        raise TypeError(f"{type(self).__name__} does not say its counts")

    def edges(self) -> tuple[Number, ...]:
        """Return the cache lengths at which a decode step's counts stop growing as before."""
        window = getattr(self, "window", 0)
        return (window,) if window else ()

    def numbers(self) -> dict[str, Number]:
        """Return the numeric fields."""
        return {name: getattr(self, name) for name in self.DOMAIN}

    def statics(self) -> tuple[Any, ...]:
        """Return the fields that pick the formula, as a hashable key."""
        return (type(self), *(getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in self.DOMAIN))

    def batched(self, samples: Number) -> Operator:
        """Return the operator of one sample as that of ``samples`` of them at once."""
        return self.with_numbers(**{self.BATCH: getattr(self, self.BATCH) * samples})

    def with_numbers(self, **numbers: Number) -> Operator:
        """Return the same operator with other numeric fields."""
        return dataclasses.replace(self, **numbers)


OPERATORS: dict[str, type[Operator]] = {}


_O = TypeVar("_O", bound="type[Operator]")


def register(operator: _O) -> _O:
    """Class decorator: enter an operator under its ``KIND``; a second one of the same kind raises."""
    if operator.KIND in OPERATORS:
        raise ValueError(f"operator '{operator.KIND}' is registered twice")
    OPERATORS[operator.KIND] = operator
    return operator
