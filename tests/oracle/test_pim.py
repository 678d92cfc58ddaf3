"""Cycle simulators of processing in memory, as the device files' numbers predict them: limits on what was found."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from perfmodel.validation.pim import read_pim

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="no reference data beside this checkout")


def errors(name: str, group: str = "") -> list[float]:
    rows, _ = read_pim(REFERENCE / name)
    return [100 * abs(row["ratio"] - 1) for row in rows if row["group"].startswith(group)]


def test_hbm2_products_within_five_percent_each() -> None:
    found = errors("pim_hbm2.csv.gz")
    assert len(found) == 7
    assert max(found) < 5
    assert statistics.fmean(found) < 2


@pytest.mark.parametrize(
    ("group", "mean"),
    [("bank, limited", 2.1), ("bank, free", 2.8), ("bank-group", 1.5), ("buffer", 4.5),
     ("bank, limited, even", 1.2), ("buffer, free, even", 1.2)],
)  # fmt: skip
def test_attacc_with_nothing_fitted(group: str, mean: float) -> None:
    found = errors("pim_attacc.csv.gz", group)
    assert len(found) > 100
    assert statistics.fmean(found) < mean


def test_aim_blocks_with_one_constant() -> None:
    found = errors("pim_cent_aim.csv.gz")
    assert len(found) == 90
    assert statistics.fmean(found) < 3.2
    assert max(found) < 7
