"""``perfmodel ops``: the operators of one step."""

from __future__ import annotations

from typing import Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Arithmetic, Load, NetworkWords, Split, ask, ask_network
from perfmodel.cli.kinds import is_network
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import PlannedCommand, examples, new_app
from perfmodel.errors import InputError

app = new_app()
SCHEMA = "perfmodel/ops/1"


@app.command(
    cls=PlannedCommand,
    epilog=examples(
        "ops llama-3.1-8b --on h100-sxm --phase decode --batch 64 --input 4096",
        "ops deepseek-v3 --on h200-sxm --tp 8 --ep 8 --phase prefill --csv ops.csv",
        "ops deepseek-v3 --on h800 --tp 4 --attention-dp 80 --ep 320 --redundant-experts 64 --batch 2560",
        "ops resnet50 --on rtx-4090 --batch 32 --precision int8 --fusion none",
    ),
)
@grouped
def ops(
    context: typer.Context,
    model: o.Model,
    device: o.On,
    *,
    phase: o.StepPhase = "decode",
    load: Load,
    split: Split,
    arithmetic: Arithmetic,
    words: NetworkWords,
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """List the operators of one step of the whole batch: counts, times and what bounds each.

    Times, flops and bytes are those of one device and of all repetitions (layers) together. Of a network they are the
    kernels of a batch.
    """
    one_stdout(json, csv)
    if is_network(context, model):
        found = ask_network(model, device, load, split, arithmetic, words)
        _show(found.report(), json, csv)
        return
    if phase not in ("prefill", "decode"):
        raise InputError(f"ops shows one step: --phase is prefill or decode, not '{phase}'")
    answer = ask(model, device, load, split, arithmetic, phase=phase, static=True)
    _show(answer.report(), json, csv)


def _show(report: dict[str, Any], json: bool, csv: str) -> None:
    rows = report["operators"]
    kept = ("version", "inputs", "step_s", "latency_s", "operators", "spec_hashes")
    answer = {"schema": SCHEMA, **{key: report[key] for key in kept if key in report}}
    give(answer, rows, lambda: _print(report, rows), json=json, csv=csv)


def _print(report: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    from perfmodel.reports.summary import scenario, title
    from perfmodel.units import format_quantity

    print(f"{title(report)}\n{scenario(report)}\n")
    several = len({row["phase"] for row in rows}) > 1 and "block" in rows[0]
    heading = ("operator", "kind", "dtype", "x", "GFLOP", "MB", "bound us", "expected us", "share", "bound by")
    table = [heading] + [
        (
            f"{row['phase']}: {row['name']}" if several else row["name"],
            row["part"] if "block" in row else row["kind"], row["dtype"], f"{row['repeat']:g}",
            f"{row['flops'] / 1e9:,.3f}",
            f"{row['bytes'] / 1e6:,.2f}", f"{row['bound_s'] * 1e6:,.1f}", f"{row['expected_s'] * 1e6:,.1f}",
            f"{100 * row['share']:.1f}%", row["bottleneck"],
        )
        for row in rows
    ]  # fmt: skip
    print_columns(table, numbers=range(3, 9))
    what = "step" if "step_s" in report else "batch"
    times = report["step_s" if "step_s" in report else "latency_s"]
    step = {name: format_quantity(seconds, "seconds") for name, seconds in times.items()}
    print(f"\n{what}: {step['expected']} expected (p10 {step['p10']}, p90 {step['p90']}), bound {step['bound']}")
