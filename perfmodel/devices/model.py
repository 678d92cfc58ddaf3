"""What a device is: frozen dataclasses of SI floats, the validated view of one file of hardware_specs/."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from perfmodel.errors import InputError, did_you_mean
from perfmodel.specs.provenance import Source
from perfmodel.specs.yaml_strict import Node

WHAT_IF = "what-if: "
"""How the note of a number that is not the device's own begins."""

UNLIMITED_DOMAIN = 1_000_000
"""Domain size of a network: as many devices as anyone joins."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Peak rate of one engine ("tensor": matrix units, "vector": SIMT/SIMD) at one dtype; a multiply-add is 2 flops.

    ``sparsity`` is "dense" or "2:4" (half of the weights are structural zeros that are not multiplied).
    """

    engine: str
    dtype: str
    sparsity: str
    flops_per_s: float


@dataclass(frozen=True, slots=True)
class MemoryTier:
    """One level of memory; ``partitions`` counts the parts of a split cache, each close to a part of the cores."""

    name: str
    role: str
    capacity_bytes: float
    bandwidth_bytes_per_s: float | None = None
    partitions: int = 1


@dataclass(frozen=True, slots=True)
class Link:
    """A way to other devices: ``bandwidth_bytes_per_s`` is that of one device in one direction, all its lanes together.

    ``domain_size`` counts the devices that it joins without crossing a slower link. ``rails`` links serve a whole node
    (0: each device has its own); beyond the node's switch only a part of 1/``oversubscription`` is left.
    """

    name: str
    scope: str
    topology: str
    bandwidth_bytes_per_s: float
    domain_size: int
    latency_s: float | None = None
    rails: int = 0
    oversubscription: float = 1.0


@dataclass(frozen=True, slots=True)
class Price:
    """What one device costs: an hour of it (cloud_hour, spot_hour, reserved_hour) or all of it (purchase), in USD.

    ``date`` says when that was so; prices of a whole node are divided by its devices in the spec file.
    """

    kind: str
    usd_per_device: float
    provider: str
    date: str


