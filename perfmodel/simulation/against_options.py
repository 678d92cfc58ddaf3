"""Closed forms of drafts, adapters and so on beside their simulation, a row each: run it with ``python -m``."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from types import MappingProxyType
from typing import Any, NamedTuple

from perfmodel.devices import load_device
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.scenario import Question, Setup, prepare
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.words import asked_from, equipment_from, exiting
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import LanguageModel
from perfmodel.workloads.usecases import Lengths


class Option(NamedTuple):
    """What is added to a plain deployment: a title, the model, device and plan, words of equipment and of a run."""

    title: str
    model: str
    device: str
    plan: Plan = Plan()
    beside: Mapping[str, Any] = MappingProxyType({})
    run: Mapping[str, Any] = MappingProxyType({})
    exits: str = ""
    draft: str = ""


LLAMA = ("llama-3.1-8b", "h100-sxm")
OPTIONS = (
    Option("nothing", *LLAMA),
    Option("70 % of the input cached", *LLAMA, run={"shared_prefix": 0.7}),
    Option("a 1B model drafts 4 tokens, 0.7 kept", *LLAMA, beside={"draft_tokens": 4, "acceptance": 0.7},
           draft="llama-3.2-1b"),
    Option("blocks of 8 tokens in 4 steps", *LLAMA, beside={"block": 8, "passes": 4}),
    Option("40 % of the tokens leave after layer 16", *LLAMA, exits="16=0.4"),
    Option("500 adapters of rank 32", *LLAMA, beside={"adapters": 500, "lora_rank": 32}),
    Option("prompts and decodes share the cores", *LLAMA, run={"policy": "shared"}),
    Option("module drafts 1 token, 0.85 kept", "deepseek-v3", "h200-sxm", Plan(tp=8, draft_tokens=1, acceptance=0.85)),
    Option("sparse attention", "deepseek-v3.2", "h200-sxm", Plan(tp=8)),
)  # fmt: skip
IN_FLIGHT, REQUESTS = 16, 160
INPUT, OUTPUT = Lengths(1000.0, 0.0), Lengths(200.0 * exp(-0.08), 0.4)


def compare(option: Option, in_flight: int = IN_FLIGHT, requests: int = REQUESTS) -> tuple[float, float, float]:
    """Return simulated over closed form of TTFT, TPOT and requests a second (means), in a closed loop."""
    setup = _setup(exiting(load_model(option.model), option.exits), option.device, option.plan)
    draft = _setup(load_model(option.draft), option.device, Plan()) if option.draft else None
    device = load_device(option.device)
    found = simulate_report(
        setup, in_flight=in_flight, requests=requests, inputs=INPUT, outputs=OUTPUT,
        asked=asked_from(adapters=option.beside.get("adapters", 0)),
        equipment=equipment_from(device, **option.beside, draft=draft), **option.run,
    )  # fmt: skip
    form = found["closed_form"]
    first, further = (found[f"{name}_s"]["mean"] / form[f"{name}_s"] for name in ("ttft", "tpot"))
    return first, further, found["requests_per_s"] / form["requests_per_s"]


def _setup(model: Any, device: str, plan: Plan) -> Setup:
    assert isinstance(model, LanguageModel)
    return prepare(model, load_device(device), Question(plan=plan))


def main() -> None:
    """Print a row an option."""
    print("| with | model | device | TTFT | TPOT | requests/s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for option in OPTIONS:
        ttft, tpot, rate = compare(option)
        ways = f"{option.device} x {int(option.plan.devices)}"
        print(f"| {option.title} | {option.model} | {ways} | {ttft:.2f} | {tpot:.2f} | {rate:.2f} |")


if __name__ == "__main__":
    main()
