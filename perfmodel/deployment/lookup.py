"""Latency look-up tables for architecture search: every block that may stand at each place of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from perfmodel.deployment.timing import TimedKernel, holding, plain_time, time_of, timed_network
from perfmodel.devices import Device
from perfmodel.errors import InputError
from perfmodel.serving.network import NetworkQuestion, NetworkSetup, prepare_network
from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_blocks import BLOCKS, Style
from perfmodel.workloads.networks.mobile_stages import Item


@dataclass(frozen=True)
class Place:
    """Where a block may stand: an image of ``channels`` and ``sides`` comes in, ``out`` channels leave after a stride.

    ``blocks`` are those of the network that stand in such places.
    """

    channels: int
    sides: tuple[int, int]
    out: int
    stride: int
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """An inverted residual block: depthwise ``kernel``, ``expand`` times the channels inside, squeeze to a share.

    ``expand`` 1 leaves the expansion out (MobileNetV2's first block). ``expand`` 0 is no block at all: the input.
    """

    kernel: int
    expand: float
    squeeze: float = 0.0

    @property
    def name(self) -> str:
        """Return a short name: ``k5_e3_se0.25``."""
        if not self.expand:
            return "skip"
        return f"k{self.kernel}_e{self.expand:g}" + (f"_se{self.squeeze:g}" if self.squeeze else "")

    def fits(self, place: Place) -> bool:
        """Say whether it can stand there: leaving a block out keeps shapes."""
        return bool(self.expand) or (place.stride == 1 and place.channels == place.out)


def candidates(kernels: Sequence[int], expands: Sequence[float], squeezes: Sequence[float] = (0.0,)) -> list[Candidate]:
    """Return all combinations, and skipping the block if ``expands`` has 0. Errors: :class:`InputError`."""
    if any(k < 1 or k % 2 == 0 for k in kernels):
        raise InputError(f"kernels must be odd numbers, not {', '.join(map(str, kernels))}")
    if any(e and e < 1 for e in expands):
        raise InputError("an expansion is at least 1, or 0 for no block")
    found = [Candidate(k, e, q) for k, e, q in product(kernels, [e for e in expands if e], squeezes)]
    return [*found, Candidate(0, 0)] if 0 in expands else found


def grid_places(
    channels: Iterable[int], outs: Iterable[int], strides: Iterable[int], sides: Iterable[int]
) -> list[Place]:  # fmt: skip
    """Return all combinations of channels in and out, strides and sides of a square image."""
    return [Place(c, (side, side), out, stride) for c, out, stride, side in product(channels, outs, strides, sides)]


def places_of(network: Network) -> list[Place]:
    """Return the places of a network's blocks that turn one image into one image of at least a quarter of its sides.

    Blocks of one node (a pooling, a stem that nothing is searched in) are no places. Equal places are one.
    """
    found: dict[tuple[Any, ...], list[str]] = {}
    for name, members in _by_block(network).items():
        place = _place(network, members)
        if place is not None:
            found.setdefault(place, []).append(name)
    return [Place(c, s, out, stride, tuple(names)) for (c, s, out, stride), names in found.items()]


def _by_block(network: Network) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, node in enumerate(network.nodes):
        found.setdefault(node.block, []).append(index)
    return found


def _place(network: Network, members: Sequence[int]) -> tuple[Any, ...] | None:
    inside = set(members)
    read = {network.owner(v) for i in members for v in network.nodes[i].inputs} - inside
    left = {
        i for i in members if i in network.outputs or any(r not in inside for r in network.readers.get(i, ()))
    }  # fmt: skip
    weighty = [i for i in members if network.nodes[i].parameters]
    if len(read) != 1 or len(left) != 1 or len(weighty) < 2 or -1 in read:
        return None
    before, after = network.shape_of(read.pop()), network.shape_of(left.pop())
    if len(before) != 3 or len(after) != 3 or after[1] < 2 or before[1] < 2:
        return None
    stride = round(float(before[1]) / float(after[1]))
    if stride not in {1, 2}:
        return None
    return int(before[0]), (int(before[1]), int(before[2])), int(after[0]), stride


def block_network(place: Place, candidate: Candidate) -> Network:
    """Return a network of one block."""
    b = Builder(candidate.name, "lookup", (place.channels, *place.sides))
    kind = "ds" if candidate.expand == 1 else "ir"
    item = Item(
        kind, place.out, kernels=(candidate.kernel,), stride=place.stride, expand=candidate.expand,
        squeeze=candidate.squeeze,
    )  # fmt: skip
    style = Style("relu6", se_expanded=True, se_divisor=8)
    with b.block("block"):
        y = BLOCKS[kind](b, style, b.input(), item, place.out)
    return b.build(y)


def lookup_table(
    places: Sequence[Place], choices: Sequence[Candidate], device: Device, question: NetworkQuestion, batch: int,
    progress: Callable[[int, int], None] | None = None, weights_bytes: float = math.inf,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield one row for each candidate that fits each place: its work, and what it adds to latency and energy.

    ``weights_bytes`` are those of the network that the blocks are of, some of which stay on the chip between passes
    (infinite: none do). The engine's start is in none of the rows. A network's latency is the sum of its blocks' rows,
    of its other blocks and of the start, as long as kernels do not reach over the ends of blocks. Source: tables of
    measured latencies in FBNet (arXiv 1812.03443), section 3.2, and ProxylessNAS (arXiv 1812.00332), section 3.3.
    """
    everything = [(place, choice) for place in places for choice in choices if choice.fits(place)]
    for done, (place, choice) in enumerate(everything, 1):
        yield _row(place, choice, (device, question, weights_bytes), batch)
        if progress:
            progress(done, len(everything))


def _row(
    place: Place, choice: Candidate, on: tuple[Device, NetworkQuestion, float], batch: int
) -> dict[str, Any]:  # fmt: skip
    about = {
        "candidate": choice.name, "kernel": choice.kernel or None, "expand": choice.expand, "squeeze": choice.squeeze,
        "stride": place.stride, "in_channels": place.channels, "out_channels": place.out, "height": place.sides[0],
        "width": place.sides[1], "batch": batch, "places": len(place.blocks) or None, "blocks": " ".join(place.blocks),
    }  # fmt: skip
    if not choice.expand:
        nothing = dict.fromkeys(("expected_s", "bound_s", "p10_s", "p90_s", "joules"), 0.0)
        return {**about, "parameters": 0, "macs": 0.0, **nothing}
    network, (device, question, weights) = block_network(place, choice), on
    return about | _costs(holding(prepare_network(network, device, question), weights), network, batch)


def _costs(setup: NetworkSetup, network: Network, batch: int) -> dict[str, Any]:
    found = timed_network(setup, batch)
    return {
        "parameters": int(network.parameters), "macs": float(network.matmul_flops) / 2.0,
        **summed(found.kernels),
    }  # fmt: skip


def summed(kernels: Sequence[TimedKernel]) -> dict[str, Any]:
    """Return time and joules of some kernels, without the engine's start."""
    time = plain_time(time_of(kernels))
    joules = [k.joules for k in kernels if k.joules is not None]
    return {**{f"{name}_s": value for name, value in time.items()}, "joules": sum(joules) if joules else None}
