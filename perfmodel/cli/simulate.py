"""``perfmodel simulate``: requests one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.output import give, note, one_stdout, write_page
from perfmodel.cli.plain import PlannedCommand, examples, new_app
from perfmodel.cli.progress import progress
from perfmodel.cli.simulate_groups import (
    Arrivals,
    Asking,
    Beside,
    Decoding,
    Lengths,
    Limits,
    Replicas,
    Steps,
    Ways,
)
from perfmodel.cli.simulate_text import print_runs, print_simulation

app = new_app()


@app.command(
    cls=PlannedCommand,
    epilog=examples(
        "simulate llama-3.1-70b --on h100-sxm --tp 4 --rate 2 --input 2048 --output 256 --engine vllm",
        "simulate llama-3.1-8b --on l40s --rate 3 --usecase chat --arrival gamma --ttft 1s --tpot 50ms",
        "simulate llama-3.1-8b --on h100-sxm --trace requests.csv --policy prompts_first --csv each.csv",
        "simulate llama-3.1-70b --on h100-sxm --prefill workers=2,tp=2 --decode tp=4 --rate 2",
        "simulate llama-3.1-8b --on h100-sxm --in-flight 64 --requests 500",
        "simulate llama-3.1-8b --on h100-sxm --rate 4 --draft llama-3.2-1b --draft-tokens 4 --acceptance 0.7",
        "simulate llama-3.1-8b --on h100-sxm --rate 4 --documents 500 --shared-prefix 0.8 --input 8000 --host 256GB",
        "simulate llama-2-7b --on a100-sxm-80gb --rate 4 --adapters 2000 --lora-rank 64",
        "simulate llama-3.1-8b --on a10g --dp 8 --rate 6 --usecase chat --migrate --urgent 0.1 --headroom 8000",
        "simulate llama-3.1-8b --on l40s --rate 1,2,4,8 --seed 0,1,2 --dask tcp://host:8786 --csv runs.csv",
    ),
)
@grouped
def simulate(
    model: o.Model,
    device: o.On,
    *,
    arrivals: Arrivals,
    lengths: Lengths,
    asking: Asking,
    steps: Steps,
    replicas: Replicas,
    limits: Limits,
    ways: Ways,
    decoding: Decoding,
    beside: Beside,
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
    dask: o.Dask = "",
) -> None:
    """Simulate requests one by one on a deployment: percentiles, goodput, and whether it keeps up.

    Continuous batching step by step, every step as long as the formulas say for what is in it. Where more arrives than
    the deployment can serve, the queue grows without end, and that is said instead of percentiles of nothing. --csv
    writes a row a request; of several rates or seeds a row a run, and --dask spreads these over machines.
    """
    groups = arrivals, lengths, asking, steps, replicas, limits, ways, decoding, beside
    one_stdout(json, csv)
    from perfmodel.api import estimate
    from perfmodel.simulation.report import simulate_report
    from perfmodel.simulation.words import exiting

    asked = estimate(
        exiting(model, decoding.exit_), device, **ways.arguments(), **({} if decoding.draft else decoding.drafts)
    )
    small = estimate(decoding.draft, device, **ways.arguments()).setup if decoding.draft else None
    how: dict[str, Any] = {
        **vars(arrivals), **lengths.arguments(), **asking.arguments(), **vars(steps), "slo": limits.slo(),
        "equipment": beside.equipment(asked.device, decoding, asking.adapters, small),
        "above": replicas.above(asked.device),
    }  # fmt: skip
    if dask or arrivals.several:
        words = {
            "model": model,
            "device": device,
            **{name: text for group in groups for name, text in vars(group).items()},
        }
        question = {**words, "model hash": asked.model.spec_hash, "device hash": asked.device.spec_hash}
        _several(asked.setup, question, how, (json, csv, html, dask))
        return
    report = simulate_report(asked.setup, **how)
    _write_html(html, report)
    answer = {name: value for name, value in report.items() if name != "points"}
    give(answer, report["points"], lambda: print_simulation(report), json=json, csv=csv)


def _several(setup: Any, question: Mapping[str, Any], how: Mapping[str, Any], out: tuple[bool, str, str, str]) -> None:
    """Run several loads and seeds, and write a row of each."""
    from perfmodel.simulation.runs import runs_report

    json, csv, html, dask = out
    with progress("simulate") as update:
        report = runs_report(setup, question, how, out=csv, scheduler=dask, progress=update)
    _write_html(html, report)
    give(report, report["rows"], lambda: print_runs(report), json=json, csv=csv)
    if json:
        for problem in report["problems"]:
            note(problem)


def _write_html(target: str, report: Mapping[str, Any]) -> None:
    if target:
        from perfmodel.reports.simulation import simulation_html

        write_page(target, simulation_html(report), {name: part for name, part in report.items() if name != "points"})
