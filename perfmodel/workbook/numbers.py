"""The numbers that a live workbook can change: of the requests, the device, its price, and the forms' coefficients."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from perfmodel.calibration import Coefficients, load_calibration
from perfmodel.cost.energy import EnergyFacts, energy_facts_of
from perfmodel.cost.engines.base import Engine
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.link_facts import link_of_topology
from perfmodel.cost.machine import Machine
from perfmodel.cost.price import Rates
from perfmodel.devices import Device, load_system
from perfmodel.devices.model import WHAT_IF
from perfmodel.devices.override import canonical_field, device_fields, dimension_of, field_value, with_number
from perfmodel.numeric import Number, maximum
from perfmodel.readings.trace import Graph, Node
from perfmodel.serving.network import NetworkSetup
from perfmodel.serving.scenario import Setup
from perfmodel.serving.step import Deployment
from perfmodel.specs.provenance import Source
from perfmodel.units import parse_quantity
from perfmodel.workbook.meanings import coefficient_meaning, device_meaning, unit_of

REQUEST = {
    "batch": "requests in flight over the whole deployment (static: started together)",
    "input_tokens": "tokens of a prompt",
    "output_tokens": "tokens generated for a request",
}
_UNITS = {"hertz": "Hz", "watts": "W", "bytes": "B", "bytes_per_s": "B/s", "seconds": "s", "flops_per_s": "FLOP/s"}
_WHOLE_WORLD = ("domain", "rails", "oversubscription")
"""Fields of a link that say how devices are joined: the formulas' shape depends on them."""


@dataclass(frozen=True)
class NamedNumber:
    """A cell that can be changed: its name in formulas, value in ``unit``, what it means, and where it is from."""

    name: str
    group: str
    value: float
    unit: str
    meaning: str
    source: str


@dataclass
class Names:
    """Hands out named inputs of one graph."""

    graph: Graph
    numbers: dict[str, NamedNumber] = field(default_factory=dict[str, NamedNumber])

    def input(self, number: NamedNumber) -> Node:
        """Return the input of a number, the same for the same name."""
        self.numbers.setdefault(number.name, number)
        return self.graph.input(number.name)


@dataclass(frozen=True)
class _NamedMachine(Machine):
    """A machine whose coefficients are inputs."""

    names: Names | None = field(default=None, compare=False, repr=False)

    def coefficients(self, calibration: str, op: str, dtype: str) -> Coefficients:
        """Return the coefficients of an operator class as inputs, known by class, operator and dtype."""
        assert self.names is not None
        words = dict.fromkeys([calibration, op, dtype])
        return _named_coefficients(self.names, calibration, words, super().coefficients(calibration, op, dtype))


def name_of(*words: str) -> str:
    """Return words as a name that a cell can have: ``links.scale_up.bandwidth`` is ``links_scale_up_bandwidth``."""
    found = re.sub(r"\W+", "_", "_".join(word for word in words if word)).strip("_")
    return found if "_" in found else f"device_{found}"  # POWER is a function of every spreadsheet


def named_setup(setup: Setup, device: Device, graph: Graph, *, engines: bool = True) -> tuple[Setup, Names]:
    """Return a setup whose numbers are inputs of a graph, and the inputs by name.

    What picks a formula's shape stays as it is: the plan, the precisions, links' topology and domains, and the pace of
    the matrix units (:attr:`perfmodel.cost.facts.ChipFacts.matrix_pace`). ``engines`` False leaves the numbers of a
    device's engines as they are, for those whose formulas branch on them.
    """
    names = Names(graph)
    traced = _named_device(device, names)
    decode = _on(setup.decode, device, traced, names, engines)
    prefill = decode if setup.prefill is setup.decode else _on(setup.prefill, device, traced, names, engines)
    words = {"serving": None, setup.framework.engine or "bare": None, setup.framework.mode: None}
    framework = _named_coefficients(names, "serving", words, setup.framework.coefficients)
    changed = replace(
        setup, decode=decode, prefill=prefill, framework=replace(setup.framework, coefficients=framework),
        memory=replace(setup.memory, capacity_bytes=traced.main_memory.capacity_bytes),
        energy_facts=_named_energy(setup, traced, names), rates=_named_rates(setup.rates, names),
    )  # fmt: skip
    return changed, names


def named_network_setup(
    setup: NetworkSetup, device: Device, graph: Graph, *, engines: bool = True
) -> tuple[NetworkSetup, Names]:
    """Return a network's setup whose numbers are inputs of a graph, and the inputs by name (:func:`named_setup`)."""
    names = Names(graph)
    traced = _named_device(device, names)
    machine = _machine(setup.machine, device, traced, names, engines)
    stored = setup.memory_of(0.0).weights_bytes
    cold: Number = maximum(0.0, 1.0 - machine.chip.on_chip_bytes / maximum(stored, 1.0))
    question, facts = setup.question, setup.energy_facts and energy_facts_of(traced)
    if facts is not None and question.power_limit_w is not None:
        limit = NamedNumber("power_limit", "device", question.power_limit_w, "W", "power limit in force", "as asked")
        question = replace(question, power_limit_w=names.input(limit))
    changed = replace(
        setup, machine=replace(machine, cold_weights=cold), question=question, energy_facts=facts,
        rates=_named_rates(setup.rates, names),
    )  # fmt: skip
    return changed, names


