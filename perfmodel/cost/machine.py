"""One kind of device as the cost engines see it: facts, links, and the coefficients that apply to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from perfmodel.calibration import Band, Calibration, Coefficients, load_calibration
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.link_facts import LinkFacts, link_for
from perfmodel.devices import Device
from perfmodel.devices.model import Mix
from perfmodel.errors import PlanError

if TYPE_CHECKING:
    from perfmodel.cost.engines.base import Engine

PREDECESSORS = {"rubin": "blackwell"}
"""Architectures of which nothing was measured, and whose coefficients they get; the error band stays an unknown's."""


@dataclass(frozen=True)
class Machine:
    """A chip with its scale-up and scale-out links, and how it is driven.

    ``backend`` is the serving framework or kernel library (trtllm, vllm, sglang, nccl, or empty), ``timing`` how a
    kernel is timed: cuda_graph, kernel, nccl_tests, wall. ``warm`` says that a kernel is repeated on the same data.
    ``engines`` are those of the device's file, by name; without any the engine ``form`` gives all times: "gpu" (forms
    of measured kernels) or "accelerator" (networks on other chips). ``mix`` says how several share the operators.
    ``cold_weights`` is the share of a network's weights that the chip cannot keep between inferences.
    """

    chip: ChipFacts
    link: LinkFacts | None = None
    backend: str = ""
    timing: str = "cuda_graph"
    warm: bool = False
    form: str = "gpu"
    cold_weights: float = 1.0
    engines: tuple[tuple[str, Engine], ...] = ()
    mix: Mix = Mix()
    _coefficients: dict[tuple[str, ...], Coefficients] = field(
        default_factory=dict[tuple[str, ...], Coefficients], compare=False, repr=False
    )
    _bands: dict[tuple[str, ...], Band] = field(default_factory=dict[tuple[str, ...], Band], compare=False, repr=False)

    def coefficients(self, calibration: str, op: str, dtype: str) -> Coefficients:
        """Return the coefficients of an operator class in this situation."""
        key = (calibration, op, dtype)
        found = self._coefficients.get(key)
        if found is None:
            known = load_calibration(calibration)
            situation = self._situation(known, op, dtype)
            situation["architecture"] = PREDECESSORS.get(self.chip.architecture, self.chip.architecture)
            found = dict(known.coefficients(**situation))
            if not self.warm:
                # a step replays a CUDA graph: the host's time to issue each kernel is the framework's, fitted apart
                found |= {name: 0.0 for name in found if name.endswith("host_us")}
            self._coefficients[key] = found
        return found

    def band(self, calibration: str, op: str, dtype: str) -> Band:
        """Return the error band of an operator class in this situation."""
        key = (calibration, op, dtype)
        found = self._bands.get(key)
        if found is None:
            known = load_calibration(calibration)
            found = self._bands[key] = known.band(**self._situation(known, op, dtype))
        return found

    def _situation(self, known: Calibration, op: str, dtype: str) -> dict[str, str]:
        chip = self.chip
        usable = self.warm or self.backend in known.about.get("backends_in_steps", (self.backend,))
        return {
            "op": op, "dtype": dtype, "device": chip.like or chip.name, "architecture": chip.architecture,
            "vendor": chip.vendor, "kind": chip.kind, "memory": chip.memory_kind, "matrix_pace": chip.matrix_pace,
            "backend": self.backend if usable else "", "timing": self.timing,
            "topology": self.link.topology if self.link else "",
        }  # fmt: skip


@lru_cache(maxsize=2048)
def machine_for(device: Device, devices_per_replica: int = 1, backend: str = "", timing: str = "cuda_graph") -> Machine:
    """Return the machine for a model step on ``devices_per_replica`` devices of one scale-up domain.

    Errors: :class:`PlanError` if the device has no link to that many others.
    """
    chip, link = chip_facts(device), _step_link(device, devices_per_replica)
    return Machine(chip, link, backend, timing, engines=_engines(device, chip), mix=device.mix)


def _engines(device: Device, chip: ChipFacts) -> tuple[tuple[str, Engine], ...]:
    if not device.engines:
        return ()
    from perfmodel.cost.engines.registry import engines_of  # engines know machines, and most devices list none

    return engines_of(device, chip)


def _step_link(device: Device, ranks: int) -> LinkFacts | None:
    if ranks == 1:
        return None
    domain = domain_size(device)
    if ranks > domain and device.link("scale_out") is None:
        raise PlanError(f"{device.name} joins at most {domain} devices and has no network beyond; {ranks} are too many")
    link = device.link("scale_up", min(ranks, domain)) or device.link("host")
    if link is None:
        raise PlanError(f"{device.name} has no link to other devices; use one device a replica and dp for more")
    topology = "pairwise-nvlink+pcie" if link.topology == "nvlink-pair" else link.topology
    return link_for(device, f"multi-node({topology})" if ranks > domain else topology, domain if ranks > domain else 0)


def domain_size(device: Device) -> int:
    """Return how many devices the widest scale-up (or PCIe host) link joins."""
    return max((link.domain_size for link in device.links if link.scope in ("scale_up", "host")), default=1)
