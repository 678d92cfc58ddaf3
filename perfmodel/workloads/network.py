"""A network as a graph of operators on one sample: CNNs, vision transformers, diffusion, recommendation, imports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

from perfmodel.numeric import Number, total
from perfmodel.ops import Operator

Shape = tuple[Number, ...]
"""Of a tensor for one sample, without the batch: (channels, height, width), (tokens, width), (width,), ..."""


@dataclass(frozen=True)
class Node:
    """One step of a network: its operator for one sample, what it reads, and the shape that it leaves.

    ``inputs`` are the values read: node i by its index i, the network's input j by -1-j. ``operator`` None is a view
    (a reshape, a slice): nothing runs, and the result shares its input's memory. ``parameters`` are all learned
    numbers, ``kind`` says which activation or layer it is where the operator does not ("relu", "token"), ``block`` the
    block of the network that the node belongs to ("layer1.0").
    """

    name: str
    operator: Operator | None
    inputs: tuple[int, ...]
    shape: Shape
    parameters: Number = 0
    kind: str = ""
    block: str = ""

    @property
    def elements(self) -> Number:
        """Return the elements of the result for one sample."""
        return prod(self.shape, start=1)


@dataclass(frozen=True)
class Exit:
    """A place where a sample may leave early: after the node ``at`` (its classifier included)."""

    name: str
    at: int


@dataclass(frozen=True)
class Unsupported:
    """Operators of an imported graph that nobody has taught the tool: how many, and what of the work is not counted.

    ``reason`` is set where the kind is known but this use of it is not.
    """

    kind: str
    count: int
    reason: str = ""


@dataclass(frozen=True, eq=False)  # as keys of caches: by identity, for a hash of a thousand nodes is slow
class Network:
    """A network in an order in which it can run: ``nodes`` read only what stands before them.

    ``inputs`` are the shapes of one sample, ``outputs`` the values that leave (indices as in :class:`Node`).
    ``sample`` names what one sample is. ``covers`` says what of a bigger system is counted ("backbone"; empty: all).
    ``published_parameters`` and ``published_macs`` are of ``published_source``.
    """

    name: str
    family: str
    nodes: tuple[Node, ...]
    inputs: tuple[Shape, ...]
    outputs: tuple[int, ...]
    sample: str = "image"
    exits: tuple[Exit, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()
    covers: str = ""
    notes: tuple[str, ...] = ()
    source: str = ""
    published_parameters: float | None = None
    published_macs: float | None = None
    published_source: str = ""
    verified: bool = True
    spec_hash: str = ""
    path: str = ""

    @property
    def parameters(self) -> Number:
        """Return all learned numbers (running statistics of batch norms are not learned)."""
        return sum(node.parameters for node in self.nodes)

    @property
    def matmul_flops(self) -> Number:
        """Return the flops of matrix products and convolutions of one sample; half of it are multiply-accumulates."""
        return self._flops("tensor")

    @property
    def flops(self) -> Number:
        """Return all flops of one sample."""
        return self.matmul_flops + self._flops("vector")

    def _flops(self, engine: str) -> Number:
        each = (node.operator.counts() for node in self.nodes if node.operator is not None)
        return total(counts.filter_flops(engine=engine).total_flops() for counts in each)

    @property
    def activation_elements(self) -> Number:
        """Return the elements of all results of convolutions, products and attention for one sample."""
        heavy = ("conv2d", "conv_transpose2d", "deform_conv2d", "gemm", "attention_prefill", "batched_matmul")
        return total(n.elements for n in self.nodes if n.operator is not None and n.operator.KIND in heavy)

    def shape_of(self, value: int) -> Shape:
        """Return the shape of a value for one sample."""
        return self.nodes[value].shape if value >= 0 else self.inputs[-1 - value]

    def elements_of(self, value: int) -> Number:
        """Return the elements of a value for one sample."""
        return prod(self.shape_of(value), start=1)

    @cached_property
    def readers(self) -> dict[int, tuple[int, ...]]:
        """The nodes that read each value."""
        found: dict[int, list[int]] = {}
        for index, node in enumerate(self.nodes):
            for value in dict.fromkeys(node.inputs):
                found.setdefault(value, []).append(index)
        return {value: tuple(readers) for value, readers in found.items()}

    @cached_property
    def per_sample(self) -> frozenset[int]:
        """The nodes that read something of a sample; the others run once for a whole batch."""
        found: set[int] = set()
        for index, node in enumerate(self.nodes):
            if any(value < 0 or value in found for value in node.inputs):
                found.add(index)
        return frozenset(found)

    def owner(self, value: int) -> int:
        """Return the value whose memory a value lives in: itself, or what it is a view of."""
        while value >= 0 and self.nodes[value].operator is None and self.nodes[value].inputs:
            value = self.nodes[value].inputs[0]
        return value

    def running(self) -> Iterator[tuple[int, Node, Operator]]:
        """Yield (index, node, operator) of each node that runs at all."""
        for index, node in enumerate(self.nodes):
            if node.operator is not None:
                yield index, node, node.operator


@dataclass(frozen=True)
class Stage:
    """One network of a pipeline: it runs ``repeat`` times a request, over ``copies`` samples each time.

    A diffusion model's denoiser runs once a step, over two copies where guidance needs a second one.
    """

    network: Network
    repeat: float = 1.0
    copies: float = 1.0


@dataclass(frozen=True, eq=False)
class NetworkPipeline:
    """Networks that serve one request, one after the other; ``sample`` names what a request makes."""

    name: str
    family: str
    stages: tuple[Stage, ...]
    sample: str = "image"
    notes: tuple[str, ...] = ()
    source: str = ""
    verified: bool = True
    spec_hash: str = ""
    path: str = ""

    @property
    def parameters(self) -> Number:
        """Return the learned numbers of all networks, each once."""
        return sum({stage.network.name: stage.network.parameters for stage in self.stages}.values())

    @property
    def matmul_flops(self) -> Number:
        """Return the flops of matrix products and convolutions of one request."""
        return total(s.network.matmul_flops * s.repeat * s.copies for s in self.stages)

    @property
    def flops(self) -> Number:
        """Return all flops of one request."""
        return total(s.network.flops * s.repeat * s.copies for s in self.stages)


AnyNetwork = Network | NetworkPipeline


def as_pipeline(network: AnyNetwork) -> NetworkPipeline:
    """Return a network as a pipeline of itself alone; a pipeline as it is."""
    if isinstance(network, NetworkPipeline):
        return network
    return _alone(network)


@lru_cache(maxsize=256)
def _alone(n: Network) -> NetworkPipeline:
    return NetworkPipeline(
        n.name, n.family, (Stage(n),), n.sample, n.notes, n.source, n.verified, n.spec_hash, n.path
    )  # fmt: skip
