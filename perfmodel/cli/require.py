"""``perfmodel require``: the machine that keeps the limits of a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Arithmetic, Load, Split, TimeLimits, ask
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import PlainCommand, examples, new_app

app = new_app()


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "require llama-3.1-70b --on h100-sxm --tp 8 --batch 64 --input 2048 --output 512 --ttft 0.5s --tpot 20ms",
        "require llama-3.1-405b --parameters 10T --on gb200-nvl72 --tp 64 --usecase chat --tpot 50ms",
        "require deepseek-v3 --on h200-sxm --tp 8 --ep 8 --batch 64 --tpot 20ms --of bound",
        "require llama-3.1-8b --on l40s --usecase chat --trade bandwidth,peak --html region.html",
    ),
)
@grouped
def require(
    model: o.Model,
    device: o.On,
    *,
    limits: TimeLimits,
    of: Annotated[
        str, typer.Option("--of", metavar="WHAT", help="What must keep them: expected, p90 or bound.")
    ] = "expected",
    parameters: Annotated[
        str, typer.Option("--parameters", metavar="COUNT", help="Scale the model to this size: 1T, 10T, 400T.")
    ] = "",
    trade: Annotated[
        str, typer.Option("--trade", metavar="X,Y", help="Trade two numbers: peak, bandwidth, capacity, link, network.")
    ] = "bandwidth,peak",
    load: Load,
    split: Split,
    arithmetic: Arithmetic,
    static: o.Static = False,
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
) -> None:
    """Say what a platform must have for a model to keep its limits: the estimate turned round.

    Starts from a device's own numbers and coefficients. For each number: what physics asks for (work over time,
    whatever the rest is like), and what the expected times ask for with all else as it is; then by how much all must
    grow together, and the edge of what is enough between two of them. A use case brings its own limits.
    """
    one_stdout(json, csv)
    from perfmodel.search.require_report import asked_limits, require_report

    workload: Any = model
    if parameters:
        from perfmodel.workloads.library import load_model
        from perfmodel.workloads.scaled import scaled_model

        workload = scaled_model(load_model(model), parameters)
    asked = ask(workload, device, load, split, arithmetic, static=static)
    numbers = float(asked.batch), float(asked.input_tokens), float(asked.output_tokens)
    kept = asked_limits(load.usecase, limits.seconds(), of)
    report = require_report(asked.setup, numbers, kept, trade)
    give(report, report["needs"], lambda: _print(report), json=json, csv=csv, html=html, page="require.require_html")


def _print(report: Mapping[str, Any]) -> None:
    print(f"{report['model']} on a platform like {report['device']}: {report['scenario']}")
    print(f"required: {report['required']}")
    print(f"\n{report['finding']}\n")
    heading = ("number of a device", "has", "physics asks for", "that is", "expected asks for", "")
    fields = ("meaning", "has_text", "floor_text", "formula", "alone_text", "verdict")
    print_columns([heading, *(tuple(need[field] for field in fields) for need in report["needs"])], numbers=(1, 2, 4))
    curve = report["curve"]
    if curve:
        others = "" if curve["others"] == 1 else f", the others {curve['others']:.3g} times what they are"
        print(f"\nThe edge of what is enough: {curve['x_meaning']} against {curve['y_meaning']}{others}")
        heading = (curve["x_meaning"], f"least {curve['y_meaning']}")
        points = ((point["x_text"], point["y_text"]) for point in curve["points"])
        print_columns([heading, *points], numbers=(0, 1), indent="  ")
