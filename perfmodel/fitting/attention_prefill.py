"""Fit of attention prefill: ``python -m perfmodel.fitting.attention_prefill --data DIR_OR_CSV [--out FILE]``."""

from __future__ import annotations

from perfmodel.cost.gpu.attention_prefill import expected_s
from perfmodel.fitting.attention import Level, Recipe
from perfmodel.fitting.command import run
from perfmodel.fitting.generations import DEDICATED
from perfmodel.ops import AttentionPrefill

ULTRA = (
    {
        "when": {"device": ["b300", "gb300"], "backend": "sglang"},
        "scale": {"causal_head_64": 5.0, "full_head_64": 5.0, "head_odd": 5.0},
        "note": "assumed: at heads of 64 to 80 SGLang falls back to a kernel 4 to 16 times slower",
    },
)
"""What is said of Blackwell Ultra, of which nothing was fitted."""

BASE = {
    "softmax_clk": 0.08, "causal_launch_kclk": 11.4, "causal_tile_kclk": 6.0, "causal_key_clk": 27.0,
    "causal_efficiency": 0.9, "causal_thin_rows": 34.0, "causal_tail": 1.0, "causal_head_64": 1.0,
    "full_launch_kclk": 11.9, "full_tile_kclk": 5.2, "full_key_clk": 28.0, "full_efficiency": 0.9,
    "full_thin_rows": 26.0, "full_tail": 0.75, "full_head_64": 1.0,
    "window_launch_kclk": 1.6, "window_cost": 1.5, "window_waste": 0.04,
    "cast_launch_kclk": 2.0, "cast_tile": 1.05, "cast_192": 1.1, "cast_256": 1.4,
    "packing": 0.3, "packing_single": 0.46, "packing_window": 0.27,
    "efficiency_fp8": 0.7, "efficiency_fp8_cache": 1.0,
    "head_odd": 1.36, "head_unaligned": 1.37, "head_192": 2.5, "head_256": 1.0, "head_512": 1.6,
    "llc_share": 0.5, "bandwidth_share": 0.62, "core_bytes_per_clock": 39.0, "preparation_passes": 0.35, "reread": 0.11,
}  # fmt: skip
KERNEL = tuple(name for name in BASE if name not in {"llc_share", "core_bytes_per_clock"})
HEADS = (
    "causal_head_64", "full_head_64", "head_odd", "head_unaligned", "head_192", "head_256", "head_512",
    "cast_192", "cast_256",
)  # fmt: skip
FALLBACKS = (*HEADS, "efficiency_fp8", "efficiency_fp8_cache", "cast_launch_kclk", "cast_tile", "window_waste")
"""Where a library without a kernel for a width, cache or window falls back to another, up to 20 times slower."""
STEADY = tuple(name for name in KERNEL if name not in FALLBACKS)
BY_DTYPE = (
    "causal_launch_kclk", "causal_efficiency", "causal_tile_kclk", "window_launch_kclk", "window_cost", "packing",
    "packing_single", "packing_window", "preparation_passes", "causal_head_64", "head_192", "head_256",
)  # fmt: skip
BY_DEVICE = ("causal_efficiency", "full_efficiency", "causal_launch_kclk", "full_launch_kclk")
BARE = ("",)
"""Rows of no named backend stay at the middle of the backends."""
OWN = ("trtllm", "vllm")
"""Backends whose kernels are the same on devices of one architecture."""
PICKS = ("sglang",)
"""Backends that pick among several libraries by device and version: where they fall back does not carry over."""

FIT = Recipe(
    kind=AttentionPrefill,
    form="query-tiles/2 (perfmodel/cost/gpu/attention_prefill.py)",
    expected_s=expected_s,
    split=("causal", "dtype", "kv_dtype"),
    base={**BASE, "host_us": 1.0},
    groups=(
        Level(("backend",), KERNEL, 0.5, BARE),
        Level(("kernels",), STEADY, 0.5, ("general",)),
        Level(("backend", "kernels"), STEADY, 0.8, (*BARE, "general")),
        Level(("generation",), KERNEL, 0.5, ("general",)),
        Level(("architecture",), STEADY, 1.5, DEDICATED),
        Level(("timing",), STEADY, 0.5, ("cuda_graph", "wall")),
        Level(("backend", "generation"), STEADY, 0.8, (*BARE, "general")),
        Level(("backend", "generation"), FALLBACKS, 0.8, (*BARE, "general", *PICKS)),
        Level(("backend", "generation"), FALLBACKS, 60.0, (*BARE, "general", *OWN)),
        Level(("backend", "architecture"), STEADY, 1.5, (*BARE, *DEDICATED)),
        Level(("backend", "dtype"), BY_DTYPE, 0.5, BARE),
        Level(("backend", "dtype", "architecture"), BY_DTYPE, 1.0, BARE),
        Level(("backend", "device"), BY_DEVICE, 1.5, BARE),
        Level(("backend", "device"), FALLBACKS, 1.5, (*BARE, *PICKS)),
        Level(("backend", "device"), FALLBACKS, 0.3, (*BARE, *OWN)),
        Level(("device",), BY_DEVICE, 5.0),
    ),
    fixed=({"when": {"timing": "wall"}, "set": {"host_us": 25.0}}, *ULTRA),
    row_weight=0.5,
    group="mask",
    table_by=("mask", "device", "dtype", "kv_dtype"),
    terms={
        "softmax beside the products": {"softmax_clk": 1e-9},
        "the longest tile": {"causal_tail": 1e-9, "full_tail": 1e-9},
        "rows that a thin tile wastes": {"causal_thin_rows": 1e-9, "full_thin_rows": 1e-9},
        "latency of a lone tile's keys": {"causal_key_clk": 1e-9, "full_key_clk": 1e-9},
        "start of a tile": {"causal_tile_kclk": 1e-9, "full_tile_kclk": 1e-9},
        "launch": {"causal_launch_kclk": 1e-9, "full_launch_kclk": 1e-9, "window_launch_kclk": 1e-9,
                   "cast_launch_kclk": 1e-9},
        "widths of head": dict.fromkeys(HEADS, 1.0),
        "heads packed into a tile": {"packing": 1e-9, "packing_single": 1e-9, "packing_window": 1e-9},
        "cost of a window": {"window_cost": 1.0, "window_waste": 1e-9, "window_launch_kclk": 1e-9},
        "reads again past the cache": {"reread": 1e-9},
        "passes before (RoPE, cache write)": {"preparation_passes": 1e-9},
    },
)  # fmt: skip

if __name__ == "__main__":
    run(FIT)
