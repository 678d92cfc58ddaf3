"""Time of absorbed multi-head latent attention in decode on a GPU-like chip.

Coefficients (``c``), all positive:

| name | meaning |
| --- | --- |
| host_us | the host's eager launch path, which overlaps the kernels (vLLM's benchmark; small in graphs) |
| fp8_host_us | what an fp8 cache adds to it |
| launch_us | fixed device time |
| compute_efficiency | attainable share of the dense 16-bit matrix peak |
| fp8_speedup | rate of the matrix units with an fp8 cache over that in 16 bits |
| key_clocks, fp8_key_clocks | clocks of a core for a cached token beside the products (loads, softmax, conversion) |
| memory_efficiency | attainable share of memory bandwidth |
| extra_splits | into how many more parts a sequence's tokens may be split among cores |
| cta_us | fixed time of a wave of row tiles |
| split_us, combine_us | cost of splitting at all, and of each e-fold of parts |
| passes | how often queries and outputs cross memory |
| wide_rows | from how many query rows (tokens times heads) the kernel takes tiles of 64 or 128 rows (not fitted) |
"""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.gpu.mla_prefill import CACHE_SHARE, CACHE_TO_CORE_BYTES_PER_CLOCK, sixteen_bit_peak
from perfmodel.numeric import Number, best_of, ceil, log, maximum, minimum, smooth_maximum, where
from perfmodel.ops.attention import MlaDecode

ROW_TILES = ((16.0, 0.0), (64.0, 1.0), (128.0, 1.0))
"""Rows of a tile, and whether it is a wide one."""
KEYS_OF_A_SPLIT = 64.0
MOST_OF_BANDWIDTH = 0.95
"""What refresh and turn-arounds leave of the datasheet's bandwidth; caps ``memory_efficiency``."""
UNUSED = 1e3
"""Times as slow as a tile that the kernel does not take."""


def expected_s(op: MlaDecode, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected time in seconds of the attention of one MLA layer in decode.

    ``t = p4(host, launch + passes*query bytes/BW + attention)`` with ``pn(a, b) = (a^n + b^n)^(1/n)``. Attention is the
    least over tiles of r rows (16, 64, 128; rows = q*H of one sequence) of
    ``p2(p4(blocks*kv*key(r)/cores used, memory), cta*waves) + split + combine*ln(splits)`` with
    ``blocks = B*ceil(q*H/r)``, ``key(r) = 2*r*(2*lora + rope)/rate + key_clocks/clock`` and
    ``cores used = min(cores, blocks*splits)``, where a sequence has at most ``kv/64`` and ``1 + extra_splits`` splits.
    Memory: the compressed cache over ``memory_efficiency*BW`` for what the last-level cache does not hold, or at 20.7
    bytes a clock and core.

    Shapes: B sequences, q tokens each, kv cached tokens, H heads on this rank, one shared KV head.
    ``warm``: repeated on the same data, so a small cache is read from the last-level cache.
    Source: FlashDecoding's splits (Dao et al. 2023), FlashMLA; fitted on measured kernels, see docs.
    Omits: q > 1 was not measured; the host's time is that of the benchmark; the absorbed projections.
    """
    device = c["launch_us"] * 1e-6 + _attention_s(op, chip, c, warm) + _queries_s(op, chip, c)
    host = c["host_us"]
    if op.cache.bits < 16:
        host = host + c["fp8_host_us"]
    return smooth_maximum(host * 1e-6, device, 4)


def _attention_s(op: MlaDecode, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    rows = op.q_tokens * op.heads
    rate = minimum(c["compute_efficiency"], 1.0) * sixteen_bit_peak(chip, op.dtype) / chip.core_count
    key_s = c["key_clocks"] / chip.clock_hz
    if op.cache.bits < 16:
        rate, key_s = rate * c["fp8_speedup"], c["fp8_key_clocks"] / chip.clock_hz
    row_s = 2.0 * (2.0 * op.kv_lora_rank + op.rope_dim) / rate
    memory_s = _cache_s(op, chip, c, warm)
    most_splits = minimum(maximum(op.kv_tokens / KEYS_OF_A_SPLIT, 1.0), 1.0 + c["extra_splits"])
    refused = where(rows >= c["wide_rows"], 0.0, UNUSED)
    cores, wave_s, split_s, combine_s = (
        chip.core_count,
        c["cta_us"] * 1e-6,
        c["split_us"] * 1e-6,
        c["combine_us"] * 1e-6,
    )

    def tile_s(tile: Number, wide: Number) -> Number:
        blocks = op.batch * ceil(rows / tile) * (1.0 + wide * refused)
        used = minimum(cores, blocks * most_splits)
        busy = blocks * op.kv_tokens * (tile * row_s + key_s) / used
        waves = maximum(blocks / cores, 1.0)
        splits = maximum(used / blocks, 1.0)
        split = split_s * minimum(splits - 1.0, 1.0) + combine_s * log(splits)
        return smooth_maximum(smooth_maximum(busy, memory_s, 4), wave_s * waves, 2) + split

    captured = (op.batch, op.kv_tokens, row_s, key_s, memory_s, most_splits, refused, cores, wave_s, split_s, combine_s)
    return best_of(ROW_TILES, tile_s, rows, *captured)


def _cache_s(op: MlaDecode, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    kv_bytes = op.batch * op.kv_tokens * (op.kv_lora_rank + op.rope_dim) * op.cache.bytes_per_element
    held = CACHE_SHARE * chip.llc_bytes if warm else 0.0
    efficiency = minimum(c["memory_efficiency"], MOST_OF_BANDWIDTH)
    far = maximum(kv_bytes - held, 0.0) / (efficiency * chip.memory_bandwidth_bytes_per_s)
    near = kv_bytes / (CACHE_TO_CORE_BYTES_PER_CLOCK * chip.clock_hz * chip.core_count)
    return maximum(far, near)


def _queries_s(op: MlaDecode, chip: ChipFacts, c: Coefficients) -> Number:
    moved_bytes = op.batch * op.q_tokens * op.heads * (2.0 * op.kv_lora_rank + op.rope_dim) * 2.0
    return c["passes"] * moved_bytes / chip.memory_bandwidth_bytes_per_s
