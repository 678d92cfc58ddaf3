"""``perfmodel network prune``: a network with fewer channels."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.network_show import band, shape, totals
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import examples

SCHEMA = "perfmodel/network-prune/1"
EXAMPLES = examples(
    "network prune resnet50 --on jetson-orin-nano --prune 0.5",
    'network prune mobilenetv2_100 --on hailo-8 --precision int8 --prune "*=0.25,blocks.5.*=0.5" --csv widths.csv',
)


def prune(
    model: w.o.Model,
    device: w.o.On,
    share: Annotated[
        str,
        typer.Option(
            "--prune", metavar="[BLOCKS=]SHARE,..", help="Share of the channels of (some) blocks to leave out."
        ),
    ],
    divisor: Annotated[str, typer.Option("--divisor", metavar="N", help="Widths are multiples of it.")] = "8",
    batch: w.Batch = "1",
    image: w.Image = "",
    precision: w.Precision = "",
    fusion: w.Fusion = "",
    sparsity: w.o.Sparsity = "",
    engine: w.Engine = "",
    stage: w.StageName = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Leave out channels of a network's blocks, consistently, and compare size, work and latency.

    Layers whose results are added or gated keep one width; channels that attention, slices or the network's results
    depend on stay. Accuracy is not estimated.
    """
    from perfmodel.arguments import whole
    from perfmodel.workloads.networks.summary import counts_of
    from perfmodel.workloads.pruning import parse_pruning, pruned

    one_stdout(json, csv)
    shares, asked = parse_pruning(share), w.Asked(precision, "", fusion, sparsity, engine)
    before = w.setup_of(model, device, asked, image=image, change=change, stage=stage)
    network, samples = before.pipeline.stages[0].network, whole("--batch", batch)
    narrow = pruned(network, shares, whole("--divisor", divisor))
    after = w.setup_for(narrow, before.device, asked)
    answer: dict[str, Any] = {
        "schema": SCHEMA, "version": __version__, "inputs": {**w.inputs(before, samples), "prune": dict(shares)},
        "before": {**counts_of(network), **totals(before, samples)},
        "after": {**counts_of(narrow), **totals(after, samples)},
        "blocks": _blocks(network, narrow),
    }  # fmt: skip
    rows = [row | {name: shape(row[name]) for name in ("before", "after")} for row in answer["blocks"]]
    give(answer, rows, lambda: _print(answer), json=json, csv=csv)


def _blocks(before: Any, after: Any) -> list[dict[str, Any]]:
    from perfmodel.workloads.networks.summary import block_rows

    return [
        {
            "block": a["block"], "before": a["shape"], "after": b["shape"], "parameters_before": a["parameters"],
            "parameters_after": b["parameters"], "macs_before": a["macs"], "macs_after": b["macs"],
        }
        for a, b in zip(block_rows(before), block_rows(after), strict=True)
    ]  # fmt: skip


def _print(answer: dict[str, Any]) -> None:
    from perfmodel.reports.text import size

    heading = ("block", "leaves", "pruned", "kparam", "pruned", "MMAC", "pruned")
    cells = [
        (
            row["block"], shape(row["before"]), shape(row["after"]), f"{row['parameters_before'] / 1e3:,.1f}",
            f"{row['parameters_after'] / 1e3:,.1f}", f"{row['macs_before'] / 1e6:,.2f}",
            f"{row['macs_after'] / 1e6:,.2f}",
        )
        for row in answer["blocks"]
    ]  # fmt: skip
    print_columns([heading, *cells], numbers=range(3, 7))
    a, b = answer["before"], answer["after"]
    print()
    rows = [("", "before", "after", "ratio")]
    for name, text, key in (("parameters", "{:,.0f}", "parameters"), ("multiply-accumulates", "{:,.0f}", "macs"),
                            ("latency ms", "{:,.4f}", ""), ("memory", "", "memory_bytes")):  # fmt: skip
        pair = (a["latency_s"]["expected"] * 1e3, b["latency_s"]["expected"] * 1e3) if not key else (a[key], b[key])
        shown = [size(v) if not text else text.format(v) for v in pair]
        rows.append((name, shown[0], shown[1], f"{pair[1] / pair[0]:.3f}"))
    print_columns(rows, numbers=(1, 2, 3))
    print(f"\nbefore  {band(a['latency_s'])}\nafter   {band(b['latency_s'])}")
