"""Optimal tilings of real products and convolutions, found elsewhere by exhaustive search, against ours."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from statistics import median

import pytest

from perfmodel.cost.tiling import ConvShape, conv_bound, gemm_bound, gemm_words, optimal_conv, optimal_gemm

TABLE = Path(__file__).parents[3] / "shared" / "reference" / "tiling.csv.gz"
pytestmark = pytest.mark.skipif(not TABLE.is_file(), reason="no reference data here")

BETTER_WITH_DIVISORS = {("rn50_c2_1x1b", "16"), ("rn50_conv1", "16")}
"""Rows whose divisor tiling we improve upon: input stationary with all channels, which that search left out."""


def _rows(kind: str) -> list[dict[str, str]]:
    with gzip.open(TABLE, "rt", newline="") as file:
        return [row for row in csv.DictReader(file) if row["kind"] == kind]


def _words(row: dict[str, str]) -> int:
    return 1024 * int(row["S_kB"]) // 2


def test_every_product() -> None:
    rows = _rows("gemm")
    assert len(rows) == 34
    for row in rows:
        m, n, k = map(int, row["dims"].split("x"))
        assert optimal_gemm(m, n, k, _words(row)).words == int(row["exact_tiling"]), row["name"]
        assert optimal_gemm(m, n, k, _words(row), divisors=True).words == int(row["exact_tiling_divisors"]), row["name"]
        assert round(gemm_bound(m, n, k, _words(row))) == int(row["lower_bound"])


def test_every_convolution() -> None:
    rows = _rows("conv")
    assert len(rows) == 34
    for row in rows:
        shape = ConvShape(*map(int, row["dims"].split("x")))
        found = optimal_conv(shape, _words(row))
        assert found.words == int(row["exact_tiling"]), row["name"]
        assert found.buffer_words <= _words(row)
        macs = shape.results * shape.inputs * shape.taps
        bound = conv_bound(macs, int(row["compulsory"]), shape.taps, shape.stride, _words(row))
        assert round(bound) == int(row["lower_bound"])


def test_tiles_that_divide() -> None:
    for row in _rows("conv"):
        found = optimal_conv(ConvShape(*map(int, row["dims"].split("x"))), _words(row), divisors=True).words
        if (row["name"], row["S_kB"]) in BETTER_WITH_DIVISORS:
            assert found < int(row["exact_tiling_divisors"])
        else:
            assert found == int(row["exact_tiling_divisors"]), row["name"]


def test_the_pure_formula_is_near() -> None:
    shares: list[float] = []
    for row in _rows("gemm"):
        shape = tuple(map(float, row["dims"].split("x")))
        shares.append(gemm_words(*shape, float(_words(row))) / int(row["exact_tiling"]))
    assert median(shares) == pytest.approx(0.984, abs=0.005)
    assert 0.8 < min(shares) <= max(shares) <= 1.0
