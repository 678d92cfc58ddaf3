"""An estimate of a network as one JSON-ready object: what the command line prints and reports are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmodel import __version__
from perfmodel.devices.model import WHAT_IF
from perfmodel.serving.rows import utilisation
from perfmodel.workloads.network import Network

if TYPE_CHECKING:
    from perfmodel.network_api import NetworkEstimate

SCHEMA = "perfmodel/network-estimate/1"


def network_report(estimate: NetworkEstimate) -> dict[str, Any]:
    """Return the JSON object of an estimate; what is not known is null, never zero."""
    e, answer = estimate, estimate.answer
    rate = e.samples_per_s
    return {
        "schema": SCHEMA,
        "version": __version__,
        "inputs": _inputs(e),
        "latency_s": {name: float(getattr(e.latency_s, name)) for name in ("expected", "bound", "p10", "p90")},
        "samples_per_s": rate,
        "samples_per_s_bound": min(e.batch, rate * float(e.latency_s.expected)) / float(e.latency_s.bound)
        if float(e.latency_s.bound)
        else None,
        "samples_per_s_per_device": rate / e.setup.question.dp,
        "joules_per_sample": e.joules_per_sample,
        "power_w_per_device": None if answer.power_w is None else float(answer.power_w),
        "usd_per_million_samples": e.usd_per_million_samples,
        "memory_bytes_per_device": float(e.memory.used_bytes),
        "memory": {
            "capacity_bytes": float(e.memory.capacity_bytes),
            "weights_bytes": float(e.memory.weights_bytes),
            "activation_bytes": float(e.memory.activation_bytes),
            "overhead_bytes": float(e.memory.overhead_bytes),
            "free_bytes": float(e.memory.free_bytes),
            "largest_batch": float(answer.largest_batch),
        },
        "fits": e.fits,
        "bottleneck": e.bottleneck,
        **_work(e),
        "stages": _stages(e),
        "operators": e.operator_rows(),
        "device": _device(e),
        "notes": notes(e),
        "spec_hashes": {"model": e.network.spec_hash, "device": e.device.spec_hash},
    }


def _inputs(e: NetworkEstimate) -> dict[str, Any]:
    q, plan = e.setup.question, e.setup.plan
    return {
        "model": e.network.name, "device": e.device.name, "batch": e.batch, "sample": e.network.sample,
        "precision": plan.precision, "layers": dict(plan.layers), "fusion": plan.fusion,
        "folds_norms": plan.folds_norms, "sparsity": plan.sparsity, "engine": q.engine, "dp": q.dp, "devices": q.dp,
    }  # fmt: skip


def _work(e: NetworkEstimate) -> dict[str, Any]:
    """Return the work of one sample, and how busy it keeps the device."""
    rows = e.operator_rows()
    samples = e.batch / e.setup.question.dp
    moved = sum(row["bytes"] for row in rows)
    busiest = max(e.answer.stages, key=lambda stage: float(stage.step.time.expected) * stage.repeat)
    peaks = e.setup.machine.chip.peaks
    dtype = max(_dtypes(e), key=lambda name: float(peaks[name]))
    mfu, mbu = utilisation(
        busiest.step, float(peaks[dtype]), float(e.setup.machine.chip.memory_bandwidth_bytes_per_s)
    )  # fmt: skip
    flops = sum(row["flops"] for row in rows)
    return {
        "parameters": e.network.parameters,
        "matmul_flops_per_sample": float(e.network.matmul_flops),
        "flops_per_sample": float(e.network.flops),
        "bytes_per_sample": moved / samples,
        "arithmetic_intensity_flops_per_byte": flops / moved if moved else None,
        "mfu": mfu,
        "mbu": mbu,
    }


def _dtypes(e: NetworkEstimate) -> set[str]:
    """Return the dtypes of the matrix units that the network uses."""
    found: set[str] = set()
    for stage in e.answer.stages:
        for row in stage.step.operators:
            found |= {key.dtype for key in row.step.operator.counts().flops if key.engine == "tensor"}
    return found & set(e.setup.machine.chip.peaks) or {min(e.setup.machine.chip.peaks)}


def _stages(e: NetworkEstimate) -> list[dict[str, Any]]:
    return [
        {
            "network": s.network.name,
            "repeat": s.repeat,
            "latency_s": float(s.step.time.expected) * s.repeat,
            "bound_s": float(s.step.time.bound) * s.repeat,
            "parameters": s.network.parameters,
        }
        for s in e.answer.stages
    ]


def _device(e: NetworkEstimate) -> dict[str, Any]:
    chip = e.setup.machine.chip
    return {
        "name": e.device.name,
        "peak_flops_per_s": {k: float(v) for k, v in chip.peaks.items()},
        "memory_bandwidth_bytes_per_s": float(chip.memory_bandwidth_bytes_per_s),
        "memory_bytes": float(chip.memory_bytes),
        "link_bandwidth_bytes_per_s": None,
    }


def notes(e: NetworkEstimate) -> list[str]:
    """Return what a reader should know: what is not counted, what does not fit."""
    found = [note for note in e.device.notes if note.startswith(WHAT_IF)]
    for stage in e.network.stages:
        found += _of(stage.network)
    found += [note for note in e.network.notes if note not in found]
    if not e.fits:
        found.append(f"does not fit: {-float(e.memory.free_bytes) / 1e9:.1f} GB too much on each device")
    return found


def _of(network: Network) -> list[str]:
    found = list(network.notes)
    if network.covers:
        found.append(f"{network.name}: only its {network.covers} is counted")
    for missing in network.unsupported:
        reason = f" ({missing.reason})" if missing.reason else ""
        found.append(f"{network.name}: {missing.count} x {missing.kind} not counted{reason}")
    return found
