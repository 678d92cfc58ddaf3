"""The calls for networks that are no language models: estimate a CNN, a vision transformer, a diffusion pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from perfmodel.arguments import Count, positive, whole
from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError
from perfmodel.serving.network import NetworkAnswer, NetworkMemory, NetworkQuestion, NetworkSetup, prepare_network
from perfmodel.serving.network_options import check_layers, check_options
from perfmodel.serving.network_rows import network_rows
from perfmodel.serving.timed import Time
from perfmodel.workloads.network import AnyNetwork, Network, NetworkPipeline


@dataclass(frozen=True)
class NetworkEstimate:
    """The answer to one question about a network: latency of a batch, samples a second, memory of one device.

    ``changes`` are the numbers of the device or network that are other than in their files.
    """

    setup: NetworkSetup
    batch: int
    changes: tuple[tuple[str, str], ...] = ()

    @cached_property
    def answer(self) -> NetworkAnswer:
        """The answer with the kernels behind its times."""
        return self.setup.answer(float(self.batch))

    @property
    def network(self) -> NetworkPipeline:
        """The workload, as a pipeline of its networks."""
        return self.setup.pipeline

    @property
    def device(self) -> Device:
        """The device."""
        return self.setup.device

    @property
    def latency_s(self) -> Time:
        """Time of the batch, all stages and steps."""
        return self.answer.latency

    @property
    def samples_per_s(self) -> float:
        """Samples (images, videos, queries) a second of all devices."""
        return float(self.answer.samples_per_s)

    @property
    def memory(self) -> NetworkMemory:
        """Memory of one device."""
        return self.answer.memory

    @property
    def fits(self) -> bool:
        """Whether weights and live activations fit."""
        return bool(self.answer.fits)

    @property
    def joules_per_sample(self) -> float | None:
        """Joules of one sample; None for a device of unknown power."""
        found = self.answer.joules_per_sample
        return None if found is None else float(found)

    @property
    def usd_per_million_samples(self) -> float | None:
        """US dollars of a million samples; None if no price is known."""
        found = self.answer.usd_per_million_samples
        return None if found is None else float(found)

    @property
    def bottleneck(self) -> str:
        """What most of the expected time is spent on: compute or memory."""
        spent: dict[str, float] = {}
        for row in self._rows:
            spent[row["bottleneck"]] = spent.get(row["bottleneck"], 0.0) + row["expected_s"]
        return max(spent, key=lambda name: spent[name])

    def operator_rows(self) -> list[dict[str, Any]]:
        """Return one row a kernel, with the network that it belongs to as its phase and its share of all stages."""
        return [dict(row) for row in self._rows]

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        precision, machine = self.setup.plan.precision, self.setup.machine
        rows = [row for stage in self.answer.stages for row in network_rows(stage, machine, precision)]
        total = sum(row["expected_s"] for row in rows)
        return [{**row, "share": row["expected_s"] / total} for row in rows]

    def ops(self) -> Any:
        """Return the kernels as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.operator_rows())

    def report(self) -> dict[str, Any]:
        """Return the estimate as one JSON-ready object (schema ``perfmodel/network-estimate/1``)."""
        from perfmodel.network_report import network_report

        return network_report(self)

    def figure(self, name: str = "") -> Any:
        """Return a figure of the report as a plotly ``Figure``: by default the slowest operators of the last step.

        ``name``: roofline, breakdown-prefill, breakdown-decode, memory ... Errors: :class:`InputError`.
        """
        from perfmodel.reports.notebook import estimate_figure

        return estimate_figure(self.report(), name)

    def _repr_html_(self) -> str:
        from perfmodel.reports.notebook import estimate_card

        return estimate_card(self.report())


_NUMBERS = ("power_limit_w", "usd_per_device_hour", "usd_per_kwh")


def _layer_pairs(layers: Any) -> tuple[tuple[str, str], ...]:
    """Return (pattern, precision) pairs. Errors: :class:`InputError` for anything that is none."""
    found: list[tuple[str, str]] = []
    if isinstance(layers, str):
        raise InputError(f"layers must be a mapping of patterns to precisions, not '{layers}'")
    for pair in layers.items() if isinstance(layers, Mapping) else layers or ():
        match pair:
            case (str(pattern), str(precision)):
                found.append((pattern, precision))
            case _:
                raise InputError(f"layers must be pairs of a pattern and a precision, not {pair!r}")
    return tuple(found)


def estimate_network(
    network: str | Path | AnyNetwork,
    device: str | Path | Device,
    *,
    batch: Count = 1,
    image: Count | None = None,
    precision: str | None = "",
    layers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    fusion: str = "",
    sparsity: str = "dense",
    engine: str = "",
    dp: Count = 1,
    changes: Mapping[str, str] | None = None,
    **options: Any,
) -> NetworkEstimate:
    """Return how fast and how big a network is on a device.

    ``batch`` samples at once over all ``dp`` devices, of ``image`` pixels a side (None: as published). ``layers`` map
    patterns of layers' names to precisions that differ; ``fusion`` and ``sparsity`` as in
    :class:`perfmodel.plan.network.NetworkPlan`, ``engine`` one of :data:`perfmodel.serving.network.ENGINES`.
    ``changes`` are numbers of the device ("device.power") or fields of the network's family ("model.image").
    ``options``: power_limit_w, price_kind, usd_per_device_hour, usd_per_kwh.

    Errors: :class:`PerfmodelError` with what is wrong and how to mend it.
    """
    from perfmodel.workloads.networks.what_if import changed_network, image_fields

    found = network if isinstance(network, (Network, NetworkPipeline)) else str(network)
    machine = device if isinstance(device, Device) else load_device(str(device))
    sized = {} if image is None else image_fields(found, whole("image", image))
    shown = tuple((changes or {}).items())
    workload, machine = changed_network(found, machine, {**(changes or {}), **sized})
    pairs = _layer_pairs(layers)
    check_layers(workload, pairs)
    check_options(options)
    options |= {name: positive(name, options[name]) for name in _NUMBERS if options.get(name) is not None}
    question = NetworkQuestion(str(precision or ""), pairs, fusion, sparsity, engine or "", whole("dp", dp), **options)
    return NetworkEstimate(prepare_network(workload, machine, question), whole("batch", batch), shown)
