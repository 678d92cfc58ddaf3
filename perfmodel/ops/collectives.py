"""Collectives as traffic of one rank; which algorithm and how fast is the cost engine's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Counts, read, vector, write
from perfmodel.numeric import Number, minimum
from perfmodel.ops.base import Operator, register


@dataclass(frozen=True)
class Collective(Operator):
    """One collective over ``ranks``; ``bytes`` as each subclass says. One rank moves nothing.

    The link bytes are the least that a rank must send (and receive) without help from the switch.
    ``ranks_per_node`` (0: all in one domain) only matters to the cost engine, and so does ``span``: neighbouring ranks
    stand that many devices apart (attention groups of tp devices each: tp), so that fewer of them share a domain.
    """

    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {"ranks": (1, 72), "bytes": (1, 1 << 30)}

    ranks: Number
    bytes: Number
    ranks_per_node: int = 0
    topology: str = ""
    dtype: str = "bfloat16"
    span: Number = 1.0

    def sent_bytes(self) -> Number:
        """Return the bytes that one rank sends over its link."""
        return (self.ranks - 1) / self.ranks * self.bytes

    def counts(self) -> Counts:
        sent = self.sent_bytes()
        return Counts({}, {read("collective", "link"): sent, write("collective", "link"): sent})


@register
@dataclass(frozen=True)
class AllReduce(Collective):
    """Sum of a buffer over all ranks: ``bytes`` is the buffer of a rank.

    A rank sends ``2*(n-1)/n*S`` (reduce-scatter, then all-gather). Source: Patarasu and Yuan 2009, theorem 1.
    In-switch reduction halves that; it is a matter of the link.
    """

    KIND: ClassVar[str] = "all_reduce"

    def sent_bytes(self) -> Number:
        return 2.0 * (self.ranks - 1) / self.ranks * self.bytes

    def counts(self) -> Counts:
        sums = (self.ranks - 1) / self.ranks * self.bytes / 2.0
        return Counts({vector("reduce"): sums}, super().counts().bytes)


@register
@dataclass(frozen=True)
class AllGather(Collective):
    """Every rank ends with all shards: ``bytes`` is the gathered output; a rank receives ``(n-1)/n*S``."""

    KIND: ClassVar[str] = "all_gather"


@register
@dataclass(frozen=True)
class ReduceScatter(Collective):
    """Every rank ends with its shard of the sum: ``bytes`` is the full input; a rank sends ``(n-1)/n*S``."""

    KIND: ClassVar[str] = "reduce_scatter"


@register
@dataclass(frozen=True)
class AllToAll(Collective):
    """Every rank sends a part to each other: ``bytes`` is the send buffer; ``(n-1)/n`` of it leaves the rank."""

    KIND: ClassVar[str] = "all_to_all"


@register
@dataclass(frozen=True)
class SendRecv(Collective):
    """A message from one rank to its neighbour: all its ``bytes`` cross the link (nothing with one rank)."""

    KIND: ClassVar[str] = "send_recv"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {"ranks": (2, 2), "bytes": (1, 1 << 30)}

    def sent_bytes(self) -> Number:
        return self.bytes * minimum(self.ranks - 1, 1.0)


@register
@dataclass(frozen=True)
class ExpertExchange(Collective):
    """An all-to-all between attention and experts: ``bytes`` is the send buffer, each token ``copies`` times in it.

    The exchange is no library's all-to-all: its kernels know who needs what (DeepEP and the like).
    """

    KIND: ClassVar[str] = "expert_exchange"

    copies: float = 1.0
