"""Time of prefill attention on a GPU-like chip: tiles of queries spread over the cores, against memory.

Coefficients, each with the prefix ``causal_`` (language models) or ``full_`` (no mask: vision encoders) where kernels
of their own run: ``launch_kclk``, ``tile_kclk``, ``key_clk``: thousands of clocks a launch and a tile, clocks a key of
a lone tile (see :func:`_kiloclock_s`); ``efficiency``: attainable share of the matrix peak at head_dim 128;
``thin_rows``: rows that a tile pays on top of its own; ``tail``: weight of the longest tile; ``head_64``: cost of a
score at head_dim <= 64 over that expected from its flops. Shared: ``head_odd``, ``head_192``, ``head_256``,
``head_512``: the same for 65-127, 129-255, 256 and wider; ``head_unaligned``: for no multiple of 16;
``efficiency_fp8``, ``efficiency_fp8_cache``, ``cast_*``: what fp8 arithmetic, and an fp8 cache read by 16-bit
arithmetic, change; ``window_*``: extra launch, cost of a score, and ``window_waste``: masked keys computed all the
same; ``softmax_clk``: clocks of a core for the exponential and sums of one score, which the matrix units do not hide
(the special function units take 1/16); ``packing``, ``packing_single``, ``packing_window``: exponent of the query
heads that share a tile (in general, for single queries, for those with a window); ``bandwidth_share``, ``llc_share``,
``core_bytes_per_clock``: attainable bandwidths and cache; ``reread``: share of the tiles' KV reads that miss a cache
too small; ``preparation_passes``: passes over q, k and v before (RoPE, cache write); ``host_us``: floor of the host's
clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel.numeric import Number, best_of, ceil, maximum, minimum, smooth_maximum, where
from perfmodel.ops.attention import AttentionPrefill, cache_reach, visible_pairs

if TYPE_CHECKING:
    from perfmodel.calibration import Coefficients
    from perfmodel.cost.facts import ChipFacts

QUERY_TILES = ((16.0,), (64.0,), (128.0,))
"""Rows (queries times packed heads) of a tile."""

LEAST_FABRIC = 0.85
"""What the cores draw from the cache at least, in bandwidths of the main memory (measured ones draw 0.88 and more)."""

REFERENCE_CLOCK_HZ = 1.9e9
CLOCK_BOUND_SHARE = 0.65


def expected_s(op: AttentionPrefill, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected time of one layer's prefill attention on one rank, in seconds.

    ``t = launch + tile + |min over tiles (|tiles*keys*score/cores, tail*longest*key|), bytes/bandwidth| + preparation``
    with ``|a, b|`` the root of the sum of squares, and
    ``score = rows * (4*d / (efficiency*peak/cores) + softmax)``.

    Shapes as in :class:`AttentionPrefill`; SI units. ``warm``: what fits in the last-level cache is still there from
    the repetition before (a benchmark); otherwise earlier tokens' KV comes from main memory.
    Source: tiling of FlashAttention-2 (Dao 2023); coefficients fitted on measured kernels
    (hardware_specs/calibration/attention_prefill.yaml). Omits: ragged batches, sinks, paging tables.
    """
    mode = "causal" if op.causal else "full"
    launch = c[f"{mode}_launch_kclk"] + where(op.window > 0, c["window_launch_kclk"], 0.0)
    if _casts(op):
        launch = launch + c["cast_launch_kclk"]
    kiloclock_s = _kiloclock_s(chip)
    tile_s = c[f"{mode}_tile_kclk"] * (c["cast_tile"] if _casts(op) else 1.0) * kiloclock_s
    keys, longest = _keys_seen(op, c)
    packed = _heads_a_tile(op, c)
    score_s = _score_s(op, chip, c, mode)
    lone_key_s = c[f"{mode}_key_clk"] * 1e-3 * kiloclock_s
    shape = (op.causal, c[f"{mode}_tail"], c[f"{mode}_thin_rows"])
    computing = _tiles_s(op, chip.core_count, keys, longest, packed, tile_s, score_s, lone_key_s, shape)
    moving = _memory_s(op, chip, c, warm, keys, packed)
    device = launch * kiloclock_s + tile_s + smooth_maximum(computing, moving, 2) + _preparation_s(op, chip, c)
    return smooth_maximum(device, c["host_us"] * 1e-6, 4)


def _casts(op: AttentionPrefill) -> bool:
    """Say whether a narrow cache is read by wider arithmetic."""
    return op.cache.bits < 16 and op.dtype != "fp8"


def _kiloclock_s(chip: ChipFacts) -> Number:
    """Return the seconds of 1000 clocks of latency, of which 35 % (memory, scheduling) keep to a clock of 1.9 GHz."""
    return 1e3 * (CLOCK_BOUND_SHARE / chip.clock_hz + (1.0 - CLOCK_BOUND_SHARE) / REFERENCE_CLOCK_HZ)


def _peak_flops_per_s(op: AttentionPrefill, chip: ChipFacts) -> Number:
    """Return the matrix peak of the operator's dtype, or of the 16-bit type that it is converted to."""
    for dtype in (op.dtype, "bfloat16", "float16"):
        if dtype in chip.peaks:
            return chip.peaks[dtype]
    return chip.vector_flops_per_s


