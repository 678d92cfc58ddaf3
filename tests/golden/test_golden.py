"""Answers as they were last looked at. Regenerate after a deliberate change, and read what moved:

python -m tests.golden.test_golden
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import perfmodel as pm

FILE = Path(__file__).with_name("estimates.json")
CASES: dict[str, dict[str, Any]] = {
    "llama-3.1-8b on h100-sxm": {"model": "llama-3.1-8b", "device": "h100-sxm", "batch": 8, "input_tokens": 2048},
    "llama-3.1-70b fp8 on 8 h200-sxm, static": {
        "model": "llama-3.1-70b", "device": "h200-sxm", "tp": 8, "precision": "fp8", "batch": 64, "input_tokens": 4096,
        "static": True,
    },
    "mixtral-8x7b on 2 a100-sxm-80gb, vllm": {
        "model": "mixtral-8x7b", "device": "a100-sxm-80gb", "tp": 2, "batch": 32, "input_tokens": 1024,
        "engine": "vllm",
    },
    "deepseek-v3 on 8 b200, attention dp and ep, sglang": {
        "model": "deepseek-v3", "device": "b200", "attention_dp": 8, "ep": 8, "batch": 256, "input_tokens": 2048,
        "engine": "sglang",
    },
    "gpt-oss-20b on rtx-4090": {"model": "gpt-oss-20b", "device": "rtx-4090", "batch": 4, "input_tokens": 8192},
    "qwen3-8b prefill on mi300x": {"model": "qwen3-8b", "device": "mi300x", "phase": "prefill", "input_tokens": 16384},
    "llama-3.2-1b on tpu-v6e": {"model": "llama-3.2-1b", "device": "tpu-v6e", "batch": 16, "input_tokens": 512},
    "resnet50 on rtx-4090": {"model": "resnet50", "device": "rtx-4090", "batch": 128},
    "vit-b/16 on h100-sxm, torch-compile": {
        "model": "vit_base_patch16_224", "device": "h100-sxm", "batch": 64, "engine": "torch-compile",
    },
    "mobilenet-v2 int8 on jetson-agx-orin, tensorrt": {
        "model": "mobilenetv2_100", "device": "jetson-agx-orin", "precision": "int8", "engine": "tensorrt",
    },
    "sdxl at 1024 on l40s": {"model": "sdxl", "device": "l40s", "image": 1024},
}  # fmt: skip
KEYS = (
    "ttft_s",
    "tpot_s",
    "e2e_s",
    "step_s",
    "tokens_per_s",
    "requests_per_s",
    "memory_bytes_per_device",
    "fits",
    "bottleneck",
    "mfu",
    "mbu",
    "running",
    "waiting",
)
NETWORK_KEYS = (
    "latency_s", "samples_per_s", "joules_per_sample", "usd_per_million_samples", "memory_bytes_per_device", "fits",
    "bottleneck", "mfu", "mbu", "parameters", "matmul_flops_per_sample", "bytes_per_sample",
)  # fmt: skip


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a case: the answers, the expected times of operators or of a network's blocks."""
    report = pm.estimate(**case).report()
    if "latency_s" in report:
        blocks: dict[str, float] = {}
        for row in report["operators"]:
            name = f"{row['phase']} {row['block']}"
            blocks[name] = blocks.get(name, 0.0) + row["expected_s"]
        return {key: report[key] for key in NETWORK_KEYS} | {"blocks": blocks}
    operators = {f"{row['phase']} {row['name']} {row['repeat']:g}": row["expected_s"] for row in report["operators"]}
    return {key: report[key] for key in KEYS} | {"operators": operators}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their dotted paths."""
    if not isinstance(value, dict):
        return {path: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flat(item, f"{path}.{key}" if path else str(key))
    return leaves


def moved(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line for each leaf that differs by more than rounding."""
    before, after = flat(old), flat(new)
    lines: list[str] = []
    for path in sorted({*before, *after}):
        a, b = before.get(path), after.get(path)
        numbers = isinstance(a, float) and isinstance(b, (int, float))
        if a != b and not (numbers and math.isclose(a, b, rel_tol=1e-9)):
            lines.append(f"{path}: {a} -> {b}" + (f" ({100 * (b / a - 1):+.2f} %)" if numbers and a else ""))
    return lines


@pytest.mark.parametrize("name", CASES)
def test_answers_have_not_moved(name: str) -> None:
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    assert moved(kept["cases"][name], answer(CASES[name])) == []


def test_file_holds_just_these_cases() -> None:
    assert set(json.loads(FILE.read_text(encoding="utf-8"))["cases"]) == set(CASES)


def regenerate() -> None:
    """Write the file anew and print what moved."""
    old = json.loads(FILE.read_text(encoding="utf-8"))["cases"] if FILE.exists() else {}
    new = {name: answer(case) for name, case in CASES.items()}
    for name, value in new.items():
        for line in moved(old.get(name, {}), value):
            print(f"{name}: {line}")
    kept = {"_meta": {"command": "python -m tests.golden.test_golden", "version": pm.__version__}, "cases": new}
    FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    regenerate()
