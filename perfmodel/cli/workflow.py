"""``perfmodel workflow``: what an application of several calls and tools takes from end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.output import give, one_stdout, print_columns, print_json
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.cli.simulate_groups import Ways
from perfmodel.errors import InputError
from perfmodel.units import time_text

if TYPE_CHECKING:
    from perfmodel.serving.scenario import Setup

app = new_app("Run workflows (retrieval, agents, best of n) on deployments, and list those of the library.")


@dataclass(frozen=True)
class Runs:
    """How runs come, and what they must keep."""

    rate: Annotated[str, o.option("--rate", "R", "Runs a second that begin.")] = ""
    in_flight: Annotated[str, o.option("--in-flight", "N", "A closed loop of so many runs.")] = ""
    runs: Annotated[str, o.option("--runs", "N", "How many runs to simulate.")] = "200"
    arrival: Annotated[str, o.option("--arrival", "NAME", "poisson, gamma or regular.")] = "poisson"
    variation: Annotated[
        str, o.option("--variation", "X", "Gamma: standard deviation of the gaps over their mean.")
    ] = "2"
    seed: Annotated[str, o.option("--seed", "N", "Another seed draws other runs.")] = "0"
    e2e: Annotated[str, o.option("--e2e", "TIME", "Limit of a run's whole time, for the goodput.")] = ""
    answer: Annotated[str, o.option("--answer", "TIME", "Limit of the time to the first token of its last call.")] = ""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a report."""
        from perfmodel.cli.durations import seconds

        words = {name: value for name, value in vars(self).items() if name not in ("e2e", "answer")}
        return {**words, "e2e_s": seconds("--e2e", self.e2e), "answer_s": seconds("--answer", self.answer)}


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "workflow run tool-agent llama-3.1-8b --on h100-sxm --rate 0.5",
        "workflow run best-of-n llama-3.1-8b --on h100-sxm --dp 2 --rate 0.5 --engine vllm --e2e 30s",
        "workflow run rag-models llama-3.1-70b --on h100-sxm --tp 4 --rate 1 --deploy embedder=bert-base,on=l4 "
        "--deploy reranker=xlm-roberta-large,on=l4",
        "workflow run my-flow.yaml llama-3.1-8b --on l40s --in-flight 8 --no-reuse --json",
    ),
)
@grouped
def run(
    flow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="A workflow's name, alias or YAML file.")],
    model: o.Model,
    device: o.On,
    *,
    runs: Runs,
    ways: Ways,
    deploy: Annotated[
        list[str] | None,
        o.option("--deploy", "ROLE=MODEL,..", "What serves another role: small=llama-3.2-1b,on=l4,tp=1,dp=2."),
    ] = None,
    balance: Annotated[
        str, o.option("--balance", "NAME", "Who gets a call: prefix, least_load, round_robin, two_choices ...")
    ] = "",
    no_reuse: Annotated[bool, typer.Option("--no-reuse", help="Every call reads its whole prompt.")] = False,
    chunk: Annotated[str, o.option("--chunk", "N", "Most tokens of a step.")] = "8192",
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """Simulate runs of a workflow: its calls, tools, branches and loops, beside all other runs.

    A call reads what its thread has so far; what is still in the cache of its replica is not read again. The closed
    form beside it is the sum of the stages' expectations, of branches the largest. --csv writes a row a run.
    """
    one_stdout(json, csv)
    from perfmodel.api import estimate
    from perfmodel.simulation.workflow_report import workflow_report
    from perfmodel.workloads.workflows import MAIN, load_workflow

    wanted = load_workflow(flow)
    setups = {MAIN: estimate(model, device, **ways.arguments()).setup} if MAIN in wanted.roles else {}
    for text in deploy or ():
        role, setup = _deployed(text, device)
        setups[role] = setup
    report = workflow_report(
        wanted, setups, **runs.arguments(), balance=balance, reuse=not no_reuse, chunk=chunk
    )  # fmt: skip
    answer = {name: value for name, value in report.items() if name != "points"}
    give(answer, report["points"], lambda: _print(report), json=json, csv=csv)


