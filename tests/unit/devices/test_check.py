"""Plausibility findings and differences of devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.cli.check import check_all
from perfmodel.cli.device import _findings
from perfmodel.devices import Device, check_device, diff_devices, load_device
from perfmodel.devices.check import unverified_count
from perfmodel.errors import ValidationFailed
from perfmodel.specs.locate import USER_FOLDERS


def scaled(device: Device, factor: float, *dtypes: str) -> Device:
    """Return the device with the dense tensor peaks of some dtypes scaled."""
    peaks = tuple(
        replace(p, flops_per_s=p.flops_per_s * factor) if p.sparsity == "dense" and p.dtype in dtypes else p
        for p in device.peaks
    )
    return replace(device, peaks=peaks)


def errors(device: Device) -> list[str]:
    return [f"{f.field}: {f.message}" for f in check_device(device) if f.level == "error"]


def test_a_sparse_peak_that_passes_for_dense_is_found() -> None:
    wrong = scaled(load_device("b200"), 2, "bfloat16", "float16")
    assert any("the 2:4 figure" in error for error in errors(wrong))


def test_a_sparse_eight_bit_peak_is_worth_a_look() -> None:
    found = check_device(scaled(load_device("b200"), 2, "fp8"))
    assert any(f.field == "peaks.tensor.fp8" and "twice the usual" in f.message for f in found)


def test_sparse_must_be_twice_dense() -> None:
    assert any("times dense" in error for error in errors(scaled(load_device("h100"), 0.5, "fp8")))


def test_a_ridge_point_out_of_range_is_found() -> None:
    h100 = load_device("h100")
    slow = tuple(replace(t, bandwidth_bytes_per_s=3.35e9) if t.role == "main" else t for t in h100.memory)
    assert any("ridge point" in error for error in errors(replace(h100, memory=slow)))


def test_a_cache_larger_or_slower_than_sense_is_found() -> None:
    a100 = load_device("a100")
    assert a100.last_level_cache is not None
    odd = replace(a100.last_level_cache, capacity_bytes=40e9, bandwidth_bytes_per_s=1e12)
    found = errors(replace(a100, memory=(a100.main_memory, odd)))
    assert any("twentieth" in error for error in found)
    assert any("slower than the main memory" in error for error in found)


def test_bits_for_bytes_of_a_link_are_found() -> None:
    h100 = load_device("h100")
    wrong = replace(h100.links[0], bandwidth_bytes_per_s=7.2e12)
    assert any("bits for bytes" in error for error in errors(replace(h100, links=(wrong,))))


def test_unverified_sources_are_warned_of() -> None:
    h100 = load_device("h100")
    unverified = tuple(replace(source, verified=False) for source in h100.sources)
    found = check_device(replace(h100, sources=unverified))
    assert any(f.message == "no number comes from a verified source" for f in found)


def test_an_alias_that_another_file_claims_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(load_device("h100-sxm").path).read_text()
    for name in ("chip-a", "chip-b"):
        (tmp_path / f"{name}.yaml").write_text(text.replace("name: h100-sxm", f"name: {name}", 1))
    monkeypatch.setenv(USER_FOLDERS, str(tmp_path))
    assert any("also claimed by chip-b" in error for error in errors(load_device("chip-a")))


def test_a_name_that_is_not_the_files_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(Path(load_device("h100-sxm").path).read_text())
    monkeypatch.setenv(USER_FOLDERS, str(tmp_path))
    assert any("is not the name of its file" in error for error in errors(load_device("mine")))


def test_differences_name_both_values() -> None:
    found = {field: (a, b) for field, a, b in diff_devices(load_device("h100-sxm"), load_device("h200-sxm"))}
    assert found["memory.main.bandwidth_bytes_per_s"] == (3.35e12, 4.8e12)
    assert not any(field.startswith("peaks") for field in found)


def test_a_device_differs_from_itself_in_nothing() -> None:
    assert diff_devices(load_device("b200"), load_device("b200")) == []


def test_what_one_lacks_is_none() -> None:
    found = {field: (a, b) for field, a, b in diff_devices(load_device("a100"), load_device("h100"))}
    assert found["peaks.tensor.fp8.dense.flops_per_s"][0] is None


def warnings(device: Device) -> list[str]:
    return [f"{f.field}: {f.message}" for f in check_device(device) if f.level == "warning"]


def test_a_peak_that_no_core_of_the_architecture_reaches_is_worth_a_look() -> None:
    assert any("ampere does 2048" in text for text in warnings(scaled(load_device("a100"), 0.8, "bfloat16", "float16")))
    assert not any("chip.clock" in text for text in warnings(load_device("a100")))


def test_half_rate_graphics_cards_are_not_taken_for_sparse_peaks() -> None:
    card = load_device("rtx-4080")
    assert card.peak_flops_per_s("int8") == pytest.approx(4 * card.peak_flops_per_s("bfloat16"), rel=0.01)
    assert warnings(card) == []
    assert any("peaks.tensor.int8" in text for text in warnings(scaled(card, 2, "int8")))


def test_a_bandwidth_that_is_no_number_of_channels_is_worth_a_look() -> None:
    phone = load_device("snapdragon-8-elite")
    named = replace(phone.main_memory, name="LPDDR5X-8533", bandwidth_bytes_per_s=8533e6 * 64 / 8)
    others = tuple(t for t in phone.memory if t.role != "main")
    assert not any("channels" in text for text in warnings(replace(phone, memory=(named, *others))))
    odd = replace(named, bandwidth_bytes_per_s=8533e6 * 72 / 8)
    assert any("72.0 bit" in text for text in warnings(replace(phone, memory=(odd, *others))))


def test_an_alias_that_a_system_claims_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(load_device("h100-sxm").path).read_text()
    device = text.replace("name: h100-sxm", "name: chip-a", 1).replace("aliases: [", "aliases: [My Pod, ", 1)
    (tmp_path / "chip-a.yaml").write_text(device)
    (tmp_path / "my-pod.yaml").write_text("schema: system/1\nname: my-pod\ndevice: chip-a\n")
    monkeypatch.setenv(USER_FOLDERS, str(tmp_path))
    assert any("is also the system my-pod" in error for error in errors(load_device("chip-a")))


def test_numbers_that_nobody_looked_up_are_counted() -> None:
    h100 = load_device("h100")
    found, total = unverified_count(h100)
    assert 0 < found < total == len(h100.field_sources)
    verified = tuple(replace(source, verified=True) for source in h100.sources)
    assert unverified_count(replace(h100, sources=verified)) == (0, total)


def test_memory_on_the_chip_needs_no_usual_ridge_point() -> None:
    assert errors(load_device("graphcore-bow-ipu")) == []


def test_strict_fails_on_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValidationFailed, match="--strict allows none"):
        check_all("device", ["ascend-910b"], _findings, json=False, strict=True)
    check_all("device", ["ascend-910b"], _findings, json=False, counts={"numbers": 3})
    assert "3 numbers" in capsys.readouterr().out
