"""Mixed precisions by the roles of layers: the bytes of the weights, and the bit operations of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any

from perfmodel import ops
from perfmodel.errors import InputError, did_you_mean
from perfmodel.formats import Encoding, Format, find_format
from perfmodel.ops.conv import Convolution
from perfmodel.workloads.network import Network
from perfmodel.workloads.roles import GROUPS, ROLES, roles_of

_SPECIAL = "[*?"


def parse_policy(text: str) -> list[tuple[str, str]]:
    """Return the pairs of ``"*=int8,first-last=float16"``, in their order. Errors: :class:`InputError`."""
    known = (*GROUPS, *ROLES)
    found: list[tuple[str, str]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        role, equals, precision = (piece.strip() for piece in part.partition("="))
        if not equals or not precision:
            raise InputError(f"'{part}' is not ROLE=PRECISION, such as first-last=float16")
        if role not in known:
            raise InputError(f"no role '{role}'{did_you_mean(role, known)} (one of {', '.join(known)})")
        find_format(precision)
        found.append((role, precision))
    if not found:
        raise InputError("a policy has at least one ROLE=PRECISION, such as *=int8,first-last=float16")
    return found


def precisions_of(network: Network, policy: Sequence[tuple[str, str]], default: str) -> dict[int, str]:
    """Return the precision of each node that runs: by the most specific entry for its role (a role, a group, ``*``)."""
    by_role: dict[str, str] = {}
    for name in sorted((name for name, _ in policy), key=lambda n: len(GROUPS.get(n, (n,))), reverse=True):
        precision = dict(policy)[name]
        by_role |= dict.fromkeys(GROUPS.get(name, (name,)), precision)
    return {index: by_role.get(role, default) for index, role in roles_of(network).items()}


def layer_pairs(network: Network, policy: Sequence[tuple[str, str]], default: str) -> tuple[tuple[str, str], ...]:
    """Return a policy as (name of a layer, precision) pairs, as a plan takes them, of layers that differ."""
    names = precisions_of(network, policy, default)
    return tuple(
        (_escaped(network.nodes[index].name), precision)
        for index, precision in names.items()
        if precision != default
    )  # fmt: skip


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in _SPECIAL else c for c in name)


def bit_operations(network: Network, index: int, form: Format) -> tuple[float, float]:
    """Return the bit operations of a node of one sample: plain, and with the accumulator's.

    Plain: ``MACs*b_w*b_a`` (van Baalen et al. 2020, arXiv 2005.07093). With the additions into an accumulator that is
    wide enough for k products: ``MACs*(b_w*b_a + b_w + b_a + log2 k)`` (Baskin et al. 2018, UNIQ, arXiv 1804.10969).
    Bits are those of the elements without scales; products of two activations have ``b_a`` twice.
    """
    op = network.nodes[index].operator
    if op is None:
        return 0.0, 0.0
    macs = float(op.counts().filter_flops(engine="tensor").total_flops()) / 2.0
    if not macs:
        return 0.0, 0.0
    a = element_bits(form.activation)
    weighty = isinstance(op, (Convolution, ops.Linear))
    b = element_bits(form.weight) if weighty else a
    return macs * a * b, macs * (a * b + a + b + log2(max(_summands(op), 1.0)))


def _summands(op: ops.Operator) -> float:
    """Return how many products each result sums."""
    if isinstance(op, Convolution):
        return float(op.in_per_group * op.taps)
    if isinstance(op, (ops.Linear, ops.BatchedMatmul)):
        return float(op.k)
    return float(op.head_dim) if isinstance(op, ops.AttentionPrefill) else 1.0


def element_bits(encoding: Encoding) -> float:
    """Return the bits of an element, of its number alone."""
    return float(encoding.bits)


def bits_table(network: Network, policy: Sequence[tuple[str, str]], default: str) -> list[dict[str, Any]]:
    """Return one row a role: its layers, precision, parameters, weights as stored, MACs and bit operations of a sample.

    Formats are those asked for; a device without units for one computes wider (its latency says so).
    """
    roles, precisions = roles_of(network), precisions_of(network, policy, default)
    rows: dict[str, dict[str, Any]] = {}
    for index, role in roles.items():
        form = find_format(precisions[index])
        row = rows.setdefault(role, {
            "role": role, "precision": precisions[index], "layers": 0, "parameters": 0, "weights_bytes": 0.0,
            "macs": 0.0, "bops": 0.0, "bops_accumulated": 0.0,
        })  # fmt: skip
        node, op = network.nodes[index], network.nodes[index].operator
        assert op is not None
        plain, accumulated = bit_operations(network, index, form)
        row["layers"] += 1
        row["parameters"] += int(node.parameters)
        row["weights_bytes"] += float(node.parameters) * form.weight.bytes_per_element
        row["macs"] += float(op.counts().filter_flops(engine="tensor").total_flops()) / 2.0
        row["bops"] += plain
        row["bops_accumulated"] += accumulated
    return [rows[role] for role in ROLES if role in rows]


def totals_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums over roles."""
    return {
        name: sum(row[name] for row in rows)
        for name in ("layers", "parameters", "weights_bytes", "macs", "bops", "bops_accumulated")
    }
