"""Time of prefill attention on a GPU-like chip: tiles of queries over cores, against memory."""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, best_of, ceil, maximum, minimum, smooth_maximum, where
from perfmodel.ops.attention import AttentionPrefill, cache_reach, visible_pairs

TILES = ((16.0,), (64.0,), (128.0,))


def expected_s(op: AttentionPrefill, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    mode = "causal" if op.causal else "full"
    launch = c[f"launch_{mode}_us"] * 1e-6
    if op.dtype != "fp8" and op.cache.bits < 16:
        launch = launch + c["cast_us"] * 1e-6
    work = _compute_s(op, chip, c, mode)
    move = _memory_s(op, chip, c, warm)
    return launch + smooth_maximum(work, move, 2) + _preparation_s(op, chip, c)


def _peak(op: AttentionPrefill, chip: ChipFacts) -> Number:
    for dtype in (op.dtype, "bfloat16", "float16"):
        if dtype in chip.peaks:
            return chip.peaks[dtype]
    return chip.vector_flops_per_s


def _compute_s(op: AttentionPrefill, chip: ChipFacts, c: Coefficients, mode: str) -> Number:
    cores = chip.core_count
    score_s = _score_s(op, chip, c, mode)
    width = where(op.window > 0, minimum(op.window, op.kv_tokens), op.kv_tokens)
    full = visible_pairs(op.q_tokens, op.kv_tokens, 0, op.causal) / op.q_tokens
    seen = visible_pairs(op.q_tokens, op.kv_tokens, op.window, op.causal) / op.q_tokens
    waste = c["window_waste"]
    seen = (seen + waste * full) / (1.0 + waste)
    longest = (width + waste * op.kv_tokens) / (1.0 + waste)
    single = (op.q_tokens <= 1) * (op.window <= 0)
    share = (op.heads / op.kv_heads) ** (c["packing"] + (c["packing_single"] - c["packing"]) * single)
    sequences = op.batch * op.heads / share
    start = c["tile_us"] * 1e-6
    step = c["key_ns"] * 1e-9
    tail = c["tail"]
    thin = c["thin_rows"]

    def tiled(rows: Number) -> Number:
        tokens = rows / share
        count = sequences * ceil(op.q_tokens / tokens)
        mean = minimum(seen + 0.5 * tokens, op.kv_tokens) if op.causal else width
        key_s = (rows + thin) * score_s
        busy = count * (mean * key_s + start) / cores
        return busy + tail * longest * maximum(key_s, step)

    return start + best_of(TILES, tiled, score_s, seen, share, sequences, cores, op.q_tokens, start, step, tail, thin, longest)


def _score_s(op: AttentionPrefill, chip: ChipFacts, c: Coefficients, mode: str) -> Number:
    """Return the seconds that one core takes for one score of one head."""
    eff = c[f"efficiency_{mode}"]
    d = op.head_dim
    odd, wide, widest = c["head_192"], c["head_256"], c["head_512"]
    if op.dtype == "fp8":
        eff = eff * c["efficiency_fp8"]
    elif op.cache.bits < 16:
        eff = eff * c["efficiency_fp8_cache"]
        odd, wide, widest = odd * c["cast_192"], wide * c["cast_256"], widest * c["cast_256"]
    factor = where(d <= 64, c["head_64"], where(d < 128, c["head_odd"], where(d <= 128, 1.0, where(d < 256, odd, where(d <= 256, wide, widest)))))
    return factor * (4.0 * d * chip.core_count / (eff * _peak(op, chip)) + c["softmax_clocks"] / chip.clock_hz)


def _memory_s(op: AttentionPrefill, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    kv_row = 2.0 * op.kv_heads * op.head_dim * op.cache.bytes_per_element
    own = 4.0 * op.batch * op.q_tokens * op.heads * op.head_dim
    cached = op.batch * cache_reach(op.q_tokens, op.kv_tokens, op.window) * kv_row
    llc = c["llc_share"] * chip.llc_bytes / chip.llc_partitions
    if warm:
        cold = maximum(own + cached - llc, 0.0)
    else:
        cold = cached + maximum(own - llc, 0.0)
    return cold / (c["bandwidth_share"] * chip.memory_bandwidth_bytes_per_s) + (own + cached) / (c["core_bytes_per_clock"] * chip.clock_hz * chip.core_count)


def _preparation_s(op: AttentionPrefill, chip: ChipFacts, c: Coefficients) -> Number:
    moved = 2.0 * op.batch * op.q_tokens * op.head_dim * (op.heads + 2.0 * op.kv_heads)
    return c["preparation_passes"] * moved / chip.memory_bandwidth_bytes_per_s
