"""``perfmodel network lookup``: a table of block latencies for architecture search."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.output import give, note, one_stdout, print_columns, short
from perfmodel.cli.plain import examples
from perfmodel.cli.progress import progress
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.deployment.lookup import Place
    from perfmodel.devices import Device
    from perfmodel.serving.network import NetworkQuestion
    from perfmodel.workloads.network import Network

SCHEMA = "perfmodel/network-lookup/1"
GRID = "inverted-residual"
MOST_SHOWN, MOST_ROWS = 40, 100_000
EXAMPLES = examples(
    "network lookup mobilenetv2_100 --on jetson-orin-nano --kernel 3,5,7 --expand 0,3,6 --csv table.csv",
    "network lookup inverted-residual --on hailo-8 --in 16,24,40 --out 24,40 --side 56,28 --precision int8 --json",
)


def lookup(
    space: Annotated[
        str,
        typer.Argument(metavar="SPACE", help=f"A network whose blocks are searched, or {GRID}: a grid of all shapes."),
    ],
    device: w.o.On,
    kernel: Annotated[str, typer.Option("--kernel", metavar="N,N", help="Depthwise kernels.")] = "3,5,7",
    expand: Annotated[
        str, typer.Option("--expand", metavar="N,N", help="Expansions; 1 has none, 0 leaves the block out.")
    ] = "1,3,6",
    squeeze: Annotated[
        str, typer.Option("--squeeze", metavar="N,N", help="Shares that squeeze-and-excitation squeezes to (0: none).")
    ] = "0",
    stride: Annotated[str, typer.Option("--stride", metavar="N,N", help="Grid: strides.")] = "1,2",
    channels: Annotated[str, typer.Option("--in", metavar="N,N", help="Grid: channels that come in.")] = "",
    out: Annotated[str, typer.Option("--out", metavar="N,N", help="Grid: channels that leave  [default: --in]")] = "",
    side: Annotated[str, typer.Option("--side", metavar="N,N", help="Grid: sides of the image that comes in.")] = "",
    batch: w.Batch = "1",
    image: w.Image = "",
    precision: w.Precision = "",
    fusion: w.Fusion = "",
    engine: w.Engine = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Make a table of what each candidate block adds to latency and energy at each place of a network.

    Candidates are inverted residual blocks of every kernel and expansion. The engine's start is in no row. Other
    blocks of the network (stem, head) are in `perfmodel network blocks`.
    """
    from perfmodel.arguments import parse_axis, whole
    from perfmodel.deployment.lookup import candidates, lookup_table
    from perfmodel.serving.network import NetworkQuestion

    one_stdout(json, csv)
    machine, change = _machine(device, change)
    places, network = _places(space, {"--in": channels, "--out": out or channels, "--stride": stride, "--side": side},
                     image, change)  # fmt: skip
    choices = candidates(parse_axis("--kernel", kernel), _numbers("--expand", expand), _numbers("--squeeze", squeeze))
    count = sum(choice.fits(place) for place in places for choice in choices)
    if count > MOST_ROWS:
        raise InputError(f"{count:,} rows are too many (at most {MOST_ROWS:,}); ask for fewer shapes at once")
    question = NetworkQuestion(precision, (), fusion, "dense", engine)
    weights = inf if network is None else _weights(network, machine, question)
    with progress("lookup") as update:
        rows = list(lookup_table(places, choices, machine, question, whole("--batch", batch), update, weights))
    asked = {"space": space, "device": machine.name, "batch": whole("--batch", batch), "precision": precision,
             "fusion": fusion, "engine": engine}  # fmt: skip
    answer = {"schema": SCHEMA, "version": __version__, "inputs": asked, "rows": rows}
    give(answer, rows, lambda: _print(rows), json=json, csv=csv)


def _machine(name: str, change: list[str] | None) -> tuple[Device, list[str]]:
    """Return a device with what ``--set`` changes of it, and the changes of the network."""
    from perfmodel.devices import load_device
    from perfmodel.devices.override import change_device

    of_device, rest = w.device_changes(change)
    return change_device(load_device(name), of_device), rest


def _places(
    space: str, grid: dict[str, str], image: str, change: list[str] | None
) -> tuple[list[Place], Network | None]:
    """Return the places of a space, and the network that they are of."""
    from perfmodel.arguments import parse_axis
    from perfmodel.deployment.lookup import grid_places, places_of

    if space == GRID:
        missing = [name for name in ("--in", "--side") if not grid[name]]
        if missing:
            raise InputError(f"a grid of shapes needs {' and '.join(missing)}, such as {missing[0]} 16,24,40")
        axes = [parse_axis(name, text) for name, text in grid.items()]
        if any(value not in {1, 2} for value in axes[2]):
            raise InputError(f"--stride is 1 or 2, not {grid['--stride']}")
        return grid_places(*axes), None
    given = [name for name in ("--in", "--side") if grid[name]]
    if given:
        raise InputError(f"{given[0]} is of the grid {GRID}; {space} has its own shapes")
    network = w.one_of(w.any_network(space, image, change))
    places = places_of(network)
    if not places:
        raise InputError(f"{network.name} has no blocks that turn one image into one image")
    return places, network


def _weights(network: Network, device: Device, question: NetworkQuestion) -> float:
    from perfmodel.serving.network import prepare_network

    return float(prepare_network(network, device, question).answer(1.0).memory.weights_bytes)


def _numbers(option: str, text: str) -> list[float]:
    from perfmodel.arguments import positive

    return [positive(option, part.strip()) for part in text.split(",")]


def _print(rows: list[dict[str, Any]]) -> None:
    heading = ("candidate", "in", "out", "stride", "places", "kparam", "MMAC", "bound us", "expected us", "p10", "p90",
               "mJ")  # fmt: skip
    cells = [
        (
            row["candidate"], f"{row['in_channels']}x{row['height']}x{row['width']}", str(row["out_channels"]),
            str(row["stride"]), short(row["places"]), f"{row['parameters'] / 1e3:,.1f}", f"{row['macs'] / 1e6:,.2f}",
            *(f"{row[name] * 1e6:,.1f}" for name in ("bound_s", "expected_s", "p10_s", "p90_s")),
            "" if row["joules"] is None else f"{row['joules'] * 1e3:,.3f}",
        )
        for row in rows[:MOST_SHOWN]
    ]  # fmt: skip
    print_columns([heading, *cells], numbers=range(2, 12))
    if len(rows) > MOST_SHOWN:
        note(f"{MOST_SHOWN} of {len(rows):,} rows; --csv FILE writes all")
