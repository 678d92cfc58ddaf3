"""Traffic of a product, a convolution or attention: by buffer size and policy, or at every level of a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.cost.tiling.attention import AttentionShape, attention_bound, fused_passes, fused_words, unfused_words
from perfmodel.cost.tiling.conv import ConvShape
from perfmodel.cost.tiling.policies import POLICIES, conv_policy_words, gemm_policy_words
from perfmodel.cost.tiling.result import Tiling
from perfmodel.cost.tiling.stack import Level, stack_time_s, stack_traffic
from perfmodel.devices import Device
from perfmodel.errors import InputError, did_you_mean

ATTENTION_POLICIES = ("fused", "unfused", "bound")
Moved = Callable[[str, int], tuple[float, Tiling | None, dict[str, float]]]


@dataclass(frozen=True)
class Work:
    """What is asked about: its flops, the words of its operands, the policies that it has, and their traffic.

    ``moved(policy, words)`` returns the words that cross the edge of a buffer, the tiling if there is one, and what
    else is worth saying.
    """

    kind: str
    flops: float
    operand_words: float
    policies: tuple[str, ...]
    moved: Moved

    def check(self, policy: str) -> None:
        """Refuse a policy that this work does not have; :class:`InputError` with the nearest."""
        if policy not in self.policies:
            hint = did_you_mean(policy, self.policies)
            raise InputError(f"{self.kind} has no policy '{policy}'{hint} (it has {', '.join(self.policies)})")


def gemm_work(m: int, n: int, k: int, array: tuple[int, int]) -> Work:
    """Return an M x K by K x N product; ``array`` is the one of the fixed dataflows os, ws and is."""

    def moved(policy: str, words: int) -> tuple[float, Tiling | None, dict[str, float]]:
        return *gemm_policy_words(policy, m, n, k, words, array), {}

    return Work("a product", 2.0 * m * n * k, float(m * k + k * n + m * n), POLICIES, moved)


def conv_work(shape: ConvShape, groups: int, array: tuple[int, int]) -> Work:
    """Return a convolution of ``groups`` groups, each of ``shape``."""

    def moved(policy: str, words: int) -> tuple[float, Tiling | None, dict[str, float]]:
        found, tiling = conv_policy_words(policy, shape, words, array)
        return groups * found, tiling, {}

    read = shape.inputs * shape.patch(shape.height, shape.width)
    operands = groups * (shape.batch * (read + shape.results) + shape.weights)
    flops = 2.0 * groups * shape.batch * shape.results * shape.taps * shape.inputs
    policies = tuple(p for p in POLICIES if p not in ("formula", "double-buffered"))
    return Work("a convolution", flops, float(operands), policies, moved)


def attention_work(shape: AttentionShape) -> Work:
    """Return attention; flops are those of the pairs that its mask leaves."""
    functions = {"fused": fused_words, "unfused": unfused_words, "bound": attention_bound}

    def moved(policy: str, words: int) -> tuple[float, Tiling | None, dict[str, float]]:
        found = functions[policy](shape, float(words))
        return found, None, {"passes": fused_passes(shape, float(words))} if policy == "fused" else {}

    share = 1.0 - (shape.q_tokens - 1.0) / (2.0 * shape.kv_tokens) if shape.causal else 1.0
    pairs = shape.batch * shape.heads * shape.q_tokens * shape.kv_tokens * share
    flops = 2.0 * pairs * (shape.key_width + shape.value_width)
    return Work("attention", flops, float(shape.ends + shape.cache), ATTENTION_POLICIES, moved)


def buffer_rows(
    work: Work, sizes_bytes: Sequence[float], policies: Sequence[str], word_bytes: float
) -> list[dict[str, Any]]:
    """Return a row for each buffer and policy: bytes moved, that over each operand once, flops a byte, the tiles."""
    for policy in policies:
        work.check(policy)
    return [_row(work, size, policy, word_bytes) for size in sizes_bytes for policy in policies]


def _row(work: Work, size: float, policy: str, word_bytes: float) -> dict[str, Any]:
    words, tiling, more = work.moved(policy, _whole_words(size, word_bytes))
    return {
        "sram_bytes": size,
        "policy": policy,
        "moved_bytes": words * word_bytes,
        "times_compulsory": words / work.operand_words,
        "flops_per_byte": work.flops / (words * word_bytes),
        "schedule": tiling.schedule if tiling else "",
        "tiles": " ".join(f"{name}={size}" for name, size in tiling.tiles.items()) if tiling else "",
        **more,
    }


def _whole_words(capacity_bytes: float, word_bytes: float) -> int:
    words = int(capacity_bytes / word_bytes)
    if words < 1:
        raise InputError(f"a memory of {capacity_bytes:g} B holds no word of {word_bytes:g} B")
    return words


def stack_rows(
    work: Work, levels: Sequence[Level], policy: str, word_bytes: float
) -> tuple[list[dict[str, Any]], float]:
    """Return a row for each boundary of a stack, innermost first, and the least seconds of its slowest."""
    work.check(policy)

    def moved(capacity: float) -> float:
        return work.moved(policy, _whole_words(capacity, word_bytes))[0] * word_bytes

    found = stack_traffic(levels, work.operand_words * word_bytes, moved)
    rows = [
        {"inner": c.inner, "outer": c.outer, "policy": policy, "moved_bytes": c.moved_bytes, "time_s": c.time_s}
        for c in found
    ]
    return rows, stack_time_s(found)


def levels_of(device: Device) -> list[Level]:
    """Return the memories of a device as a stack, smallest first; a tier without a stated bandwidth has no limit."""
    tiers = sorted(device.memory, key=lambda tier: tier.capacity_bytes)
    if len(tiers) < 2:
        raise InputError(f"{device.name} states one memory only; a stack has at least two: give --level NAME=CAPACITY")
    return [Level(t.name, t.capacity_bytes, t.bandwidth_bytes_per_s or float("inf")) for t in tiers]
