"""``perfmodel sensitivity``: what an answer hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Arithmetic, Load, Phases, Split, ask
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import PlainCommand, examples, new_app

app = new_app()
Metric = Annotated[
    str,
    typer.Option(
        "--metric",
        metavar="NAME,..",
        help="ttft, tpot, e2e, tokens_per_s, joules_per_token, usd_per_million_tokens.",
    ),
]


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "sensitivity llama-3.1-70b --on h100-sxm --tp 4 --batch 64",
        "sensitivity deepseek-v3 --on h200-sxm --tp 8 --ep 8 --batch 128 --engine sglang --metric tpot,tokens_per_s",
        "sensitivity llama-3.1-8b --on l40s --batch 16 --html tornado.html",
    ),
)
@grouped
def sensitivity(
    model: o.Model,
    device: o.On,
    *,
    metric: Metric = "ttft,tpot",
    load: Load,
    split: Split,
    arithmetic: Arithmetic,
    phases: Phases,
    bound: Annotated[bool, typer.Option("--bound", help="Of the bounds rather than the expected times.")] = False,
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
) -> None:
    """Rank the numbers of the machine and the load by what they do to an answer.

    The elasticity is exact, by differentiating the formula: how many per cent the metric changes with one per cent of
    the number. Beside it the metric with the number 10 % higher and lower, whole tiles and batches included; and where
    the bottleneck of each step switches.
    """
    one_stdout(json, csv)
    from perfmodel.search.sensitivity_report import sensitivity_report

    asked = ask(model, device, load, split, arithmetic, phases)
    numbers = float(asked.batch), float(asked.input_tokens), float(asked.output_tokens)
    metrics = [name.strip() for name in metric.split(",") if name.strip()]
    report = sensitivity_report(asked.setup, numbers, metrics, "bound" if bound else "expected")
    give(
        report,
        report["elasticities"],
        lambda: _print(report),
        json=json,
        csv=csv,
        html=html,
        page="sensitivity.sensitivity_html",
    )


def _print(report: Mapping[str, Any]) -> None:
    print(f"{report['model']} on {report['device']}: {report['scenario']}")
    rows: Sequence[Mapping[str, Any]] = report["elasticities"]
    for metric in report["metrics"]:
        print(f"\n{metric['name']} {report['of']}: {metric['text']}")
        heading = ("number", "is", "% for 1 %", "10 % less", "10 % more")
        mine = [row for row in rows if row["metric"] == metric["metric"]]
        shown = [row for row in mine if abs(row["elasticity"]) >= 5e-4 or abs(row["up"] - row["down"]) >= 5e-4]
        cells = [(row["meaning"], row["text"], f"{row['elasticity']:+.2f}", _change(row["down"]), _change(row["up"]))
                 for row in shown]  # fmt: skip
        print_columns([heading, *cells], numbers=(1, 2, 3, 4), indent="  ")
        if rest := [row["meaning"] for row in mine if row not in shown]:
            print(f"  no effect: {', '.join(rest)}")
    if report["crossovers"]:
        print("\nWhere the bottleneck (of the bound) switches")
        heading = ("step", "number", "at", "below", "above")
        print_columns([heading, *((c["phase"], c["meaning"], c["text"], c["below"], c["above"])
                                  for c in report["crossovers"])], numbers=(2,), indent="  ")  # fmt: skip


def _change(factor: float) -> str:
    return f"{100.0 * (factor - 1.0):+.1f} %"
