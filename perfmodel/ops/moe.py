"""Mixture of experts: which experts a batch touches, the most loaded rank, and the fused expert operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfmodel.counts import Counts, read, tensor, vector, write
from perfmodel.formats import Format
from perfmodel.numeric import Number, maximum, minimum
from perfmodel.ops.base import Operator, register
from perfmodel.ops.routing import RankLoad, Routing, rank_load


@register
@dataclass(frozen=True)
class Experts(Operator):
    """The routed experts of one layer on the most loaded rank, given the router's logits.

    ``assignments = tokens*topk*load/ep`` rows pass gate, up and down matrices (two without a gate):
    ``flops = 2*assignments*hidden*(intermediate/tp)*matrices``. Weight bytes follow the expected number of
    *distinct* experts touched on the rank (:mod:`perfmodel.ops.routing`), not all of them.

    Activations are the least: each of ``assignments/min(topk, experts/ep)`` tokens is read and written once.

    ``dispatched`` says that only the rows for this rank's experts arrive (an all-to-all before it); otherwise every
    rank is given all tokens of the group and picks its own.

    Shapes: ``tokens`` are those of the whole EP group; ``intermediate`` and ``experts`` are before the split.
    Omits: the router's GEMM, shared experts and communication (operators of their own).
    """

    KIND: ClassVar[str] = "moe"
    BATCH: ClassVar[str] = "tokens"
    DOMAIN: ClassVar[dict[str, tuple[int, int]]] = {
        "tokens": (1, 65536), "hidden": (512, 8192), "intermediate": (256, 16384), "topk": (1, 8), "experts": (8, 512),
        "tp": (1, 8), "ep": (1, 8),
    }  # fmt: skip

    tokens: Number
    hidden: Number
    intermediate: Number
    topk: Number
    experts: Number
    tp: Number
    ep: Number
    format: Format
    routing: Routing = Routing()
    gated: bool = True
    dispatched: bool = False

    @property
    def matrices(self) -> float:
        """Return how many weight matrices an expert has."""
        return 3.0 if self.gated else 2.0

    def rank_load(self) -> RankLoad:
        """Return how the rows of the most loaded rank spread over its experts."""
        return rank_load(self.tokens, self.topk, self.experts, self.ep, self.routing)

    def rank_share(self) -> tuple[Number, Number]:
        """Return (assignments, distinct experts touched) of the most loaded rank."""
        load = self.rank_load()
        return load.assignments, load.touched

    def tokens_at_hand(self) -> Number:
        """Return the tokens that a rank is given, and has to sort."""
        if not self.dispatched:
            return self.tokens
        return self.rank_load().assignments / minimum(self.topk, maximum(self.experts / self.ep, 1.0))

    def counts(self) -> Counts:
        f = self.format
        assignments, touched = self.rank_share()
        width = self.intermediate / self.tp
        weights = touched * self.matrices * self.hidden * width * f.weight.bytes_per_element
        local = maximum(self.experts / self.ep, 1.0)
        rows = assignments / minimum(self.topk, local)  # a token is read once, however many local experts want it
        moved = {
            read("weight"): weights,
            read("activation"): rows * self.hidden * 2.0,
            write("activation"): rows * self.hidden * 2.0,
        }
        flops = {
            tensor(f.compute): 2.0 * assignments * self.hidden * width * self.matrices,
            vector("activation"): 5.0 * assignments * width,
        }
        return Counts(flops, moved)
