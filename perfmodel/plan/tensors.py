"""The tensors that kernels of a network hand to each other: how big they are, who makes and who reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from perfmodel import ops
from perfmodel.ops.conv import Conv
from perfmodel.plan.network import Kernel, NetworkPlan, node_format
from perfmodel.workloads.network import Network

_ELEMENTWISE = (
    ops.BatchNorm, ops.Activation, ops.Scale, ops.Add, ops.Multiply, ops.LayerNorm, ops.GroupNorm, ops.RmsNorm,
    ops.Softmax,
)  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """A value that is kept between kernels, of one sample.

    ``maker`` is the kernel that writes it (-1: an input of the network), ``readers`` those that read it or a view of
    it; one that ``leaves`` (an output, an exit) is kept to the end.
    """

    value: int
    name: str
    size_bytes: float
    maker: int
    readers: tuple[int, ...]
    leaves: bool


@dataclass(frozen=True)
class Overwrite:
    """A tensor that a kernel may write its result over, and what it needs beside that: the size of one channel."""

    tensor: int
    spare_bytes: float = 0.0


@dataclass(frozen=True, eq=False)
class KernelGraph:
    """Kernels and the tensors between them; ``reads``, ``writes`` and ``overwrites`` of each kernel index tensors."""

    kernels: tuple[Kernel, ...]
    tensors: tuple[Tensor, ...]
    reads: tuple[tuple[int, ...], ...]
    writes: tuple[tuple[int, ...], ...]
    overwrites: tuple[tuple[Overwrite, ...], ...]

    @cached_property
    def before(self) -> tuple[frozenset[int], ...]:
        """For each kernel those that must run before it."""
        makers = ([self.tensors[t].maker for t in read] for read in self.reads)
        return tuple(frozenset(m for m in each if m >= 0) - {k} for k, each in enumerate(makers))

    def footprint_bytes(self, kernel: int) -> float:
        """Return what a kernel reads and writes: no order needs less."""
        return sum(self.tensors[t].size_bytes for t in (*self.reads[kernel], *self.writes[kernel]))


def stored(network: Network, value: int, made_by: dict[int, int]) -> int:
    """Return the value whose memory holds ``value``: past views, and norms that are folded into what they follow."""
    while value >= 0 and value not in made_by and network.nodes[value].inputs:
        value = network.nodes[value].inputs[0]
    return value


@lru_cache(maxsize=32)
def kernel_graph(
    network: Network, schedule: tuple[Kernel, ...], plan: NetworkPlan, peaks: frozenset[str]
) -> KernelGraph:  # fmt: skip
    """Return the tensors between the kernels of a network; formats are those of the node that makes each."""
    made_by = {node: step for step, kernel in enumerate(schedule) for node in kernel.nodes}
    readers: dict[int, list[int]] = {}
    for step, kernel in enumerate(schedule):
        for node in kernel.nodes:
            for value in network.nodes[node].inputs:
                owner = stored(network, value, made_by)
                if made_by.get(owner, -1) != step:
                    readers.setdefault(owner, []).append(step)
    leaving = {stored(network, value, made_by) for value in (*network.outputs, *(e.at for e in network.exits))}
    ends = (value for value in made_by if value not in readers and not network.readers.get(value))
    owners = sorted({*readers, *leaving, *ends})
    places = {owner: index for index, owner in enumerate(owners)}
    tensors = tuple(
        Tensor(
            owner, _name(network, owner), _bytes(network, owner, plan, peaks), made_by.get(owner, -1),
            tuple(dict.fromkeys(readers.get(owner, ()))), owner in leaving,
        )
        for owner in owners
    )  # fmt: skip
    reads, writes = _lists(len(schedule), tensors)
    over = tuple(
        _overwrites(network, kernel, tensors, reads[step], writes[step], made_by, places)
        for step, kernel in enumerate(schedule)
    )
    return KernelGraph(schedule, tensors, reads, writes, over)


def _lists(
    count: int, tensors: Sequence[Tensor]
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:  # fmt: skip
    reads: list[list[int]] = [[] for _ in range(count)]
    writes: list[list[int]] = [[] for _ in range(count)]
    for index, tensor in enumerate(tensors):
        if tensor.maker >= 0:
            writes[tensor.maker].append(index)
        for reader in tensor.readers:
            reads[reader].append(index)
    return tuple(map(tuple, reads)), tuple(map(tuple, writes))


def _name(network: Network, value: int) -> str:
    return network.nodes[value].name if value >= 0 else f"input {-value}" if len(network.inputs) > 1 else "input"


def _bytes(network: Network, value: int, plan: NetworkPlan, peaks: frozenset[str]) -> float:
    name = network.nodes[value].name if value >= 0 else ""
    return float(network.elements_of(value)) * node_format(name, plan, peaks).activation.bytes_per_element


def _overwrites(
    network: Network, kernel: Kernel, tensors: Sequence[Tensor], reads: Sequence[int], writes: Sequence[int],
    made_by: dict[int, int], places: dict[int, int],
) -> tuple[Overwrite, ...]:  # fmt: skip
    """Return what a kernel may write over: element-wise work any input, a depthwise convolution its image.

    A depthwise convolution goes channel by channel and needs one more. Source: TinyEngine's in-place depthwise
    convolution, Lin et al. 2020, "MCUNet" (arXiv 2007.10319), section 3.2.
    """
    if len(writes) != 1:
        return ()
    result = tensors[writes[0]].size_bytes
    parts = [network.nodes[node].operator for node in kernel.nodes]
    rest = all(isinstance(part, _ELEMENTWISE) for part in parts[1:])
    if rest and isinstance(parts[0], _ELEMENTWISE):
        return tuple(Overwrite(t) for t in reads if tensors[t].size_bytes >= result)
    lead = parts[0]
    if rest and isinstance(lead, Conv) and lead.in_per_group == lead.out_per_group == 1:
        image = places.get(stored(network, network.nodes[kernel.nodes[0]].inputs[0], made_by))
        if image is not None and tensors[image].size_bytes >= result:
            return (Overwrite(image, result / float(lead.groups)),)
    return ()
