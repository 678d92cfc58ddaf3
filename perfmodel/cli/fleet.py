"""``perfmodel fleet``: the cheapest mix of devices for requests of many sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import give, note, one_stdout, print_columns, short
from perfmodel.cli.plain import PlainCommand, examples, new_app

app = new_app()


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "fleet llama-3.1-8b --on l4,a10g,a100-sxm-80gb,h100-sxm --rate 20 --usecase chat --tpot 120ms --engine vllm",
        "fleet llama-3.1-8b --on l4=16,h100-sxm=4 --rate 40 --input 500 --output 200 --spread 1 --tpot 100ms --spare 1",
        "fleet llama-3.1-70b --on h100-sxm,mi300x --rate 10 --usecase chat --day usual --html fleet.html",
    ),
)
def fleet(
    model: o.Model,
    on: Annotated[
        str,
        typer.Option("--on", metavar="DEVICE[=N],..", help="The devices on offer; =N: there are only so many."),
    ],
    rate: Annotated[str, typer.Option("--rate", metavar="R", help="Requests a second.")],
    input_tokens: o.Input = "",
    output_tokens: o.Output = "",
    spread: Annotated[
        str,
        typer.Option("--spread", metavar="SIGMA", help="Lengths are lognormal with this sigma  [default: all alike]"),
    ] = "",
    usecase: o.UseCaseName = "",
    cuts: Annotated[
        str, typer.Option("--cuts", metavar="N", help="Into how many sizes inputs and outputs are sorted.")
    ] = "4",
    ttft: Annotated[str, typer.Option("--ttft", metavar="TIME", help="Limit on the time to the first token.")] = "",
    tpot: Annotated[str, typer.Option("--tpot", metavar="TIME", help="Limit on the time a further token.")] = "",
    sure: Annotated[
        str, typer.Option("--sure", metavar="WHAT", help="What must keep the limits: expected, or p90 of its band.")
    ] = "expected",
    largest_replica: Annotated[
        str, typer.Option("--largest-replica", metavar="N", help="Most devices of one replica.")
    ] = "8",
    spare: Annotated[
        str, typer.Option("--spare", metavar="K", help="Replicas of each kind that may fail (N + K).")
    ] = "0",
    day: Annotated[
        str, typer.Option("--day", metavar="FILE", help="A day's load, CSV with hour and rate; usual: a usual day.")
    ] = "",
    engine: o.Engine = "",
    precision: o.Precision = "",
    price_kind: o.PriceKind = "cloud_hour",
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
) -> None:
    """Find the cheapest mix of devices for requests of many sizes.

    Requests are sorted by size; for each size and device the best replica that keeps the limits is found, and an
    integer program chooses how many of each to hire and who serves what.
    """
    one_stdout(json, csv)
    from perfmodel.cli.durations import seconds
    from perfmodel.search.fleet_report import fleet_report
    from perfmodel.simulation.report import lengths_from

    inputs, outputs = lengths_from(usecase, input_tokens, output_tokens, spread)
    report = fleet_report(
        model, on.split(","), rate=rate, inputs=inputs, outputs=outputs, cuts=cuts, largest_replica=largest_replica,
        ttft_s=seconds("--ttft", ttft), tpot_s=seconds("--tpot", tpot), sure=sure, engine=engine, precision=precision,
        price_kind=price_kind, spare=spare, day=day,
    )  # fmt: skip
    give(report, report["fleet"], lambda: _print(report), json=json, csv=csv, html=html, page="fleet.fleet_html")


def _print(report: Mapping[str, Any]) -> None:
    asked = report["inputs"]
    print(f"{report['model']}, {asked['rate']:g} requests a second: ${report['usd_per_hour']:,.2f} an hour, "
          f"${report['usd_per_million_requests']:,.2f} a million requests\n")  # fmt: skip
    heading = ("replica", "how many", "devices", "$/h", "requests/s", "busy")
    print_columns([heading, *((row["replica"], str(row["replicas"]), str(row["devices"]), f"{row['usd_per_hour']:,.2f}",
                               short(float(row["requests_per_s"])), f"{100 * row['busy_share']:.0f} %")
                              for row in report["fleet"])], numbers=(1, 2, 3, 4, 5))  # fmt: skip
    print("\nOn one kind of device alone")
    for row in report["alone"]:
        cost = row["usd_per_hour"]
        if cost is None:
            print(f"  {row['device']}: {row['why']}")
        else:
            more = 100.0 * (cost / report["usd_per_hour"] - 1.0)
            print(f"  {row['device']}: ${cost:,.2f} an hour, {more:.0f} % more")
    if report["day"]:
        day = report["day"]
        saved = 100.0 * day["saved_share"]
        print(f"\nOver the day: ${day['usd_steady']:,.2f} for the peak all day, "
              f"${day['usd_scaled']:,.2f} following the load ({saved:.0f} % less)")  # fmt: skip
    for problem in report["problems"]:
        note(problem)
