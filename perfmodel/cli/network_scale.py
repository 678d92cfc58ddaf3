"""``perfmodel network scale``: a network with other values of one of its family's fields."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.network_show import totals
from perfmodel.cli.output import give, note, one_stdout, print_columns, short
from perfmodel.cli.plain import examples
from perfmodel.errors import InputError, PerfmodelError

SCHEMA = "perfmodel/network-scale/1"
EXAMPLES = examples(
    "network scale mobilenetv2_100 --field width --values 0.25,0.5,0.75,1.0,1.4 --on jetson-nano",
    'network scale resnet50 --field depths --values "[2,2,2,2],[3,4,6,3],[3,4,23,3]" --on rtx-4090 --csv depths.csv',
    "network scale efficientnet_b0 --field image --values 128,160,192,224 --on hailo-8 --precision int8 --json",
)


def scale(
    model: w.o.Model,
    device: w.o.On,
    field: Annotated[
        str, typer.Option("--field", metavar="FIELD", help="A field of the family (`perfmodel model show MODEL`).")
    ],
    values: Annotated[
        str, typer.Option("--values", metavar="V,V,..", help="Its values: numbers, words, or lists in brackets.")
    ],
    batch: w.Batch = "1",
    image: w.Image = "",
    precision: w.Precision = "",
    fusion: w.Fusion = "",
    engine: w.Engine = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Show how a network's size, work, latency and memory change with one of its family's fields.

    A slimmable network has one set of weights that runs at several widths: each row is one of its widths.
    """
    from perfmodel.arguments import whole

    one_stdout(json, csv)
    samples, rows, problems = whole("--batch", batch), [], list[str]()
    for value in split_values(values):
        try:
            rows.append(_row(model, device, field, value, samples, image, change,
                             w.Asked(precision, fusion=fusion, engine=engine)))  # fmt: skip
        except PerfmodelError as error:
            problems.append(f"{field} {value}: {error}")
    if not rows:
        raise InputError(problems[0])
    for text in problems:
        note(f"left out: {text}")
    asked = {"model": model, "device": device, "field": field, "batch": samples, "precision": precision,
             "fusion": fusion, "engine": engine}  # fmt: skip
    answer = {"schema": SCHEMA, "version": __version__, "inputs": asked, "rows": rows, "problems": problems}
    give(answer, rows, lambda: _print(field, rows), json=json, csv=csv)


def split_values(text: str) -> list[str]:
    """Return values that commas part, but for commas inside brackets and quotes."""
    found, depth = [""], 0
    for character in text:
        depth += (character in "[(") - (character in "])")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    values = [value.strip() for value in found if value.strip()]
    if not values or depth:
        raise InputError(f"--values: '{text}' is not a list of values, such as 0.5,0.75,1.0 or [2,2],[3,4]")
    return values


def _row(
    model: str, device: str, field: str, value: str, batch: int, image: str, change: list[str] | None,
    asked: w.Asked,
) -> dict[str, Any]:  # fmt: skip
    from perfmodel.workloads.networks.summary import counts_of

    name = field.removeprefix("model.")
    setup = w.setup_of(model, device, asked, image=image, change=[*(change or ()), f"model.{name}={value}"])
    counts, found = counts_of(setup.pipeline), totals(setup, batch)
    memory = setup.answer(float(batch)).memory
    elements = [int(stage.network.activation_elements) for stage in setup.pipeline.stages]
    return {
        name: value, "parameters": counts["parameters"], "macs": counts["macs"], "flops": counts["flops"],
        "activation_elements": sum(elements), "weights_bytes": float(memory.weights_bytes),
        "peak_activation_bytes": float(memory.activation_bytes), "memory_bytes": found["memory_bytes"],
        "fits": found["fits"], **{f"latency_{k}_s": v for k, v in found["latency_s"].items()},
        "samples_per_s": found["samples_per_s"], "joules": found["joules"],
    }  # fmt: skip


def _print(field: str, rows: list[dict[str, Any]]) -> None:
    heading = (field, "Mparam", "MMAC", "Melements", "weights MB", "peak MB", "bound ms", "expected ms", "p10", "p90",
               "samples/s", "mJ", "ms/GMAC")  # fmt: skip
    cells = [
        (
            next(iter(row.values())), f"{row['parameters'] / 1e6:,.3f}", f"{row['macs'] / 1e6:,.1f}",
            f"{row['activation_elements'] / 1e6:,.2f}", f"{row['weights_bytes'] / 1e6:,.2f}",
            f"{row['peak_activation_bytes'] / 1e6:,.2f}",
            *(f"{row[f'latency_{name}_s'] * 1e3:,.3f}" for name in ("bound", "expected", "p10", "p90")),
            short(row["samples_per_s"]), "" if row["joules"] is None else f"{row['joules'] * 1e3:,.2f}",
            f"{row['latency_expected_s'] * 1e12 / row['macs']:,.3f}" if row["macs"] else "",
        )
        for row in rows
    ]  # fmt: skip
    print_columns([heading, *cells], numbers=range(1, 13))
