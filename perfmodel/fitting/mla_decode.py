"""Fit of the MLA decode form: ``python -m perfmodel.fitting.mla_decode --data DIR_OR_CSV [--out FILE]``."""

from __future__ import annotations

from perfmodel.cost.gpu.mla_decode import expected_s
from perfmodel.fitting import mla
from perfmodel.fitting.command import run
from perfmodel.fitting.generations import add_generation, rename_rule
from perfmodel.fitting.judging import NOTHING
from perfmodel.fitting.procedure import Recipe
from perfmodel.fitting.shrinkage import Start
from perfmodel.ops import MlaDecode

SHAPE = tuple(MlaDecode.DOMAIN)
START = {
    "host_us": Start(10, 1), "fp8_host_us": Start(3, 1), "launch_us": Start(10, 1),
    "compute_efficiency": Start(0.75, 0.2), "key_clocks": Start(20, 1), "fp8_key_clocks": Start(20, 1),
    "extra_splits": Start(60, 1),
    "cta_us": Start(2, 1), "split_us": Start(2, 1), "combine_us": Start(1, 1), "memory_efficiency": Start(0.87, 0.05),
    "fp8_speedup": Start(1.3, 0.5), "passes": Start(1, 1),
}  # fmt: skip
NEVER = 1e9
"""Rows of queries that no kernel reaches: it keeps to tiles of 16."""

# Kernel choice by rows: FlashMLA (Hopper) takes wide tiles from 17 rows, the Blackwell kernels from 64; the Triton
# kernels that vLLM and SGLang fall back to elsewhere keep to 16.
FIXED = (
    {"set": {"wide_rows": 17}},
    {"when": {"backend": ["vllm", "sglang"]}, "set": {"wide_rows": NEVER}},
    {"when": {"architecture": "hopper"}, "set": {"wide_rows": 17}},
    {"when": {"architecture": "blackwell"}, "set": {"wide_rows": 64}},
)
FIT = Recipe(
    operator="mla_decode", form="row tiles and key splits, v1", data=mla.DATA, shape=SHAPE, start=START,
    offsets=mla.offsets(tuple(START), ("compute_efficiency", "launch_us", "memory_efficiency"), 0.1), fixed=FIXED,
    model_of=mla.model_of(expected_s, MlaDecode, SHAPE), roofline_of=mla.roofline_of(MlaDecode, SHAPE),
    group="backend", table_by=("device", "backend", "kv_dtype"), row_weight=0.1, bands=mla.BANDS, rename=rename_rule,
    prepare=add_generation, extra=mla.EXTRA,
    terms={
        "host": {"host_us": NOTHING, "fp8_host_us": NOTHING},
        "launch": {"launch_us": NOTHING},
        "loads and softmax of a key": {"key_clocks": NOTHING, "fp8_key_clocks": NOTHING},
        "waves of tiles": {"cta_us": NOTHING},
        "cost of splits": {"split_us": NOTHING, "combine_us": NOTHING},
        "few splits at most": {"extra_splits": 1e6},
        "queries and outputs": {"passes": NOTHING},
        "fp8's rate": {"fp8_speedup": 1.0},
    },
)  # fmt: skip

if __name__ == "__main__":
    run(FIT)
