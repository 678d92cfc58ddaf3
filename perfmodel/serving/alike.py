"""Columns of plans whose rows are the same to most operators: each different row is computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from perfmodel.cost.bounds import Bound
from perfmodel.cost.operator_cost import OperatorCost
from perfmodel.ops import Operator

_T = TypeVar("_T")


@dataclass(frozen=True)
class Alike:
    """Which rows may be the same: ``first`` is a row of each class, ``place`` the class of each row.

    Plans that differ in how experts are split alone, say, have the same products in attention. An operator is computed
    for one row of each class if all of its numbers are the same in all rows of a class, and for every row otherwise.
    """

    first: Any
    place: Any

    def over(self, op: Operator, f: Callable[[Operator], _T]) -> _T:
        """Return ``f(op)``, computed for one row of each class where that is the same."""
        small = self._reduced(op)
        return f(op) if small is None else self._expanded(f(small))

    def _reduced(self, op: Operator) -> Operator | None:
        import numpy as np

        chosen: dict[str, Any] = {}
        for field in fields(op):
            value = getattr(op, field.name)
            if isinstance(value, np.ndarray) and value.shape[0] == len(self.place):
                chosen[field.name] = picked = value[self.first]
                if not np.array_equal(picked[self.place], value):
                    return None
        return replace(op, **chosen) if chosen else None

    def _expanded(self, value: Any) -> Any:
        if isinstance(value, (Bound, OperatorCost)):
            return replace(value, **{name: self._expanded(own) for name, own in vars(value).items()})
        rows = getattr(value, "shape", ())[:1]
        return value[self.place] if rows == (len(self.first),) and rows != (1,) else value


def alike_of(keys: Sequence[Hashable]) -> Alike | None:
    """Return the classes of rows that have the same key; None if all differ."""
    import numpy as np

    numbers: dict[Hashable, int] = {}
    place = [numbers.setdefault(key, len(numbers)) for key in keys]
    if len(numbers) == len(keys):
        return None
    first = {number: row for row, number in reversed(list(enumerate(place)))}
    return Alike(np.array([first[number] for number in range(len(numbers))]), np.array(place))
