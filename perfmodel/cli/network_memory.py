"""``perfmodel network memory``: weights and live activations, kernel by kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.network import layer_precisions
from perfmodel.cli.output import give, note, one_stdout, print_columns
from perfmodel.cli.plain import examples

if TYPE_CHECKING:
    from perfmodel.deployment.memory import MemoryPlan

SCHEMA = "perfmodel/network-memory/1"
MOST_KERNELS, MOST_TENSORS = 40, 8
EXAMPLES = examples(
    "network memory mobilenetv2_100 --precision int8 --schedule in-place",
    "network memory nasnetalarge --precision int8 --schedule best --csv steps.csv",
    "network memory resnet50 --image 160 --batch 4 --on jetson-nano --json",
)


def memory(
    model: w.o.Model,
    image: w.Image = "",
    precision: w.Precision = "",
    layers: w.Layers = "",
    batch: w.Batch = "1",
    fusion: w.Fusion = "epilogue",
    schedule: Annotated[
        str,
        typer.Option("--schedule", metavar="NAME", help="in-order, in-place, best or best-in-place: which to list."),
    ] = "in-order",
    device: Annotated[
        str, typer.Option("--on", metavar="DEVICE", help="A device that it should fit  [default: none in particular]")
    ] = "",
    stage: w.StageName = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Show what memory a network needs: its weights, and the activations that are live while each kernel runs.

    in-order runs the kernels as the network lists them, best in an order with the lowest peak; in place, element-wise
    layers and depthwise convolutions write over what they read if nobody else reads it. The best orders are looked for
    longer if --schedule asks for one. --csv writes each step.
    """
    from perfmodel.arguments import whole
    from perfmodel.deployment.memory import memory_plan
    from perfmodel.plan.best_order import FEW_STEPS, MOST_STEPS

    one_stdout(json, csv)
    network = w.one_of(w.any_network(model, image, change), stage)
    _check_layers(network.nodes, layers)
    peaks, capacity = _of_device(device)
    found = memory_plan(
        network, precision=precision or "float16", layers=layer_precisions(layers), fusion=fusion,
        batch=whole("--batch", batch), most_steps=MOST_STEPS if schedule.startswith("best") else FEW_STEPS, **peaks,
    )  # fmt: skip
    answer = _answer(found, schedule, precision or "float16", fusion, capacity)
    answer["notes"] = _widened(precision or "float16", layers, capacity, peaks.get("peaks", frozenset()))
    give(answer, answer["steps"], lambda: _print(answer), json=json, csv=csv)


def _check_layers(nodes: Sequence[Any], layers: str) -> None:
    from fnmatch import fnmatchcase

    from perfmodel.errors import InputError

    for pattern, _ in layer_precisions(layers):
        if not any(fnmatchcase(node.name, pattern) for node in nodes):
            raise InputError(f"--layers: no layer matches '{pattern}'; they are called {nodes[0].name}, ...")


