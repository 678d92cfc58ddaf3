"""Fit of the attention decode form: ``python -m perfmodel.fitting.attention_decode --data DIR_OR_CSV [--out FILE]``."""

from __future__ import annotations

from perfmodel.cost.gpu.attention_decode import expected_s
from perfmodel.fitting.attention import Level, Recipe
from perfmodel.fitting.command import run
from perfmodel.fitting.generations import DEDICATED
from perfmodel.ops import AttentionDecode

BASE = {
    "launch_kclk": 17.0, "window_launch_kclk": 0.15, "odd_launch_kclk": 3.4, "block_kclk": 3.7, "key_clk": 1.9,
    "combine_kclk": 6.4, "merge_clk": 1.8, "splitting": 0.78, "unpacking": 0.23, "unpacking_window": 0.26,
    "unpacking_wide": 0.3, "block_bytes_per_clock": 120.0, "efficiency": 1.5, "wide_key": 1.9, "head_64": 0.83,
    "head_192": 3.0, "head_256": 1.24, "head_512": 1.46, "cast_key": 1.86, "cast_launch": 1.2, "cast_block": 1.17,
    "cast_unpacking": 0.35, "tail": 2.2, "window_waste": 0.004, "bandwidth_share": 0.8, "bandwidth_fp8": 0.96,
    "llc_share": 0.4, "core_bytes_per_clock": 170.0,
}  # fmt: skip
KERNEL = tuple(BASE)
BY_DEVICE = ("launch_kclk", "bandwidth_share", "block_kclk", "key_clk", "block_bytes_per_clock")
CAST = ("cast_key", "cast_launch", "cast_block", "cast_unpacking", "bandwidth_fp8")
BARE = ("",)
"""Rows of no named backend stay at the middle of the backends."""

FIT = Recipe(
    kind=AttentionDecode,
    form="key-splits/1 (perfmodel/cost/gpu/attention_decode.py)",
    expected_s=expected_s,
    split=("dtype", "kv_dtype"),
    base={**BASE, "host_us": 1.0},
    groups=(
        Level(("timing",), KERNEL, 0.5, ("cuda_graph", "wall")),
        Level(("backend",), KERNEL, 0.5, BARE),
        Level(("generation",), KERNEL, 0.5, ("general",)),
        Level(("architecture",), KERNEL, 1.5, DEDICATED),
        Level(("backend", "generation"), KERNEL, 0.8, (*BARE, "general")),
        Level(("backend", "architecture"), KERNEL, 1.6, (*BARE, *DEDICATED)),
        Level(
            ("backend", "device"),
            (*BY_DEVICE, "cast_launch", "cast_key", "odd_launch_kclk", "head_256", "splitting"),
            1.5,
            BARE,
        ),
        Level(("device",), BY_DEVICE, 5.0),
    ),
    fixed=({"when": {"timing": "wall"}, "set": {"host_us": 25.0}},),
    group="kv_dtype",
    table_by=("device", "dtype", "kv_dtype"),
    terms={
        "launch": {"launch_kclk": 1e-9, "window_launch_kclk": 1e-9, "odd_launch_kclk": 1e-9},
        "start of a block": {"block_kclk": 1e-9},
        "latency of a lone block's keys": {"key_clk": 1e-9},
        "joining of splits": {"combine_kclk": 1e-9, "merge_clk": 1e-9},
        "splits short of the best": {"splitting": 1.0},
        "heads that share a block": {"unpacking": 1e-9, "unpacking_window": 1e-9, "unpacking_wide": 1e-9},
        "what a core pulls": {"block_bytes_per_clock": 1e6},
        "matrix peak": {"efficiency": 1e6},
        "widths of head and group": dict.fromkeys(("wide_key", "head_64", "head_192", "head_256", "head_512"), 1.0),
        "the cast of a narrow cache": dict.fromkeys(CAST, 1.0),
        "cache that stays warm": {"llc_share": 1e-9},
    },
)  # fmt: skip

if __name__ == "__main__":
    run(FIT)
