"""Collectives by algorithm in the alpha-beta model: n ranks, a message of S bytes, alpha a step, beta a byte.

=====================  ==================================================  ==========================================
algorithm              time                                                source
=====================  ==================================================  ==========================================
ring all-reduce        ``2(n-1)*alpha + 2(n-1)/n*S*beta``                  Patarasu and Yuan 2009
tree all-reduce        ``2*log2(n)*alpha + 2*S*beta`` (pipelined)          Sanders, Speck and Traff 2009 (two trees)
recursive doubling     ``log2(n)*(alpha + S*beta)``                        Thakur, Rabenseifner and Gropp 2005
halving and doubling   ``2*log2(n)*alpha + 2(n-1)/n*S*beta``               Rabenseifner 2004
one-shot               ``alpha + (n-1)*S*beta``                            every rank reads all others
two-shot               ``2*alpha + 2(n-1)/n*S*beta``                       all pairs at once, twice
in-switch (NVLS)       ``alpha + S*beta``                                  Klenk et al. 2020: the switch adds
ring gather, scatter   ``(n-1)*alpha + (n-1)/n*S*beta``                    Chan et al. 2007
doubling gather        ``log2(n)*alpha + (n-1)/n*S*beta``                  Thakur, Rabenseifner and Gropp 2005
pairwise all-to-all    ``(n-1)*alpha + (n-1)/n*S*beta``                    Thakur, Rabenseifner and Gropp 2005
direct all-to-all      ``alpha + (n-1)/n*S*beta``                          DeepEP: all messages in flight at once
torus ring             ``2*sum(n_i - 1)*alpha + 2(n-1)/n*S*beta``          Jain and Sabharwal 2010; beta of all links
hierarchical           scatter inside, reduce across, gather inside        Cho et al. 2019 (BlueConnect)
=====================  ==================================================  ==========================================

S is the all-reduced buffer, the gathered output, the input that is scattered, or the send buffer of an all-to-all.
``n`` ranks of a power of two are exact; in between the logarithm is taken as it stands, which is a lower limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from perfmodel.numeric import Number, log2, maximum, minimum


class Level(NamedTuple):
    """One level of links: seconds a step, and seconds a byte of one device in one direction."""

    alpha_s: Number
    beta_s: Number


Algorithm = Callable[[Number, Number, Level], Number]
"""(ranks, bytes, level) -> seconds; 0 for one rank."""


def _share(n: Number, size: Number) -> Number:
    return (n - 1.0) / n * size


def _steps(n: Number) -> Number:
    return log2(maximum(n, 1.0))


def ring_all_reduce(n: Number, size: Number, level: Level) -> Number:
    """Return reduce-scatter and all-gather round a ring: optimal in bytes."""
    return 2.0 * (n - 1.0) * level.alpha_s + 2.0 * _share(n, size) * level.beta_s


def tree_all_reduce(n: Number, size: Number, level: Level) -> Number:
    """Return two pipelined binary trees that each reduce and broadcast half of the buffer."""
    return 2.0 * _steps(n) * level.alpha_s + 2.0 * size * level.beta_s * minimum(n - 1.0, 1.0)


def recursive_doubling(n: Number, size: Number, level: Level) -> Number:
    """Return an exchange of the whole buffer with ever farther partners: fewest steps."""
    return _steps(n) * (level.alpha_s + size * level.beta_s)


def halving_doubling(n: Number, size: Number, level: Level) -> Number:
    """Return recursive halving, then recursive doubling: optimal in bytes and, but for a factor of two, in steps."""
    return 2.0 * _steps(n) * level.alpha_s + 2.0 * _share(n, size) * level.beta_s


def one_shot(n: Number, size: Number, level: Level) -> Number:
    """Return every rank reading every other's buffer at once."""
    return minimum(n - 1.0, 1.0) * level.alpha_s + (n - 1.0) * size * level.beta_s


def two_shot(n: Number, size: Number, level: Level) -> Number:
    """Return a reduce-scatter and an all-gather over all pairs at once."""
    return 2.0 * minimum(n - 1.0, 1.0) * level.alpha_s + 2.0 * _share(n, size) * level.beta_s


def in_switch(n: Number, size: Number, level: Level) -> Number:
    """Return a reduction and multicast by the switch: each rank sends and receives its buffer once."""
    return minimum(n - 1.0, 1.0) * (level.alpha_s + size * level.beta_s)


def ring_gather(n: Number, size: Number, level: Level) -> Number:
    """Return an all-gather or reduce-scatter round a ring."""
    return (n - 1.0) * level.alpha_s + _share(n, size) * level.beta_s


def doubling_gather(n: Number, size: Number, level: Level) -> Number:
    """Return an all-gather by recursive doubling, or a reduce-scatter by recursive halving."""
    return _steps(n) * level.alpha_s + _share(n, size) * level.beta_s


def pairwise_all_to_all(n: Number, size: Number, level: Level) -> Number:
    """Return n-1 rounds with another partner each."""
    return (n - 1.0) * level.alpha_s + _share(n, size) * level.beta_s


def direct_all_to_all(n: Number, size: Number, level: Level) -> Number:
    """Return all messages in flight at once: one latency whatever the number of ranks."""
    return minimum(n - 1.0, 1.0) * level.alpha_s + _share(n, size) * level.beta_s


def torus_all_reduce(n: Number, size: Number, level: Level, dimensions: int) -> Number:
    """Return rings along each dimension of a torus with all links at work; beta is that of all links of a device."""
    side = n ** (1.0 / dimensions)
    return 2.0 * dimensions * (side - 1.0) * level.alpha_s + 2.0 * _share(n, size) * level.beta_s


def send(n: Number, size: Number, level: Level) -> Number:
    """Return one message to a neighbour."""
    return minimum(n - 1.0, 1.0) * (level.alpha_s + size * level.beta_s)


ALL_REDUCE: Mapping[str, Algorithm] = {
    "ring": ring_all_reduce,
    "tree": tree_all_reduce,
    "recursive doubling": recursive_doubling,
    "halving and doubling": halving_doubling,
    "one-shot": one_shot,
    "two-shot": two_shot,
}
GATHER: Mapping[str, Algorithm] = {"ring": ring_gather, "doubling": doubling_gather}
ALL_TO_ALL: Mapping[str, Algorithm] = {"pairwise": pairwise_all_to_all, "direct": direct_all_to_all}


def hierarchical_all_reduce(
    n: Number, size: Number, domain: Number, inner: Level, outer: Level, across: Algorithm = ring_all_reduce
) -> Number:
    """Return reduce-scatter in each domain, an all-reduce of each share across domains, all-gather in each domain.

    With d devices a domain, each with a link of its own outwards (rails), every rank all-reduces ``S/d`` with its peers
    in the ``n/d`` domains. One domain is the inner all-reduce alone.
    """
    inside = minimum(n, domain)
    domains = maximum(n / domain, 1.0)
    return 2.0 * ring_gather(inside, size, inner) + across(domains, size / inside, outer)


def best(algorithms: Mapping[str, Algorithm], n: Number, size: Number, level: Level) -> Number:
    """Return the time of the cheapest algorithm."""
    return minimum(*(f(n, size, level) for f in algorithms.values()))


def choose(algorithms: Mapping[str, Algorithm], n: float, size: float, level: Level) -> str:
    """Return the name of the cheapest algorithm; plain numbers only."""
    return min(algorithms, key=lambda name: float(algorithms[name](n, size, level)))
