"""``perfmodel design``: which chip to build for a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Load, TimeLimits
from perfmodel.cli.output import give, note, one_stdout, print_columns
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.cli.progress import progress

app = new_app()
MOST_SHOWN = 12


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "design llama-3.1-70b --like h100-sxm --vary bandwidth=1TB/s:8TB/s --vary peak=300TFLOP/s:4PFLOP/s"
        " --vary capacity=40GB:300GB --tp 2 --batch 64 --area 800mm2 --power 700W",
        "design llama-3.1-8b --like l40s --vary cores=32:256 --vary bandwidth=0.5TB/s:4TB/s --batch 32 --tpot 20ms"
        " --objective joules_per_token,area_mm2 --html front.html",
        "design qwen3-30b-a3b --like h200-sxm --vary link=100GB/s:2TB/s --vary tp=1,2,4,8 --batch 128 --make 2000USD",
        "design llama-3.1-8b --like wse-3 --vary engines.mesh.rows=400:1200 --objective tpot_s",
    ),
)
@grouped
def design(
    model: o.Model,
    like: Annotated[
        str, typer.Option("--like", metavar="DEVICE", autocompletion=o.complete_device, help="The chip to start from.")
    ],
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary",
            metavar="NAME=LOW:HIGH",
            help="A range, or choices A,B,C: cores, clock, peak, vector, bandwidth, capacity, cache, link, network;"
            " engines.NAME.KEY; batch, input, output; tp, pp, ep, dp, precision ... (again for each).",
        ),
    ],
    *,
    objective: Annotated[
        str, typer.Option("--objective", metavar="METRIC,..", help="What is to be best, the first first; see the JSON.")
    ] = "usd_per_million_tokens",
    area: Annotated[str, typer.Option("--area", metavar="AREA", help="Most die area: 800mm2.")] = "",
    power: Annotated[str, typer.Option("--power", metavar="WATTS", help="Most power of the board: 700W.")] = "",
    make: Annotated[str, typer.Option("--make", metavar="USD", help="Most that dies and memory may cost.")] = "",
    limits: TimeLimits,
    load: Load,
    tp: o.Tp = "1",
    precision: o.Precision = "",
    engine: o.Engine = "",
    trials: Annotated[str, typer.Option("--trials", metavar="N", help="Designs to try.")] = "2000",
    seed: Annotated[str, typer.Option("--seed", metavar="N", help="The same seed gives the same answer.")] = "0",
    searcher: Annotated[
        str,
        typer.Option("--searcher", metavar="NAME", help="auto (optuna if it is installed), optuna, evolution, random."),
    ] = "auto",
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
) -> None:
    """Search for the chip that serves a model best under limits of area, power, price and time.

    Chips are like one that exists, but for the numbers that vary: they keep its process, its kind of memory, and the
    shares of its peaks that its kernels reach. Area, power and cost follow from the numbers. The front trades the
    objectives, a single one the area. Where no chip keeps the limits: exit code 3 and the nearest.
    """
    one_stdout(json, csv)
    from perfmodel.search.design.report import design_report

    with progress("design") as update:
        report = design_report(
            model, like, vary, **load.arguments(), tp=tp,
            precision=precision, engine=engine, trials=trials, seed=seed, searcher=searcher, progress=update,
            objectives=[name.strip() for name in objective.split(",") if name.strip()],
            limits=_limits(area, power, make, limits),
        )  # fmt: skip
    give(report, report["front"], lambda: _print(report), json=json, csv=csv, html=html, page="design.design_html")
    if report["best"] is None:
        raise typer.Exit(3)


def _limits(area: str, power: str, make: str, times: TimeLimits) -> dict[str, float]:
    from perfmodel.units import parse_quantity

    found = {f"{name}_s": limit for name, limit in times.seconds().items() if limit < math.inf}
    if area:
        found["area_mm2"] = parse_quantity(area, "square_metres") * 1e6
    if power:
        found["power_w"] = parse_quantity(power, "watts")
    if make:
        found["chip_usd"] = parse_quantity(make, "usd")
    return found


def _print(report: Mapping[str, Any]) -> None:
    from perfmodel.search.design.report import metric_text

    print(f"{report['model']} on chips like {report['like']}: {', '.join(report['objectives'])}")
    best = report["best"] or report["nearest"]
    print(f"\n{'Best' if report['best'] else 'No chip keeps these limits. The nearest'}: {best['design']}")
    if report["nearest"]:
        print("  misses: " + "; ".join(report["nearest"]["misses"]))
    names = list(report["metrics"])
    rows = [
        (report["metrics"][n]["name"], metric_text(n, best[n]), metric_text(n, report["model_chip"][n])) for n in names
    ]
    print_columns([("", "this chip", report["like"]), *rows], numbers=(1, 2), indent="  ")
    if report["front"]:
        print("\nNothing beats these in both" if len(report["objectives"]) == 2 else "\nNothing beats these in all")
        shown = _thinned(report["front"], MOST_SHOWN)
        heading = (*(report["metrics"][name]["name"] for name in report["objectives"]), "design")
        cells = [(*(metric_text(name, row[name]) for name in report["objectives"]), row["design"]) for row in shown]
        print_columns([heading, *cells], numbers=range(len(heading) - 1), indent="  ")
    if report["device"]:
        print(f"\n  perfmodel device new --like {report['like']} " + " ".join(f"--set {s}" for s in report["device"]))
    note(f"{report['evaluated']:,} designs ({report['searcher']}), {report['kept']:,} keep the limits")


def _thinned(rows: Sequence[Any], count: int) -> list[Any]:
    """Return about ``count`` rows, evenly spread, the first and the last among them."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (count - 1))] for i in range(count)]
