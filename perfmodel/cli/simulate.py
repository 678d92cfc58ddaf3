"""``perfmodel simulate``: requests one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import note, one_stdout, print_columns, print_json, write_table_csv
from perfmodel.cli.plain import PlannedCommand, examples, new_app
from perfmodel.cli.progress import progress
from perfmodel.cli.question import changes, options, pools

app = new_app()


@app.command(
    cls=PlannedCommand,
    epilog=examples(
        "simulate llama-3.1-70b --on h100-sxm --tp 4 --rate 2 --input 2048 --output 256 --engine vllm",
        "simulate llama-3.1-8b --on l40s --rate 3 --usecase chat --arrival gamma --ttft 1s --tpot 50ms",
        "simulate llama-3.1-8b --on h100-sxm --trace requests.csv --policy prompts_first --csv each.csv",
        "simulate llama-3.1-70b --on h100-sxm --prefill workers=2,tp=2 --decode tp=4 --rate 2",
        "simulate llama-3.1-8b --on h100-sxm --in-flight 64 --requests 500",
        "simulate llama-3.1-8b --on l40s --rate 1,2,4,8 --seed 0,1,2 --dask tcp://host:8786 --csv runs.csv",
    ),
)
def simulate(
    model: o.Model,
    device: o.On,
    rate: Annotated[
        str, typer.Option("--rate", metavar="R", help="Requests a second that arrive; several: 1,2,4.")
    ] = "",
    trace: Annotated[
        str, typer.Option("--trace", metavar="FILE", help="CSV: arrival_s, input_tokens, output_tokens, cached_tokens.")
    ] = "",
    in_flight: Annotated[str, typer.Option("--in-flight", metavar="N", help="A closed loop of so many requests.")] = "",
    requests: Annotated[str, typer.Option("--requests", metavar="N", help="How many requests to simulate.")] = "1000",
    arrival: Annotated[str, typer.Option("--arrival", metavar="NAME", help="poisson, gamma or regular.")] = "poisson",
    variation: Annotated[
        str, typer.Option("--variation", metavar="X", help="Gamma: standard deviation of the gaps over their mean.")
    ] = "2",
    input_tokens: o.Input = "",
    output_tokens: o.Output = "",
    spread: Annotated[
        str,
        typer.Option("--spread", metavar="SIGMA", help="Lengths are lognormal with this sigma  [default: all alike]"),
    ] = "",
    usecase: o.UseCaseName = "",
    shared_prefix: Annotated[
        str, typer.Option("--shared-prefix", metavar="SHARE", help="Part of the input that a prefix cache holds.")
    ] = "0",
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="NAME", help="chunked (prompts in pieces beside decodes) or prompts_first."),
    ] = "chunked",
    chunk: Annotated[str, typer.Option("--chunk", metavar="N", help="Most tokens of a step.")] = "8192",
    most_running: Annotated[
        str, typer.Option("--most-running", metavar="N", help="Most requests that a replica runs at once.")
    ] = "1000000",
    ttft: Annotated[
        str, typer.Option("--ttft", metavar="TIME", help="Limit of a request's TTFT, for the goodput.")
    ] = "",
    tpot: Annotated[str, typer.Option("--tpot", metavar="TIME", help="Limit of its TPOT.")] = "",
    tbt: Annotated[
        str, typer.Option("--tbt", metavar="TIME", help="Limit of the gaps between its tokens, for 99 of 100.")
    ] = "",
    e2e: Annotated[str, typer.Option("--e2e", metavar="TIME", help="Limit of its whole time.")] = "",
    tp: o.Tp = "1",
    ep: o.Ep = "1",
    attention_dp: o.AttentionDp = "1",
    dp: o.Dp = "1",
    draft_tokens: o.DraftTokens = "",
    acceptance: o.Acceptance = "",
    precision: o.Precision = "",
    kv: o.Kv = "",
    engine: o.Engine = "",
    prefill: Annotated[
        str, typer.Option("--prefill", metavar="FIELD=N,..", help="A prefill pool: workers=2,tp=2.")
    ] = "",
    decode: Annotated[str, typer.Option("--decode", metavar="FIELD=N,..", help="The decode pool.")] = "",
    change: o.Changes = None,
    seed: Annotated[
        str, typer.Option("--seed", metavar="N,..", help="Another seed draws other requests; several: 0,1,2.")
    ] = "0",
    json: o.Json = False,
    csv: o.CsvFile = "",
    dask: o.Dask = "",
) -> None:
    """Simulate requests one by one on a deployment: percentiles, goodput, and whether it keeps up.

    Continuous batching step by step, every step as long as the formulas say for what is in it. Where more arrives than
    the deployment can serve, the queue grows without end, and that is said instead of percentiles of nothing. --csv
    writes a row a request; of several rates or seeds a row a run, and --dask spreads these over machines.
    """
    words = {name: value for name, value in locals().items() if name not in ("json", "csv", "dask")}
    one_stdout(json, csv)
    from perfmodel.api import estimate
    from perfmodel.cli.durations import seconds
    from perfmodel.simulation.report import lengths_from, simulate_report
    from perfmodel.simulation.runs import runs_report
    from perfmodel.simulation.summary import Slo

    inputs, outputs = lengths_from(usecase, input_tokens, output_tokens, spread)
    chosen = options(precision=precision, kv=kv, engine=engine) | pools("", {"prefill": prefill, "decode": decode})
    asked = estimate(
        model, device, tp=tp, ep=ep, attention_dp=attention_dp, dp=dp, draft_tokens=draft_tokens or 0,
        acceptance=acceptance or 0.8, changes=changes(change), **chosen,
    )  # fmt: skip
    limits = [seconds(f"--{name}", text) for name, text in (("ttft", ttft), ("tpot", tpot), ("e2e", e2e), ("tbt", tbt))]
    slo = Slo(*limits) if ttft or tpot or e2e or tbt else None
    how: dict[str, Any] = {
        "rate": rate, "in_flight": in_flight, "requests": requests, "trace": trace, "inputs": inputs,
        "outputs": outputs, "arrival": arrival, "variation": variation, "shared_prefix": shared_prefix,
        "policy": policy, "chunk": chunk, "most_running": most_running, "slo": slo, "seed": seed,
    }  # fmt: skip
    if dask or any("," in text for text in (rate, in_flight, seed)):
        question = {**words, "model hash": asked.model.spec_hash, "device hash": asked.device.spec_hash}
        with progress("simulate") as update:
            found = runs_report(asked.setup, question, how, out=csv, scheduler=dask, progress=update)
        _show_runs(found, json, csv)
        return
    report = simulate_report(asked.setup, **how)
    if csv:
        write_table_csv(csv, report["points"])
    if json:
        print_json({name: value for name, value in report.items() if name != "points"})
    elif csv != "-":
        _print(report)


def _show_runs(report: Mapping[str, Any], json: bool, csv: str) -> None:
    rows = report["rows"]
    if csv:
        write_table_csv(csv, rows)
    if json:
        print_json(report)
    elif csv != "-":
        print(f"{report['model']} on {report['devices']} {report['device']}\n")
        load = next(iter(rows[0]))
        heading = (load.replace("_", " "), "seed", "requests/s", "tokens/s", "TTFT p50", "p90", "TPOT p50", "p90", "")
        cells = [
            (f"{row[load]:g}", str(row["seed"]), f"{row['requests_per_s']:.4g}", f"{row['tokens_per_s']:,.0f}",
             *(_text(row[f"{name}_{share}_s"] or 0.0) for name in ("ttft", "tpot") for share in ("p50", "p90")),
             "saturated" if row["saturated"] else "")
            for row in rows
        ]  # fmt: skip
        print_columns([heading, *cells], numbers=range(8))
    for problem in report["problems"]:
        note(problem)


def _print(report: Mapping[str, Any]) -> None:
    devices = f"{report['devices']} {report['device']}"
    print(f"{report['model']} on {devices}: {report['requests']:,} requests, {report['inputs']['policy']}\n")
    if report["saturated"]:
        print("SATURATED: more arrives than this deployment serves; waiting grows as long as the run lasts.")
        print(f"It serves about {report['requests_per_s']:.3g} requests a second.\n")
    heading = ("", "mean", "p50", "p90", "p99", "closed form")
    print_columns(
        [heading, *(_times(report, name) for name in ("ttft", "tpot", "tbt", "e2e"))], numbers=(1, 2, 3, 4, 5)
    )
    print(f"\n{report['requests_per_s']:.4g} requests/s, {report['tokens_per_s']:,.0f} tokens/s, "
          f"busy {100 * report['busy_share']:.0f} % of the time, {report['preemptions']} preemptions")  # fmt: skip
    if "slo_share" in report:
        print(f"{100 * report['slo_share']:.1f} % keep all limits: goodput {report['goodput_per_s']:.4g} requests/s")
    for problem in report["problems"]:
        note(problem)


def _times(report: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = report[f"{name}_s"]
    if found is None:
        return name.upper(), "", "", "", "", ""
    known = report["closed_form"].get(f"{name}_s")
    return name.upper(), *(_text(found[part]) for part in ("mean", "p50", "p90", "p99")), _text(known) if known else ""


def _text(value: float) -> str:
    return f"{1e3 * value:,.4g} ms" if value < 10 else f"{value:,.4g} s"
