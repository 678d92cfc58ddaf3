"""An estimate with realistic numbers: llama-3.1-8b on one h100-sxm, eight requests in flight, served."""

from __future__ import annotations

import copy
from typing import Any

import pytest

PEAK, BANDWIDTH = 9.89e14, 3.35e12

# name, part, kind, repetitions, then for one repetition in prefill and in decode: GFLOP, MB, expected microseconds
OPERATORS: tuple[tuple[Any, ...], ...] = (
    ("embedding", "embedding", "gather", 1, (0.0, 33.6, 16.9), (0.0, 0.131, 3.4)),
    ("attention_norm", "attention", "rmsnorm", 32, (0.0336, 33.6, 13.1), (0.000131, 0.139, 2.9)),
    ("qkv_proj", "attention", "gemm", 32, (103.1, 92.3, 151.0), (0.403, 50.5, 19.8)),
    ("rope", "attention", "elementwise", 32, (0.0315, 41.9, 15.9), (0.000123, 0.164, 3.1)),
    ("attention", "attention", "attention", 32, (34.4, 50.3, 71.5), (0.285, 71.4, 29.4)),
    ("o_proj", "attention", "gemm", 32, (68.7, 67.1, 102.0), (0.268, 33.7, 14.2)),
    ("ffn_norm", "ffn", "rmsnorm", 32, (0.0336, 50.3, 18.7), (0.000131, 0.205, 3.0)),
    ("gate_up_proj", "ffn", "gemm", 32, (481.0, 369.1, 668.0), (1.88, 235.4, 83.2)),
    ("silu_mul", "ffn", "elementwise", 32, (0.147, 176.2, 62.8), (0.000573, 0.688, 3.2)),
    ("down_proj", "ffn", "gemm", 32, (240.5, 192.9, 345.0), (0.940, 117.7, 43.9)),
    ("residual", "ffn", "elementwise", 64, (0.00839, 50.3, 17.8), (0.0000328, 0.197, 2.8)),
    ("final_norm", "head", "rmsnorm", 1, (0.0000164, 0.0164, 2.9), (0.000131, 0.131, 2.9)),
    ("lm_head", "head", "gemm", 1, (1.05, 1050.9, 352.0), (8.41, 1052.8, 356.0)),
)


def band(expected: float, bound: float) -> dict[str, float]:
    return {"expected": expected, "bound": bound, "p10": max(bound, expected * 0.91), "p90": expected * 1.14}


def operator(phase: str, row: tuple[Any, ...]) -> dict[str, Any]:
    name, part, kind, repeat, prefill, decode = row
    gflop, megabytes, expected_us = prefill if phase == "prefill" else decode
    flops, traffic, expected = gflop * 1e9 * repeat, megabytes * 1e6 * repeat, expected_us * 1e-6 * repeat
    compute_s, memory_s = flops / PEAK, traffic / BANDWIDTH
    times = {f"{key}_s": value for key, value in band(expected, max(compute_s, memory_s)).items()}
    counts = {"repeat": repeat, "flops": flops, "bytes": traffic, "link_bytes": 0.0}
    return {
        **{"phase": phase, "name": name, "part": part, "kind": kind, "dtype": "bfloat16"},
        **counts,
        "arithmetic_intensity_flops_per_byte": flops / traffic,
        **times,
        **{"compute_s": compute_s, "memory_s": memory_s, "link_s": 0.0},
        "bottleneck": "compute" if compute_s > memory_s else "memory",
    }


def operators(phase: str) -> list[dict[str, Any]]:
    rows = [operator(phase, row) for row in OPERATORS]
    total = sum(row["expected_s"] for row in rows)
    return [{**row, "share": row["expected_s"] / total} for row in rows]


def serving_report() -> dict[str, Any]:
    inputs = {
        **{"model": "llama-3.1-8b", "device": "h100-sxm", "batch": 8, "input_tokens": 2048, "output_tokens": 256},
        **{"tp": 1, "ep": 1, "attention_dp": 1, "moe_tp": 1, "dp": 1, "precision": "bfloat16"},
        **{"moe_precision": "bfloat16", "kv_precision": "bfloat16", "phase": "serve", "static": False},
        **{"engine": "", "mode": "agg", "routing": "uniform", "devices": 1},
    }
    memory = {
        **{"capacity_bytes": 80e9, "weights_bytes": 16.06e9, "kv_bytes": 2.416e9, "activation_bytes": 0.92e9},
        **{"overhead_bytes": 4.2e9, "free_bytes": 56.404e9, "largest_batch": 194, "longest_context_tokens": 131072},
    }
    return {
        **{"schema": "perfmodel/estimate/1", "version": "0.1.0", "inputs": inputs},
        **{"ttft_s": band(0.0664, 0.0371), "tpot_s": band(0.00816, 0.00481)},
        **{"e2e_s": band(2.147, 1.264), "step_s": band(0.00735, 0.00545)},
        **{"tokens_per_s": 953.9, "tokens_per_s_per_device": 953.9, "requests_per_s": 3.726},
        **{"joules_per_token": None, "usd_per_million_tokens": None, "memory_bytes_per_device": 23.596e9},
        **{"memory": memory, "fits": True, "bottleneck": "memory", "mfu": 0.13, "mbu": 0.64},
        **{"running": 8, "waiting": 0, "operators": operators("prefill") + operators("decode")},
        "device": {
            **{"name": "h100-sxm", "peak_flops_per_s": {"bfloat16": PEAK, "fp8": 1.979e15}},
            **{"memory_bandwidth_bytes_per_s": BANDWIDTH, "memory_bytes": 80e9, "link_bandwidth_bytes_per_s": 4.5e11},
        },
        "notes": ["no framework overhead: engine is empty", "error band of the vendor family nvidia"],
        "spec_hashes": {"model": "3f1c9a", "device": "b07d42"},
    }


@pytest.fixture
def report() -> dict[str, Any]:
    """A fresh report that a test may change."""
    return serving_report()


@pytest.fixture
def sharded_report(report: dict[str, Any]) -> dict[str, Any]:
    """Two devices: every phase has an all-reduce, which has link bytes but no arithmetic and no memory traffic."""
    changed = copy.deepcopy(report)
    changed["inputs"] |= {"tp": 2, "devices": 2}
    for phase in ("prefill", "decode"):
        row = operator(phase, ("all_reduce", "ffn", "all_reduce", 64, (0.0, 1.0, 60.0), (0.0, 1.0, 11.0)))
        row |= {"bytes": 0.0, "arithmetic_intensity_flops_per_byte": None, "link_bytes": 1e9, "bottleneck": "link"}
        changed["operators"].append(row)
    for phase in ("prefill", "decode"):
        rows = [row for row in changed["operators"] if row["phase"] == phase]
        total = sum(row["expected_s"] for row in rows)
        for row in rows:
            row["share"] = row["expected_s"] / total
    return changed


@pytest.fixture
def overfull_report(report: dict[str, Any]) -> dict[str, Any]:
    """A model too big for its device: 141 GB of weights on 80 GB, and no times."""
    report["memory"] |= {"weights_bytes": 141.1e9, "free_bytes": -68.6e9, "largest_batch": 0}
    missing = {"ttft_s": None, "tpot_s": None, "e2e_s": None, "step_s": None, "tokens_per_s": None}
    missing |= {"tokens_per_s_per_device": None, "requests_per_s": None, "mfu": None, "mbu": None}
    return report | missing | {"memory_bytes_per_device": 148.6e9, "fits": False, "operators": []}
