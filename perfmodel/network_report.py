"""An estimate of a network as one JSON-ready object: what the command line prints and reports are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmodel import __version__
from perfmodel.devices.model import WHAT_IF
from perfmodel.formats import find_format, runnable_format
from perfmodel.serving.network import StageTime, spilled
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
        "energy": _energy(e),
        "money": _money(e),
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
        "input_shapes": _shapes(e.network.stages[0].network) if len(e.network.stages) == 1 else None,
        "output_shapes": _left(e.network.stages[-1].network) if len(e.network.stages) > 1 else None,
        "precision": plan.precision, "layers": dict(plan.layers), "fusion": plan.fusion,
        "folds_norms": plan.folds_norms, "sparsity": plan.sparsity, "engine": q.engine, "dp": q.dp, "devices": q.dp,
        "changes": dict(e.changes),
    }  # fmt: skip


def _shapes(network: Network) -> list[list[Any]]:
    """Return the shapes of a network's inputs for one sample."""
    return [list(shape) for shape in network.inputs]


def _left(network: Network) -> list[list[Any]]:
    """Return the shapes of a network's outputs for one sample."""
    return [list(network.shape_of(value)) for value in network.outputs]


def _energy(e: NetworkEstimate) -> dict[str, Any] | None:
    facts, joules = e.setup.energy_facts, e.joules_per_sample
    if facts is None or joules is None:
        return None
    limit = e.setup.question.power_limit_w
    return {
        "joules_per_sample": joules,
        "joules_per_sample_p10": joules * facts.p10,
        "joules_per_sample_p90": joules * facts.p90,
        "samples_per_joule": 1.0 / joules if joules else None,
        "power_w_per_device": None if e.answer.power_w is None else float(e.answer.power_w),
        "power_limit_w": facts.limit_w if limit is None else limit,
        "static_w_per_device": facts.static_w,
        "measured": facts.measured,
    }


def _money(e: NetworkEstimate) -> dict[str, Any] | None:
    rates = e.setup.rates
    if rates is None:
        return None
    return {
        "usd_per_device_hour": rates.usd_per_device_hour,
        "usd_per_hour": rates.usd_per_device_hour * e.setup.question.dp,
        "price_kind": rates.kind,
        "price_origin": rates.origin,
        "usd_per_kwh": rates.usd_per_kwh,
    }


def _work(e: NetworkEstimate) -> dict[str, Any]:
    """Return the work of one sample, and how busy it keeps the device."""
    rows = e.operator_rows()
    samples = max(e.batch / e.setup.question.dp, 1.0)  # of one device: fewer samples than devices leave some idle
    moved = sum(row["bytes"] for row in rows)
    busiest = max(e.answer.stages, key=lambda stage: float(stage.step.time.expected) * stage.repeat)
    chip = e.setup.machine.chip
    dtype = max(_dtypes(e), key=lambda name: float(chip.peak_flops_per_s(name)))
    bandwidth = float(chip.memory_bandwidth_bytes_per_s)
    flops = sum(row["flops"] for row in rows)
    return {
        "parameters": e.network.parameters,
        "matmul_flops_per_sample": float(e.network.matmul_flops),
        "flops_per_sample": float(e.network.flops),
        "bytes_per_sample": moved / samples,
        "arithmetic_intensity_flops_per_byte": flops / moved if moved else None,
        "mfu": utilisation(busiest.step, float(chip.peak_flops_per_s(dtype)))[0],
        "mbu": _traffic_bytes(busiest, float(chip.on_chip_bytes)) / (float(busiest.step.time.expected) * bandwidth),
    }


def _traffic_bytes(stage: StageTime, cache_bytes: float) -> float:
    """Return what a pass moves to and from main memory: weights, and those activations that no cache holds."""
    return sum(
        float(moved)
        for row in stage.step.operators
        for key, moved in spilled(row.step.operator.counts(), cache_bytes).bytes.items()
        if key.tier == "main" and key.role in ("weight", "kv", "state")
    )


def _dtypes(e: NetworkEstimate) -> set[str]:
    """Return the dtypes of the matrix units that the network uses."""
    found: set[str] = set()
    for stage in e.answer.stages:
        for row in stage.step.operators:
            found |= {key.dtype for key in row.step.operator.counts().flops if key.engine == "tensor"}
    chip = e.setup.machine.chip
    return found & {*chip.peaks, *chip.sparse_peaks} or {min(chip.peaks)}


def _stages(e: NetworkEstimate) -> list[dict[str, Any]]:
    return [
        {
            "network": s.network.name,
            "repeat": s.repeat,
            "copies": copies,
            "latency_s": float(s.step.time.expected) * s.repeat,
            "bound_s": float(s.step.time.bound) * s.repeat,
            "parameters": s.network.parameters,
            "macs_per_sample": float(s.network.matmul_flops) * s.repeat * copies / 2.0,
            "input_shapes": _shapes(s.network),
        }
        for s, copies in zip(e.answer.stages, (stage.copies for stage in e.network.stages), strict=True)
    ]


def _device(e: NetworkEstimate) -> dict[str, Any]:
    chip = e.setup.machine.chip
    return {
        "name": e.device.name,
        "peak_flops_per_s": {name: float(chip.peak_flops_per_s(name)) for name in {**chip.peaks, **_sparse(e)}},
        "memory_bandwidth_bytes_per_s": float(chip.memory_bandwidth_bytes_per_s),
        "memory_bytes": float(chip.memory_bytes),
        "link_bandwidth_bytes_per_s": None,
    }


def _sparse(e: NetworkEstimate) -> dict[str, Any]:
    """Return the 2:4 sparse peaks where they are used."""
    return {} if e.setup.plan.sparsity == "dense" else dict(e.setup.machine.chip.sparse_peaks)


def notes(e: NetworkEstimate) -> list[str]:
    """Return what a reader should know: what is not counted, what does not fit."""
    found = fixed_notes(e)
    if not e.fits:
        found.append(f"does not fit: {-float(e.memory.free_bytes) / 1e9:.1f} GB too much on each device")
    return found


def fixed_notes(e: NetworkEstimate) -> list[str]:
    """Return the notes that do not depend on the batch."""
    found = [note for note in e.device.notes if note.startswith(WHAT_IF)]
    found += _precisions(e)
    for stage in e.network.stages:
        found += _of(stage.network)
    return found + [note for note in e.network.notes if note not in found]


def _precisions(e: NetworkEstimate) -> list[str]:
    """Return which precisions have no unit of their own on the device, and what runs instead."""
    plan, peaks = e.setup.plan, frozenset(e.setup.machine.chip.peaks)
    found: list[str] = []
    for name in dict.fromkeys((plan.precision, *(precision for _, precision in plan.layers))):
        wanted, runs = find_format(name), runnable_format(name, peaks)
        if wanted.compute != runs.compute and wanted.weight.bits < 16:
            found.append(
                f"{e.device.name} has no {wanted.compute} matrix unit: {name} weights are kept and computed in "
                f"{runs.compute}"
            )
    return found


def _of(network: Network) -> list[str]:
    found = list(network.notes)
    if network.covers:
        found.append(f"{network.name}: only its {network.covers} is counted")
    for missing in network.unsupported:
        reason = f" ({missing.reason})" if missing.reason else ""
        found.append(f"{network.name}: {missing.count} x {missing.kind} not counted{reason}")
    return found
