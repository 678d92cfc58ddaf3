"""Chips that are yet to be built: their files, and the fields of what-ifs."""

from __future__ import annotations

from pathlib import Path

import pytest

import perfmodel as pm
from perfmodel.arguments import parse_quantities
from perfmodel.devices import load_device
from perfmodel.devices.design import design_device
from perfmodel.devices.override import change_device, device_fields
from perfmodel.errors import InputError
from tests.conftest import Cli

WISHES = {"memory.hbm.bandwidth": "8TB/s", "compute.tensor.fp8": "4PFLOP/s", "power": "*1.5"}


def test_a_designed_file_says_what_a_changed_device_does(tmp_path: Path) -> None:
    device, text = design_device("h100-sxm", WISHES, "wish")
    (tmp_path / "wish.yaml").write_text(text, encoding="utf-8")
    read, changed = load_device(tmp_path / "wish.yaml"), change_device(load_device("h100-sxm"), WISHES)
    assert (read.name, read.like) == ("wish", "h100-sxm")
    assert read.peaks == changed.peaks == device.peaks
    assert read.memory == changed.memory
    assert read.power_w == changed.power_w == 1050.0
    source = read.source_of("memory[0].bandwidth")
    assert source is not None
    assert source.id == "what-if"


def test_a_design_without_changes_answers_as_the_device_does(tmp_path: Path) -> None:
    _, text = design_device("h100-sxm", {}, "same")
    (tmp_path / "same.yaml").write_text(text, encoding="utf-8")
    question = {"model": "llama-3.2-1b", "batch": 4, "input_tokens": 512, "output_tokens": 16}
    same, known = (pm.estimate(device=d, **question).report() for d in (tmp_path / "same.yaml", "h100-sxm"))
    for key in ("ttft_s", "tpot_s", "joules_per_token"):
        assert same[key] == known[key]


def test_a_new_dtype_may_be_wished_for() -> None:
    device, _ = design_device("h100-sxm", {"compute.tensor.fp4": "8 PFLOP/s"})
    assert device.peak_flops_per_s("fp4") == 8e15


def test_engines_have_fields_too() -> None:
    wafer = load_device("wse-3")
    assert {"engines.mesh.rows", "engines.mesh.stage", "mix.policy"} <= set(device_fields(wafer))
    device, text = design_device(
        "wse-3", {"engines.mesh.stage": "4 ns", "engines.mesh.rows": "*2", "mix.policy": "split"}
    )
    assert device.mix.policy == "split"
    assert "what-if" in text
    with pytest.raises(InputError, match="did you mean 'split'"):
        change_device(wafer, {"mix.policy": "splits"})


def test_axes_of_quantities() -> None:
    assert parse_quantities("x", "2TB/s:8TB/s:4") == ["2TB/s", "4TB/s", "6TB/s", "8TB/s"]
    assert parse_quantities("x", "1 GB:8 GB:x2") == ["1GB", "2GB", "4GB", "8GB"]
    assert parse_quantities("x", "*1,*2") == ["*1", "*2"]
    for bad in ("2TB/s:8GB/s:4", "2TB/s:8TB/s", "8TB/s:2TB/s:4", "0TB/s:8TB/s:4"):
        with pytest.raises(InputError, match="x: "):
            parse_quantities("x", bad)


def test_the_command_writes_a_file_once(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "wish.yaml"
    words = [f"--set={field}={text}" for field, text in WISHES.items()]
    assert cli("device", "new", "--like", "h100-sxm", *words, "--out", out).code == 0
    assert load_device(out).main_bandwidth_bytes_per_s == 8e12
    again = cli("device", "new", "--like", "h100-sxm", *words, "--out", out)
    assert again.code == 2
    assert "is there already" in again.err


def test_a_field_of_a_device_is_an_axis_of_a_sweep(cli: Cli) -> None:
    axis = "device.memory.hbm.bandwidth=2TB/s:8TB/s:4"
    found = cli("sweep", "llama-3.2-1b", "--on", "h100-sxm", "--vary", axis)
    assert found.code == 0
    assert [line.split()[0] for line in found.out.splitlines()[1:]] == ["2TB/s", "4TB/s", "6TB/s", "8TB/s"]
