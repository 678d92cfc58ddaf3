"""Grids of answers about networks: every combination of what builds and runs them, over all batches at once."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import fields
from pathlib import Path
from typing import Any

from perfmodel.arguments import whole
from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError, PerfmodelError, did_you_mean
from perfmodel.files import defused, whole_text
from perfmodel.numeric import Number
from perfmodel.serving.network import NetworkAnswer, NetworkQuestion, NetworkSetup, prepare_network
from perfmodel.serving.network_options import check_layers, check_options
from perfmodel.sweeps.grid import LARGEST_IN_MEMORY, Progress, Sweep, in_parts
from perfmodel.sweeps.stream import DIFFERENT
from perfmodel.workloads.network import AnyNetwork, Network, NetworkPipeline
from perfmodel.workloads.networks.what_if import changed_network, image_fields

CHUNK_POINTS = 20_000
"""Batches that are answered together: each kernel of the network holds an array of them."""

_NOT_VARIED = ("layers",)
_PARTS = ("expected", "bound", "p10", "p90")


def sweep_network(
    network: str | Path | AnyNetwork,
    device: str | Path | Device,
    *,
    batch: Iterable[int] | int = (1,),
    out: str | Path | None = None,
    progress: Progress | None = None,
    vary: Mapping[str, Iterable[Any]] | None = None,
    changes: Mapping[str, str] | None = None,
    scheduler: str = "",
    **options: Any,
) -> Sweep:
    """Return the full factorial grid of answers about a network, or stream it to ``out``: CSV, or ``x.parquet``.

    ``vary`` gives further axes, the outermost: ``image``, any field of
    :class:`perfmodel.serving.network.NetworkQuestion` (precision, fusion, engine, sparsity, dp ...), ``device.FIELD``
    or ``model.FIELD``. ``changes`` and ``options`` hold for all points. ``scheduler`` is that of
    :func:`perfmodel.sweeps.sweep`.

    Errors: :class:`PerfmodelError` for an unknown name or value; what cannot be built or run is in ``problems``.
    """
    found = network if isinstance(network, (Network, NetworkPipeline)) else str(network)
    machine = device if isinstance(device, Device) else load_device(str(device))
    check_options(options)
    workload, _ = changed_network(found, machine, changes or {})  # what is wrong for all points is said at once
    check_layers(workload, options.get("layers", ()))
    axes = {name: _values(name, values) for name, values in (vary or {}).items()}
    if out is None and isinstance(batch, Sized):  # before a long range is read
        _refuse_beyond_memory(math.prod(map(len, axes.values())) * len(batch))
    axes["batch"] = [whole("batch", n) for n in ([batch] if isinstance(batch, int) else batch)]
    if not axes["batch"]:
        raise InputError("batch has no values")
    result = Sweep(found if isinstance(found, str) else found.name, machine.name, axes)
    if out is None:
        _refuse_beyond_memory(result.points)
    if in_parts(out, scheduler) and out is not None:
        from perfmodel.sweeps.parted import sweep_parts
        from perfmodel.sweeps.parted_networks import NetworkJob

        named = f"{workload.name} {workload.spec_hash}"
        job = NetworkJob(found, machine, axes, options, dict(changes or {}), named)
        result.problems += sweep_parts(job, Path(out), scheduler, progress).problems
        result.model, result.sample = workload.name, workload.sample
        return result
    setups = _setups(found, machine, result, dict(changes or {}), options)
    if out is None:
        _collect(result, setups, progress)
    else:
        _stream(Path(out), result, setups, progress)
    return result


def _refuse_beyond_memory(points: int) -> None:
    if points > LARGEST_IN_MEMORY:
        raise InputError(f"{points:,} points are too many to hold; give a file (out=, --csv) to stream them to")


def _values(name: str, values: Iterable[Any]) -> list[Any]:
    known = ["image", *(f.name for f in fields(NetworkQuestion) if f.name not in _NOT_VARIED)]
    if name not in known and not name.startswith(("device.", "model.")):
        hint = did_you_mean(name, known)
        raise InputError(
            f"no field '{name}' of networks to vary{hint} (one of {', '.join(known)}, device.FIELD, model.FIELD)"
        )
    found = [whole(name, value) if name in ("image", "dp") else value for value in values]
    if not found:
        raise InputError(f"{name} has no values")
    return found


def _setups(
    network: str | AnyNetwork, device: Device, result: Sweep, changes: Mapping[str, str], options: Mapping[str, Any]
) -> Iterator[tuple[tuple[int, ...], NetworkSetup]]:
    """Yield the setup of each point of the axes but the batch; what cannot be goes to the problems."""
    names = [name for name in result.axes if name != "batch"]
    solvable, first = False, None
    for place in itertools.product(*(range(len(result.axes[name])) for name in names)):
        point = {name: result.axes[name][i] for name, i in zip(names, place, strict=True)}
        try:
            setup = setup_of(network, device, point, changes, options)
        except PerfmodelError as error:
            first = first or error
            result.problems.append((" ".join(f"{name}={value}" for name, value in point.items()), str(error)))
            continue
        result.model, result.sample = setup.pipeline.name, setup.pipeline.sample
        yield place, setup
        solvable = True
    if not solvable and first is not None:
        raise first


def setup_of(
    network: str | AnyNetwork, device: Device, point: Mapping[str, Any], changes: Mapping[str, str],
    options: Mapping[str, Any],
) -> NetworkSetup:  # fmt: skip
    """Return the setup of one point of the axes but the batch. Errors: :class:`PerfmodelError` for what cannot be."""
    other = {name: str(value) for name, value in point.items() if "." in name}
    if "image" in point:
        other |= image_fields(network, point["image"])
    chosen = {name: value for name, value in point.items() if "." not in name and name != "image"}
    workload, machine = changed_network(network, device, {**changes, **other})
    return prepare_network(workload, machine, NetworkQuestion(**{**options, **chosen}))


def columns_of(answer: NetworkAnswer, devices: int) -> dict[str, Number]:
    """Return the columns of an answer: the latency's parts, rates, energy and money if known, memory."""
    times = {f"latency_{part}_s" if part != "expected" else "latency_s": getattr(answer.latency, part)
             for part in _PARTS}  # fmt: skip
    known = {
        "joules_per_sample": answer.joules_per_sample,
        "power_w_per_device": answer.power_w,
        "usd_per_million_samples": answer.usd_per_million_samples,
    }
    return {
        **times,
        "samples_per_s": answer.samples_per_s,
        "samples_per_s_per_device": answer.samples_per_s / devices,
        **{name: value for name, value in known.items() if value is not None},
        "memory_bytes_per_device": answer.memory.used_bytes,
        "largest_batch": answer.largest_batch,
        "fits": answer.fits,
    }


