"""Loading devices: the library, spellings, files and mappings with faults."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from perfmodel.devices import Device, check_device, device_from_mapping, list_devices, load_device
from perfmodel.errors import InputError, SpecError, UnknownNameError
from perfmodel.specs.yaml_strict import load_yaml

NEEDED = [
    "a100-sxm-80gb",
    "a100-pcie-80gb",
    "a100-sxm-40gb",
    "a100-pcie-40gb",
    "h100-sxm",
    "h100-pcie",
    "h100-nvl",
    "h200-sxm",
    "h800",
    "h20",
    "gh200-96gb",
    "b200",
    "b300",
    "gb200",
    "gb300",
    "gb10",
    "l4",
    "l40",
    "l40s",
    "t4",
    "a10",
    "a10g",
    "a30",
    "a40",
    "rtx-a6000",
    "rtx-3090",
    "rtx-4090",
    "rtx-5090",
    "rtx-pro-6000-server",
    "v100-pcie-16gb",
    "v100-sxm-32gb",
    "mi210",
    "mi250x",
    "mi300a",
    "mi300x",
    "mi325x",
    "mi355x",
    "tpu-v5e",
    "tpu-v5p",
    "tpu-v6e",
    "arc-pro-b60",
]

SPELLINGS = {
    "NVIDIA H100 SXM": "h100-sxm",
    "H100-SXM-80GB": "h100-sxm",
    "NVIDIA H100 80GB HBM3": "h100-sxm",
    "h100_sxm": "h100-sxm",
    "H100-PCIe-80GB": "h100-pcie",
    "H100-NVL-94GB": "h100-nvl",
    "H200-SXM": "h200-sxm",
    "H20-SXM": "h20",
    "H800-SXM": "h800",
    "GH200-96GB (GPU part)": "gh200-96gb",
    "B200-SXM": "b200",
    "B300-SXM": "b300",
    "GB200 (per GPU)": "gb200",
    "GB300 (per GPU)": "gb300",
    "GB10 (DGX Spark)": "gb10",
    "A100-SXM-80GB": "a100-sxm-80gb",
    "NVIDIA A100-SXM4-80GB": "a100-sxm-80gb",
    "A100-PCIe-40GB": "a100-pcie-40gb",
    "V100-SXM2-32GB": "v100-sxm-32gb",
    "RTX A6000": "rtx-a6000",
    "GeForce RTX 3090": "rtx-3090",
    "RTX PRO 6000 Blackwell Server": "rtx-pro-6000-server",
    "AMD Instinct MI300X": "mi300x",
    "MI355X": "mi355x",
    "Arc Pro B60": "arc-pro-b60",
    "TPU v5e": "tpu-v5e",
    "TPU v6e (Trillium)": "tpu-v6e",
}


@pytest.fixture
def h100() -> Device:
    return load_device("h100-sxm")


@pytest.fixture
def plain(h100: Device) -> dict[str, Any]:
    return deepcopy(load_yaml(h100.path).plain())


def test_the_library_has_the_devices_that_measurements_name() -> None:
    assert set(NEEDED) <= set(list_devices())


@pytest.mark.parametrize("name", NEEDED)
def test_a_shipped_device_loads_and_is_plausible(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    assert device.sources
    assert all(device.source_of(field) for field, _ in device.field_sources)
    assert [finding for finding in check_device(device) if finding.level == "error"] == []
    assert device.main_bandwidth_bytes_per_s > 0
    assert device.has_peak("float16") or device.has_peak("bfloat16")
    assert device.has_peak("float32", "vector")
    assert device.link("scale_up") or name == "gb10"


@pytest.mark.parametrize(("spelling", "name"), SPELLINGS.items())
def test_spellings_of_other_tables_are_aliases(spelling: str, name: str) -> None:
    assert load_device(spelling).name == name


def test_numbers_are_si_and_carry_their_source(h100: Device) -> None:
    assert h100.peak_flops_per_s("bfloat16") == pytest.approx(989.4e12)
    assert h100.peak_flops_per_s("bfloat16", sparsity="2:4") == pytest.approx(1978.9e12)
    assert h100.main_memory.bandwidth_bytes_per_s == 3.35e12
    assert h100.last_level_cache is not None
    assert h100.last_level_cache.capacity_bytes == 50 * 2**20
    assert (h100.core_count, h100.clock_hz, h100.l2_partitions, h100.power_w) == (132, 1.83e9, 2, 700.0)
    source = h100.source_of("memory[0].bandwidth")
    assert source is not None
    assert source.verified


def test_a_peak_that_is_not_there_is_an_error_that_says_what_is(h100: Device) -> None:
    with pytest.raises(InputError, match="tensor/bfloat16/dense"):
        h100.peak_flops_per_s("fp4")
    with pytest.raises(InputError, match="did you mean 'bfloat16'"):
        h100.peak_flops_per_s("bflot16")
    assert not h100.has_peak("fp4")
    assert not load_device("a100").has_peak("fp8")
    assert not load_device("v100").has_peak("bfloat16")


def test_links_are_chosen_by_scope_domain_and_topology() -> None:
    a40 = load_device("a40")
    pair, wide = a40.link("scale_up", ranks=2), a40.link("scale_up", ranks=4)
    assert pair is not None
    assert wide is not None
    assert (pair.topology, wide.topology) == ("nvlink-pair", "pcie")
    assert a40.link("scale_up", topology="pcie") == wide
    assert a40.link("scale_up", ranks=64) is None
    scale_out = load_device("h100").link("scale_out", ranks=4096)
    assert scale_out is not None
    assert scale_out.bandwidth_bytes_per_s == 50e9


def test_only_split_caches_have_two_partitions() -> None:
    assert load_device("b200").l2_partitions == 2
    assert load_device("l40s").l2_partitions == 1
    assert load_device("tpu-v6e").l2_partitions == 1


def test_traps_of_published_tables_are_avoided() -> None:
    assert load_device("rtx-3090").peak_flops_per_s("bfloat16") == 71e12
    assert load_device("rtx-4090").peak_flops_per_s("float16") == pytest.approx(165.2e12)
    assert load_device("l40s").peak_flops_per_s("bfloat16") == pytest.approx(362.05e12)
    assert load_device("b300").peak_flops_per_s("int8") == pytest.approx(153.5e12)


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="h100-sxm"):
        load_device("h100-smx")


def test_a_file_is_read_again_when_it_changes(tmp_path: Path, h100: Device) -> None:
    path = tmp_path / "try.yaml"
    text = Path(h100.path).read_text()
    path.write_text(text)
    before = load_device(path)
    assert before.spec_hash == h100.spec_hash
    path.write_text(text.replace("3.35 TB/s", "6.7 TB/s"))
    os.utime(path, ns=(0, 10**18))
    after = load_device(str(path))
    assert after.main_memory.bandwidth_bytes_per_s == 6.7e12
    assert after.spec_hash != before.spec_hash


def test_a_file_that_is_not_there_is_a_spec_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_device(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="cannot be read"):
        load_device(f"{tmp_path}{os.sep}")


def test_a_mapping_makes_the_same_device(plain: dict[str, Any], h100: Device) -> None:
    made = device_from_mapping(plain)
    assert (made.peaks, made.memory, made.links) == (h100.peaks, h100.memory, h100.links)
    assert made.path == "<mapping>"


@pytest.mark.parametrize(
    ("where", "value", "reason"),
    [
        (("memory", 0, "bandwidth"), "3.35 TFLOP/s", "is in FLOP/s, expected B/s"),
        (("memory", 0, "bandwidth"), "-3.35 TB/s", "is negative"),
        (("memory", 0, "bandwidth"), "0 TB/s", "is zero"),
        (("memory", 0, "capacity"), float("nan"), "is not a number"),
        (("memory", 0, "capacity"), 80, "has no unit"),
        (("memory", 0, "role"), "cache", "exactly one tier with 'role: main'"),
        (("chip", "cores"), 0, "at least 1"),
        (("chip", "clock"), "1.83 GB", "is in B, expected Hz"),
        (("peaks", "tensor", "fp8"), {}, "at least 1 entry"),
        (("kind",), "gpus", "did you mean 'gpu'"),
        (("schema",), "device/2", "reads 'device/1'"),
    ],
)
def test_wrong_values_are_refused(plain: dict[str, Any], where: tuple[Any, ...], value: Any, reason: str) -> None:
    at = plain
    for step in where[:-1]:
        at = at[step]
    at[where[-1]] = value
    with pytest.raises(SpecError) as caught:
        device_from_mapping(plain)
    assert reason in str(caught.value)


@pytest.mark.parametrize("key", ["bandwidth", "capacity", "name"])
def test_main_memory_needs_its_numbers(plain: dict[str, Any], key: str) -> None:
    del plain["memory"][0][key]
    with pytest.raises(SpecError, match=f"missing required key '{key}'"):
        device_from_mapping(plain)


def test_a_scale_up_link_needs_its_domain(plain: dict[str, Any]) -> None:
    del plain["links"][0]["domain"]
    with pytest.raises(SpecError, match="missing required key 'domain'"):
        device_from_mapping(plain)
