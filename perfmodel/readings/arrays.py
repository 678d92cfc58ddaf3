"""The numpy reading: formulas broadcast over grids."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from perfmodel.numeric import Arithmetic, Number


def choose(condition: Number, if_true: Number, if_false: Number) -> Number:
    """Return ``numpy.where``, or one side as it is when the condition holds everywhere or nowhere.

    A side of fewer dimensions then stays small, and what is computed from it too: in most chunks of a grid one case
    holds.
    """
    if isinstance(condition, np.ndarray):
        if condition.all():
            return if_true
        if not condition.any():
            return if_false
    return np.where(condition, if_true, if_false)


class ArrayArithmetic(Arithmetic):
    """Element-wise arithmetic; a choice among candidates keeps one accumulator."""

    rank = 1

    def maximum(self, a: Number, b: Number) -> Number:
        return np.maximum(a, b)

    def minimum(self, a: Number, b: Number) -> Number:
        return np.minimum(a, b)

    def where(self, condition: Number, if_true: Number, if_false: Number) -> Number:
        return np.where(condition, if_true, if_false)

    def best_of(
        self, candidates: Sequence[tuple[float, ...]], f: Callable[..., Number], captured: Sequence[Number]
    ) -> Number:
        best = f(*candidates[0])
        for candidate in candidates[1:]:
            best = np.minimum(best, f(*candidate))
        return best

    def unary(self, name: str, a: Number) -> Number:
        return getattr(np, name)(a)


ARITHMETIC = ArrayArithmetic()
