"""``perfmodel network blocks``: latency, energy and arithmetic intensity block by block."""

from __future__ import annotations

from typing import Any

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.network_show import band, intensity, pairs, shape, totals
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import examples

SCHEMA = "perfmodel/network-blocks/1"
EXAMPLES = examples(
    "network blocks mobilenetv2_100 --on jetson-orin-nano",
    "network blocks resnet50 --on rtx-4090 --batch 32 --precision int8 --csv blocks.csv",
    "network blocks vit_base_patch16_224 --on a100-sxm-80gb --engine tensorrt --json",
)


def blocks(
    model: w.o.Model,
    device: w.o.On,
    batch: w.Batch = "1",
    image: w.Image = "",
    precision: w.Precision = "",
    layers: w.Layers = "",
    fusion: w.Fusion = "",
    sparsity: w.o.Sparsity = "",
    engine: w.Engine = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Show what each block of a network takes of a batch's latency and energy, and its arithmetic intensity.

    Expected times and joules of the rows add up to the estimate's, the engine's start being a row of its own; bounds
    and bands are each block's alone. Flops and bytes are the batch's, parameters and MACs those of one sample.
    """
    from perfmodel.arguments import whole
    from perfmodel.deployment.blocks import block_table, kernel_intensities, network_intensity
    from perfmodel.deployment.timing import timed_network

    one_stdout(json, csv)
    asked = w.Asked(precision, layers, fusion, sparsity, engine)
    setup = w.setup_of(model, device, asked, image=image, change=change)
    samples = whole("--batch", batch)
    timed = timed_network(setup, samples)
    rows = block_table(setup, samples, timed)
    answer = {
        "schema": SCHEMA, "version": __version__, "inputs": w.inputs(setup, samples),
        **totals(setup, samples), "intensity": network_intensity(setup, samples, timed), "blocks": rows,
        "kernels": kernel_intensities(setup, samples, timed),
    }  # fmt: skip
    give(answer, [_flat(row) for row in rows], lambda: _print(answer), json=json, csv=csv)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose shapes are texts."""
    return row | {name: " ".join(shape(each) for each in row[name]) for name in ("inputs", "outputs")}


def _print(answer: dict[str, Any]) -> None:
    rows = answer["blocks"]
    several = len({row["network"] for row in rows}) > 1
    heading = ("block", "kind", "in", "out", "kparam", "MMAC", "MB", "bound us", "expected us", "p10", "p90", "share",
               "mJ", "FLOP/B")  # fmt: skip
    print_columns([heading, *(_cells(row, several) for row in rows)], numbers=range(4, 14))
    print()
    pairs([("latency", band(answer["latency_s"])), *_energy(answer), *intensity(answer["intensity"])])


def _cells(row: dict[str, Any], several: bool) -> tuple[str, ...]:
    name = f"{row['network']}: {row['block']}" if several else row["block"]
    joules, flops_per_byte = row["joules"], row["intensity_plain"]
    return (
        name, row["kind"], _first(row["inputs"]), _first(row["outputs"]), f"{row['parameters'] / 1e3:,.1f}",
        f"{row['macs'] / 1e6:,.2f}", f"{row['bytes'] / 1e6:,.2f}", f"{row['bound_s'] * 1e6:,.1f}",
        f"{row['expected_s'] * 1e6:,.1f}", f"{row['p10_s'] * 1e6:,.1f}", f"{row['p90_s'] * 1e6:,.1f}",
        f"{100 * row['share']:.1f}%", "" if joules is None else f"{joules * 1e3:,.3f}",
        "" if flops_per_byte is None else f"{flops_per_byte:,.1f}",
    )  # fmt: skip


def _first(shapes: list[list[int]]) -> str:
    """Return the largest of some shapes, and how many there are besides."""
    from math import prod

    if not shapes:
        return ""
    largest = shape(max(shapes, key=prod))
    return largest if len(shapes) == 1 else f"{largest} +{len(shapes) - 1}"


def _energy(answer: dict[str, Any]) -> list[tuple[str, str]]:
    joules = answer["joules"]
    return [] if joules is None else [("energy", f"{joules:.4g} J a batch")]
