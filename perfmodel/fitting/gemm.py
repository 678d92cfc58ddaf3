"""Fit the GEMM form on measured kernels: ``python -m perfmodel.fitting.gemm --data DIR_OR_CSV [--out FILE]``."""

from __future__ import annotations

from typing import Any

from perfmodel.fitting.bands import SiblingBands
from perfmodel.fitting.command import run
from perfmodel.fitting.common import facts_by_row
from perfmodel.fitting.judging import Terms
from perfmodel.fitting.levels import LevelFit
from perfmodel.fitting.shrunken import Specification

ASYNCHRONOUS = ["hopper", "blackwell"]
"""Architectures whose matrix units are fed by asynchronous bulk copies."""
GRAPHICS_MEMORY = "gddr"
"""Chips with GDDR memory have a narrow cache fabric."""

LIKE = {
    "bfloat16": ["bfloat16", "float16", "float32"],
    "fp8": ["fp8", "mxfp8", "w4a8", "w4a8_mxfp4_mxfp8"],
    "int4_wo": ["int4_wo", "w4a16_mxfp4", "nvfp4_wo"],
    "int8_wo": ["int8_wo", "fp8_wo"],
}
"""Precisions that share the rules of a measured one."""

_TIMING, _ASYNC, _GRAPHICS = ("timing",), ("asynchronous",), ("memory",)
_VENDOR, _ARCHITECTURE, _DEVICE, _DTYPE = ("vendor",), ("architecture",), ("device",), ("kind_of_dtype",)
_PACE = ("matrix_pace",)
_BACKEND = ("backend", "kind_of_dtype")
_TIMED = ("backend", "kind_of_dtype", "timing")
_ARCHITECTURE_BACKEND = ("architecture", "backend", "kind_of_dtype")
_ARCHITECTURE_TIMED = ("architecture", "backend", "kind_of_dtype", "timing")
_DEVICE_TIMED = ("device", "backend", "kind_of_dtype", "timing")

SPECIFICATION: Specification = {
    "launch_us": (3.0, [(_TIMING, 1.0), (("kind_of_dtype", "timing"), 0.5), (_TIMED, 0.5), (_DEVICE, 0.1),
                        (_ARCHITECTURE_BACKEND, 0.15)]),
    "math_efficiency": (0.85, [(_PACE, 0.3), (_VENDOR, 0.1), (_ARCHITECTURE, 0.1), (_DEVICE, 0.07), (_DTYPE, 0.15),
                               (_BACKEND, 0.15), (_ARCHITECTURE_BACKEND, 0.1)]),
    "step_clocks": (3.6, [(_ASYNC, 0.7), (_GRAPHICS, 0.4), (_ARCHITECTURE, 0.3), (_DTYPE, 0.5), (_BACKEND, 0.3)]),
    "prologue_k": (105.0, [(_ARCHITECTURE, 0.2), (_DTYPE, 0.3), (_BACKEND, 0.2)]),
    "memory_efficiency": (0.85, [(_ARCHITECTURE, 0.1), (_DEVICE, 0.07), (_BACKEND, 0.1)]),
    "fabric_bytes_per_clock": (15.0, [(_GRAPHICS, 0.3), (_ARCHITECTURE, 0.2), (_DEVICE, 0.1), (_BACKEND, 0.1)]),
    "cache_share": (0.4, []),
    "weight_copies": (5.0, [(_BACKEND, 0.3)]),
    "split_us": (2.8, [(_DTYPE, 0.7), (_BACKEND, 0.3)]),
    "throttle": (0.2, [(_PACE, 1.0), (_ARCHITECTURE, 0.5), (_BACKEND, 0.5), (_DEVICE, 0.2)]),
    "heat_ms": (1.5, []),
    "quantise_us": (3.0, [(_ARCHITECTURE, 0.3), (_DTYPE, 0.5), (_BACKEND, 0.7), (_ARCHITECTURE_BACKEND, 0.5)]),
    "quantise_passes": (2.0, [(_BACKEND, 1.0), (_ARCHITECTURE_BACKEND, 0.3)]),
    "quantise_row_ns": (1.0, [(_BACKEND, 1.5), (_ARCHITECTURE, 0.3)]),
    "single_row_us": (0.1, [(_BACKEND, 1.0), (_ARCHITECTURE_BACKEND, 3.0)]),
    "unaligned_rows_us": (0.1, [(_TIMED, 3.0), (_ARCHITECTURE_TIMED, 1.5)]),
    "unaligned_block_us": (0.1, [(_TIMED, 3.0), (_ARCHITECTURE_TIMED, 1.5)]),
    "host_us": (0.3, [(_TIMED, 3.0), (_ARCHITECTURE_TIMED, 0.5), (_DEVICE_TIMED, 0.25)]),
}  # fmt: skip
STARTS = {("host_us", _TIMED, ("vllm", "fp8_block", "wall")): 5.5}

