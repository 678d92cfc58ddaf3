"""Numbers of a deployment that can be turned: factors on what the device, its links and the requests are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.link_facts import LinkFacts
from perfmodel.cost.machine import Machine
from perfmodel.errors import InputError, did_you_mean
from perfmodel.numeric import Number
from perfmodel.serving.scenario import Setup
from perfmodel.units import counted


class Knob(NamedTuple):
    """A number that a factor turns: what it is, its unit, its value, and what the factor does to a machine or setup."""

    meaning: str
    dimension: str
    value: Callable[[Setup], float]
    turn: Callable[[Setup, Number], Setup]


def _of_chip(field: str) -> tuple[Callable[[Setup], float], Callable[[Setup, Number], Setup]]:
    def turned(machine: Machine, factor: Number) -> Machine:
        return replace(machine, chip=replace(machine.chip, **{field: getattr(machine.chip, field) * factor}))

    return lambda setup: float(getattr(setup.decode.machine.chip, field)), _both(turned)


def _of_link(field: str) -> tuple[Callable[[Setup], float], Callable[[Setup, Number], Setup]]:
    def turned(machine: Machine, factor: Number) -> Machine:
        link = machine.link
        return (
            machine if link is None else replace(machine, link=replace(link, **{field: getattr(link, field) * factor}))
        )

    return lambda setup: float(getattr(setup.decode.machine.link, field, 0.0)), _both(turned)


def _both(turned: Callable[[Machine, Number], Machine]) -> Callable[[Setup, Number], Setup]:
    """Return a change of both pools' machines."""

    def change(setup: Setup, factor: Number) -> Setup:
        decode = replace(setup.decode, machine=turned(setup.decode.machine, factor))
        if setup.prefill is setup.decode:
            return replace(setup, decode=decode, prefill=decode)
        return replace(
            setup, decode=decode, prefill=replace(setup.prefill, machine=turned(setup.prefill.machine, factor))
        )

    return change


def _peaks(machine: Machine, factor: Number) -> Machine:
    return replace(machine, chip=_faster(machine.chip, factor))


def _faster(chip: ChipFacts, factor: Number) -> ChipFacts:
    sparse = {name: peak * factor for name, peak in chip.sparse_peaks.items()}
    return replace(chip, peaks={name: peak * factor for name, peak in chip.peaks.items()}, sparse_peaks=sparse)


def _clock(machine: Machine, factor: Number) -> Machine:
    chip = _faster(machine.chip, factor)
    vector = chip.vector_flops_per_s * factor
    return replace(machine, chip=replace(chip, clock_hz=chip.clock_hz * factor, vector_flops_per_s=vector))


def _cores(machine: Machine, factor: Number) -> Machine:
    chip = _faster(machine.chip, factor)
    chip = replace(chip, core_count=chip.core_count * factor, vector_flops_per_s=chip.vector_flops_per_s * factor)
    # a chip of more cores is given the power for them
    return replace(machine, chip=replace(chip, power_w=None if chip.power_w is None else chip.power_w * factor))


def _capacity(setup: Setup, factor: Number) -> Setup:
    return replace(setup, memory=replace(setup.memory, capacity_bytes=setup.memory.capacity_bytes * factor))


def _host(setup: Setup, factor: Number) -> Setup:
    known = setup.framework.coefficients
    turned = {name: value * factor if name.endswith("host_us") else value for name, value in known.items()}
    return replace(setup, framework=replace(setup.framework, coefficients=turned))


def _peak_of(setup: Setup) -> float:
    return float(setup.decode.machine.chip.peak_flops_per_s(setup.decode.precisions.linear.compute))


def _host_s(setup: Setup) -> float:
    return 1e-6 * float(setup.framework.coefficients.get("decode_host_us", 0.0))


KNOBS: dict[str, Knob] = {
    "peak": Knob("matrix peaks", "flops_per_s", _peak_of, _both(_peaks)),
    "vector": Knob("vector peak", "flops_per_s", *_of_chip("vector_flops_per_s")),
    "clock": Knob("clock, peaks with it", "hertz", lambda s: float(s.decode.machine.chip.clock_hz), _both(_clock)),
    "cores": Knob("cores, peaks with them", "", lambda s: float(s.decode.machine.chip.core_count), _both(_cores)),
    "bandwidth": Knob("memory bandwidth", "bytes_per_s", *_of_chip("memory_bandwidth_bytes_per_s")),
    "capacity": Knob("memory capacity", "bytes", lambda s: float(s.memory.capacity_bytes), _capacity),
    "cache": Knob("last-level cache", "bytes", *_of_chip("llc_bytes")),
    "link": Knob("link bandwidth", "bytes_per_s", *_of_link("bandwidth_bytes_per_s")),
    "link_latency": Knob("link latency", "seconds", *_of_link("latency_s")),
    "network": Knob("network bandwidth", "bytes_per_s", *_of_link("outer_bandwidth_bytes_per_s")),
    "network_latency": Knob("network latency", "seconds", *_of_link("outer_latency_s")),
    "host": Knob("framework's time on the host", "seconds", _host_s, _host),
}
"""Numbers of the machine and the framework; those of :data:`REQUEST` are turned beside them."""

REQUEST = {"batch": "requests in flight", "input_tokens": "input tokens", "output_tokens": "output tokens"}


def turned(setup: Setup, factors: Mapping[str, Number]) -> Setup:
    """Return the setup with the numbers of :data:`KNOBS` multiplied by factors. Errors: :class:`InputError`."""
    for name, factor in factors.items():
        if name not in KNOBS:
            raise InputError(f"no number '{name}' to turn{did_you_mean(name, KNOBS)} (one of {', '.join(KNOBS)})")
        setup = KNOBS[name].turn(setup, factor)
    return setup


def present(setup: Setup) -> list[str]:
    """Return the numbers that this deployment has: no link on one device, no network inside a domain."""
    link = setup.decode.machine.link
    found = [name for name in KNOBS if KNOBS[name].value(setup) > 0.0]
    return [name for name in found if not name.startswith("network") or _crosses(setup, link)]


def _crosses(setup: Setup, link: LinkFacts | None) -> bool:
    devices = max(float(setup.decode.plan.devices_per_replica), float(setup.prefill.plan.devices_per_replica))
    return link is not None and devices > float(link.domain_size)


def scenario_text(setup: Setup, numbers: tuple[float, float, float]) -> str:
    """Return what is asked of a setup in words; ``numbers`` are requests in flight, input and output tokens."""
    batch, inputs, outputs = numbers
    return (f"{counted(batch, 'request')} in flight, {inputs:g} input and {outputs:g} output tokens, "
            f"{counted(setup.devices, 'device')}")  # fmt: skip
