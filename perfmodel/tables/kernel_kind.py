"""What a table of kernels must know of an op: its columns, and how a row of them becomes an operator."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.errors import InputError
from perfmodel.numeric import Number
from perfmodel.ops import Operator
from perfmodel.tables.stream import Row

Columns = tuple[tuple[str, float | None, float], ...]
"""Names of numeric columns, each with its default (None: it must be there) and its least value."""


@dataclass(frozen=True)
class Kind:
    """How a row of one op becomes an operator.

    ``columns`` are its numbers, ``statics`` what else of the row picks the formula; ``build`` makes the operator of the
    numbers (perhaps arrays of them), the statics with the dtype last, and the dtypes of the device's matrix units.
    ``check`` refuses numbers that do not go together. Where ``answer`` is there it gives the columns out itself, of the
    numbers, the statics and the device, which may be empty unless ``needs_device``.
    """

    columns: Columns
    statics: Callable[[Row], tuple[Hashable, ...]]
    build: Callable[[Sequence[Number], tuple[Any, ...], frozenset[str]], Operator]
    check: Callable[[dict[str, float], tuple[Any, ...]], None] | None = None
    answer: Callable[[Sequence[Number], tuple[Any, ...], str], Mapping[str, Any]] | None = None
    needs_device: bool = True


def columns(*names: str, **defaults: float) -> Columns:
    """Return columns of which those in ``defaults`` may be empty."""
    return tuple((name, defaults.get(name), 0 if name == "window" else 1) for name in names)


def no_operator(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    """Refuse to build an operator of an op that answers for itself (:attr:`Kind.answer`)."""
    raise InputError("this op is one engine's own and stands for no operator of a model")
