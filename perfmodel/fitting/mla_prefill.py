"""Fit of the MLA prefill form: ``python -m perfmodel.fitting.mla_prefill --data DIR_OR_CSV [--out FILE]``."""

from __future__ import annotations

from perfmodel.cost.gpu.mla_prefill import expected_s
from perfmodel.fitting import mla
from perfmodel.fitting.command import run
from perfmodel.fitting.generations import add_generation, rename_rule
from perfmodel.fitting.judging import NOTHING
from perfmodel.fitting.procedure import Recipe
from perfmodel.fitting.shrinkage import Start
from perfmodel.ops import MlaPrefill

SHAPE = tuple(MlaPrefill.DOMAIN)
START = {
    "host_us": Start(10, 1), "fp8_host_us": Start(3, 1), "launch_us": Start(10, 1),
    "compute_efficiency": Start(0.7, 0.5), "exp_share": Start(0.3, 1), "cta_us": Start(2, 1), "tail": Start(1, 0.5),
    "small_tile": Start(0.15, 1), "passes": Start(1, 1), "fp8_speedup": Start(1.5, 0.5), "fp8_passes": Start(1, 1),
    "fp8_launch_us": Start(3, 1),
}  # fmt: skip
FIT = Recipe(
    operator="mla_prefill", form="query tiles with hidden softmax, v1", data=mla.DATA, shape=SHAPE, start=START,
    offsets=mla.offsets(tuple(START), ("compute_efficiency", "launch_us", "passes"), 0.4), fixed=(),
    model_of=mla.model_of(expected_s, MlaPrefill, SHAPE), roofline_of=mla.roofline_of(MlaPrefill, SHAPE),
    group="backend", table_by=("device", "backend", "kv_dtype"), row_weight=0.1, bands=mla.BANDS, rename=rename_rule,
    prepare=add_generation, extra=mla.EXTRA,
    terms={
        "host": {"host_us": NOTHING, "fp8_host_us": NOTHING},
        "launch": {"launch_us": NOTHING},
        "softmax beside the products": {"exp_share": NOTHING},
        "start of a tile": {"cta_us": NOTHING},
        "the longest tile": {"tail": NOTHING},
        "small tiles' rate": {"small_tile": NOTHING},
        "traffic": {"passes": NOTHING},
        "conversion to fp8": {"fp8_passes": NOTHING, "fp8_launch_us": NOTHING},
        "fp8's rate": {"fp8_speedup": 1.0},
    },
)  # fmt: skip

if __name__ == "__main__":
    run(FIT)
