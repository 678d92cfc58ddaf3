"""``perfmodel plan``: which parallelism, load and pools to deploy a model with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import TimeLimits
from perfmodel.cli.output import give, note, one_stdout, print_columns, short
from perfmodel.cli.plain import WatchedCommand, examples, new_app

app = new_app()

Devices = Annotated[
    str,
    typer.Option("--on", metavar="DEVICE,..", autocompletion=o.complete_device, help="The devices to choose from."),
]


@dataclass(frozen=True)
class Wanted:
    """What is best, and how surely."""

    objective: Annotated[
        str, typer.Option("--objective", metavar="WHAT", help="cost, throughput, latency or energy.")
    ] = "cost"
    sure: Annotated[
        str, typer.Option("--sure", metavar="WHAT", help="What must keep the limits: expected, or p90 of its band.")
    ] = "expected"
    margin: Annotated[
        str, typer.Option("--margin", metavar="PERCENT", help="How far expected times stay below the limits.")
    ] = "10"
    mode: Annotated[str, typer.Option("--mode", metavar="MODE", help="agg, disagg (separate pools) or both.")] = "both"


@dataclass(frozen=True)
class Ways:
    """What the search may choose from."""

    engine: o.Engine = ""
    precision: Annotated[
        str,
        typer.Option("--precision", metavar="NAME,..", help="Precisions to choose from  [default: the checkpoint's]"),
    ] = ""
    kv: o.Kv = ""
    tp: Annotated[
        str, typer.Option("--tp", metavar="N,..", help="Tensor parallelism to choose from  [default: any]")
    ] = ""
    pp: Annotated[str, typer.Option("--pp", metavar="N,..", help="Pipeline stages to choose from.")] = ""
    cp: Annotated[
        str,
        typer.Option("--cp", metavar="N,..", help="Parts of a sequence  [default: 1, longer than 32768 tokens any]"),
    ] = ""
    attention_dp: Annotated[str, typer.Option("--attention-dp", metavar="N,..", help="Attention groups.")] = ""
    ep: Annotated[str, typer.Option("--ep", metavar="N,..", help="Expert parallelism to choose from.")] = ""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`perfmodel.search.report.plan_report`."""
        only = {name: text for name in ("tp", "pp", "cp", "attention_dp", "ep") if (text := getattr(self, name))}
        return {"engine": self.engine, "precisions": self.precision.split(","), "kv_precision": self.kv, "only": only}


@dataclass(frozen=True)
class Promised:
    """Of how many requests a simulation must keep the limits."""

    percentile: Annotated[
        str,
        typer.Option("--percentile", metavar="pN", help="Simulate the best: p50, p90 or p99 of requests keep all."),
    ] = ""
    spread: Annotated[
        str, typer.Option("--spread", metavar="SIGMA", help="Lognormal lengths of simulated requests.  [all alike]")
    ] = ""

    def search(self) -> Callable[..., dict[str, Any]]:
        """Return the search, with the simulation of its best plans where a percentile is asked for."""
        from perfmodel.arguments import positive
        from perfmodel.errors import InputError
        from perfmodel.search.report import plan_report

        if not self.percentile:
            if self.spread:
                raise InputError("--spread is that of simulated requests: give --percentile")
            return plan_report
        from perfmodel.search.verified import Promise, verified_plan_report

        promise = Promise(self.percentile, positive("--spread", self.spread or 0.0))
        return lambda model, devices, **asked: verified_plan_report(model, devices, promise, **asked)


