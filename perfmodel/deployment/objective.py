"""What architecture search maximises: accuracy against a latency, and a network's latency from a look-up table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perfmodel.errors import InputError
from perfmodel.numeric import Number, total, where

SOFT = (-0.07, -0.07)
"""MnasNet's exponents: doubling the latency is worth five per cent of accuracy, on both sides of the target."""

HARD = (0.0, -1.0)
"""Below the target only accuracy counts, beyond it the product falls with the latency."""


def accuracy_latency(
    accuracy: Number, latency_s: Number, target_s: Number, exponents: tuple[float, float] = SOFT
) -> Number:
    """Return ``accuracy*(latency/target)^w``, with ``w = exponents[0]`` up to the target and ``exponents[1]`` beyond.

    Any of the numbers may be an array. Accuracy is whatever is to be large, 0 to 1 or per cent; the latency that of a
    batch in seconds (expected, or the p90 of its band, or the bound). Errors: :class:`InputError` for exponents above
    zero, which reward slowness. Source: Tan et al., MnasNet, CVPR 2019 (arXiv 1807.11626), equations 2 and 3; ``SOFT``
    and ``HARD`` are the paper's two settings.
    """
    if max(exponents) > 0.0:
        raise InputError(f"exponents must not be above 0, not {max(exponents):g}: a slower network would be better")
    ratio = latency_s / target_s
    return accuracy * where(ratio <= 1.0, ratio ** exponents[0], ratio ** exponents[1])


def table_latency(
    rows: Iterable[Mapping[str, Any]], choices: Mapping[str, str], others_s: Number = 0.0, part: str = "expected_s"
) -> Number:
    """Return the latency of a network from the rows of :func:`perfmodel.deployment.lookup.lookup_table`.

    ``choices`` names for each block of the network that is searched (``blocks.1.0``) its candidate (``k5_e6``);
    ``others_s`` is the start and the blocks that are not searched (``perfmodel network blocks``). ``part`` is the
    column: expected_s, bound_s, p10_s, p90_s or joules. ``latency = others + sum of the rows chosen``; bands add as
    fully correlated. Errors: :class:`InputError` for a block or a candidate that the table does not have.
    """
    known: dict[str, dict[str, Any]] = {}
    for row in rows:
        for block in str(row["blocks"]).split():
            known.setdefault(block, {})[row["candidate"]] = row[part]
    chosen: list[Number] = [others_s]
    for block, candidate in choices.items():
        if block not in known:
            raise InputError(f"the table has no block '{block}' (it has {', '.join(known) or 'none'})")
        if candidate not in known[block]:
            raise InputError(f"no candidate '{candidate}' at {block} (it has {', '.join(known[block])})")
        chosen.append(known[block][candidate])
    return total(chosen)
