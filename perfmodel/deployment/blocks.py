"""A network block by block: shapes, work, and each block's part of the latency and energy of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.deployment.intensity import intensities, ridge_flops_per_byte
from perfmodel.deployment.timing import TimedKernel, TimedNetwork, plain_time, time_of, timed_network
from perfmodel.serving.network import NetworkSetup
from perfmodel.serving.network_rows import layer_kind, matrix_dtype
from perfmodel.workloads.network import Network

START = "(engine start)"
"""The row of what an engine needs once a pass, whatever the network."""


def block_table(setup: NetworkSetup, batch: int, timed: TimedNetwork | None = None) -> list[dict[str, Any]]:
    """Return one row a block in order, and one of the engine's start where it takes time.

    ``expected_s`` and ``joules`` sum to those of the batch; bound, p10 and p90 are each block's alone and do not. Flops
    and bytes are those of the batch, parameters and multiply-accumulates of one sample. ``timed`` are the kernels of
    this batch, where they are at hand.
    """
    found = timed or timed_network(setup, batch)
    rows: list[dict[str, Any]] = []
    for stage in setup.pipeline.stages:
        mine = [k for k in found.kernels if k.network is stage.network]
        rows += _rows_of(stage.network, mine, setup, float(found.latency.expected))
    if found.start_s:
        rows.append(_start_row(rows[0], found))
    return rows


def _rows_of(
    network: Network, kernels: Sequence[TimedKernel], setup: NetworkSetup, latency: float
) -> list[dict[str, Any]]:
    blocks: dict[str, list[TimedKernel]] = {}
    for kernel in kernels:
        blocks.setdefault(kernel.kernel.block, []).append(kernel)
    members = _members(network, kernels)
    return [_row(network, name, mine, members[name], setup, latency) for name, mine in blocks.items()]


def _members(network: Network, kernels: Sequence[TimedKernel]) -> dict[str, set[int]]:
    """Return the nodes of each block: those of its kernels, and the folded norms and views of the same name."""
    home = {node: k.kernel.block for k in kernels for node in k.kernel.nodes}
    found: dict[str, set[int]] = {k.kernel.block: set() for k in kernels}
    for index, node in enumerate(network.nodes):
        place = home.get(index) or (node.block if node.block in found else _before(network, index, home))
        found[place or next(iter(found))].add(index)
    return found


def _before(network: Network, index: int, home: dict[int, str]) -> str:
    """Return the block of what a node without a kernel stands behind."""
    while index >= 0 and index not in home and network.nodes[index].inputs:
        index = network.nodes[index].inputs[0]
    return home.get(index, "")


def _row(
    network: Network, name: str, kernels: Sequence[TimedKernel], members: set[int], setup: NetworkSetup, latency: float
) -> dict[str, Any]:
    chip = setup.machine.chip
    counts = [(k.counts, k.repeat) for k in kernels]
    time, found = plain_time(time_of(kernels)), intensities(kernels, chip)
    joules = [k.joules for k in kernels if k.joules is not None]
    return {
        "network": network.name,
        "block": name,
        "kind": block_kind(kernels),
        "kernels": len(kernels),
        "inputs": _shapes(network, _read(network, members)),
        "outputs": _shapes(network, _left(network, members)),
        "parameters": sum(int(network.nodes[i].parameters) for i in members),
        "macs": sum(_macs(network, i) for i in members),
        "flops": sum(float(c.total_flops()) * times for c, times in counts),
        "bytes": sum(float(c.total_bytes()) * times for c, times in counts),
        "expected_s": time["expected"],
        "bound_s": time["bound"],
        "p10_s": time["p10"],
        "p90_s": time["p90"],
        "share": time["expected"] / latency if latency else 0.0,
        "joules": sum(joules) if joules else None,
        **{key if key == "memory_bound_share" else f"intensity_{key}": value for key, value in found.items()},
    }  # fmt: skip


def _start_row(like: dict[str, Any], found: TimedNetwork) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(like)
    share = found.start_s / float(found.latency.expected)
    return empty | {
        "network": like["network"], "block": START, "kind": "start", "kernels": 0, "inputs": [], "outputs": [],
        "parameters": 0, "macs": 0.0, "flops": 0.0, "bytes": 0.0, "expected_s": found.start_s, "bound_s": 0.0,
        "p10_s": found.start_s, "p90_s": found.start_s, "share": share, "joules": found.start_joules,
    }  # fmt: skip


def block_kind(kernels: Sequence[TimedKernel]) -> str:
    """Return what a block is: attention or depthwise if it has any, else the kind of layer with the most flops."""
    flops: dict[str, float] = {}
    for kernel in kernels:
        kind = layer_kind(kernel.operator)
        flops[kind] = flops.get(kind, 0.0) + float(kernel.counts.total_flops())
    for kind in ("attention", "depthwise"):
        if kind in flops:
            return kind
    return max(flops, key=lambda kind: flops[kind])


def _macs(network: Network, index: int) -> float:
    op = network.nodes[index].operator
    return 0.0 if op is None else float(op.counts().filter_flops(engine="tensor").total_flops()) / 2.0


def _read(network: Network, members: set[int]) -> list[int]:
    """Return the values from outside that a block reads."""
    return list(dict.fromkeys(v for i in sorted(members) for v in network.nodes[i].inputs if v not in members))


def _left(network: Network, members: set[int]) -> list[int]:
    """Return the values of a block that others read, or that leave the network."""
    leaving = {*network.outputs, *(e.at for e in network.exits)}
    return [i for i in sorted(members) if i in leaving or any(r not in members for r in network.readers.get(i, ()))]


def _shapes(network: Network, values: Sequence[int]) -> list[list[int]]:
    return [[int(n) for n in network.shape_of(value)] for value in values]


def network_intensity(setup: NetworkSetup, batch: int, timed: TimedNetwork | None = None) -> dict[str, Any]:
    """Return the intensities of the whole network, and the ridges of the dtypes that it computes in."""
    found, chip = timed or timed_network(setup, batch), setup.machine.chip
    dtypes = dict.fromkeys(matrix_dtype(k.operator) for k in found.kernels)
    ridges = {name or "vector": ridge_flops_per_byte(chip, name) for name in dtypes}
    return {**intensities(found.kernels, chip), "ridge_flops_per_byte": ridges}


def kernel_intensities(
    setup: NetworkSetup, batch: int, timed: TimedNetwork | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    """Return one row a kernel: its flops, bytes and intensity, the ridge of its dtype, and its part of the time."""
    found, chip = timed or timed_network(setup, batch), setup.machine.chip
    rows: list[dict[str, Any]] = []
    for k in found.kernels:
        counts, dtype = k.counts, matrix_dtype(k.operator)
        flops, moved = float(counts.total_flops()) * k.repeat, float(counts.total_bytes()) * k.repeat
        rows.append({
            "network": k.network.name, "block": k.kernel.block, "kernel": k.kernel.name, "kind": layer_kind(k.operator),
            "dtype": dtype, "flops": flops, "bytes": moved, "intensity": flops / moved if moved else None,
            "ridge_flops_per_byte": ridge_flops_per_byte(chip, dtype), "expected_s": k.expected_s,
        })  # fmt: skip
    return rows