@app.command(
    cls=WatchedCommand,
    epilog=examples(
        "plan llama-3.1-70b --on h100-sxm --gpus 16 --rate 4 --input 4096 --output 512 --ttft 2s --tpot 40ms",
        "plan deepseek-v3 --on h200-sxm,b200 --gpus 64 --rate 40 --tpot 30ms --engine sglang",
        "plan llama-3.1-8b --on l40s,a100-sxm-80gb --gpus 8 --objective throughput --precision bfloat16,fp8",
        "plan llama-3.1-8b --on h100-sxm --gpus 8 --rate 40 --ttft 0.5s --tpot 25ms --percentile p99 --spread 0.8",
        "plan qwen3-235b-a22b --on h200-sxm --gpus 32 --usecase chat --rate 20 --html plan.html",
    ),
)
@grouped
def plan(
    model: o.Model,
    on: Devices,
    *,
    gpus: Annotated[str, typer.Option("--gpus", metavar="N", help="Most devices to use.")] = "8",
    rate: Annotated[
        str, typer.Option("--rate", metavar="R", help="Requests a second to serve  [default: as many as possible]")
    ] = "",
    input_tokens: o.Input = "",
    output_tokens: o.Output = "",
    usecase: o.UseCaseName = "",
    limits: TimeLimits,
    wanted: Wanted,
    ways: Ways,
    promised: Promised,
    price_kind: o.PriceKind = "cloud_hour",
    usd_per_hour: o.UsdPerHour = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
    dask: o.Dask = "",
) -> None:
    """Find the best deployment of a language model on a number of devices.

    Every way of splitting the model is evaluated at every load that its memory holds, as whole replicas and as
    separate pools of prefill and decode workers. The best for the objective is shown with what it beats, the trade of
    speed for a user against tokens a device, and how to launch it. Where no plan keeps the limits, exit code 3 and what
    is missing. With --percentile the best plans are simulated with requests that arrive at random, with more replicas
    where they need them, and the first wins of whose requests so many keep all limits.
    """
    one_stdout(json, csv)
    from perfmodel.cli.question import lengths

    input_tokens, output_tokens = lengths(usecase, input_tokens, output_tokens)
    report = promised.search()(
        model, on.split(","), gpus=gpus, rate=rate, input_tokens=input_tokens, output_tokens=output_tokens,
        **{f"{name}_s": limit for name, limit in limits.seconds().items()}, **vars(wanted), **ways.arguments(),
        price_kind=price_kind, usd_per_hour=usd_per_hour,
        scheduler=dask, out=(csv if csv != "-" else "") or html if dask else "",
    )  # fmt: skip
    give(report, report["front"], lambda: _print(report), json=json, csv=csv, html=html, page="plan.plan_html")
    if report["best"] is None:
        raise typer.Exit(3)


def _print(report: Mapping[str, Any]) -> None:
    best = report["best"]
    print(
        f"{report['model']}, {report['input_tokens']:,} input and {report['output_tokens']:,} output tokens a request"
    )
    print(report["asked"])
    if best is None and report.get("simulated"):
        print("\nNo plan does that when its requests arrive at random:")
        _print_simulated(report)
    elif best is None:
        print("\nNo plan does that. The nearest:")
        for row in report["misses"][:5]:
            print(f"  {row['plan']}: " + "; ".join(row["misses"]))
    else:
        print(f"\nBest: {best['plan']}, {best['devices_used']} device{'s' * (best['devices_used'] != 1)}")
        print_columns(report["answers"], numbers=(1, 2, 3, 4), indent="  ")
        if report.get("simulated"):
            print(f"\nSimulated: {report['inputs']['percentile']} of the requests must keep all limits")
            _print_simulated(report)
        print("\nWhat it beats")
        print_columns([("plan", "devices", "TTFT", "TPOT", "why not"), *(_other(row) for row in report["others"])],
                      numbers=(1, 2, 3), indent="  ")  # fmt: skip
        print("\nLaunch")
        for framework, commands in report["flags"].items():
            for command in commands:
                print(f"  {framework}: {command}")
    if report["front"]:
        print("\nSpeed for a user against tokens a device (both as high as can be)")
        heading = ("tokens/s/user", "tokens/s/device", "TTFT", "requests at once", "plan")
        print_columns(
            [heading, *(_front(row) for row in _thinned(report["front"], 12))], numbers=(0, 1, 2, 3), indent="  "
        )
    for problem in report["problems"]:
        note(problem)
    note(f"{report['plans']:,} plans, {report['evaluated']:,} points in {report['seconds']:.2f} s")


def _print_simulated(report: Mapping[str, Any]) -> None:
    which = report["inputs"]["percentile"]
    rows = [
        (row["plan"], str(row["devices"]), row["error"], "", "", "") if "error" in row
        else (row["plan"], str(row["devices"]), *(_ms(row[f"{name}_{which}_s"]) for name in ("ttft", "tpot", "e2e")),
              "saturated" if row["saturated"] else f"{100 * row['slo_share']:.1f} %")
        for row in report["simulated"]
    ]  # fmt: skip
    heading = ("plan", "devices", *(f"{name} {which}" for name in ("TTFT", "TPOT", "E2E")), "keep all")
    print_columns([heading, *rows], numbers=(1, 2, 3, 4, 5), indent="  ")


def _ms(value: float | None) -> str:
    return "" if value is None else f"{1e3 * value:,.4g} ms"


def _other(row: Mapping[str, Any]) -> tuple[str, ...]:
    devices = int(row["devices"] * row["replicas"])
    return row["plan"], str(devices), f"{1e3 * row['ttft_s']:,.0f} ms", f"{1e3 * row['tpot_s']:.1f} ms", row["why"]


def _front(row: Mapping[str, Any]) -> tuple[str, ...]:
    speeds = short(row["tokens_per_s_per_user"]), short(row["tokens_per_s_per_device"])
    return *speeds, f"{1e3 * row['ttft_s']:,.0f} ms", f"{row['load']:g}", row["plan"]


def _thinned(rows: Sequence[Any], count: int) -> list[Any]:
    """Return about ``count`` rows, evenly spread, the first and the last among them."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (count - 1))] for i in range(count)]