def _of_device(name: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the dtypes of a device's matrix units, and how much memory it has."""
    if not name:
        return {}, None
    from perfmodel.cost.facts import chip_facts
    from perfmodel.devices import load_device

    chip = chip_facts(load_device(name))
    capacity = {"name": chip.name, "memory_bytes": float(chip.memory_bytes), "on_chip_bytes": float(chip.on_chip_bytes)}
    return {"peaks": frozenset((*chip.peaks, *chip.sparse_peaks))}, capacity


def _widened(precision: str, layers: str, device: dict[str, Any] | None, peaks: frozenset[str]) -> list[str]:
    """Return which precisions have no unit on the device, so that it keeps wider activations."""
    from perfmodel.formats import find_format, runnable_format

    if device is None:
        return []
    return [
        f"{device['name']} has no {name} matrix unit: activations are kept in 16 bits"
        for name in dict.fromkeys((precision, *(p for _, p in layer_precisions(layers))))
        if runnable_format(name, peaks).activation.bits > find_format(name).activation.bits
    ]


def _answer(
    found: MemoryPlan, schedule: str, precision: str, fusion: str, device: dict[str, Any] | None
) -> dict[str, Any]:
    from perfmodel.deployment.memory import SCHEDULES

    chosen = found.summary(schedule)
    fits = None
    if device is not None:
        fits = {
            "main": chosen["total_bytes"] <= device["memory_bytes"],
            "on_chip": chosen["total_bytes"] <= device["on_chip_bytes"],
            "activations_on_chip": chosen["peak_bytes"] <= device["on_chip_bytes"],
        }
    return {
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {"model": found.network.name, "input_shapes": found.network.inputs, "precision": precision,
                   "fusion": fusion, "batch": found.batch, "schedule": schedule},
        "weights_bytes": found.weights_bytes,
        **{key: chosen[key] for key in ("peak_bytes", "arena_bytes", "peak_kernel", "total_bytes")},
        "schedules": [found.summary(name) for name in SCHEDULES],
        "at_peak": found.at_peak(schedule),
        "steps": found.rows(schedule),
        "device": device,
        "fits": fits,
    }  # fmt: skip


def _print(answer: dict[str, Any]) -> None:
    from perfmodel.reports.text import size

    inputs = answer["inputs"]
    print(f"{inputs['model']}: batch {inputs['batch']}, {inputs['precision']}, fusion {inputs['fusion']}, "
          f"{len(answer['steps'])} kernels\nweights {size(answer['weights_bytes'])}\n")  # fmt: skip
    heading = ("schedule", "peak", "in one block", "with weights", "at kernel", "no order needs less than")
    rows = [
        (
            row["schedule"], size(row["peak_bytes"]), size(row["arena_bytes"]), size(row["total_bytes"]),
            row["peak_kernel"], "" if row["at_least_bytes"] is None else size(row["at_least_bytes"]),
        )
        for row in answer["schedules"]
    ]  # fmt: skip
    print_columns([heading, *rows], numbers=(1, 2, 3, 5))
    print(f"\nlive at the peak of {inputs['schedule']}, while {answer['peak_kernel']} runs")
    live = answer["at_peak"]
    cells = [
        (row["tensor"], "x".join(map(str, row["shape"])), size(row["bytes"]), row["role"])
        for row in live[:MOST_TENSORS]
    ]
    print_columns([("tensor", "shape", "size", "role"), *cells], numbers=(1, 2))
    if len(live) > MOST_TENSORS:
        print(f"and {len(live) - MOST_TENSORS} smaller ones")
    _print_steps(answer["steps"], answer["peak_bytes"])
    if answer["fits"] is not None:
        _print_fits(answer)
    for text in answer["notes"]:
        note(text)


def _print_steps(steps: list[dict[str, Any]], peak: float) -> None:
    from perfmodel.reports.text import size

    rows = steps if len(steps) <= MOST_KERNELS else _by_block(steps)
    shown = rows[:MOST_KERNELS]
    print()
    what = "kernel" if rows is steps else "block (its highest)"
    cells = [
        (row["kernel"] if rows is steps else row["block"], size(row["live_bytes"]), _bar(row["live_bytes"], peak))
        for row in shown
    ]
    print_columns([(what, "live", ""), *cells], numbers=(1,))
    if len(rows) > MOST_KERNELS:
        note(f"{MOST_KERNELS} of {len(rows)} blocks; --csv FILE writes every kernel")


def _by_block(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of each run of kernels of one block the one during which the most is live."""
    found: list[dict[str, Any]] = []
    for row in steps:
        if found and found[-1]["block"] == row["block"]:
            if row["live_bytes"] > found[-1]["live_bytes"]:
                found[-1] = row
        else:
            found.append(row)
    return found


def _bar(value: float, most: float) -> str:
    return "#" * max(1, round(40 * value / most)) if most and value else ""


def _print_fits(answer: dict[str, Any]) -> None:
    from perfmodel.reports.text import size

    device, fits = answer["device"], answer["fits"]
    print(f"\n{device['name']}: {size(device['memory_bytes'])} of memory, {size(device['on_chip_bytes'])} on the chip")
    for name, what in (
        ("main", "weights and activations in memory"), ("on_chip", "weights and activations on the chip"),
        ("activations_on_chip", "activations on the chip"),
    ):  # fmt: skip
        print(f"  {what}: {'fit' if fits[name] else 'do not fit'}")
