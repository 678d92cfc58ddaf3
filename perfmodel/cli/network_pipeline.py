"""``perfmodel network pipeline``: several networks for one request."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.network_show import band
from perfmodel.cli.output import give, one_stdout, print_columns, short
from perfmodel.cli.plain import examples
from perfmodel.errors import InputError

SCHEMA = "perfmodel/network-pipeline/1"
EXAMPLES = examples(
    "network pipeline mobilenetv2_100:1,resnet50:0.3 --on jetson-orin-nano",
    "network pipeline ssd300-vgg16:1,efficientnet_b0:5 --on jetson-agx-orin --batch 4 --precision int8",
    'network pipeline mobilenetv2_100:1,resnet152:0.2 --on jetson-nano,rtx-4090 --link "100 Mbit/s,5 ms" --json',
)


def pipeline(
    networks: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK:RUNS,..", help="Networks in order, and on how many samples a request each runs."
        ),
    ],
    devices: Annotated[
        str, typer.Option("--on", metavar="DEVICE,..", help="One device for all, or one for each network.")
    ],
    batch: w.Batch = "1",
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME,..", help="Of all, or of each network  [default: 16 bits]")
    ] = "",
    link: Annotated[
        str, typer.Option("--link", metavar="RATE[,TIME]", help='Between devices, such as "1 Gbit/s,1 ms".')
    ] = "",
    handover: Annotated[
        str, typer.Option("--handover", metavar="SIZE", help="Bytes of a sample between devices  [default: its tensor]")
    ] = "",
    one_by_one: Annotated[
        bool, typer.Option("--one-by-one", help="Run the samples of a network one after the other, not together.")
    ] = False,
    fusion: w.Fusion = "",
    engine: w.Engine = "",
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Estimate several networks that serve one request: a cascade (0.3), a classifier of crops (5).

    Networks on one device share its time and are all resident. On several devices they work at once, and the busiest
    device or the link decides the throughput. A second device of a kind is written rtx-4090#2.
    """
    from perfmodel.arguments import whole

    one_stdout(json, csv)
    found = _cascade(networks, devices, precision, whole("--batch", batch), (link, handover), one_by_one,
                     w.Asked(fusion=fusion, engine=engine))  # fmt: skip
    rows, summary = found.rows(), found.summary()
    asked = {"networks": networks, "devices": devices, "batch": found.batch, "one_by_one": one_by_one,
             "link": link or None, "fusion": fusion, "engine": engine}  # fmt: skip
    answer = {"schema": SCHEMA, "version": __version__, "inputs": asked, **summary, "networks": rows}
    give(answer, [_flat(row) for row in rows], lambda: _print(rows, summary), json=json, csv=csv)


def _cascade(
    networks: str, devices: str, precision: str, batch: int, joins: tuple[str, str], one_by_one: bool,
    asked: w.Asked,
) -> Any:  # fmt: skip
    from dataclasses import replace

    from perfmodel.deployment.cascade import Cascade, Member, parse_cascade
    from perfmodel.deployment.split import parse_link
    from perfmodel.devices import load_device
    from perfmodel.units import parse_quantity

    named = parse_cascade(networks)
    places = _for_each("--on", devices, len(named))
    machines = {name: load_device(name.partition("#")[0]) for name in places}
    precisions = _for_each("--precision", precision, len(named))
    members = tuple(
        Member(w.setup_for(w.any_network(name), machines[place], replace(asked, precision=form)), runs,
               machines[place].name + "".join(place.partition("#")[1:]))
        for (name, runs), place, form in zip(named, places, precisions, strict=True)
    )  # fmt: skip
    return Cascade(
        members, batch, parse_link(joins[0]) if joins[0] else None,
        parse_quantity(joins[1], "bytes") if joins[1] else None, one_by_one,
    )  # fmt: skip


def _for_each(option: str, text: str, count: int) -> list[str]:
    found = [part.strip() for part in text.split(",")]
    if len(found) == 1:
        return found * count
    if len(found) != count:
        raise InputError(f"{option} names {len(found)} for {count} networks: one, or one for each")
    return found


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    times = {f"pass_{name}_s": value for name, value in row["pass_s"].items()}
    return {key: value for key, value in row.items() if key != "pass_s"} | times


def _print(rows: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    from perfmodel.reports.text import percent, size

    heading = ("network", "device", "runs", "batch", "passes", "a pass ms", "p10", "p90", "link ms", "mJ")
    cells = [
        (
            row["network"], row["device"], f"{row['runs']:g}", f"{row['batch']:.4g}", f"{row['passes']:.4g}",
            *(f"{row['pass_s'][name] * 1e3:,.3f}" for name in ("expected", "p10", "p90")),
            f"{row['link_s'] * 1e3:,.3f}",
            "" if row["joules"] is None else f"{row['joules'] * 1e3:,.3f}",
        )
        for row in rows
    ]  # fmt: skip
    print_columns([heading, *cells], numbers=range(2, 10))
    print(f"\nlatency, mean        {band(summary['latency_s'])}")
    print(f"latency, all of them {band(summary['latency_all_s'])}")
    busy = ", ".join(f"{name} {percent(t / max(summary['busy_s'].values()))}" for name, t in summary["busy_s"].items())
    print(f"throughput           {short(summary['requests_per_s'])} requests/s, limited by {summary['bottleneck']}; "
          f"busy: {busy}")  # fmt: skip
    if summary["joules_per_request"] is not None:
        print(f"energy               {summary['joules_per_request']:.4g} J a request")
    for place in summary["devices"]:
        words = "fits" if place["fits"] else "does not fit"
        print(f"memory               {place['device']}: {size(place['weights_bytes'])} weights, "
              f"{size(place['activation_bytes'])} activations, {size(place['overhead_bytes'])} runtime of "
              f"{size(place['capacity_bytes'])}: {words}")  # fmt: skip
