"""``perfmodel network map``: which engine of a device runs which layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import examples

if TYPE_CHECKING:
    from perfmodel.deployment.engine_map import EngineMap

SCHEMA = "perfmodel/network-map/1"
EXAMPLES = examples("network map mobilenetv2_100 --on twin-systolic --precision int8 --goal throughput")


def map_(
    model: w.o.Model,
    device: w.o.On,
    goal: Annotated[str, typer.Option("--goal", metavar="NAME", help="latency or throughput.")] = "latency",
    batch: w.Batch = "1",
    image: w.Image = "",
    precision: w.Precision = "",
    fusion: w.Fusion = "",
    stage: w.StageName = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Assign each layer to an engine of the device, by an integer program over all layers at once."""
    from perfmodel.arguments import whole
    from perfmodel.deployment.engine_map import map_network

    one_stdout(json, csv)
    network = w.one_of(w.any_network(model, image, change), stage)
    setup = w.setup_for(network, device, w.Asked(precision, fusion=fusion))
    found = map_network(setup, whole("--batch", batch), goal)
    rows: list[dict[str, Any]] = [
        {"layer": layer, "engine": engine, "expected_s": seconds}
        for layer, engine, seconds in zip(found.layers, found.engines, found.seconds, strict=True)
    ]
    totals = {k: v for k, v in asdict(found).items() if k not in ("layers", "engines", "seconds")}
    answer = {"schema": SCHEMA, "version": __version__, **totals, "layers": rows}
    give(answer, rows, lambda: _print(found, rows), json=json, csv=csv)


def _print(found: EngineMap, rows: Sequence[Mapping[str, Any]]) -> None:
    cells = [(row["layer"], row["engine"], f"{row['expected_s'] * 1e6:,.2f}") for row in rows]
    print_columns([("layer", "engine", "expected us"), *cells], numbers=(2,))
    print(f"\nlatency {found.latency_s * 1e6:,.1f} us, of which exchange {found.exchange_s * 1e6:,.1f} us")
    print(f"a sample every {found.period_s * 1e6:,.1f} us with every engine at work on another one")
    for name, seconds in found.alone_s.items():
        alone = "cannot run every layer" if seconds is None else f"{seconds * 1e6:,.1f} us alone"
        print(f"{name}: {found.busy_s[name] * 1e6:,.1f} us of work; {alone}")
