"""Every name in the reference table of devices is one of the library's."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from perfmodel.devices import load_device

TABLE = Path(__file__).parents[3] / "shared" / "reference" / "devices.csv"


@pytest.mark.skipif(not TABLE.exists(), reason="the reference table is not here")
def test_every_device_of_the_table_is_known_by_its_name() -> None:
    with TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 50
    for row in rows:
        device = load_device(row["name"])
        if row["mem_GB"] and device.kind not in ("pim", "cpu", "edge"):  # boards and modules come in several sizes
            assert device.main_memory.capacity_bytes / 1e9 == pytest.approx(float(row["mem_GB"]), rel=0.6), row["name"]
