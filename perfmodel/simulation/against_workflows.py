"""The closed form of workflows beside their simulation: ``python -m perfmodel.simulation.against_workflows``."""

from __future__ import annotations

import math
from typing import NamedTuple

from perfmodel.devices import load_device
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.scenario import Question, prepare
from perfmodel.simulation.workflow_report import workflow_report
from perfmodel.workloads.library import load_model
from perfmodel.workloads.workflows import load_workflow


class Case(NamedTuple):
    """A workflow on replicas of a model, at a rate of runs a second."""

    flow: str
    model: str
    device: str
    plan: Plan
    rate: float
    reuse: bool = True


CASES = (
    Case("rag-answer", "llama-3.1-8b", "h100-sxm", Plan(), 0.5),
    Case("rag-answer", "llama-3.1-70b", "h100-sxm", Plan(tp=4, dp=2), 1.0),
    Case("tool-agent", "llama-3.1-8b", "h100-sxm", Plan(), 0.2),
    Case("tool-agent", "llama-3.1-8b", "h100-sxm", Plan(dp=2), 1.0),
    Case("tool-agent", "llama-3.1-8b", "h100-sxm", Plan(dp=2), 0.4, reuse=False),
    Case("best-of-n", "llama-3.1-8b", "h100-sxm", Plan(dp=2), 0.5),
    Case("self-consistency", "llama-3.1-8b", "h100-sxm", Plan(), 0.2),
    Case("research", "qwen3-30b-a3b", "h200-sxm", Plan(), 0.2),
)


def compare(case: Case, runs: int = 300) -> tuple[float, float, float]:
    """Return simulated over closed form: of a run's mean time, its output tokens, and the tokens that it reads."""
    setup = prepare(load_model(case.model), load_device(case.device), Question(plan=case.plan))
    found = workflow_report(load_workflow(case.flow), {"main": setup}, rate=case.rate, runs=runs, reuse=case.reuse)
    role = found["roles"]["main"]
    expected = role["closed_form"]
    read = role["prompt_tokens_per_run"] - role["cached_tokens_per_run"]
    return (
        found["e2e_s"]["mean"] / (found["closed_form"]["e2e_s"] or math.nan),
        role["output_tokens_per_run"] / expected["output_tokens_per_run"],
        read / expected["read_tokens_per_run"],
    )


def main() -> None:
    """Print a row a case."""
    print("| workflow | model | device | runs/s | time | tokens out | tokens read |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        time, written, read = compare(case)
        ways = f"{case.device} x {int(case.plan.devices)}"
        name = case.flow if case.reuse else f"{case.flow}, no reuse"
        print(f"| {name} | {case.model} | {ways} | {case.rate:g} | {time:.2f} | {written:.2f} | {read:.2f} |")


if __name__ == "__main__":
    main()
