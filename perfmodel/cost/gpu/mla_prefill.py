"""Time of multi-head latent attention in prefill (after the up-projection) on a GPU-like chip.

Coefficients (``c``), all positive:

| name | meaning |
| --- | --- |
| host_us | the host's eager launch path, which overlaps the kernels (vLLM's benchmark; small in graphs) |
| fp8_host_us | what an fp8 cache adds to it |
| launch_us | fixed device time: launch, prologue, the kernels around the attention |
| compute_efficiency | attainable share of the dense 16-bit matrix peak |
| exp_share | share of the softmax's exponentials (16 a clock and core) that the matrix units do not hide |
| cta_us | fixed time of one query tile of one head on its core |
| tail | share of the longest tile that other tiles do not hide |
| small_tile | how much slower a tile of r < 128 rows multiplies: ``1 + small_tile*(128/r - 1)`` |
| passes | how often operands and results cross memory |
| fp8_speedup | rate of the matrix units with an fp8 cache over that in 16 bits |
| fp8_passes, fp8_launch_us | memory crossings and fixed time of converting queries, keys and values for an fp8 cache |
"""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, best_of, ceil, maximum, minimum, smooth_maximum
from perfmodel.ops.attention import MlaPrefill

QUERY_TILES = ((16.0,), (64.0,), (128.0,))
EXPONENTIALS_PER_CLOCK = 16.0
CACHE_SHARE = 0.9
"""Share of the last-level cache that a repeated benchmark finds its operands in."""
CACHE_TO_CORE_BYTES_PER_CLOCK = 20.7


def expected_s(op: MlaPrefill, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected time in seconds of the attention of one MLA layer in prefill.

    ``t = p4(host, launch + attention + traffic [+ conversion])`` with ``p4(a, b) = (a^4 + b^4)^(1/4)``.
    Attention is the least over tiles of r queries (16, 64, 128) of ``p2(CTAs*mean/cores, tail*longest)``,
    ``CTAs = B*H*ceil(q/r)``; a tile costs ``cta + r*keys*(2*(nope + rope + v)/rate + exp)`` for its visible keys.
    Traffic: ``passes`` times queries, keys, values and output, over memory bandwidth for what the cache does not
    hold, or at 20.7 bytes a clock and core. An fp8 cache adds the conversion and multiplies ``rate``.

    Shapes: B sequences of q new tokens over kv tokens, H heads on this rank. ``warm``: repeated on the same data, so
    the cache still holds it. Source: tiling of FlashAttention (Dao 2022, 2023); fitted on measured kernels, see docs.
    Omits: prefix caches were not measured (q = kv in all data); the host's time is that of the benchmark.
    """
    device = c["launch_us"] * 1e-6 + _attention_s(op, chip, c) + _traffic_s(op, chip, c, warm)
    host = c["host_us"]
    if op.cache.bits < 16:
        device = device + _conversion_s(op, chip, c, warm)
        host = host + c["fp8_host_us"]
    return smooth_maximum(host * 1e-6, device, 4)


def sixteen_bit_peak(chip: ChipFacts, dtype: str) -> Number:
    """Return the matrix peak in flop/s of the 16-bit type that the chip computes ``dtype`` in."""
    wanted = (dtype, "bfloat16", "float16") if dtype != "fp8" else ("bfloat16", "float16")
    return chip.peak_flops_per_s(next((name for name in wanted if name in chip.peaks), wanted[0]))


def _attention_s(op: MlaPrefill, chip: ChipFacts, c: Coefficients) -> Number:
    behind = op.kv_tokens - op.q_tokens
    rate = minimum(c["compute_efficiency"], 1.0) * sixteen_bit_peak(chip, op.dtype) / chip.core_count
    if op.cache.bits < 16 or op.dtype == "fp8":
        rate = rate * c["fp8_speedup"]
    matrix_s = 2.0 * (op.nope_dim + op.rope_dim + op.v_dim) / rate
    exp_s = c["exp_share"] / (EXPONENTIALS_PER_CLOCK * chip.clock_hz)
    overhead, small, tail = c["cta_us"] * 1e-6, c["small_tile"], c["tail"]
    rows_of_cores = op.batch * op.heads / chip.core_count

    def tile_s(rows: Number) -> Number:
        tiles = ceil(op.q_tokens / rows)
        row_s = rows * (matrix_s * (1.0 + small * (128.0 / rows - 1.0)) + exp_s)
        mean = overhead + row_s * (behind + rows * (tiles + 1.0) * 0.5)
        longest = overhead + row_s * (behind + rows * tiles)
        return smooth_maximum(rows_of_cores * tiles * mean, tail * longest, 2)

    return best_of(QUERY_TILES, tile_s, op.q_tokens, behind, matrix_s, exp_s, overhead, small, tail, rows_of_cores)


def _traffic_s(op: MlaPrefill, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    key_dim = op.nope_dim + op.rope_dim
    per_head = op.q_tokens * (key_dim + op.v_dim) + op.kv_tokens * (op.nope_dim + op.v_dim)
    return _moved_s(c["passes"] * op.batch * (op.heads * per_head + op.kv_tokens * op.rope_dim) * 2.0, chip, warm)


def _conversion_s(op: MlaPrefill, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    key_dim = op.nope_dim + op.rope_dim
    elements = op.batch * op.heads * (op.q_tokens * key_dim + op.kv_tokens * (key_dim + op.v_dim))
    return c["fp8_launch_us"] * 1e-6 + _moved_s(c["fp8_passes"] * elements * 3.0, chip, warm)


def _moved_s(moved_bytes: Number, chip: ChipFacts, warm: bool) -> Number:
    cached = CACHE_SHARE * chip.llc_bytes if warm else 0.0
    far = maximum(moved_bytes - cached, 0.0) / chip.memory_bandwidth_bytes_per_s
    near = moved_bytes / (CACHE_TO_CORE_BYTES_PER_CLOCK * chip.clock_hz * chip.core_count)
    return maximum(far, near)
