"""The closed form of a closed loop beside its simulation: ``python -m perfmodel.simulation.against``."""

from __future__ import annotations

from typing import NamedTuple

from perfmodel.devices import load_device
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.scenario import Question, prepare
from perfmodel.simulation.replica import Policy
from perfmodel.simulation.requests import Request
from perfmodel.simulation.run import replicas_of, simulate_closed
from perfmodel.simulation.summary import summary
from perfmodel.workloads.library import load_model


class Case(NamedTuple):
    """A closed loop: model, device, ways of splitting, requests in flight and their lengths."""

    model: str
    device: str
    plan: Plan
    in_flight: int
    input_tokens: int
    output_tokens: int


CASES = (
    Case("llama-3.1-8b", "h100-sxm", Plan(), 4, 1000, 200),
    Case("llama-3.1-8b", "h100-sxm", Plan(), 32, 1000, 200),
    Case("llama-3.1-8b", "h100-sxm", Plan(), 128, 1000, 200),
    Case("llama-3.1-8b", "l40s", Plan(), 16, 4000, 200),
    Case("llama-3.1-70b", "h100-sxm", Plan(tp=4), 32, 2000, 500),
    Case("llama-3.1-70b", "h200-sxm", Plan(tp=8), 128, 8000, 500),
    Case("qwen3-30b-a3b", "b200", Plan(), 64, 1000, 1000),
    Case("deepseek-v3", "h200-sxm", Plan(tp=8, ep=8), 64, 4000, 500),
)


class Compared(NamedTuple):
    """Simulated over closed form: of TTFT, TPOT and requests a second (means of requests)."""

    case: Case
    ttft: float
    tpot: float
    rate: float


def compare(case: Case, requests: int = 6) -> Compared:
    """Return how far apart simulation and closed form are, over ``requests`` times as many requests as in flight."""
    setup = prepare(load_model(case.model), load_device(case.device), Question(plan=case.plan))
    lengths = case.input_tokens, case.output_tokens
    drawn = [Request(i, 0.0, *lengths) for i in range(requests * case.in_flight)]
    found = summary(simulate_closed(drawn, replicas_of(setup, Policy()), case.in_flight), open_loop=False)
    phases = setup.answer(float(case.in_flight), *map(float, lengths)).phases
    assert phases.ttft is not None
    assert phases.tpot is not None
    return Compared(
        case, found["ttft_s"]["mean"] / phases.ttft.expected, found["tpot_s"]["mean"] / phases.tpot.expected,
        found["requests_per_s"] / phases.requests_per_s,
    )  # fmt: skip


def main() -> None:
    """Print a row a case."""
    print("| model | device | in flight | input | output | TTFT | TPOT | requests/s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        found = compare(case)
        ways = f"{case.device} x {int(case.plan.devices)}"
        print(f"| {case.model} | {ways} | {case.in_flight} | {case.input_tokens} | {case.output_tokens} "
              f"| {found.ttft:.2f} | {found.tpot:.2f} | {found.rate:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()
