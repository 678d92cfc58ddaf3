"""Fit of attention prefill: ``python -m perfmodel.fitting.attention_prefill --data DIR_OR_CSV [--out FILE]``."""

from __future__ import annotations

from perfmodel.cost.gpu.attention_prefill import expected_s
from perfmodel.fitting.attention import Level, Recipe, main
from perfmodel.ops import AttentionPrefill

BASE = {
    "causal_launch_kclk": 11.4, "causal_tile_kclk": 6.0, "causal_key_clk": 27.0, "causal_efficiency": 0.85,
    "causal_thin_rows": 34.0, "causal_tail": 1.0, "causal_head_64": 1.3,
    "full_launch_kclk": 11.9, "full_tile_kclk": 5.2, "full_key_clk": 28.0, "full_efficiency": 0.8,
    "full_thin_rows": 26.0, "full_tail": 0.75, "full_head_64": 1.15,
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
BY_DTYPE = (
    "causal_launch_kclk", "causal_efficiency", "causal_tile_kclk", "window_launch_kclk", "window_cost", "packing",
    "packing_single", "packing_window", "preparation_passes", "causal_head_64", "head_192", "head_256",
)  # fmt: skip
BY_DEVICE = ("causal_efficiency", "full_efficiency", "efficiency_fp8", "causal_launch_kclk", "full_launch_kclk")
BARE = ("",)
"""Rows of no named backend stay at the middle of the backends."""

RECIPE = Recipe(
    operator=AttentionPrefill,
    form="query-tiles/1 (perfmodel/cost/gpu/attention_prefill.py)",
    expected_s=expected_s,
    split=("causal", "dtype", "kv_dtype"),
    base={**BASE, "host_us": 1.0},
    levels=(
        Level(("backend",), KERNEL, 0.5, BARE),
        Level(("architecture",), KERNEL, 0.5),
        Level(("timing",), KERNEL, 0.5, ("cuda_graph", "wall")),
        Level(("backend", "architecture"), KERNEL, 0.8, BARE),
        Level(("backend", "dtype"), BY_DTYPE, 0.5, BARE),
        Level(("backend", "dtype", "architecture"), BY_DTYPE, 1.0, BARE),
        Level(("backend", "device"), (*BY_DEVICE, "efficiency_fp8_cache", *HEADS), 1.5, BARE),
        Level(("device",), BY_DEVICE, 5.0),
    ),
    fixed=({"when": {"timing": "wall"}, "set": {"host_us": 25.0}},),
)

if __name__ == "__main__":
    main(RECIPE, ("mask", "device", "dtype", "kv_dtype"))