BY_REASON: list[dict[str, Any]] = [
    {"when": {"matrix_pace": "slow", "architecture": ["ada", "blackwell-workstation", "turing", "hopper"]},
     "scale": {"throttle": 0.25},
     "note": "not measured: that watts do not limit slow matrix units was seen on ampere only"},
    {"when": {"matrix_pace": "slow", "architecture": ["ada", "blackwell-workstation", "turing"]},
     "scale": {"math_efficiency": 1.1},
     "note": "not measured: what feeds and watts take from the L40S they do not take from slow matrix units; timm's "
     "transformers on the RTX 4090 agree"},
    {"set": {"tflops_per_w": 1000}, "note": "no board is known to be held back by its power"},
    {"when": {"kind": "gpu", "architecture": "turing"}, "set": {"tflops_per_w": 0.5},
     "note": "not measured: the largest Turing boards; a T4 at 0.93 holds 24 of 65 TFLOP/s "
     "(forums.developer.nvidia.com 264462)"},
    {"when": {"kind": "gpu", "architecture": ["ampere", "ada", "blackwell-workstation"]}, "set": {"tflops_per_w": 1.05},
     "note": "the most of the measured boards (A100 PCIe, L40S); an L4 at 1.68 holds 55 to 59 of 121 TFLOP/s "
     "(github.com/zzc0721/torch-performance-test-data/issues/120)"},
    {"when": {"kind": "gpu", "architecture": "hopper"}, "set": {"tflops_per_w": 1.42},
     "note": "the measured boards, SXM at 700 W; PCIe and NVL have half of it"},
    {"when": {"architecture": "cdna3"}, "scale": {"math_efficiency": 0.86}, "set": {"tflops_per_w": 1.31},
     "note": "not measured: MI325X 60 %, MI300X 51 % of the peak in large products (mamf-finder, ml-engineering)"},
    {"when": {"architecture": "cdna4"}, "scale": {"math_efficiency": 0.93}, "set": {"tflops_per_w": 1.8},
     "note": "not measured: MI355X 68 % of the peak in large products (mamf-finder, ml-engineering)"},
    {"when": {"architecture": "gaudi2"},
     "scale": {"math_efficiency": 1.26, "throttle": 0.1, "step_clocks": 0.01, "fabric_bytes_per_clock": 300},
     "note": "not measured: 97 % of the peak in large products (mamf-finder); large arrays fed from on-chip memory"},
    {"when": {"architecture": "gaudi3"},
     "scale": {"throttle": 0.4, "step_clocks": 0.01, "fabric_bytes_per_clock": 300},
     "note": "not measured: 74 % of the peak in large products (mamf-finder); large arrays fed from on-chip memory"},
    {"when": {"kind": "tpu"},
     "scale": {"math_efficiency": 1.2, "throttle": 0.3, "fabric_bytes_per_clock": 300, "step_clocks": 0.01},
     "note": "not measured: large systolic arrays fed from on-chip memory; prefill of PaLM 540B used 76 % of a TPU v4 "
     "over all operators (Pope et al. 2022)"},
]  # fmt: skip
"""Rules for chips that were never measured and differ from every family that was."""

