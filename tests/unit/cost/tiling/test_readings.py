"""The formulas of traffic in every reading: floats, arrays and symbols agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

from perfmodel.cost.systolic import dram_reads, dram_writes
from perfmodel.cost.tiling import conv_bound, gemm_bound, gemm_words
from perfmodel.cost.tiling.attention import AttentionShape, fused_words, unfused_words
from perfmodel.cost.tiling.policies import fixed_dataflow_words
from perfmodel.readings.symbolic import evaluate


def _attention(formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda m, n, k, s: formula(AttentionShape(2.0, m, m + n, 16.0, 4.0, k, k), s)


FORMULAS: dict[str, Callable[..., Any]] = {
    "gemm_words": gemm_words,
    "gemm_bound": gemm_bound,
    "conv_bound": lambda m, n, k, s: conv_bound(m * n * k, m * k + n * k + m * n, 9.0, 1.0, s),
    "fused_words": _attention(fused_words),
    "unfused_words": _attention(unfused_words),
    **{
        f"fixed_{d}": lambda m, n, k, s, d=d: sum(fixed_dataflow_words(m, n, k, s, 16.0, 8.0, d))
        for d in ("os", "ws", "is")
    },
    "dram_reads": lambda m, n, k, s: sum(dram_reads(m, n, k, 16.0, 8.0, "os", (s, s / 2.0))),
    "dram_writes": lambda m, n, k, s: sum(dram_writes(m, n, k, 16.0, 8.0, "ws", s)),
}
POINTS = [(49.0, 33.0, 40.0, 3000.0), (1.0, 512.0, 64.0, 900.0), (640.0, 20.0, 96.0, 100_000.0)]


@pytest.mark.parametrize("name", FORMULAS)
def test_readings_agree(name: str) -> None:
    formula = FORMULAS[name]
    plain = [float(formula(*point)) for point in POINTS]
    assert np.allclose(formula(*np.array(POINTS).T), plain, rtol=1e-12)
    symbols = sympy.symbols("m n k s", positive=True)
    expression = formula(*symbols)
    for point, value in zip(POINTS, plain, strict=True):
        found = evaluate(expression, dict(zip(symbols, point, strict=True)))
        assert float(found) == pytest.approx(value, rel=1e-12)
