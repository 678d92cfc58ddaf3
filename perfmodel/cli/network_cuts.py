"""``perfmodel network cuts``: a network over two devices with a link between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.network_show import band, shape
from perfmodel.cli.output import give, note, one_stdout, print_columns
from perfmodel.cli.plain import examples

SCHEMA = "perfmodel/network-cuts/1"
MOST_SHOWN = 40
EXAMPLES = examples(
    'network cuts resnet50 --from jetson-nano --to rtx-4090 --link "100 Mbit/s,5 ms" --transfer-precision int8',
    "network cuts mobilenetv2_100 --from hailo-8 --to a100-sxm-80gb --precision int8 --to-precision float16 \\\n"
    '    --link "20 Mbit/s,10 ms" --input-size "60 kB" --link-energy "100 nJ/bit" --csv cuts.csv',
)


def cuts(
    model: w.o.Model,
    first: Annotated[str, typer.Option("--from", metavar="DEVICE", help="The device that has the input.")],
    second: Annotated[str, typer.Option("--to", metavar="DEVICE", help="The device that runs the rest.")],
    link: Annotated[
        str, typer.Option("--link", metavar="RATE[,TIME]", help='Bandwidth and latency, such as "100 Mbit/s,5 ms".')
    ],
    batch: w.Batch = "1",
    image: w.Image = "",
    precision: w.Precision = "",
    to_precision: Annotated[
        str, typer.Option("--to-precision", metavar="NAME", help="Precision on the second device  [default: the same]")
    ] = "",
    transfer_precision: Annotated[
        str, typer.Option("--transfer-precision", metavar="NAME", help="What is sent in  [default: as it was made]")
    ] = "",
    input_size: Annotated[
        str,
        typer.Option("--input-size", metavar="SIZE", help='Of a sample that is sent whole, such as "60 kB" of JPEG.'),
    ] = "",
    link_energy: Annotated[
        str, typer.Option("--link-energy", metavar="ENERGY", help='What sending takes, such as "100 nJ/bit"  [none]')
    ] = "",
    no_reply: Annotated[bool, typer.Option("--no-reply", help="Results stay on the second device.")] = False,
    fusion: w.Fusion = "",
    engine: w.Engine = "",
    to_engine: Annotated[
        str, typer.Option("--to-engine", metavar="NAME", help="Engine on the second device  [default: bare]")
    ] = "",
    stage: w.StageName = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Cut a network in two at every place and run the parts on two devices.

    Every tensor that the second part reads crosses the link, those of skip connections too. A row is the first part,
    the transfer, the second part and the way back of the results, one after the other; the first device draws its idle
    power while it waits. The first row has all on the second device, the last all on the first.
    """
    from perfmodel.arguments import whole

    one_stdout(json, csv)
    found = _split(
        model, (first, second), link, whole("--batch", batch),
        {"image": image, "fusion": fusion, "stage": stage, "change": change},
        (precision, to_precision or precision), (engine, to_engine),
        {"transfer": transfer_precision, "input_size": input_size, "link_energy": link_energy, "no_reply": no_reply},
    )  # fmt: skip
    answer = _answer(found)
    give(answer, [_flat(row) for row in answer["cuts"]], lambda: _print(answer), json=json, csv=csv)


def _split(
    model: str, devices: tuple[str, str], link: str, batch: int, same: dict[str, Any], precisions: tuple[str, str],
    engines: tuple[str, str], sending: dict[str, Any],
) -> Any:  # fmt: skip
    from perfmodel.deployment.split import Split, parse_link
    from perfmodel.units import parse_quantity

    network = w.one_of(w.any_network(model, same["image"], same["change"]), same["stage"])
    a, b = (
        w.setup_for(network, device, w.Asked(precision, fusion=same["fusion"], engine=engine))
        for device, precision, engine in zip(devices, precisions, engines, strict=True)
    )
    energy, size = sending["link_energy"], sending["input_size"]
    joins = parse_link(link, parse_quantity(energy, "joules_per_byte") if energy else 0.0)
    return Split(
        a, b, joins, batch, sending["transfer"], parse_quantity(size, "bytes") if size else None,
        not sending["no_reply"],
    )  # fmt: skip


