"""The traced formulas of networks are Python's, whatever numbers a device has."""

from __future__ import annotations

import random
from typing import Any

import pytest

import perfmodel as pm
from perfmodel.cost.facts import slow_matrix_units
from perfmodel.devices import Device, load_device
from perfmodel.devices.override import with_number
from perfmodel.explorer.choices import arguments_of
from perfmodel.explorer.network_formulas import network_formula
from perfmodel.explorer.numbers import NETWORK_REQUEST, device_numbers, turned_network
from perfmodel.readings.cell_values import Values
from perfmodel.readings.trace import Graph

_UNITS = {"bytes": "B", "bytes_per_s": "B/s", "flops_per_s": "FLOP/s", "hertz": "Hz", "seconds": "s", "watts": "W"}


def _turned(device: Device, seed: int) -> dict[str, float]:
    draw = random.Random(seed)
    return {number.argument: float(max(1, round(number.value * 4 ** draw.uniform(-1, 1))))
            if number.field == "chip.cores" else number.value * 4 ** draw.uniform(-1, 1)
            for number in draw.sample(device_numbers(device), 4)}  # fmt: skip


def _pace(device: Device, numbers: dict[str, float]) -> str:
    for number in device_numbers(device):
        device = with_number(device, number.field, numbers[number.argument])
    return "slow" if slow_matrix_units(device) else ""


def _of_report(report: dict[str, Any], name: str) -> float:
    found: Any = report
    for part in name.split("."):
        found = found[int(part)] if part.isdecimal() else found[part]
    return float(found)


@pytest.mark.parametrize(
    ("network", "name", "seed"),
    [("resnet18", "rtx-3090", 1), ("resnet18", "h100-sxm", 2), ("dlrm-rmc1", "epyc-9654", 3), ("unet", "tpu-v5e", 4)],
)
def test_traced_numbers_are_those_of_the_report(network: str, name: str, seed: int) -> None:
    device = load_device(name)
    asked = pm.estimate(network, name, batch=2)
    changed = _turned(device, seed)
    numbers = {number.argument: number.value for number in device_numbers(device)} | changed
    graph = Graph()
    inputs = {argument: graph.input(argument) for argument in arguments_of(device, NETWORK_REQUEST)}
    setup = turned_network(asked.setup, device, inputs, _pace(device, numbers))
    named, labels, rows = network_formula(setup, graph.input("batch"))
    nodes = {key: graph.lift(value) for key, value in named.items()}
    kernels = [graph.lift(value) for value in rows[:: len(rows) // len(labels)]]
    values = Values([*nodes.values(), *kernels], numbers | {"batch": 37.0, "usd_per_hour": 2.0, "usd_per_kwh": 0.1})
    changes = {f"device.{number.field}": f"{changed[number.argument]!r}{_UNITS.get(number.dimension, '')}"
               for number in device_numbers(device) if number.argument in changed}  # fmt: skip
    report = pm.estimate(network, name, batch=37, changes=changes, usd_per_device_hour=2.0, usd_per_kwh=0.1).report()
    for key, node in nodes.items():
        assert float(values.of(node)) == pytest.approx(_of_report(report, key), rel=1e-9), key
    told = [row["expected_s"] for row in report["operators"]]
    assert [float(values.of(node)) for node in kernels] == pytest.approx(told, rel=1e-9)
    assert [label.name for label in labels] == [row["name"] for row in report["operators"]]
