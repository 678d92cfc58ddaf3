"""Time of decode attention on a GPU-like chip: blocks of (sequence, KV head, split of the keys) against memory.

Coefficients: ``launch_kclk``, ``window_launch_kclk``, ``odd_launch_kclk``: thousands of clocks a launch (see
:func:`_kiloclock_s`), more with a window, more at a head_dim between 128 and 256; ``block_kclk``, ``key_clk``: a block,
and a key of a lone block; ``combine_kclk``, ``merge_clk``: joining the splits, once and a block; ``splitting``:
exponent of the split count that is really reached; ``unpacking``, ``unpacking_window``, ``unpacking_wide``: exponent
of the query heads of a group that do *not* share a block (in general, with a window, for more than 32 heads a group);
``block_bytes_per_clock``: what one core pulls; ``efficiency``: of the matrix peak; ``wide_key``, ``head_64``,
``head_192``, ``head_256``, ``head_512``, ``cast_key``: cost of a key for wide groups, other widths of head, and a
cache of less than 16 bits; ``cast_launch``, ``cast_block``, ``cast_unpacking``: what such a cache changes elsewhere;
``tail``: weight of a lone block; ``window_waste``: masked keys read all the same; ``bandwidth_share``,
``bandwidth_fp8``, ``llc_share``, ``core_bytes_per_clock``: attainable bandwidths (the second multiplies for a narrow
cache) and cache; ``host_us``: floor of the host's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel.numeric import Number, best_of, maximum, minimum, smooth_maximum, sqrt, where
from perfmodel.ops.attention import AttentionDecode

if TYPE_CHECKING:
    from perfmodel.calibration import Coefficients
    from perfmodel.cost.facts import ChipFacts

KEY_SPLITS = ((2.0,), (6.0,), (20.0,), (64.0,))
"""Into how many blocks the keys of one sequence and KV head are split, if they are."""

WIDE_GROUP = 32
"""Query heads a KV head beyond which grouped kernels give way to general ones."""

LEAST_FABRIC = 9.0
"""What the cores draw from the cache at least, in bandwidths of the main memory (measured ones draw 9.7 and more)."""
LEAST_PULL = 1.5
"""What the few large cores of chips that are no GPUs pull for their blocks at least, in the same unit."""

REFERENCE_CLOCK_HZ = 1.9e9
CLOCK_BOUND_SHARE = 0.65


def expected_s(op: AttentionDecode, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected time of one layer's decode attention on one rank, in seconds.

    ``t = launch + block + |min over splits (|blocks*(keys*key + block)/cores, tail*keys*key| + combine), memory|`` with
    ``|a, b|`` the root of the sum of squares, ``keys = visible/split`` and ``memory = bytes/bandwidth``.

    Shapes as in :class:`AttentionDecode`; SI units. ``warm``: a KV cache that fits in the last-level cache is still
    there from the repetition before (a benchmark); otherwise it comes from main memory.
    Source: split keys of Flash-Decoding (Dao et al. 2023); coefficients fitted on measured kernels
    (hardware_specs/calibration/attention_decode.yaml). Omits: ragged batches, sinks, paging tables.
    """
    odd = where(op.head_dim > 128, where(op.head_dim < 256, c["odd_launch_kclk"], 0.0), 0.0)
    launch = c["launch_kclk"] + where(op.window > 0, c["window_launch_kclk"], 0.0) + odd
    if _narrow(op):
        launch = launch * c["cast_launch"]
    kiloclock_s, keys = _kiloclock_s(chip), _keys_read(op, c)
    block_s = c["block_kclk"] * (c["cast_block"] if _narrow(op) else 1.0) * kiloclock_s
    working = _blocks_s(op, chip, c, keys, block_s, 1e-3 * kiloclock_s)
    device = launch * kiloclock_s + block_s + smooth_maximum(working, _memory_s(op, chip, c, warm, keys), 2)
    return smooth_maximum(device, c["host_us"] * 1e-6, 4)


def _narrow(op: AttentionDecode) -> bool:
    """Say whether the cache has to be widened before it is used."""
    return op.cache.bits < 16


def _kiloclock_s(chip: ChipFacts) -> Number:
    """Return the seconds of 1000 clocks of latency, of which 35 % (memory, scheduling) keep to a clock of 1.9 GHz."""
    return 1e3 * (CLOCK_BOUND_SHARE / chip.clock_hz + (1.0 - CLOCK_BOUND_SHARE) / REFERENCE_CLOCK_HZ)


