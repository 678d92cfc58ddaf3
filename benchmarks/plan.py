"""How fast deployments are searched: plans and points a second of CPU, beside AIConfigurator's published searches.

python benchmarks/plan.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
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
    """Print a row a case: the least of three searches in this process, then start-up and all of a command."""
    print(f"{'search':34s}  plans  points   CPU s  plans/s  AIConfigurator  ratio  command, CPU s")
    for model, device, gpus, theirs in CASES:
        spent = float("inf")
        for _ in range(4):
            began = time.process_time()
            found = plan_report(model, [device], gpus=gpus, **QUESTION)
            spent = min(spent, time.process_time() - began)
        counts = f"{found['plans']:6d} {found['evaluated']:7d} {spent:7.2f} {found['plans'] / spent:8.0f}"
        beside = f"{theirs:13.1f} s {theirs / spent:6.0f}" if theirs else f"{'':22s}"
        print(
            f"{f'{model} on {gpus} {device}':34s} {counts} {beside} {command_s(model, device, gpus):15.2f}", flush=True
        )


def command_s(model: str, device: str, gpus: int) -> float:
    """Return the CPU seconds of the command line's process for the same search, the less of two runs."""
    asked = f"plan {model} --on {device} --gpus {gpus} --rate 10 --input 4000 --output 500 --tpot 50ms --engine sglang"
    program = "from perfmodel.cli import main; main()"
    spent: list[float] = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", program, *asked.split(), "--json"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


if __name__ == "__main__":
    main()
