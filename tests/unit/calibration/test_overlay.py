"""A user's own calibration of a device, laid over the packaged rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.calibration import forget_calibrations, load_calibration, packaged_calibration
from perfmodel.errors import SpecError

FILE = """\
schema: device-calibration/1
device: a30
classes:
  gemm:
    rules:
      - {scale: {memory_efficiency: 0.5}}
      - {when: {dtype: fp8}, scale: {math_efficiency: 2}}
    bands:
      - {set: {p10: 0.9, p90: 1.2}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a30.calibration.yaml").write_text(FILE)
    monkeypatch.setenv("PERFMODEL_SPECS", str(tmp_path))
    forget_calibrations()
    return tmp_path


def test_it_holds_for_its_device_alone(folder: Path) -> None:
    ours, packaged = load_calibration("gemm"), packaged_calibration("gemm")
    for device, factor in (("a30", 0.5), ("a40", 1.0)):
        there = {"device": device, "architecture": "ampere", "dtype": "bfloat16"}
        found, before = ours.coefficients(**there), packaged.coefficients(**there)
        assert found["memory_efficiency"] == pytest.approx(factor * before["memory_efficiency"])
        assert found["math_efficiency"] == before["math_efficiency"]


def test_it_makes_the_device_a_measured_one_with_its_band(folder: Path) -> None:
    assert "a30" not in packaged_calibration("gemm").measured_devices
    assert "a30" in load_calibration("gemm").measured_devices
    band = load_calibration("gemm").band(device="a30", architecture="ampere", dtype="bfloat16")
    assert (band.p10, band.p90) == (0.9, 1.2)
    assert load_calibration("moe").measured_devices == packaged_calibration("moe").measured_devices


def test_without_the_folder_it_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERFMODEL_SPECS")
    assert load_calibration("gemm") == packaged_calibration("gemm")


def test_the_first_folder_wins(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tmp_path / "first"
    first.mkdir()
    (first / "mine.yaml").write_text(FILE.replace("0.5", "0.25"))
    monkeypatch.setenv("PERFMODEL_SPECS", f"{first}:{folder}")
    found = load_calibration("gemm").coefficients(device="a30", architecture="ampere", dtype="bfloat16")
    before = packaged_calibration("gemm").coefficients(device="a30", architecture="ampere", dtype="bfloat16")
    assert found["memory_efficiency"] == pytest.approx(0.25 * before["memory_efficiency"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("device: a30\n", "device: 3\n", "the name of the device"),
        ("classes:", "class:", "has no 'class'"),
        ("{when: {dtype: fp8}", "{when: {device: a40}", "but the file is for a30"),
        ("memory_efficiency", "memory_eficiency", "no coefficient 'memory_eficiency'"),
        ("scale: {memory_efficiency: 0.5}", "scales: {}", "has no 'scales'"),
    ],
)
def test_mistakes_are_named(folder: Path, old: str, new: str, said: str) -> None:
    (folder / "a30.calibration.yaml").write_text(FILE.replace(old, new))
    forget_calibrations()
    with pytest.raises(SpecError, match=said):
        load_calibration("gemm")