def _named_device(device: Device, names: Names) -> Device:
    """Return a device whose numbers are inputs: those of its chip, memories, links and dense peaks."""
    traced = device
    for place in device_fields(device):
        if place.startswith(("engines.", "mix.")) or place.endswith(_WHOLE_WORLD):
            continue
        written, dimension = field_value(device, place), dimension_of(place)
        value = None if written is None or str(written).startswith("None") else _plain(written, dimension)
        if value:
            unit = _UNITS.get(dimension, "1")
            number = NamedNumber(
                name_of(place), "device", value, unit, device_meaning(place), device_source(device, place)
            )
            traced = with_number(traced, place, names.input(number))
    return traced


def _plain(written: Any, dimension: str) -> float:
    return float(parse_quantity(str(written), dimension)) if dimension else float(written)


def device_source(device: Device, place: str) -> str:
    """Return the citation of a device's number, and whether it was read there; a number that was changed says so."""
    for note in device.notes:
        said, equals, _ = note.removeprefix(WHAT_IF).partition(" = ")
        if note.startswith(WHAT_IF) and equals and canonical_field(device, said) == place:
            return note
    group, key, name = [*place.split(".", 2), "", ""][:3]
    if group in ("memory", "links"):
        entries: Any = device.memory if group == "memory" else device.links
        words = [entry.role if group == "memory" else entry.scope for entry in entries]
        place = f"{group}[{words.index(key)}].{name}"
    found = _source(device, place, group)
    if found is None:
        return f"device file {device.system or device.name}"
    return found.citation() + ("" if found.verified else " (not verified)")


def _source(device: Device, place: str, group: str) -> Source | None:
    if group == "links" and device.system:
        system = load_system(device.system)
        if system.links:
            found = dict(system.field_sources).get(place)
            return next((source for source in system.sources if source.id == found), None)
    return device.source_of(place) or device.source_of(f"{place}.dense")


def _on(deployment: Deployment, device: Device, traced: Device, names: Names, engines: bool) -> Deployment:
    return replace(deployment, machine=_machine(deployment.machine, device, traced, names, engines))


def _machine(old: Machine, device: Device, traced: Device, names: Names, engines: bool) -> Machine:
    link = old.link and link_of_topology(traced, old.link.topology, int(old.link.domain_size))
    chip = chip_facts(traced, old.chip.matrix_pace)
    own = tuple((name, _named_engine(device, name, each, names)) for name, each in old.engines)
    return _NamedMachine(
        chip, link, old.backend, old.timing, old.warm, old.form, old.cold_weights, own if engines else old.engines,
        old.mix, names=names,
    )  # fmt: skip


def _named_engine(device: Device, name: str, engine: Engine, names: Names) -> Engine:
    """Return an engine whose settings that are numbers are inputs."""
    source = f"device file {device.name}, engines"
    settings: dict[str, Any] = {}
    for each in fields(engine):
        value = getattr(engine, each.name)
        if isinstance(value, float) and value:
            meaning = f"{each.name.replace('_', ' ')} of engine {name} ({engine.NAME})"
            called, unit = name_of("engine", name, each.name), unit_of(each.name)
            settings[each.name] = names.input(NamedNumber(called, "device", value, unit, meaning, source))
    return replace(engine, **settings)


def _named_coefficients(
    names: Names, calibration: str, words: Mapping[str, None], known: Coefficients
) -> dict[str, Any]:
    about = load_calibration(calibration).about
    source = f"fitted: hardware_specs/calibration/{calibration}.yaml, {about.get('date', '')}".rstrip(", ")
    found: dict[str, Any] = {}
    for name, value in known.items():
        called, meaning = name_of(*words, name), coefficient_meaning(calibration, name)
        found[name] = names.input(NamedNumber(called, "coefficients", float(value), unit_of(name), meaning, source))
    return found


def _named_energy(setup: Setup, traced: Device, names: Names) -> EnergyFacts | None:
    if setup.energy_facts is None:
        return None
    facts, limit_w = energy_facts_of(traced), setup.question.power_limit_w
    if limit_w is None or facts is None:
        return facts
    number = NamedNumber("power_limit", "device", limit_w, "W", "power limit in force", "as asked")
    return replace(facts, limit_w=names.input(number), board_w=facts.limit_w)


def _named_rates(rates: Rates | None, names: Names) -> Rates | None:
    if rates is None:
        return None
    hire = NamedNumber(
        "usd_per_device_hour", "price", rates.usd_per_device_hour, "USD/h", f"an hour of one device ({rates.kind})",
        rates.origin,
    )  # fmt: skip
    power = NamedNumber(
        "usd_per_kwh", "price", rates.usd_per_kwh, "USD/kWh", "electricity on top (0: in the price)", "as asked"
    )
    return replace(rates, usd_per_device_hour=names.input(hire), usd_per_kwh=names.input(power))
