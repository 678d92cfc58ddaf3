"""The numbers that an explorer's page can turn: of the requests, of a device, and of what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from perfmodel.cost.energy import energy_facts_of
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.link_facts import link_of_topology
from perfmodel.cost.machine import Machine
from perfmodel.cost.price import Rates
from perfmodel.devices import Device
from perfmodel.devices.override import device_fields, dimension_of, field_value, with_number
from perfmodel.numeric import Number, maximum
from perfmodel.serving.network import NetworkSetup
from perfmodel.serving.scenario import Setup
from perfmodel.serving.step import Deployment
from perfmodel.units import parse_quantity

REQUEST = ("batch", "input_tokens", "output_tokens")
NETWORK_REQUEST = ("batch",)
PRICES = ("usd_per_hour", "usd_per_kwh")
_NAMES = {
    "memory.main.bandwidth": "memory bandwidth",
    "memory.main.capacity": "memory capacity",
    "memory.last_level_cache.capacity": "last-level cache",
    "links.scale_up.bandwidth": "link bandwidth, one direction",
    "links.scale_up.latency": "link latency",
    "links.host.bandwidth": "host link bandwidth",
    "links.host.latency": "host link latency",
    "links.scale_out.bandwidth": "network bandwidth",
    "links.scale_out.latency": "network latency",
    "chip.cores": "cores (SMs, CUs)",
    "chip.clock": "clock of the cores",
    "power": "power limit of the board",
    "idle_power": "power when idle",
}


@dataclass(frozen=True)
class DeviceNumber:
    """A number of a device: its argument's name in a function, field in a file, name in words, dimension and value."""

    argument: str
    field: str
    name: str
    dimension: str
    value: float


def device_numbers(device: Device) -> list[DeviceNumber]:
    """Return what can be turned of a device: none of one whose engines have numbers of their own."""
    if device.engines:
        return []
    found: list[DeviceNumber] = []
    for field in device_fields(device):
        name = _NAMES.get(field) or _peak_name(field)
        value = _value(device, field) if name else None
        if value is not None:
            found.append(DeviceNumber(argument_of(field), field, name, dimension_of(field), value))
    return found


def argument_of(field: str) -> str:
    """Return a field's name as an identifier: ``memory.main.bandwidth`` is ``memory_main_bandwidth``."""
    return field.replace(".", "_")


def _peak_name(field: str) -> str:
    group, engine, dtype = [*field.split(".", 2), "", ""][:3]
    return f"{dtype} {'matrix' if engine == 'tensor' else 'vector'} peak" if group == "peaks" else ""


def _value(device: Device, field: str) -> float | None:
    """Return a number of a device in SI units, or None where it states none (or zero, which no factor turns)."""
    value, dimension = field_value(device, field), dimension_of(field)
    if value is None or str(value).startswith("None"):
        return None
    return (parse_quantity(str(value), dimension) if dimension else float(value)) or None


def turned(setup: Setup, device: Device, numbers: Mapping[str, Number], matrix_pace: str) -> Setup:
    """Return a setup with other numbers, of any kind: arguments of :func:`device_numbers` and :data:`PRICES`.

    Everything that follows from a device's numbers follows again; ``matrix_pace`` picks coefficients by them
    (:func:`perfmodel.cost.facts.slow_matrix_units`).
    """
    rates = Rates(numbers["usd_per_hour"], numbers["usd_per_kwh"], setup.question.price_kind, "")
    if not device_numbers(device):
        return replace(setup, rates=rates)
    device = _with_numbers(device, numbers)
    decode = _on(setup.decode, device, matrix_pace)
    prefill = decode if setup.prefill is setup.decode else _on(setup.prefill, device, matrix_pace)
    return replace(
        setup, decode=decode, prefill=prefill, energy_facts=energy_facts_of(device), rates=rates,
        memory=replace(setup.memory, capacity_bytes=device.main_memory.capacity_bytes),
    )  # fmt: skip


def turned_network(
    setup: NetworkSetup, device: Device, numbers: Mapping[str, Number], matrix_pace: str
) -> NetworkSetup:
    """Return a network's setup with other numbers, as :func:`turned` does with a language model's."""
    rates = Rates(numbers["usd_per_hour"], numbers["usd_per_kwh"], setup.question.price_kind, "")
    if not device_numbers(device):
        return replace(setup, rates=rates)
    device, old = _with_numbers(device, numbers), setup.machine
    chip = chip_facts(device, matrix_pace)
    stored = setup.memory_of(0.0).weights_bytes
    cold: Number = maximum(0.0, 1.0 - chip.on_chip_bytes / maximum(stored, 1.0))
    machine = Machine(chip, old.link, old.backend, old.timing, old.warm, old.form, cold, old.engines, old.mix)
    return replace(setup, device=device, machine=machine, energy_facts=energy_facts_of(device), rates=rates)


def _with_numbers(device: Device, numbers: Mapping[str, Number]) -> Device:
    for number in device_numbers(device):
        device = with_number(device, number.field, numbers[number.argument])
    return device


def _on(deployment: Deployment, device: Device, matrix_pace: str) -> Deployment:
    old = deployment.machine
    link = old.link and link_of_topology(device, old.link.topology, int(old.link.domain_size))
    chip = chip_facts(device, matrix_pace)
    machine = Machine(chip, link, old.backend, old.timing, old.warm, old.form, old.cold_weights, old.engines, old.mix)
    return replace(deployment, machine=machine)
