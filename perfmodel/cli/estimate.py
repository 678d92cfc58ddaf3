"""``perfmodel estimate``: one question, one answer."""

from __future__ import annotations

import sys
from typing import Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Arithmetic, Load, NetworkWords, Phases, Pools, Prices, Split, ask, ask_network
from perfmodel.cli.kinds import is_network
from perfmodel.cli.output import note, one_stdout, print_json, stamped_book, write_page
from perfmodel.cli.plain import PlannedCommand, examples, new_app
from perfmodel.cli.question import refuse_plan_beside_pools

app = new_app()


@app.command(
    cls=PlannedCommand,
    epilog=examples(
        "estimate llama-3.1-8b --on h100-sxm --batch 8 --input 2048 --output 256",
        "estimate qwen3-235b-a22b --on h200-sxm --tp 8 --ep 8 --precision fp8 --json",
        "estimate llama-3.1-405b --on dgx-h100 --tp 8 --pp 2 --batch 32 --usecase summarise",
        "estimate llama-3.1-70b --on b200 --prefill workers=2,tp=2 --decode tp=4",
        "estimate llama-3.1-8b --on h100-sxm --set device.memory.main.bandwidth=*2 --power-limit 500",
        "estimate ./config.json --on l40s --html report.html",
        "estimate resnet50 --on rtx-4090 --batch 128 --precision int8 --engine tensorrt",
    ),
)
@grouped
def estimate(
    context: typer.Context,
    model: o.Model,
    device: o.On,
    load: Load,
    split: Split,
    arithmetic: Arithmetic,
    phases: Phases,
    network: NetworkWords,
    prices: Prices,
    pools: Pools,
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
    xlsx: o.XlsxFile = "",
) -> None:
    """Estimate latency, throughput and memory of a language model or another network on a device.

    Every time has a bound (no run can be faster on average), what to expect of a good implementation, and its band
    from p10 to p90.
    """
    one_stdout(json, csv)
    if is_network(context, model):
        found = ask_network(model, device, load, split, arithmetic, network, prices)
        show(found.report(), json, csv, html, xlsx, live=found)
        return
    refuse_plan_beside_pools(pools.arguments(), split)
    answer = ask(model, device, load, split, arithmetic, phases, prices, pools)
    show(answer.report(), json, csv, html, xlsx, live=answer)


def show(report: dict[str, Any], json: bool, csv: str, html: str, xlsx: str, live: Any = None) -> None:
    """Write the files that were asked for, and the answer to standard output unless a file went there.

    ``live`` is the estimate whose workbook has formulas; without it the workbook has plain values.
    """
    if csv:
        _write_csv(csv, report)
    if html:
        from perfmodel.reports import estimate_html

        write_page(html, estimate_html(report), report)
    if xlsx:
        _write_xlsx(xlsx, report, live)
    if json:
        print_json(report)
    elif csv != "-":
        from perfmodel.reports import render_estimate

        render_estimate(report, None)


def _write_xlsx(target: str, report: dict[str, Any], live: Any) -> None:
    from perfmodel.files import write_bytes
    from perfmodel.reports.xlsx import estimate_xlsx

    if live is None:
        book = estimate_xlsx(report)
    else:
        from perfmodel.workbook import live_xlsx

        book = live_xlsx(live)
    write_bytes(target, stamped_book(book, report))
    note(f"wrote {target}")


def _write_csv(target: str, report: dict[str, Any]) -> None:
    from perfmodel.reports import estimate_columns, estimate_rows, write_csv

    write_csv(target, estimate_rows(report), estimate_columns(report), stdout=sys.stdout)
    if target != "-":
        note(f"wrote {target}")