def _peak_flops_per_s(op: AttentionDecode, chip: ChipFacts) -> Number:
    """Return the matrix peak of the operator's dtype, or of the 16-bit type that it is converted to."""
    for dtype in (op.dtype, "bfloat16", "float16"):
        if dtype in chip.peaks:
            return chip.peaks[dtype]
    return chip.vector_flops_per_s


def _keys_read(op: AttentionDecode, c: Coefficients) -> Number:
    """Return the keys of a sequence that are read; a window may skip less than it could."""
    waste = c["window_waste"]
    return (op.visible() + waste * op.kv_tokens) / (1.0 + waste)


def _blocks_a_group(op: AttentionDecode, c: Coefficients) -> Number:
    """Return into how many blocks the query heads of one KV head fall."""
    group = op.heads / op.kv_heads
    exponent = where(op.window > 0, c["unpacking_window"], c["unpacking"])
    if _narrow(op):
        exponent = exponent * c["cast_unpacking"]
    return group ** where(group > WIDE_GROUP, c["unpacking_wide"], exponent)


def _key_s(op: AttentionDecode, chip: ChipFacts, c: Coefficients, blocks: Number) -> Number:
    """Return the seconds that one core takes for one key of one block: pulling its bytes, then both products."""
    d, group = op.head_dim, op.heads / op.kv_heads
    upper = where(d <= 128, 1.0, where(d < 256, c["head_192"], where(d <= 256, c["head_256"], c["head_512"])))
    factor = where(d <= 64, c["head_64"], upper) * where(group > WIDE_GROUP, c["wide_key"], 1.0)
    if _narrow(op):
        factor = factor * c["cast_key"]
    row_bytes = 2.0 * d * op.cache.bytes_per_element
    least = 0.0 if chip.kind == "gpu" else LEAST_PULL
    pulled = row_bytes * chip.core_count / chip.fabric_bytes_per_s(c["block_bytes_per_clock"], least)
    shared = group / blocks
    flops = 4.0 * d * chip.rows_of_tile(shared, 1.0, maximum(shared, 16.0))
    return factor * (pulled + flops * chip.core_count / (c["efficiency"] * _peak_flops_per_s(op, chip)))


def _blocks_s(
    op: AttentionDecode, chip: ChipFacts, c: Coefficients, keys: Number, block_s: Number, clock_s: Number
) -> Number:
    """Return the time of all blocks at the best split: the cores' average work against a lone block."""
    cores, share = chip.core_count, _blocks_a_group(op, c)
    key_s = _key_s(op, chip, c, share)
    lone_s = c["tail"] * maximum(key_s, c["key_clk"] * clock_s)
    blocks, power = op.batch * op.kv_heads * share, c["splitting"]
    combine, merge = 1e3 * c["combine_kclk"] * clock_s, c["merge_clk"] * clock_s * blocks
    work, start, lone = blocks * keys * key_s / cores, blocks * block_s / cores, keys * lone_s

    def squared(split: Number) -> Number:
        parts = split**power
        busy, alone = work + (start + merge) * parts, lone * (1.0 / parts)
        return busy * busy + alone * alone

    whole = smooth_maximum(work + start, lone, 2)
    # the root is taken once, of the least square: a grid pays for each root on every point
    return minimum(whole, sqrt(best_of(KEY_SPLITS, squared, work, start, lone, merge, power)) + combine)


def _memory_s(op: AttentionDecode, chip: ChipFacts, c: Coefficients, warm: bool, keys: Number) -> Number:
    """Return the time of the traffic: what the cache does not hold at memory's speed, everything at the cores'."""
    row = 2.0 * op.kv_heads * op.head_dim * op.cache.bytes_per_element
    moved = op.batch * (keys * row + row + 4.0 * op.heads * op.head_dim)
    llc = c["llc_share"] * chip.llc_bytes / chip.llc_partitions
    cold = maximum(moved - llc, 0.0) if warm else moved
    share = c["bandwidth_share"] * (c["bandwidth_fp8"] if _narrow(op) else 1.0)
    inside = moved / chip.fabric_bytes_per_s(c["core_bytes_per_clock"], LEAST_FABRIC)
    return cold / (share * chip.memory_bandwidth_bytes_per_s) + inside
