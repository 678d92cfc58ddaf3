"""Properties of a chip that calibration rules go by: its memory's technology and the pace of its matrix units."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.cost.facts import chip_facts
from perfmodel.cost.machine import Machine
from perfmodel.devices import load_device


@pytest.mark.parametrize(
    ("device", "kind"), [("h200-sxm", "hbm"), ("rtx-4090", "gddr"), ("l4", "gddr"), ("a100-pcie-80gb", "hbm")]
)
def test_memory_technology(device: str, kind: str) -> None:
    assert chip_facts(load_device(device)).memory_kind == kind


@pytest.mark.parametrize(
    ("device", "pace"),
    [("rtx-3090", "slow"), ("rtx-4090", "slow"), ("rtx-2080-ti", "slow"), ("h20", "slow"), ("h100-sxm", ""),
     ("rtx-a6000", ""), ("l40s", ""), ("b200", ""), ("tpu-v5e", "")],
)  # fmt: skip
def test_matrix_units_at_half_rate_or_far_below_the_power_are_slow(device: str, pace: str) -> None:
    assert chip_facts(load_device(device)).matrix_pace == pace


def test_rules_see_the_property_and_not_the_name() -> None:
    chip = replace(chip_facts(load_device("rtx-5090")), name="nobody-knows-it")
    slow, fast = (Machine(replace(chip, matrix_pace=pace), None, warm=True) for pace in ("slow", ""))
    of_slow, of_fast = (m.coefficients("gemm", "gemm", "bfloat16") for m in (slow, fast))
    assert of_slow["math_efficiency"] > of_fast["math_efficiency"]
    assert of_slow["throttle"] < of_fast["throttle"]
