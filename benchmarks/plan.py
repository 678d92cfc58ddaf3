"""How fast deployments are searched: plans and points a second of CPU, beside AIConfigurator's published searches.

python benchmarks/plan.py
"""

from __future__ import annotations

import time

from perfmodel.search.report import plan_report

CASES = (
    ("qwen3-32b", "h200-sxm", 32, 7.7),
    ("deepseek-v3", "h200-sxm", 64, 109.0),
    ("deepseek-v3", "h200-sxm", 1024, None),
    ("kimi-k2", "b200", 1024, None),
)
"""Model, device, devices, and the CPU seconds that AIConfigurator 0.12 took for that search."""


QUESTION = {"rate": 10, "input_tokens": 4000, "output_tokens": 500, "tpot_s": 0.05, "engine": "sglang"}


def main() -> None:
    """Print a row a case: the second of two searches in this process, start-up left out."""
    print(f"{'search':34s}  plans  points   CPU s  plans/s  AIConfigurator  ratio")
    for model, device, gpus, theirs in CASES:
        for _ in range(2):
            began = time.process_time()
            found = plan_report(model, [device], gpus=gpus, **QUESTION)
            spent = time.process_time() - began
        counts = f"{found['plans']:6d} {found['evaluated']:7d} {spent:7.2f} {found['plans'] / spent:8.0f}"
        beside = f"{theirs:13.1f} s {theirs / spent:6.0f}" if theirs else ""
        print(f"{f'{model} on {gpus} {device}':34s} {counts} {beside}")


if __name__ == "__main__":
    main()