def _chunks(result: Sweep, setup: NetworkSetup) -> Iterator[tuple[slice, dict[str, Any]]]:
    """Yield the answers of one setup for all batches, some batches at a time."""
    batches = result.axes["batch"]
    for start in range(0, len(batches), CHUNK_POINTS):
        place = slice(start, min(start + CHUNK_POINTS, len(batches)))
        yield place, chunk(setup, batches[place])


def chunk(setup: NetworkSetup, batches: Sequence[int]) -> dict[str, Any]:
    """Return the columns of one setup for some batches."""
    import numpy as np

    asked = np.array(batches, dtype=float)
    found = columns_of(setup.answer(asked), setup.question.dp)
    return {name: np.broadcast_to(np.asarray(value, dtype=float), asked.shape) for name, value in found.items()}


def rows_of(fixed: Sequence[str], batches: Sequence[int], found: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield the cells of a chunk's rows: the point's values, the batch, results in seven digits."""
    for row in zip(batches, *found.values(), strict=True):
        yield [*map(defused, fixed), row[0], *(f"{float(value):.7g}" for value in row[1:])]


def _collect(
    result: Sweep, setups: Iterable[tuple[tuple[int, ...], NetworkSetup]], progress: Progress | None
) -> None:  # fmt: skip
    import numpy as np

    done = 0
    inner = [i for i, name in enumerate(result.axes) if name != "batch"]
    assert inner == list(range(len(result.shape) - 1))  # the batch is the innermost axis
    for place, setup in setups:
        for batches, found in _chunks(result, setup):
            for name, value in found.items():
                column = result.columns.setdefault(name, np.full(result.shape, math.nan))
                column[(*place, batches)] = value
            done += batches.stop - batches.start
            if progress:
                progress(done, result.points)


def _stream(
    path: Path, result: Sweep, setups: Iterable[tuple[tuple[int, ...], NetworkSetup]], progress: Progress | None
) -> None:
    header: list[str] = []
    done, names = 0, [name for name in result.axes if name != "batch"]
    with whole_text(path) as out:
        writer = csv.writer(out, lineterminator="\n")
        for place, setup in setups:
            fixed = [str(result.axes[name][i]) for name, i in zip(names, place, strict=True)]
            for batches, found in _chunks(result, setup):
                if not header:
                    header = list(found)
                    writer.writerow([*result.axes, *header])
                if header != list(found):
                    raise InputError(DIFFERENT)
                writer.writerows(rows_of(fixed, result.axes["batch"][batches], found))
                done += batches.stop - batches.start
                if progress:
                    progress(done, result.points)
