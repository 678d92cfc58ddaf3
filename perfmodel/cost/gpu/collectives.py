"""Time of collectives over NVLink, PCIe and several nodes: NCCL's and the serving frameworks' own all-reduce.

Coefficients (``c``), all positive:

| name | meaning |
| --- | --- |
| launch_us | fixed time of a library (NCCL) collective of two ranks at a clock of 1.8 GHz; goes with 1/clock |
| step_us | each further rank in the ring (2.5 a doubling in the tree, if that is less) |
| efficiency | attainable share of the link's bandwidth for many ranks |
| pair_loss | how much more time a byte takes with few ranks: factor ``1 + pair_loss/n`` |
| ramp_us, ramp_mib | time that filling the pipeline of a link of 300 GB/s costs; half of it at ``ramp_mib`` |
| ramp_power | how that time falls with the link's bandwidth: ``(300 GB/s / B_in)^ramp_power`` |
| bus_power | on PCIe without a switch a rank's bandwidth falls as ``(2/n)^bus_power`` |
| outer_us | each further domain (node, NVLink pair) in the ring or tree |
| outer_efficiency | attainable share of the outer link (NIC; PCIe of NVLink pairs) |
| outer_ramp_us | as ramp_us, for crossing domains, a device in the domain |
| rail_power | a domain of d devices has ``d^rail_power`` outer links' worth of bandwidth |
| custom_us, custom_step_us | fixed time of a framework's all-reduce kernel of two ranks, and each further rank |
| oneshot_efficiency, twoshot_efficiency | share of the link's bandwidth that its two algorithms reach |
| twoshot_us | the second synchronisation of the two-shot algorithm |
| custom_limit_mib | up to where the framework uses it (0: never, NCCL) |
"""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.link_facts import LinkFacts
from perfmodel.numeric import Number, log2, maximum, minimum, sqrt, where
from perfmodel.ops.collectives import AllReduce, AllToAll, Collective, SendRecv

MIB = 1048576.0
TREE_STEPS_PER_DOUBLING = 2.5
REFERENCE_CLOCK_HZ = 1.8e9
REFERENCE_LINK_BYTES_PER_S = 300e9
CLOCKED = ("launch_us", "step_us", "custom_us", "custom_step_us", "twoshot_us")
"""Latencies that are so many clocks of the chip's: kernels that poll flags and copy through cores."""


def expected_s(op: Collective, chip: ChipFacts, c: Coefficients, link: LinkFacts, warm: bool = True) -> Number:
    """Return the expected time in seconds of one collective on one rank; 0 for a single rank.

    Library: ``launch + step*(steps(n) - 1) + ramp*sqrt(V/(V + V0)) + max(inside, crossing)`` with
    ``inside = V*(1 + pair_loss/d)/(e*B_in)``, ``crossing = X/(e_out*B_out*d^r)``,
    ``d = min(n, domain_size)``, V the bytes that a rank sends (``2*(n-1)/n*S`` for all-reduce, ``(n-1)/n*S``
    otherwise, S for a message) and X the bytes that cross between domains, plus the same latency and ramp terms for the
    domains. ``steps`` is n in a ring, and ``1 + 2.5*log2(n)`` in a tree if that is less (all-reduce). On a shared bus
    ``B_in`` falls as ``(2/n)^bus_power``. All-reduce inside a domain and up to ``custom_limit_mib``: the least of that
    and ``custom + min((n-1)*S/(e1*B_in), twoshot + 2*(n-1)/n*S/(e2*B_in))``, one-shot and two-shot.

    Shapes: ``op.bytes`` is the all-reduced buffer, the gathered output, the full input of a reduce-scatter, the send
    buffer of an all-to-all, the message of send-recv. SI units; coefficients as in the module's table.
    Source: latency-bandwidth form of Thakur et al. 2005 with NCCL's ring and tree; fitted on measured collectives.
    Omits: contention with compute kernels, in-switch reduction as a term of its own (it is in the efficiencies),
    protocol switches of the library, network congestion. Of ``chip`` only the clock matters, ``warm`` changes nothing.
    """
    del warm
    found = algorithms(op, c, link, chip.clock_hz)
    library = minimum(*(time for name, time in found.items() if name not in CUSTOM), 1e30)
    if isinstance(op, AllReduce):
        custom = minimum(*(found[name] for name in CUSTOM), library)
        fits = where(maximum(op.ranks, 2.0) <= _domain(op, link), c["custom_limit_mib"] * MIB, 0.0)
        library = where(op.bytes <= fits, custom, library)
    return where(op.ranks > 1, library, 0.0)


def algorithms(
    op: Collective, c: Coefficients, link: LinkFacts, clock_hz: Number = REFERENCE_CLOCK_HZ
) -> dict[str, Number]:
    """Return the time of each algorithm that the library or the framework may use, by name.

    One-shot and two-shot are the framework's own kernels, up to ``custom_limit_mib`` and inside a domain only.
    """
    ranks = maximum(op.ranks, 2.0)
    slowness = REFERENCE_CLOCK_HZ / clock_hz
    c = {**c, **{name: c[name] * slowness for name in CLOCKED}}
    if isinstance(op, SendRecv):
        return {"send": _library_s(op, ranks, c, link, _as_ring)}
    if not isinstance(op, AllReduce):
        name = "pairwise" if isinstance(op, AllToAll) else "ring"
        return {name: _library_s(op, ranks, c, link, _as_ring)}
    steps = {"torus rings": _as_torus(link)} if link.torus_dimensions else {"ring": _as_ring, "tree": _as_tree}
    found = {name: _library_s(op, ranks, c, link, count) for name, count in steps.items()}
    return found | _custom_s(op, ranks, c, link)