@dataclass(frozen=True, slots=True)
class Mix:
    """How engines share operators: each to the fastest ("time"), by operations a byte ("intensity"), divided ("split").

    From ``threshold`` operations a byte on an operator goes to the first engine in the file, else to the last.
    """

    policy: str = "time"
    threshold: float = 8.0


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One entry of ``engines``: a name, the form whose formulas hold, and its block, unread.

    ``text`` is the block as JSON, by which entries compare; ``node`` is the same with positions, ``place`` its path.
    """

    name: str
    form: str
    text: str
    place: str
    node: Node = field(compare=False, repr=False)

    @property
    def block(self) -> Node:
        """The block without the name and form, which are the same for every form."""
        kept = Node({k: v for k, v in (self.node.mapping or {}).items() if k not in ("name", "form")})
        kept.line, kept.column = self.node.line, self.node.column
        return kept


@dataclass(frozen=True)
class System:
    """Devices joined to nodes, and nodes to a cluster: ``links`` and ``prices`` stand in place of the device's own.

    ``nodes`` is how many the spec stands for (None: as many as anyone joins); ``host_power_w`` is what a node draws
    besides its devices.
    """

    name: str
    device: str
    devices_per_node: int
    nodes: int | None
    host_power_w: float | None
    links: tuple[Link, ...]
    prices: tuple[Price, ...]
    aliases: tuple[str, ...]
    notes: tuple[str, ...]
    sources: tuple[Source, ...]
    field_sources: tuple[tuple[str, str], ...]
    spec_hash: str
    path: str


@dataclass(frozen=True)
class Device:
    """One accelerator, as its spec file states it.

    ``core_count`` counts SMs, CUs, Xe-cores or tensor cores. ``clock_hz`` is the clock at which the tensor peaks hold,
    ``max_clock_hz`` the highest boost; ``power_w`` is the board limit. ``field_sources`` names for each number the id
    of its entry in ``sources``; ``spec_hash`` identifies the file's content. ``system`` names the system whose links
    and prices stand here in place of the device's own. ``die_area_mm2`` is of all dies that compute. ``engines`` are
    read by :mod:`perfmodel.cost.engines.registry`.
    """

    name: str
    vendor: str
    kind: str
    architecture: str
    released: str
    core_count: int
    clock_hz: float
    max_clock_hz: float
    peaks: tuple[Peak, ...]
    memory: tuple[MemoryTier, ...]
    links: tuple[Link, ...]
    power_w: float | None
    idle_power_w: float | None
    process_nm: float | None
    aliases: tuple[str, ...]
    notes: tuple[str, ...]
    sources: tuple[Source, ...]
    field_sources: tuple[tuple[str, str], ...]
    spec_hash: str
    path: str
    prices: tuple[Price, ...] = ()
    system: str = ""
    engines: tuple[EngineSpec, ...] = ()
    mix: Mix = Mix()
    like: str = ""
    die_area_mm2: float | None = None

    @cached_property
    def _rates(self) -> dict[tuple[str, str, str], float]:
        return {(peak.engine, peak.dtype, peak.sparsity): peak.flops_per_s for peak in self.peaks}

    def peak_flops_per_s(self, dtype: str, engine: str = "tensor", sparsity: str = "dense") -> float:
        """Return the peak rate; :class:`InputError` with what the device has, if it has no such peak."""
        found = self._rates.get((engine, dtype, sparsity))
        if found is not None:
            return found
        have = ", ".join(f"{e}/{d}/{s}" for e, d, s in self._rates)
        hint = did_you_mean(dtype, {d for _, d, _ in self._rates})
        raise InputError(f"{self.name} has no {sparsity} {dtype} peak on its {engine} engine{hint}; it has {have}")

    def has_peak(self, dtype: str, engine: str = "tensor", sparsity: str = "dense") -> bool:
        """Say whether the device states such a peak."""
        return (engine, dtype, sparsity) in self._rates

    def dtypes(self, engine: str = "tensor", sparsity: str = "dense") -> tuple[str, ...]:
        """Return the dtypes of an engine, in the order of the spec file."""
        return tuple(d for e, d, s in self._rates if (e, s) == (engine, sparsity))

    @cached_property
    def main_memory(self) -> MemoryTier:
        """The memory that holds weights and KV cache."""
        return next(tier for tier in self.memory if tier.role == "main")

    @cached_property
    def last_level_cache(self) -> MemoryTier | None:
        """The cache in front of the main memory, or None."""
        return next((tier for tier in self.memory if tier.role == "last_level_cache"), None)

    @property
    def main_bandwidth_bytes_per_s(self) -> float:
        """Datasheet bandwidth of the main memory."""
        bandwidth = self.main_memory.bandwidth_bytes_per_s
        if bandwidth is None:
            raise InputError(f"{self.name} states no bandwidth of its main memory")
        return bandwidth

    @property
    def l2_partitions(self) -> int:
        """Parts into which the last-level cache is split (1 if it is whole, or if there is none)."""
        return self.last_level_cache.partitions if self.last_level_cache else 1

    def link(self, scope: str, ranks: int = 1, topology: str | None = None) -> Link | None:
        """Return the first link of a scope whose domain holds ``ranks`` devices (and of a topology, if named), or None.

        A spec file lists the usual link of a scope first.
        """
        for link in self.links:
            if link.scope == scope and link.domain_size >= ranks and topology in (None, link.topology):
                return link
        return None

    def source_of(self, field: str) -> Source | None:
        """Return the source of a number by its path in the spec file, such as ``"peaks.tensor.bfloat16.dense"``."""
        found = dict(self.field_sources).get(field)
        return next((source for source in self.sources if source.id == found), None)
