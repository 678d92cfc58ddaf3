"""``perfmodel network bits``: precisions by the roles of layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.network_show import band, totals
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import examples

SCHEMA = "perfmodel/network-bits/1"
EXAMPLES = examples(
    'network bits mobilenetv2_100 --on jetson-orin-nano --policy "*=int8,first-last=float16"',
    'network bits vit_base_patch16_224 --on h100-sxm --policy "*=int4,attention=int8,first-last=float16" --json',
)


def bits(
    model: w.o.Model,
    device: w.o.On,
    policy: Annotated[
        str, typer.Option("--policy", metavar="ROLE=NAME,..", help="Precisions of first, last, first-last, depthwise, "
                          "pointwise, convolution, conv, attention, linear, lookup, other or * (all).")
    ],
    batch: w.Batch = "1",
    image: w.Image = "",
    precision: w.Precision = "",
    fusion: w.Fusion = "",
    engine: w.Engine = "",
    stage: w.StageName = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:  # fmt: skip
    """Give layers precisions by what they are: size of the weights, bit operations, latency before and after.

    A role goes before a group of roles, and both before *. --precision is of what the policy leaves out.
    """
    from perfmodel.arguments import whole
    from perfmodel.deployment.bits import bits_table, layer_pairs, parse_policy, totals_of

    one_stdout(json, csv)
    pairs = parse_policy(policy)
    asked = w.Asked(precision, fusion=fusion, engine=engine)
    before = w.setup_of(model, device, asked, image=image, change=change, stage=stage)
    network, default = before.pipeline.stages[0].network, before.plan.precision
    after = w.setup_for(network, before.device, replace(asked, pairs=layer_pairs(network, pairs, default)))
    samples, rows = whole("--batch", batch), bits_table(network, pairs, default)
    plain = totals_of(bits_table(network, [], default))
    answer: dict[str, Any] = {
        "schema": SCHEMA, "version": __version__,
        "inputs": {**w.inputs(before, samples), "policy": dict(pairs)},
        "roles": rows, "after": {**totals_of(rows), **totals(after, samples)},
        "before": {**plain, **totals(before, samples)}, "notes": _notes(after),
    }  # fmt: skip
    give(answer, rows, lambda: _print(answer), json=json, csv=csv)


def _notes(setup: Any) -> list[str]:
    """Return which precisions have no unit of their own on the device."""
    from perfmodel.network_api import NetworkEstimate
    from perfmodel.network_report import notes

    return [text for text in notes(NetworkEstimate(setup, 1)) if "matrix unit" in text]


def _print(answer: dict[str, Any]) -> None:
    from perfmodel.cli.output import note
    from perfmodel.reports.text import big, size

    heading = ("role", "precision", "layers", "parameters", "weights", "MMAC", "bit operations", "with accumulator")
    after, before = answer["after"], answer["before"]
    cells = [
        (
            row["role"], row["precision"], str(row["layers"]), f"{row['parameters']:,}", size(row["weights_bytes"]),
            f"{row['macs'] / 1e6:,.2f}", big(row["bops"]), big(row["bops_accumulated"]),
        )
        for row in answer["roles"]
    ]  # fmt: skip
    for name, row in (("all", after), (f"all in {answer['inputs']['precision']}", before)):
        cells.append((name, "", str(row["layers"]), f"{row['parameters']:,}", size(row["weights_bytes"]),
                      f"{row['macs'] / 1e6:,.2f}", big(row["bops"]), big(row["bops_accumulated"])))  # fmt: skip
    print_columns([heading, *cells], numbers=range(2, 8))
    print(f"\nbefore  {band(before['latency_s'])}, {size(before['memory_bytes'])} of memory")
    print(f"after   {band(after['latency_s'])}, {size(after['memory_bytes'])} of memory")
    for text in answer["notes"]:
        note(text)
