"""Measured power of language-model serving: a model left out, a device left out, and what nothing is fitted on."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from perfmodel.fitting.energy import (
    GROUPS,
    PowerRow,
    applied,
    errors,
    fit,
    general,
    in_training,
    left_out,
    read_rows,
)

DATA = Path(__file__).parents[3] / "shared" / "reference" / "gpu_power_mlenergy.csv.gz"
pytestmark = [
    pytest.mark.skipif(not DATA.is_file(), reason="no reference data beside this checkout"),
    pytest.mark.slow,
    pytest.mark.xdist_group("published"),
]


@pytest.fixture(scope="module")
def rows() -> list[PowerRow]:
    return read_rows(DATA)[0]


def mean_percent(found: list[float]) -> float:
    return 100 * statistics.fmean(abs(x) for x in found)


def training(rows: list[PowerRow], device: str) -> list[PowerRow]:
    return [r for r in rows if r.device == device and in_training(r)]


def test_power_within_seven_percent_leaving_a_model_out(rows: list[PowerRow]) -> None:
    found = {device: left_out(training(rows, device)) for device in ("h100-sxm", "b200")}
    assert len(found["h100-sxm"]) + len(found["b200"]) >= 40
    assert mean_percent(found["h100-sxm"]) < 7
    assert mean_percent(found["b200"]) < 6


def test_a_device_that_nobody_measured(rows: list[PowerRow]) -> None:
    fits = {device: fit(training(rows, device)) for device in ("h100-sxm", "b200")}
    for device in fits:
        rule = general({name: c for name, c in fits.items() if name != device})
        assert mean_percent(errors(training(rows, device), applied(rule, device))) < 12


def test_dense_models_on_several_devices(rows: list[PowerRow]) -> None:
    for device, limit in (("h100-sxm", 13.5), ("b200", 5)):
        c = fit(training(rows, device))
        chosen = [r for r in rows if r.device == device and GROUPS["several devices, dense, 16 bit"](r)]
        assert mean_percent(errors(chosen, c)) < limit
