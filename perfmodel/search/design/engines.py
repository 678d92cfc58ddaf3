"""Numbers of a device's own engines that a design may vary: the counts and quantities that their blocks state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from perfmodel.cost.engines.registry import Changes, engine_class, engines_of
from perfmodel.cost.facts import chip_facts
from perfmodel.devices import Device
from perfmodel.numeric import Number
from perfmodel.specs.schema import Quantity, Reading, Whole

PREFIX = "engines."


class EngineNumber(NamedTuple):
    """A number of an engine: its dimension (empty: a count) and its value in the device's file, in SI units."""

    dimension: str
    value: float


def engine_numbers(device: Device) -> dict[str, EngineNumber]:
    """Return the numbers of a device's engines by ``engines.NAME.KEY``.

    Shares of peaks (efficiencies) are assumptions, which nobody designs, and left out; so is what the file leaves to
    the form: state it there to vary it.
    """
    found: dict[str, EngineNumber] = {}
    reading = Reading(source.id for source in device.sources)
    for spec in device.engines:
        stated = spec.block.mapping or {}
        for key, rule in engine_class(spec.form).RULE.rules.items():
            if key in stated and isinstance(rule, (Quantity, Whole)):
                dimension = rule.dimension if isinstance(rule, Quantity) else ""
                value = float(rule.read(stated[key], key, reading, "stated"))
                found[f"{PREFIX}{spec.name}.{key}"] = EngineNumber(dimension, value)
    return found


def changes_of(values: Mapping[str, Any]) -> Changes:
    """Return the values of axes ``engines.NAME.KEY`` by engine and key."""
    found: dict[str, dict[str, Any]] = {}
    for axis, value in values.items():
        if axis.startswith(PREFIX):
            name, _, key = axis.removeprefix(PREFIX).rpartition(".")
            found.setdefault(name, {})[key] = value
    return found


def peak_growth(device: Device, changes: Changes) -> Number:
    """Return how many times the matrix peak is what it would be with the engines' numbers of the file."""
    if not changes:
        return 1.0
    chip = chip_facts(device)
    grown: Number = 1.0
    for (_, new), (_, old) in zip(engines_of(device, chip, changes), engines_of(device, chip), strict=True):
        if new.peak_scale is not None:
            grown = grown * (new.peak_scale / old.peak_scale)
    return grown
