"""The kernel of processing in memory that a table may ask for: ``pim_gemv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from perfmodel.cost.engines.registry import engines_of
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.formats import runnable_format
from perfmodel.numeric import Number
from perfmodel.ops import Linear
from perfmodel.tables.kernel_kind import Kind, columns, no_operator
from perfmodel.tables.stream import Row, word

FORMS = ("pim", "lookup")
"""Engines that compute where the matrix is."""


def _statics(row: Row) -> tuple[bool]:
    return (bool(word(row, "dtype")),)


def _pim_gemv(x: Sequence[Number], s: tuple[Any, ...], device: str) -> Mapping[str, Any]:
    """Return the times of ``batch`` products of one ``m x n`` matrix (m outputs, n inputs) with vectors.

    Without a ``dtype`` the matrix is of the first one that the engine has.
    """
    m, n, batch = x
    stated, dtype = s
    machine, own = _machine(device)
    op = Linear(batch, m, n, runnable_format(dtype if stated else own, frozenset(machine.chip.peaks)))
    if not machine.engines[0][1].runs(op):
        raise InputError(f"{device} does not multiply {dtype} in memory; leave dtype out for its own, {own}")
    cost, counts = operator_cost(op, machine), op.counts()
    return {
        "latency_us": cost.expected_s * 1e6, "bound_us": cost.bound_s * 1e6, "p10_us": cost.p10_s * 1e6,
        "p90_us": cost.p90_s * 1e6, "bottleneck": "memory", "flops": counts.total_flops(),
        "bytes": counts.total_bytes(), "error": "",
    }  # fmt: skip


@lru_cache(maxsize=64)
def _machine(device: str) -> tuple[Machine, str]:
    """Return a machine of the device's engine in memory alone, and the dtype that it computes in."""
    found = load_device(device)
    chip = chip_facts(found)
    for name, engine in engines_of(found, chip):
        if engine.NAME in FORMS:
            return Machine(chip, engines=((name, replace(engine, kinds=None)),)), getattr(engine, "dtypes", ("int8",))[
                0
            ]
    raise InputError(f"{device} has no engine that computes in memory (form {' or '.join(FORMS)})")


PIM_KINDS: dict[str, Kind] = {
    "pim_gemv": Kind(columns("m", "n", "batch", batch=1), _statics, no_operator, answer=_pim_gemv),
}
"""The ops by name."""
