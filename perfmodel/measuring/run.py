"""Runs the grid within a budget of time and writes what was measured as a table of kernels."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from perfmodel.errors import InputError
from perfmodel.files import defused, whole_text
from perfmodel.measuring.grid import Case

COLUMNS = ("op", "device", "backend", "dtype", "timing", "includes_quantisation", "m", "n", "k", "batch", "q_tokens",
           "kv_tokens", "heads", "kv_heads", "head_dim", "window", "causal", "rows", "cols", "kernels", "latency_us",
           "source")  # fmt: skip
"""The columns of the table, those of ``perfmodel kernels`` that these kernels have."""

_CONSTANT = {
    "gemm": {"includes_quantisation": "False"}, "attention_prefill": {"window": "0", "causal": "True"},
    "attention_decode": {"window": "0"}, "activation": {"kernels": "1"}, "add": {"kernels": "1"},
}  # fmt: skip


class Bench(Protocol):
    """What can time a kernel: ``timing`` is how, ``source`` on what and by which software."""

    timing: str
    source: str

    def latency_us(self, case: Case) -> float:
        """Return the time of one execution; an exception says why there is none."""
        ...


@dataclass(frozen=True)
class Measured:
    """Rows of the table, cases without a time with the reason, and how many were not reached in time."""

    rows: list[dict[str, str]]
    failed: list[tuple[Case, str]]
    not_reached: int


def measure(
    bench: Bench, cases: Sequence[Case], device: str, seconds: float,
    progress: Callable[[int, int | None], None] | None = None, clock: Callable[[], float] = time.monotonic,
) -> Measured:  # fmt: skip
    """Return the times of as many cases as ``seconds`` allow, in their order.

    A case that would alone take a tenth of the budget, by the speed seen so far, is left out.
    """
    start, rows, failed, late = clock(), list[dict[str, str]](), list[tuple[Case, str]](), 0
    fastest = 0.0
    for place, case in enumerate(cases):
        work = case.flops + 50.0 * case.bytes  # a byte takes about as long as 50 operations, everywhere within ten
        if clock() - start > seconds or (fastest and 20.0 * work / fastest > 0.1 * seconds):
            late += 1
            continue
        try:
            latency = bench.latency_us(case)
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:  # the library's own refusals
            failed.append((case, str(error).strip().splitlines()[0][:160] if str(error).strip() else repr(error)))
            continue
        fastest = max(fastest, work / (latency * 1e-6))
        rows.append(_row(case, device, bench, latency))
        if progress:
            progress(place + 1, len(cases))
    return Measured(rows, failed, late)


def _row(case: Case, device: str, bench: Bench, latency_us: float) -> dict[str, str]:
    shape = {name: str(value) for name, value in case.shape}
    return {"op": case.op, "device": device, "backend": "", "dtype": case.dtype, "timing": bench.timing, **shape,
            **_CONSTANT[case.op], "latency_us": f"{latency_us:.4g}", "source": bench.source}  # fmt: skip


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the measured rows as CSV, whole or not at all. Errors: :class:`InputError` if there are none."""
    if not rows:
        raise InputError("nothing could be measured, so there is no table to write")
    with whole_text(path) as out:
        writer: csv.DictWriter[str] = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: defused(text) for name, text in row.items()} for row in rows)
