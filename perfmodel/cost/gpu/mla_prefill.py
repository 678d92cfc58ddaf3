"""Time of multi-head latent attention in prefill (after the up-projection) on a GPU-like chip.

Coefficients (``c``), all positive:

| name | meaning |
| --- | --- |
| host_us | time of the host's eager launch path, which overlaps the kernels (vLLM's benchmark; else small) |
| launch_us | fixed device time: launch, prologue, the kernels around the attention |
| compute_efficiency | attainable share of the dense matrix peak |
| exp_share | share of the softmax's exponentials (16 a clock and SM) that the matrix units do not hide |
| cta_us | fixed time of one query tile of one head on its SM |
| tail | share of the longest tile that is not hidden by other tiles |
| passes | how often operands and results cross memory |
| fp8_speedup | rate of the matrix units with an fp8 cache over that in 16 bits |
| fp8_passes | memory crossings of the conversion of queries, keys and values with an fp8 cache |
| fp8_launch_us | fixed time of that conversion |
"""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, best_of, ceil, maximum, smooth_maximum
from perfmodel.ops import MlaPrefill

QUERY_TILES = ((16.0,), (64.0,), (128.0,))
EXPONENTIALS_PER_CLOCK = 16.0
CACHE_SHARE = 0.9
CACHE_TO_CORE_BYTES_PER_CLOCK = 20.7


def expected_s(op: MlaPrefill, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """x"""
    device = c["launch_us"] * 1e-6 + _attention_s(op, chip, c) + _traffic_s(op, chip, c, warm)
    if op.cache.bits < 16:
        device = device + _conversion_s(op, chip, c, warm)
    host = c["host_us"] + c["fp8_host_us"] if op.cache.bits < 16 else c["host_us"]
    return smooth_maximum(host * 1e-6, device, 4)


def _attention_s(op: MlaPrefill, chip: ChipFacts, c: Coefficients) -> Number:
    behind = op.kv_tokens - op.q_tokens
    rate = c["compute_efficiency"] * chip.peak_flops_per_s(op.dtype) / chip.core_count
    if op.cache.bits < 16:
        rate = rate * c["fp8_speedup"]
    matrix_s = 2.0 * (op.nope_dim + op.rope_dim + op.v_dim) / rate
    exp_s = c["exp_share"] / (EXPONENTIALS_PER_CLOCK * chip.clock_hz)
    overhead, small = c["cta_us"] * 1e-6, c["small_tile"]

    def tile_s(rows: float) -> Number:
        tiles = ceil(op.q_tokens / rows)
        score_s = matrix_s * (1.0 + small * (128.0 / rows - 1.0)) + exp_s
        mean = overhead + score_s * rows * (behind + rows * (tiles + 1.0) * 0.5)
        longest = overhead + score_s * rows * (behind + rows * tiles)
        return smooth_maximum(op.batch * op.heads * tiles * mean / chip.core_count, c["tail"] * longest, 2)

    return best_of(QUERY_TILES, tile_s, op.q_tokens, op.batch, op.heads, matrix_s, exp_s, small)


def _traffic_s(op: MlaPrefill, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    key_dim = op.nope_dim + op.rope_dim
    bytes = op.batch * op.heads * (op.q_tokens * (key_dim + op.v_dim) + op.kv_tokens * (op.nope_dim + op.v_dim)) * 2.0
    bytes = bytes + op.batch * op.kv_tokens * op.rope_dim * 2.0
    return _moved_s(c["passes"] * bytes, chip, warm)


def _conversion_s(op: MlaPrefill, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    key_dim = op.nope_dim + op.rope_dim
    elements = op.batch * op.heads * (op.q_tokens * key_dim + op.kv_tokens * (key_dim + op.v_dim))
    return c["fp8_launch_us"] * 1e-6 + _moved_s(c["fp8_passes"] * elements * 3.0, chip, warm)


def _moved_s(bytes: Number, chip: ChipFacts, warm: bool) -> Number:
    cached = CACHE_SHARE * chip.llc_bytes if warm else 0.0
    far = maximum(bytes - cached, 0.0) / chip.memory_bandwidth_bytes_per_s
    near = bytes / (CACHE_TO_CORE_BYTES_PER_CLOCK * chip.clock_hz * chip.core_count)
    return maximum(far, near)
