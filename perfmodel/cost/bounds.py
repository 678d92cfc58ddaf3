"""The physics: how fast an operator could run at all on a chip's datasheet numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.link_facts import LinkFacts
from perfmodel.counts import Counts
from perfmodel.numeric import Number, maximum, minimum, where
from perfmodel.ops import AllReduce, AllToAll, Collective, Conv, ExpertExchange, Fused, Operator, SendRecv

BOOST_HEADROOM = 1.07
"""Parts run up to this much above the clock of their datasheet peak while power allows (measured kernels)."""

UNCACHED_ROLES = frozenset({"weight", "kv", "state"})
"""Operands that a model step must fetch from main memory; activations may live in caches from operator to operator."""


@dataclass(frozen=True)
class Bound:
    """Least time of each resource; whichever is largest bounds the operator, for all of them can work at once."""

    compute_s: Number
    memory_s: Number
    link_s: Number

    @property
    def time_s(self) -> Number:
        """Return the least time of the operator alone."""
        return maximum(self.compute_s, self.memory_s, self.link_s)


def operator_bound(op: Operator, counts: Counts, chip: ChipFacts, link: LinkFacts | None, warm: bool) -> Bound:
    """Return the least times of one operator.

    ``compute = max(sum flops/(1.07*peak), vector flops/(1.07*vector peak))`` (matrix and vector units overlap);
    ``memory = cold bytes/bandwidth``, where in a step (``warm=False``) weights and KV are cold, and in a repeated
    benchmark (``warm=True``) only ``max(0, bytes - last-level cache)``, and on a GPU all bytes cross into the SMs at
    64 a clock each; the link moves what a rank must send, or half of an all-reduce where the switch can add (topology
    nvswitch), and the network what must leave a domain, both at once.

    Source: roofline (Williams et al. 2009) with each resource apart. Omits launch latency, which no law requires;
    convolutions are taken to multiply directly but in float32 (:func:`_with_winograd`).
    """
    link_s = _link_s(op, counts, link) if isinstance(op, Collective) else 0.0
    if isinstance(op, (Conv, Fused)):
        counts = _with_winograd(op, counts)
    return Bound(_compute_s(op, counts, chip), _memory_s(counts, chip, warm), link_s)


def _with_winograd(op: Conv | Fused, counts: Counts) -> Counts:
    """Return the counts with the least arithmetic that is in use: float32 convolutions by Winograd's F(4x4, 3x3).

    Matrix units of fewer bits multiply directly: the transforms' rounding, and the units' shape, forbid the saving.
    """
    parts = op.batched_parts() if isinstance(op, Fused) else (op,)
    fast = [p for p in parts if isinstance(p, Conv) and p.format.compute == "float32" and p.winograd_fits()]
    for part in fast:
        saved = part.counts() * -1.0 + replace(part, algorithm="winograd4").counts()
        counts = Counts((counts + saved).flops, counts.bytes)
    return counts


def _fastest_dtype(op: Operator, dtype: str, chip: ChipFacts) -> str:
    """Return the dtype that an implementation may compute in: over an 8-bit cache attention can stay in 8 bits."""
    cache = getattr(op, "cache", None)
    return "fp8" if cache is not None and cache.dtype == "fp8" and "fp8" in chip.peaks else dtype


def _fastest_flops_per_s(op: Operator, dtype: str, chip: ChipFacts) -> Number:
    """Return the best rate that an implementation may have: ggml's weights may be multiplied as 8-bit integers."""
    rate = chip.peak_flops_per_s(_fastest_dtype(op, dtype, chip))
    also: str = getattr(getattr(op, "format", None), "also", "")
    return maximum(rate, chip.peaks[also]) if also in chip.peaks else rate


def _compute_s(op: Operator, counts: Counts, chip: ChipFacts) -> Number:
    matrix: Number = 0.0
    vector: Number = 0.0
    for key, flops in counts.flops.items():
        if key.engine == "tensor":
            matrix = matrix + flops / (BOOST_HEADROOM * _fastest_flops_per_s(op, key.dtype, chip))
        else:
            vector = vector + flops / (BOOST_HEADROOM * chip.vector_flops_per_s)
    if not isinstance(matrix, float) or matrix:
        return maximum(matrix, vector)
    return vector


def _memory_s(counts: Counts, chip: ChipFacts, warm: bool) -> Number:
    cold: Number = 0.0
    for key, moved in counts.bytes.items():
        if key.tier == "main" and (warm or key.role in UNCACHED_ROLES):
            cold = cold + moved
    if not warm:
        return cold / chip.memory_bandwidth_bytes_per_s
    from_memory = maximum(cold - chip.llc_bytes, 0.0) / chip.memory_bandwidth_bytes_per_s
    if chip.kind != "gpu":
        return from_memory
    return maximum(from_memory, cold / (BOOST_HEADROOM * chip.core_bytes_per_s))


def _link_s(op: Collective, counts: Counts, link: LinkFacts | None) -> Number:
    sent: Number = 0.0
    for key, moved in counts.bytes.items():
        if key.tier == "link" and key.direction == "write":
            sent = sent + moved
    if isinstance(sent, (int, float)) and not sent:
        return 0.0
    if link is None:
        raise ValueError("a collective's bound needs a link")
    adds = isinstance(op, AllReduce) and link.topology.startswith("nvswitch")
    inside = (0.5 if adds else 1.0) * sent / link.bandwidth_bytes_per_s
    return inside if _stays_inside(op, link) else _both_levels(op, link, inside)


def _stays_inside(op: Collective, link: LinkFacts) -> bool:
    """Say whether plain numbers show that no domain is left, so that nothing about the network need be computed."""
    size, reach = link.domain_size, op.ranks * op.span
    return isinstance(size, (int, float)) and isinstance(reach, (int, float)) and reach <= size


def _both_levels(op: Collective, link: LinkFacts, inside: Number) -> Number:
    """Return the larger of what the links inside and the network must take, per device of a domain of d.

    Across D domains an all-reduce moves at least ``2(D-1)/D*S/d`` (half if the network could add), a gather or scatter
    ``(D-1)/D*S/d``, an all-to-all ``(n-d)/n*S``, of which an exchange may send one copy a domain; a message all of it.
    Inside, no more than an even share of the rest is certain.
    """
    domain = maximum(link.domain_size / op.span, 1.0)
    ranks = maximum(op.ranks, 1.0)
    local, domains = minimum(ranks, domain), maximum(ranks / domain, 1.0)
    share = (domains - 1.0) / domains * op.bytes / local
    if isinstance(op, (AllToAll, ExpertExchange)):
        crossing = (ranks - local) / ranks * op.bytes / getattr(op, "copies", 1.0)
        within = op.bytes * (local - 1.0) / ranks / link.bandwidth_bytes_per_s
    else:
        crossing = op.bytes * minimum(domains - 1.0, 1.0) if isinstance(op, SendRecv) else share
        within = inside * where(domains > 1.0, 0.0, 1.0)
    return maximum(where(domains > 1.0, within, inside), crossing / link.outer_bandwidth_bytes_per_s)