def algorithm_of(op: Collective, c: Coefficients, link: LinkFacts, clock_hz: Number = REFERENCE_CLOCK_HZ) -> str:
    """Return the name of the algorithm that is used; plain numbers only. Several domains: the hierarchical form."""
    found = algorithms(op, c, link, clock_hz)
    fits = op.bytes <= c["custom_limit_mib"] * MIB and op.ranks <= _domain(op, link)
    able = {name: time for name, time in found.items() if name not in CUSTOM or fits}
    name = min(able, key=lambda name: float(able[name]))
    return f"hierarchical {name}" if op.ranks > _domain(op, link) else name


CUSTOM = ("one-shot", "two-shot")
Steps = Callable[[Number], Number]


def _as_ring(ranks: Number) -> Number:
    return ranks


def _as_tree(ranks: Number) -> Number:
    return 1.0 + TREE_STEPS_PER_DOUBLING * log2(ranks)


def _as_torus(link: LinkFacts) -> Steps:
    """Return the steps of rings along each dimension, counted as in one ring: the sides, less what they share."""
    dimensions = link.torus_dimensions
    return lambda ranks: dimensions * (ranks ** (1.0 / dimensions) - 1.0) + 1.0


def _domain(op: Collective, link: LinkFacts) -> Number:
    """Return how many of the ranks share a domain: fewer if neighbours stand apart."""
    side_by_side = isinstance(op.span, (int, float)) and op.span == 1
    return link.domain_size if side_by_side else maximum(link.domain_size / op.span, 1.0)


def _library_s(op: Collective, ranks: Number, c: Coefficients, link: LinkFacts, steps: Steps) -> Number:
    domain = _domain(op, link)
    inner = minimum(ranks, domain)
    domains = maximum(ranks / domain, 1.0)
    sent = _sent_bytes(op, ranks)
    fill = sqrt(sent / (sent + c["ramp_mib"] * MIB))
    step_s = maximum(c["step_us"] * 1e-6, link.latency_s)
    inner_s = where(
        inner > 1.0, sent * (1.0 + c["pair_loss"] / inner) / (c["efficiency"] * _inner_bandwidth(inner, c, link)), 0.0
    )
    ramp = c["ramp_us"] * fill * (REFERENCE_LINK_BYTES_PER_S / link.bandwidth_bytes_per_s) ** c["ramp_power"]
    latency_s = step_s * (steps(maximum(inner, 2.0)) - 2.0) + (c["launch_us"] + ramp) * 1e-6
    rails = inner ** c["rail_power"]
    crossing_s = _crossing_bytes(op, ranks, inner) / (c["outer_efficiency"] * rails * link.outer_bandwidth_bytes_per_s)
    outer_step_s = maximum(c["outer_us"] * 1e-6, link.outer_latency_s)
    outer_latency_s = outer_step_s * (steps(domains) - 1.0) + c["outer_ramp_us"] * 1e-6 * inner * fill
    several = domains > 1.0
    return latency_s + where(several, outer_latency_s, 0.0) + maximum(inner_s, where(several, crossing_s, 0.0))


def _sent_bytes(op: Collective, ranks: Number) -> Number:
    if isinstance(op, SendRecv):
        return op.bytes * 1.0
    share = (ranks - 1.0) / ranks * op.bytes
    return 2.0 * share if isinstance(op, AllReduce) else share


def _crossing_bytes(op: Collective, ranks: Number, inner: Number) -> Number:
    if isinstance(op, AllToAll):
        return inner * (ranks - inner) / ranks * op.bytes
    return _sent_bytes(op, ranks)


def _inner_bandwidth(inner: Number, c: Coefficients, link: LinkFacts) -> Number:
    if link.shares_bus:
        return link.bandwidth_bytes_per_s / maximum(inner * 0.5, 1.0) ** c["bus_power"]
    if link.fully_connected:
        return link.bandwidth_bytes_per_s * (maximum(inner, 2.0) - 1.0) / maximum(link.domain_size - 1.0, 1.0)
    return link.bandwidth_bytes_per_s


def _custom_s(op: Collective, ranks: Number, c: Coefficients, link: LinkFacts) -> dict[str, Number]:
    bandwidth = _inner_bandwidth(ranks, c, link)
    fixed = (c["custom_us"] + c["custom_step_us"] * (ranks - 2.0)) * 1e-6
    one_shot = (ranks - 1.0) * op.bytes / (c["oneshot_efficiency"] * bandwidth)
    two_shot = c["twoshot_us"] * 1e-6 + 2.0 * (ranks - 1.0) / ranks * op.bytes / (c["twoshot_efficiency"] * bandwidth)
    return {"one-shot": fixed + one_shot, "two-shot": fixed + two_shot}