@app.command("list", cls=PlainCommand, epilog=examples("workflow list", "workflow list --json"))
def list_(json: o.Json = False) -> None:
    """List the workflows of the library and of the folders in PERFMODEL_SPECS."""
    from perfmodel.workloads.workflows import list_workflows, load_workflow

    found = [load_workflow(name) for name in list_workflows()]
    if json:
        rows = [{"name": one.name, "description": one.description, "roles": one.roles, "notes": one.notes,
                 "sources": [source.citation() for source in one.sources]} for one in found]  # fmt: skip
        print_json({"schema": "perfmodel/workflows/1", "workflows": rows})
        return
    rows = [(one.name, ", ".join(one.roles), one.description) for one in found]
    print_columns([("workflow", "roles", "what it is"), *rows])


def _deployed(text: str, device: str) -> tuple[str, Setup]:
    """Return a role and its deployment from ``small=llama-3.2-1b,on=l4,dp=2``."""
    from perfmodel.api import estimate
    from perfmodel.workloads.library import load_model

    role, equals, rest = text.partition("=")
    model, *words = rest.split(",")
    if not equals or not role.strip() or not model.strip():
        raise InputError(f"--deploy: '{text}' is not ROLE=MODEL,FIELD=VALUE.., such as small=llama-3.2-1b,on=l4,dp=2")
    given: dict[str, Any] = {}
    for word in words:
        field, equals, value = (part.strip() for part in word.partition("="))
        if field not in ("on", "tp", "dp", "ep", "attention_dp", "precision", "engine") or not equals:
            raise InputError(
                f"--deploy: '{word}' is not one of on, tp, dp, ep, attention_dp, precision, engine, with ="
            )
        given[field] = value
    where = given.pop("on", device)
    # an encoder generates nothing: its calls are prompts alone
    phase = "serve" if load_model(model.strip()).generates else "prefill"
    return role.strip(), estimate(model.strip(), where, phase=phase, **given).setup


def _print(report: Mapping[str, Any]) -> None:
    print(f"{report['workflow']}: {report['runs']:,} runs, {report['description']}\n")
    if report["saturated"]:
        print("SATURATED: more begins than these deployments serve; waiting grows as long as it lasts.")
        print(f"They serve about {report['runs_per_s']:.3g} runs a second.\n")
    closed = report["closed_form"]["e2e_s"]
    rows = [("whole run", report["e2e_s"], closed), ("first token of the last call", report["answer_s"], None)]
    rows += [(f"  {name}", found, None) for name, found in report["stages"].items()]
    print_columns(
        [("", "mean", "p50", "p90", "p99", "closed form"),
         *((name, *map(time_text, (found[part] for part in ("mean", "p50", "p90", "p99"))),
           time_text(known) if known else "")
           for name, found, known in rows)],
        numbers=(1, 2, 3, 4, 5),
    )  # fmt: skip
    print()
    heading = (
        "role",
        "model",
        "on",
        "calls a run",
        "tokens in",
        "of cache",
        "tokens out",
        "TTFT p90",
        "TPOT p90",
        "busy",
    )
    print_columns([heading, *(_role(name, role) for name, role in report["roles"].items())], numbers=range(3, 10))
    usd = report["usd_per_run"]
    print(f"\n{report['runs_per_s']:.4g} runs/s" + ("" if usd is None else f", ${usd:.4g} a run"))
    if "slo_share" in report:
        print(f"{100 * report['slo_share']:.1f} % keep all limits: goodput {report['goodput_per_s']:.4g} runs/s")


def _role(name: str, role: Mapping[str, Any]) -> tuple[str, ...]:
    tokens = (f"{role[f'{what}_tokens_per_run']:,.0f}" for what in ("prompt", "cached", "output"))
    times = (time_text(role[what]["p90"]) if role[what] else "" for what in ("ttft_s", "tpot_s"))
    return (name, role["model"], f"{role['devices']} {role['device']}", f"{role['calls_per_run']:.4g}", *tokens, *times,
            f"{100 * role['busy_share']:.0f} %")  # fmt: skip
