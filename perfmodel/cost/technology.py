"""Energy and area of the parts that chips are made of, by dtype, process and kind of memory or link.

The figures are in ``hardware_specs/technology/technology.yaml``, each with its source. Between two processes a quantity
follows the power of the node that joins them; beyond the last ones, that of the nearest two.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from perfmodel.errors import InputError
from perfmodel.specs.locate import find_spec
from perfmodel.specs.provenance import SOURCES_RULE
from perfmodel.specs.schema import Block, Listing, Quantity, Real, Text, read_spec
from perfmodel.specs.yaml_strict import parse_yaml, read_text

_NODE = Quantity("metres")
_OPERATION = Block(
    {"operation": Text(("multiply", "add")), "dtype": Text(), "node": _NODE, "energy": Quantity("joules_per_flop")},
    {"area": Quantity("square_metres")},
)
_BY_TYPE = Listing(Block({"type": Text(), "energy": Quantity("joules_per_byte")}), least=1)
_RULE = Block(
    {
        "schema": Text(),
        "name": Text(),
        "operations": Listing(_OPERATION, least=1),
        "memories": _BY_TYPE,
        "links": _BY_TYPE,
        "sram": Listing(Block({"node": _NODE, "energy": Quantity("joules_per_byte"), "exponent": Real()}), least=2),
        "processes": Listing(Block({"node": _NODE, "transistors": Real(), "cell": Quantity("square_metres")}), least=2),
        "interfaces": Listing(Block({"type": Text(), "area": Quantity("square_metres")}), least=1),
        "sources": SOURCES_RULE,
    },
    {
        "notes": Listing(Text()),
        "wafers": Listing(Block({"node": _NODE, "price": Quantity("usd")}), least=2),
        "memory_prices": Listing(Block({"type": Text(), "usd_per_gb": Real()}), least=1),
    },
)

_MM2 = 1e6
_NM = 1e9
_ACCUMULATED_IN = {"int8": "int32", "int4": "int32"}
_ALIKE = {
    "fp8": ("int8", 1.5), "fp6": ("int8", 1.2), "fp4": ("int8", 0.5), "int4": ("int8", 0.4), "tf32": ("float16", 1.5),
}  # fmt: skip
"""Dtypes that no source states, as so many times another (products grow with the mantissa's square): assumed."""


@dataclass(frozen=True)
class Technology:
    """The table, in SI units but for areas (mm2) and nodes (nm)."""

    operations: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    areas_mm2: Mapping[tuple[str, str], float]
    j_per_byte: Mapping[str, float]
    link_j_per_byte: Mapping[str, float]
    sram: tuple[tuple[float, float, float], ...]
    transistors_per_mm2: tuple[tuple[float, float], ...]
    cell_mm2: tuple[tuple[float, float], ...]
    interface_mm2_per_tb_s: Mapping[str, float]
    wafers_usd: tuple[tuple[float, float], ...] = ()
    memory_usd_per_gb: Mapping[str, float] = field(default_factory=dict[str, float])

    def mac_j(self, dtype: str, node_nm: float) -> float:
        """Return the joules of one multiply-add at a process, its arithmetic alone."""
        alike, factor = _ALIKE.get(dtype, (dtype, 1.0))
        sums = _ACCUMULATED_IN.get(alike, alike)
        return factor * (self._energy("multiply", alike, node_nm) + self._energy("add", sums, node_nm))

    def _energy(self, operation: str, dtype: str, node_nm: float) -> float:
        points = self.operations.get((operation, dtype)) or self.operations.get((operation, "float16"))
        assert points is not None
        if len(points) == 1:  # bfloat16 is stated at one node: scaled like float16
            reference = self.operations[operation, "float16"]
            return points[0][1] * _between(reference, node_nm) / _between(reference, points[0][0])
        return _between(points, node_nm)

    def mac_mm2(self, dtype: str, node_nm: float) -> float:
        """Return the area of one multiply-adder: that of 45 nm by the density of transistors."""
        alike, factor = _ALIKE.get(dtype, (dtype, 1.0))
        alike = alike if ("multiply", alike) in self.areas_mm2 else "float16"
        sums = _ACCUMULATED_IN.get(alike, alike)
        old = factor * (self.areas_mm2["multiply", alike] + self.areas_mm2["add", sums])
        return old * _between(self.transistors_per_mm2, 45.0) / _between(self.transistors_per_mm2, node_nm)

    def sram_mm2(self, size_bytes: float, node_nm: float) -> float:
        """Return the area of an SRAM's cells alone."""
        return 8.0 * size_bytes * _between(self.cell_mm2, node_nm)

    def sram_j_per_byte(self, size_bytes: float, node_nm: float) -> float:
        """Return the joules of a byte read: ``a*kB^b``; below the last node that CACTI knows, that of it."""
        sizes = tuple((node, each * (size_bytes / 1024.0) ** power) for node, each, power in self.sram)
        return _between(sizes, max(node_nm, min(node for node, _ in sizes)))

    def memory_type(self, name: str) -> str:
        """Return the kind of memory that a tier's name says ("HBM3e 12-high" is hbm3e), empty if none is known."""
        words = name.lower().replace("-", "").replace("_", "")
        return max((kind for kind in self.j_per_byte if kind in words), key=len, default="")

    def wafer_usd(self, node_nm: float) -> float:
        """Return the price of a wafer of a process."""
        return _between(self.wafers_usd, node_nm)

    def memory_usd(self, kind: str, capacity_bytes: float) -> float:
        """Return the price of a memory of a kind ("hbm3e"). Errors: :class:`InputError` for one that is not known."""
        found = max((k for k in self.memory_usd_per_gb if kind.startswith(k)), key=len, default="")
        if not found:
            raise InputError(f"no price is known of memory '{kind}' (of {', '.join(self.memory_usd_per_gb)})")
        return self.memory_usd_per_gb[found] * capacity_bytes / 1e9

    def interface_mm2(self, kind: str, bytes_per_s: float) -> float:
        """Return the area of the interface of a memory ("hbm3e") or of links ("link") of a bandwidth."""
        found = max((k for k in self.interface_mm2_per_tb_s if kind.startswith(k)), key=len, default="")
        if not found:
            raise InputError(
                f"no area is known of interfaces of '{kind}' (of {', '.join(self.interface_mm2_per_tb_s)})"
            )
        return self.interface_mm2_per_tb_s[found] * bytes_per_s / 1e12


def _between(points: Sequence[tuple[float, float]], node_nm: float) -> float:
    """Return a quantity at a node: a power law through the two points around it."""
    ordered = sorted(points)
    pairs = list(itertools.pairwise(ordered))
    (x0, y0), (x1, y1) = next((pair for pair in pairs if node_nm <= pair[1][0]), pairs[-1])
    power = math.log(y1 / y0) / math.log(x1 / x0)
    return y0 * (node_nm / x0) ** power


@lru_cache(maxsize=4)
def technology(name: str = "technology") -> Technology:
    """Return the table; :class:`SpecError` with all faults of the file."""
    path = str(find_spec("hardware_specs", name, "technology"))
    values, _ = read_spec(_RULE, parse_yaml(read_text(path), path), path, "technology/1")
    operations: dict[tuple[str, str], list[tuple[float, float]]] = {}
    areas: dict[tuple[str, str], float] = {}
    for one in values["operations"]:
        key = (one["operation"], one["dtype"])
        operations.setdefault(key, []).append((_nm(one), one["energy"]))
        if "area" in one:
            areas[key] = one["area"] * _MM2
    return Technology(
        {key: tuple(points) for key, points in operations.items()}, areas, _types(values["memories"]),
        _types(values["links"]), tuple((_nm(s), s["energy"], s["exponent"]) for s in values["sram"]),
        tuple((_nm(p), p["transistors"]) for p in values["processes"]),
        tuple((_nm(p), p["cell"] * _MM2) for p in values["processes"]),
        {i["type"]: i["area"] * _MM2 for i in values["interfaces"]},
        tuple((_nm(w), w["price"]) for w in values.get("wafers", ())),
        {m["type"]: m["usd_per_gb"] for m in values.get("memory_prices", ())},
    )  # fmt: skip


def _types(entries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {one["type"]: one["energy"] for one in entries}


def _nm(entry: Mapping[str, Any]) -> float:
    return round(entry["node"] * _NM, 6)
