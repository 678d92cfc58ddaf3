"""Time of the exchange between attention groups and experts: tokens to their experts' devices, and results back.

======================  =====  ==============================================================================
coefficient             unit   meaning
======================  =====  ==============================================================================
direct_us               us     fixed time of a low-latency kernel, which writes to all peers at once
direct_efficiency       1      share of the scale-up link's bandwidth that it reaches
bulk_us                 us     fixed time of a high-throughput kernel, with its exchange of counts
bulk_efficiency         1      share of the scale-up link's bandwidth that it reaches
outer_us                us     more fixed time a doubling of the domains that are crossed
outer_efficiency        1      share of the network's bandwidth that either reaches
======================  =====  ==============================================================================
"""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.link_facts import LinkFacts
from perfmodel.numeric import Number, log2, maximum, minimum, where
from perfmodel.ops.collectives import ExpertExchange


def expected_s(op: ExpertExchange, chip: ChipFacts, c: Coefficients, link: LinkFacts, warm: bool = True) -> Number:
    """Return the expected time in seconds, the less of a low-latency and a high-throughput kernel; 0 for one rank.

    ``t = fixed + outer*log2(domains) + max(inside/(e*B_in), X/(e_out*B_out))``: the direct all-to-all of
    :mod:`perfmodel.cost.network.algorithms`, with both levels of links at work at once. The low-latency kernel sends
    a copy to each expert; the other one sends a token once to each domain and spreads it there, so that its X is
    ``S/copies*(D - 1)*(1 - (1 - 1/D)^copies)`` instead of ``S*(n - d)/n``.

    Shapes: ``op.bytes`` is the send buffer, ``op.copies`` how often a token is in it. SI units.
    Source: DeepEP (DeepSeek 2025); fitted on its kernels within a node; the network's share from its published figures.
    Omits: uneven loads, congestion, and that kernels take cores from computation.
    """
    del chip, warm
    ranks = maximum(op.ranks, 2.0)
    domain = maximum(link.domain_size / op.span, 1.0)
    inner, domains = minimum(ranks, domain), maximum(ranks / domain, 1.0)
    crossing = op.bytes * (ranks - inner) / ranks
    once = op.bytes / op.copies * (domains - 1.0) * (1.0 - (1.0 - 1.0 / domains) ** op.copies)
    fixed = c["outer_us"] * log2(domains)
    outer = c["outer_efficiency"] * link.outer_bandwidth_bytes_per_s
    inside = op.bytes * inner / ranks / link.bandwidth_bytes_per_s
    direct = (c["direct_us"] + fixed) * 1e-6 + maximum(inside / c["direct_efficiency"], crossing / outer)
    spread = maximum(inside, once / link.bandwidth_bytes_per_s)
    bulk = (c["bulk_us"] + fixed) * 1e-6 + maximum(spread / c["bulk_efficiency"], once / outer)
    return where(op.ranks > 1, minimum(direct, bulk), 0.0)