def _answer(found: Any) -> dict[str, Any]:
    from perfmodel.deployment.split import best

    rows = found.rows()
    places = {
        "all_remote": rows[0]["cut"],
        "all_local": rows[-1]["cut"],
        "best_latency": best(rows, "latency_s")["cut"],  # type: ignore[index]
        "best_edge_energy": None if (least := best(rows, "edge_joules")) is None else least["cut"],
    }
    asked = w.inputs(found.first, found.batch)
    return {
        "schema": SCHEMA, "version": __version__,
        "inputs": {
            **asked, "to_device": found.second.device.name, "to_precision": found.second.plan.precision,
            "to_engine": found.second.question.engine, "transfer_precision": found.transfer,
            "link_bytes_per_s": found.link.bandwidth_bytes_per_s, "link_latency_s": found.link.latency_s,
            "link_joules_per_byte": found.link.joules_per_byte, "input_bytes": found.input_bytes,
            "replies": found.replies,
        },
        **places, "cuts": rows,
    }  # fmt: skip


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without nested values."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if key == "crossing":
            found[key] = " ".join(f"{c['tensor']}:{shape(c['shape'])}" for c in value)
        elif isinstance(value, dict):
            found |= {f"{key.removesuffix('_s')}_{name}_s": seconds for name, seconds in value.items()}
        else:
            found[key] = value
    return found


def _print(answer: dict[str, Any]) -> None:
    rows, inputs = answer["cuts"], answer["inputs"]
    named = {answer[name]: word for name, word in (
        ("all_remote", "all remote"), ("all_local", "all local"), ("best_edge_energy", "least energy"),
        ("best_latency", "fastest"),
    )}  # fmt: skip
    shown = _shown(rows, set(named))
    heading = ("after", "tensors", "sent kB", "head ms", "link ms", "tail ms", "total ms", "p10", "p90", "edge mJ",
               "head MB", "")  # fmt: skip
    print(f"{inputs['model']}: {inputs['device']} ({inputs['precision']}), then {inputs['to_device']} "
          f"({inputs['to_precision']}), batch {inputs['batch']}\n")  # fmt: skip
    print_columns([heading, *(_cells(row, named.get(row["cut"], "")) for row in shown)], numbers=range(1, 11))
    by_cut = {row["cut"]: row for row in rows}
    fastest, frugal = by_cut[answer["best_latency"]], by_cut.get(answer["best_edge_energy"])
    print(f"\nfastest: {_place(fastest)}: {band(fastest['latency_s'])}")
    if frugal is not None:
        print(f"least energy of {inputs['device']}: {_place(frugal)}: {frugal['edge_joules']:.4g} J a batch")
    if len(shown) < len(rows):
        note(f"{len(shown)} of {len(rows)} cuts; --csv FILE writes all")


def _place(row: dict[str, Any]) -> str:
    return row["kind"] if row["kind"] != "split" else f"cut after {row['after']}"


def _shown(rows: Sequence[dict[str, Any]], wanted: set[int]) -> list[dict[str, Any]]:
    """Return all cuts, or of many those behind the last kernel of a block, and the wanted ones."""
    if len(rows) <= MOST_SHOWN:
        return list(rows)
    ends = {
        row["cut"] for row, following in zip(rows, [*rows[1:], {"block": None}], strict=True)
        if row["block"] != following["block"]
    }  # fmt: skip
    if len(ends) > MOST_SHOWN:
        ends = set(sorted(ends)[:: len(ends) // MOST_SHOWN + 1])
    return [row for row in rows if row["cut"] in ends | wanted]


def _cells(row: dict[str, Any], word: str) -> tuple[str, ...]:
    total, joules = row["latency_s"], row["edge_joules"]
    milliseconds = (row["head_s"]["expected"], row["transfer_s"] + row["return_s"], row["tail_s"]["expected"],
                    total["expected"], total["p10"], total["p90"])  # fmt: skip
    return (
        row["after"], str(row["tensors"]), f"{row['sent_bytes'] / 1e3:,.1f}",
        *(f"{t * 1e3:,.3f}" for t in milliseconds),
        "" if joules is None else f"{joules * 1e3:,.2f}", f"{row['head_memory_bytes'] / 1e6:,.2f}", word,
    )  # fmt: skip