TERMS: Terms = {
    "launch floor": {"launch_us": 1e-3},
    "unhidden latency of a step along k": {"step_clocks": 1e-3},
    "prologue and epilogue of a tile": {"prologue_k": 1e-3},
    "split-K": {"split_us": 1e9},
    "cache fabric": {"fabric_bytes_per_clock": 1e6},
    "operands that stay in the cache": {"cache_share": 1e-6},
    "slow-down at the power limit": {"throttle": 1e-6},
    "quantisation of activations": {"quantise_us": 1e-6, "quantise_passes": 1e-6, "quantise_row_ns": 1e-6},
    "path of one row": {"single_row_us": 1e-6},
    "ragged block scales": {"unaligned_rows_us": 1e-6, "unaligned_block_us": 1e-6},
    "host": {"host_us": 1e-6},
}
"""Physical terms, and where their coefficients switch them off."""


class Rows:
    """Measured rows as operators: one vectorised :class:`Linear` for each format."""

    def __init__(self, frame: Any) -> None:
        from perfmodel.formats import runnable_format
        from perfmodel.ops.linear import Linear

        self.measured = frame["latency_us"].to_numpy() * 1e-6
        self.groups: list[Any] = []
        for (dtype, quantises), rows in frame.groupby(["dtype", "includes_quantisation"]).indices.items():
            part = frame.iloc[rows]
            chip = facts_by_row(part["device"].tolist())
            m, n, k = (part[name].to_numpy(dtype=float) for name in ("m", "n", "k"))
            op = Linear(m, n, k, runnable_format(dtype, frozenset(chip.peaks)), bool(quantises))
            self.groups.append((rows, op, chip))

    def seconds(self, coefficients: Any) -> Any:
        """Return the form's time of every row."""
        import numpy as np

        from perfmodel.cost.gpu.gemm import expected_s

        times = np.empty(len(self.measured))
        for rows, op, chip in self.groups:
            times[rows] = expected_s(op, chip, {name: value[rows] for name, value in coefficients.items()})
        return times

    def roofline_s(self) -> Any:
        """Return the datasheet roofline of every row."""
        import numpy as np

        times = np.empty(len(self.measured))
        for rows, op, chip in self.groups:
            counts = op.counts()
            math = 2.0 * op.m * op.n * op.k / chip.peak_flops_per_s(op.format.compute)
            times[rows] = np.maximum(math, counts.total_bytes() / chip.memory_bandwidth_bytes_per_s)
        return times


def prepare(frame: Any) -> Any:
    """Add the key columns of the levels (empty: no factor of that level)."""
    return frame.assign(
        kind_of_dtype=frame["dtype"].replace({"float16": "bfloat16"}),
        asynchronous=frame["architecture"].isin(ASYNCHRONOUS).map({True: "yes"}),
        matrix_pace=frame["matrix_pace"].where(frame["matrix_pace"] != ""),
        memory=frame["memory_kind"].where(frame["memory_kind"] == GRAPHICS_MEMORY),
    )


def expand(keys: tuple[str, ...], values: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the ``when`` mappings of a level's value."""
    if keys == _ASYNC:
        return [{"architecture": ASYNCHRONOUS}]
    when: dict[str, Any] = {}
    for key, value in zip(keys, values, strict=True):
        if key == "kind_of_dtype":
            when["dtype"] = LIKE.get(value, value)
        else:
            when[key] = value
    return [when]


FIT = LevelFit(
    operator="gemm", form="tiles-waves-flow/1 (perfmodel/cost/gpu/gemm.py)",
    data=("ai-dynamo/aiconfigurator performance tables, commit 095f58a5, Apache-2.0, NVIDIA Corporation",
          "microsoft/vidur, MIT", "microsoft/apex_plus, MIT", "casys-kaist/LLMServingSim, MIT",
          "alibaba/InferSim, Apache-2.0", "PrincetonUniversity/LLMCompass, BSD-3-Clause"),
    shape=("m", "n", "k"), specification=SPECIFICATION, starts=STARTS, constants=("cache_share",), rows_of=Rows,
    prepare=prepare, expand=expand, by_reason=BY_REASON, group="dtype", table_by=("dtype", "device"),
    bands=SiblingBands((("dtype",), ("timing",), ("backend", "dtype")), ("backend", "dtype")), terms=TERMS, least=0.03,
)  # fmt: skip


if __name__ == "__main__":
    run(FIT)
