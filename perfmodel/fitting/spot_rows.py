"""A user's measured kernels of one device, as operators that share a formula, ready to be fitted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from perfmodel.calibration import Coefficients, packaged_calibration
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import bound_of, expected_s
from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.ops import Operator
from perfmodel.specs.locate import is_path
from perfmodel.tables.kernels import KernelKey, kernel_job, kernel_of
from perfmodel.tables.stream import Row

MEASURED = ("latency_us", "measured_latency_us")
"""The columns in which a measured time is looked for, in this order."""

Factors = Mapping[str, float]
"""What each coefficient is multiplied by; those not named stay."""


@dataclass(frozen=True)
class ScaledMachine(Machine):
    """A machine whose coefficients are the packaged ones times factors: nothing that its owner measured is in them."""

    factors: Factors = field(default_factory=dict[str, float])
    asked: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    def coefficients(self, calibration: str, op: str, dtype: str) -> Coefficients:
        if (calibration, op, dtype) not in self.asked:
            self.asked.append((calibration, op, dtype))
        known = packaged_calibration(calibration)
        found = self._coefficients.get((calibration, op, dtype))
        if found is None:
            found = self._coefficients[calibration, op, dtype] = known.coefficients(**self._situation(known, op, dtype))
        return {name: value * self.factors.get(name, 1.0) for name, value in found.items()} if self.factors else found

    def situation(self, calibration: str) -> dict[str, str]:
        """Return what picks the rules of a class for the coefficients that were asked for last."""
        _, op, dtype = next(asked for asked in reversed(self.asked) if asked[0] == calibration)
        return self._situation(packaged_calibration(calibration), op, dtype)


@dataclass
class Group:
    """Measured rows that share a formula: one operator over arrays of shapes.

    ``places`` are the rows' numbers in the table, ``shapes`` their sizes as one text a row, ``calibration`` the
    operator class and ``dtype`` the precision by which its coefficients are looked up.
    """

    key: KernelKey
    operator: Operator
    machine: ScaledMachine
    places: list[int]
    shapes: list[str]
    measured_s: Any
    calibration: str = ""
    dtype: str = ""
    _bound_s: Any = None

    def expected_s(self, factors: Factors) -> Any:
        """Return the expected times of the rows with scaled coefficients, held to the bound."""
        import numpy as np

        machine = replace(self.machine, factors=factors)
        return np.maximum(expected_s(self.operator, machine), self.bound_s())

    def bound_s(self) -> Any:
        """Return the bounds of the rows."""
        import numpy as np

        if self._bound_s is None:
            self._bound_s = np.broadcast_to(bound_of(self.operator, self.machine).time_s, self.measured_s.shape)
        return self._bound_s

    def take(self, chosen: Any) -> Group:
        """Return some of the rows, by their numbers within the group."""
        import numpy as np

        numbers = np.array([[float(x) for x in self.shapes[i].split("|")] for i in chosen]).T
        places, shapes = [self.places[i] for i in chosen], [self.shapes[i] for i in chosen]
        return _group(self.key, numbers, places, shapes, self.measured_s[list(chosen)])


@dataclass(frozen=True)
class Spots:
    """The rows of a table that a device can be fitted on, and why the others cannot (row number, reason)."""

    device: Device
    groups: tuple[Group, ...]
    refused: tuple[tuple[int, str], ...]

    @property
    def rows(self) -> int:
        """Return how many rows can be fitted on."""
        return sum(len(group.places) for group in self.groups)

    def classes(self) -> dict[str, list[Group]]:
        """Return the groups by operator class."""
        found: dict[str, list[Group]] = {}
        for group in self.groups:
            found.setdefault(group.calibration, []).append(group)
        return dict(sorted(found.items()))


def read_spots(rows: Iterable[Row], device: str) -> Spots:
    """Return the measured rows of one device (a name or a file), each other row with its reason.

    A row without a device is of this one; the first row has the number 1. Errors: those of :func:`load_device`.
    """
    import numpy as np

    wanted = load_device(device)
    found: dict[KernelKey, list[tuple[int, tuple[float, ...], float]]] = {}
    refused: list[tuple[int, str]] = []
    for place, row in enumerate(rows, start=1):
        try:
            key, numbers, seconds = _read(row, device, wanted.name)
            found.setdefault(key, []).append((place, numbers, seconds))
        except PerfmodelError as error:
            refused.append((place, " ".join(str(error).split())))
    groups: list[Group] = []
    for key, members in found.items():
        places, shapes = [place for place, _, _ in members], ["|".join(f"{x:.17g}" for x in n) for _, n, _ in members]
        numbers, seconds = np.array([n for _, n, _ in members], dtype=float).T, np.array([s for _, _, s in members])
        try:
            groups.append(_group(key, numbers, places, shapes, seconds))
        except PerfmodelError as error:
            refused += [(place, " ".join(str(error).split())) for place in places]
    return Spots(wanted, tuple(groups), tuple(sorted(refused)))


def _read(row: Row, device: str, name: str) -> tuple[KernelKey, tuple[float, ...], float]:
    said = (row.get("device") or "").strip()
    if said and said != device and load_device(said).name != name:
        raise InputError(f"the row is of {load_device(said).name}, not of {name}")
    job = kernel_job({**row, "device": device if is_path(device) else name})
    assert isinstance(job.key, KernelKey)
    return job.key, job.numbers, measured_s(row)


def measured_s(row: Row) -> float:
    """Return a row's measured time. Errors: :class:`InputError` if there is none, or no positive number."""
    name = next((n for n in MEASURED if (row.get(n) or "").strip()), "")
    if not name:
        raise InputError(f"no measured time: column {' or '.join(MEASURED)} is empty")
    try:
        value = float(row[name])
    except ValueError:
        raise InputError(f"column {name}: '{row[name]}' is not a number") from None
    if not (math.isfinite(value) and 0.0 < value < 1e10):
        raise InputError(f"column {name}: {row[name]} microseconds is no time of a kernel")
    return value * 1e-6


def _group(key: KernelKey, numbers: Any, places: list[int], shapes: list[str], seconds: Any) -> Group:
    """Return a group, having asked its formula once which class and precision it looks coefficients up by."""
    operator, machine = kernel_of(key, numbers)
    scaled = ScaledMachine(**{f.name: getattr(machine, f.name) for f in fields(machine) if f.name[0] != "_"})
    group = Group(key, operator, scaled, places, shapes, seconds)
    group.expected_s({})
    group.calibration, _, group.dtype = scaled.asked[0]
    return group