def _heads_a_tile(op: AttentionPrefill, c: Coefficients) -> Number:
    """Return how many query heads of a group share one tile."""
    single = where(op.window > 0, c["packing_window"], c["packing_single"])
    return (op.heads / op.kv_heads) ** where(op.q_tokens <= 1, single, c["packing"])


def _keys_seen(op: AttentionPrefill, c: Coefficients) -> tuple[Number, Number]:
    """Return the keys computed by a query on average, and by the last one; a window may skip less than it could."""
    waste = c["window_waste"]
    unmasked = op.kv_tokens - 0.5 * (op.q_tokens - 1.0) if op.causal else op.kv_tokens
    visible = visible_pairs(op.q_tokens, op.kv_tokens, op.window, op.causal, op.chunked) / op.q_tokens
    width = where(op.window > 0, minimum(op.window, op.kv_tokens), op.kv_tokens)
    return (visible + waste * unmasked) / (1.0 + waste), (width + waste * op.kv_tokens) / (1.0 + waste)


def _tiles_s(
    op: AttentionPrefill, cores: Number, keys: Number, longest: Number, packed: Number,
    tile_s: Number, score_s: Number, lone_key_s: Number, shape: tuple[bool, Number, Number],
) -> Number:  # fmt: skip
    """Return the time of all tiles: the cores' average work against the longest tile."""
    causal, tail, thin = shape
    sequences = op.batch * op.heads / packed

    def time(rows: Number) -> Number:
        queries = rows / packed
        tiles = sequences * ceil(op.q_tokens / queries)
        row_s = (rows + thin) * score_s
        own = minimum(keys + 0.5 * queries, op.kv_tokens) if causal else keys
        return smooth_maximum(tiles * (own * row_s + tile_s) / cores, tail * longest * maximum(row_s, lone_key_s), 2)

    captured = (
        sequences,
        score_s,
        keys,
        longest,
        packed,
        cores,
        op.q_tokens,
        op.kv_tokens,
        tile_s,
        lone_key_s,
        tail,
        thin,
    )
    return best_of(QUERY_TILES, time, *captured)


def _score_s(op: AttentionPrefill, chip: ChipFacts, c: Coefficients, mode: str) -> Number:
    """Return the seconds that one core takes for one score of one head, both matrix products included."""
    efficiency = c[f"{mode}_efficiency"]
    between, wide, widest = c["head_192"], c["head_256"], c["head_512"]
    if op.dtype == "fp8":
        efficiency = efficiency * c["efficiency_fp8"]
    elif _casts(op):
        efficiency = efficiency * c["efficiency_fp8_cache"]
        between, wide, widest = between * c["cast_192"], wide * c["cast_256"], widest * c["cast_256"]
    d = op.head_dim
    odd = c["head_odd"] * where(ceil(d / 16.0) * 16.0 > d, c["head_unaligned"], 1.0)
    upper = where(d <= 128, 1.0, where(d < 256, between, where(d <= 256, wide, widest)))
    factor = where(d <= 64, c[f"{mode}_head_64"], where(d < 128, odd, upper))
    windowed = where(op.window > 0, where(op.window < op.kv_tokens, c["window_cost"], 1.0), 1.0)
    products_s = factor * 4.0 * d * chip.core_count / (efficiency * _peak_flops_per_s(op, chip))
    return windowed * (products_s + c["softmax_clk"] / chip.clock_hz)


def _memory_s(
    op: AttentionPrefill, chip: ChipFacts, c: Coefficients, warm: bool, keys: Number, packed: Number
) -> Number:
    """Return the time of the traffic: what the cache does not hold at memory's speed, everything at the cores'."""
    kv_row = 2.0 * op.kv_heads * op.head_dim * op.cache.bytes_per_element
    reach = cache_reach(op.q_tokens, op.kv_tokens, op.window)
    cached = op.batch * reach * kv_row
    queries = 4.0 * op.batch * op.q_tokens * op.heads * op.head_dim
    llc = c["llc_share"] * chip.llc_bytes / chip.llc_partitions
    if warm:
        cold = maximum(queries + cached - llc, 0.0)
    else:
        earlier = op.batch * maximum(reach - op.q_tokens, 0.0) * kv_row
        cold = earlier + maximum(queries + cached - earlier - llc, 0.0)
    tiles = op.batch * op.heads / packed * ceil(op.q_tokens * packed / 128.0)
    tile_reads = tiles * minimum(keys + 64.0, op.kv_tokens) * 2.0 * op.head_dim * op.cache.bytes_per_element
    cold = cold + c["reread"] * tile_reads * maximum(1.0 - llc / cached, 0.0)
    share = c["bandwidth_share"] * chip.memory_bandwidth_bytes_per_s
    return cold / share + (queries + cached) / chip.fabric_bytes_per_s(c["core_bytes_per_clock"], LEAST_FABRIC)


def _preparation_s(op: AttentionPrefill, chip: ChipFacts, c: Coefficients) -> Number:
    """Return the time of the passes over q, k and v around the kernel proper."""
    moved = 2.0 * op.batch * op.q_tokens * op.head_dim * (op.heads + 2.0 * op.kv_heads)
    return c["preparation_passes"] * moved / chip.memory_bandwidth_bytes_per_s
