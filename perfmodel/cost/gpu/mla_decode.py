"""Time of absorbed multi-head latent attention in decode on a GPU-like chip."""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, best_of, ceil, log, maximum, minimum, smooth_maximum, where
from perfmodel.ops import MlaDecode

ROW_TILES = ((16.0,), (64.0,), (128.0,))
KEY_BLOCK = 64.0
CACHE_SHARE = 0.9
CACHE_TO_CORE_BYTES_PER_CLOCK = 20.7


def expected_s(op: MlaDecode, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """x"""
    device = c["launch_us"] * 1e-6 + _attention_s(op, chip, c, warm) + _queries_s(op, chip, c)
    host = c["host_us"] + c["fp8_host_us"] if op.cache.bits < 16 else c["host_us"]
    return smooth_maximum(host * 1e-6, device, 4)


def _attention_s(op: MlaDecode, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    low = op.cache.bits < 16
    rows = op.q_tokens * op.heads
    rate = c["compute_efficiency"] * chip.peak_flops_per_s(op.dtype) / chip.core_count * (c["fp8_speedup"] if low else 1.0)
    row_s = 2.0 * (2.0 * op.kv_lora_rank + op.rope_dim) / rate
    key_s = (c["fp8_key_clocks"] if low else c["key_clocks"]) / chip.clock_hz
    kv_bytes = op.batch * op.kv_tokens * (op.kv_lora_rank + op.rope_dim) * op.cache.bytes_per_element
    memory_s = _kv_s(kv_bytes, chip, c, warm)
    most_splits = minimum(ceil(op.kv_tokens / KEY_BLOCK), 1.0 + c["extra_splits"])

    def tile_s(tile: float) -> Number:
        blocks = op.batch * ceil(rows / tile)
        if tile > 16.0:
            blocks = where(rows >= c["wide_rows"], blocks, blocks * 1e3)
        parallel = minimum(chip.core_count, blocks * most_splits)
        splits = maximum(parallel / blocks, 1.0)
        waves = maximum(blocks / chip.core_count, 1.0)
        serial = c["cta_us"] * 1e-6 * waves
        busy = blocks * op.kv_tokens * (tile * row_s + key_s) / parallel
        fixed = c["split_us"] * minimum(splits - 1.0, 1.0) + c["combine_us"] * log(splits)
        return smooth_maximum(smooth_maximum(busy, memory_s, 4), serial, 2) + fixed * 1e-6

    return best_of(ROW_TILES, tile_s, rows, op.batch, op.kv_tokens, row_s, key_s, memory_s)


def _kv_s(kv_bytes: Number, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    cached = CACHE_SHARE * chip.llc_bytes if warm else 0.0
    far = maximum(kv_bytes - cached, 0.0) / (c["memory_efficiency"] * chip.memory_bandwidth_bytes_per_s)
    near = kv_bytes / (CACHE_TO_CORE_BYTES_PER_CLOCK * chip.clock_hz * chip.core_count)
    return maximum(far, near)


def _queries_s(op: MlaDecode, chip: ChipFacts, c: Coefficients) -> Number:
    bytes = op.batch * op.q_tokens * op.heads * (2.0 * op.kv_lora_rank + op.rope_dim) * 2.0
    return c["passes"] * bytes / chip.memory_bandwidth_bytes_per_s
