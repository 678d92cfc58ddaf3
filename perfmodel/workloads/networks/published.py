"""Counts of networks against what is published of them."""

from __future__ import annotations

from perfmodel.workloads.network import Network

RELATIVE = 0.01
"""How far multiply-accumulates may lie from a published count: sources differ in what else they count."""


def disagreements(network: Network) -> list[str]:
    """Return what of a network's counts is not what is published, in words.

    Parameters that are published as a whole number must be exact; what is published with fewer digits (a float in
    its file) must agree within 1 % or half of its last digit.
    """
    found: list[str] = []
    ours, theirs = network.parameters, network.published_parameters
    if theirs is not None and not (ours == theirs if isinstance(theirs, int) else agrees(float(ours), float(theirs))):
        found.append(f"{network.name}: {ours:,.0f} parameters, published {theirs:,.0f}")
    macs, published = float(network.matmul_flops) / 2, network.published_macs
    if published is not None and not agrees(macs, float(published)):
        found.append(f"{network.name}: {macs:.5g} multiply-accumulates, published {published:.5g}")
    return found


def agrees(ours: float, published: float) -> bool:
    """Say whether a count rounds to what is printed: within 1 %, or half of the last digit that is not zero."""
    return abs(ours - published) <= max(RELATIVE * published, 0.5 * last_digit(published))


def last_digit(number: float) -> float:
    """Return the place value of the last digit of a number that is not zero: 10 of 4320, 1e7 of 3.4e8."""
    mantissa, _, exponent = f"{number:.12e}".partition("e")
    decimals = len(mantissa.rstrip("0").rstrip(".").partition(".")[2])
    return 10.0 ** (int(exponent) - decimals)
