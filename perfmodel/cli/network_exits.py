"""``perfmodel network exits``: networks that easy samples leave early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import network_words as w
from perfmodel.cli.network_show import band
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import examples
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.deployment.exits import ExitPlan
    from perfmodel.workloads.network import Network

SCHEMA = "perfmodel/network-exits/1"
EXAMPLES = examples(
    "network exits branchynet-alexnet --on jetson-nano --share 0.656,0.252",
    "network exits resnet50 --on jetson-orin-nano --exit-at layer2=0.5,layer3=0.3 --batch 8",
    "network exits msdnet-imagenet-4 --on rtx-4090 --share 0.3,0.25,0.2,0.15 --json",
)


def exits(
    model: w.o.Model,
    device: w.o.On,
    share: Annotated[
        str, typer.Option("--share", metavar="S,S,..", help="Shares of samples that leave at the network's own exits.")
    ] = "",
    exit_at: Annotated[
        str,
        typer.Option("--exit-at", metavar="BLOCK=SHARE,..", help="Add exits behind blocks: pooling and a dense layer."),
    ] = "",
    decision: Annotated[
        str, typer.Option("--decision", metavar="TIME", help='To decide at an exit, such as "20 us"  [default: none]')
    ] = "",
    eager: Annotated[
        bool, typer.Option("--eager", help="Run all that stands before an exit, whether or not it needs it.")
    ] = False,
    batch: w.Batch = "1",
    image: w.Image = "",
    precision: w.Precision = "",
    fusion: w.Fusion = "",
    engine: w.Engine = "",
    stage: w.StageName = "",
    change: w.Changes = None,
    json: w.Json = False,
    csv: w.CsvFile = "",
) -> None:
    """Show what samples cost that leave a network at its exits, and the mean over all.

    What is left of 1 stays to the end. A sample alone costs what has run where it leaves. A batch costs what has run
    when its last sample leaves; or, if samples are taken out where they leave, what runs of those that are left.
    """
    from perfmodel.arguments import whole
    from perfmodel.deployment.exits import ExitPlan
    from perfmodel.units import parse_quantity

    one_stdout(json, csv)
    if bool(share) == bool(exit_at):
        raise InputError(
            "say how many samples leave: --share S,S,.. at a network's own exits, or --exit-at BLOCK=SHARE,.."
        )
    added = _assigned(exit_at)
    setup = w.setup_of(
        model, device, w.Asked(precision, fusion=fusion, engine=engine), image=image, change=change, stage=stage,
        into=lambda network: _with_exits(network, added),
    )  # fmt: skip
    network = setup.pipeline.stages[0].network
    shares = _shares(network, share, added)
    plan = ExitPlan(setup, shares, parse_quantity(decision, "seconds") if decision else 0.0, not eager)
    answer = _answer(plan, whole("--batch", batch))
    give(answer, [_flat(row) for row in answer["exits"]], lambda: _print(answer), json=json, csv=csv)


def _assigned(text: str) -> dict[str, float]:
    from perfmodel.arguments import share

    found: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        block, equals, value = (piece.strip() for piece in part.rpartition("="))
        if not equals or not block:
            raise InputError(f"--exit-at: '{part}' is not BLOCK=SHARE, such as layer2=0.5")
        if block in found:
            raise InputError(f"--exit-at names {block} twice")
        found[block] = share("--exit-at", value)
    return found


def _with_exits(network: Any, added: dict[str, float]) -> Any:
    from perfmodel.workloads.early_exit import with_exits

    return with_exits(network, list(added)) if added else network


def _shares(network: Network, text: str, added: dict[str, float]) -> tuple[float, ...]:
    """Return the share of each exit in order, and of the end."""
    from perfmodel.arguments import share

    if added:
        by_name = {f"exit after {block}": value for block, value in added.items()}
        found = [by_name.get(e.name, 0.0) for e in network.exits]
    else:
        found = [share("--share", part.strip()) for part in text.split(",")]
    names = [e.name for e in network.exits]
    if len(found) == len(names) + 1:
        return tuple(found)
    if names and len(found) != len(names):
        raise InputError(f"--share: {network.name} has {len(names)} exits ({', '.join(names)}), not {len(found)}")
    rest = 1.0 - sum(found)
    if rest < -1e-9:
        raise InputError(f"the shares that leave add up to {sum(found):g}, which is more than 1")
    return (*found, max(rest, 0.0))


def _answer(plan: ExitPlan, batch: int) -> dict[str, Any]:
    from perfmodel.deployment.exits import expected

    rows = plan.rows(1.0)
    alone, bare = expected(rows, plan.shares), plan.without_exits(1.0)
    found = {
        "schema": SCHEMA, "version": __version__, "inputs": {**w.inputs(plan.setup, batch), "shares": plan.shares,
                                                            "decision_s": plan.decision_s, "lazy": plan.lazy},
        "exits": rows, "sample": alone, "without_exits": bare,
        "speed_up": bare["latency_s"]["expected"] / alone["latency_s"]["expected"],
    }  # fmt: skip
    if batch > 1:
        together, whole = plan.of_batch(batch), plan.without_exits(batch)
        found["batch"] = {
            "until_the_last": {**together, "samples_per_s": batch / together["latency_s"]["expected"]},
            "taken_out": plan.shrinking(batch),
            "without_exits": {**whole, "samples_per_s": batch / whole["latency_s"]["expected"]},
        }
    return found


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    times = {f"{name}_s": value for name, value in row["latency_s"].items()}
    return {key: value for key, value in row.items() if key != "latency_s"} | times


def _print(answer: dict[str, Any]) -> None:
    heading = ("leaves at", "share", "kernels", "MMAC", "bound ms", "expected ms", "p10", "p90", "mJ")
    rows = [(row["exit"], f"{100 * row['share']:.1f}%", *_cells(row)) for row in answer["exits"]]
    mean, bare = answer["sample"], answer["without_exits"]
    rows += [("mean", "", *_cells(mean)), ("without exits", "", *_cells(bare))]
    print(f"{answer['inputs']['model']} on {answer['inputs']['device']}, {answer['inputs']['precision']}: "
          "one sample alone\n")  # fmt: skip
    print_columns([heading, *rows], numbers=range(1, 9))
    print(f"\nmean: {band(mean['latency_s'])}; {answer['speed_up']:.2f} times as fast as without exits")
    if "batch" in answer:
        _print_batch(answer)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    times, joules = row["latency_s"], row["joules"]
    return (
        f"{row['kernels']:.4g}", f"{row['macs'] / 1e6:,.2f}",
        *(f"{times[name] * 1e3:,.3f}" for name in ("bound", "expected", "p10", "p90")),
        "" if joules is None else f"{joules * 1e3:,.3f}",
    )  # fmt: skip


def _print_batch(answer: dict[str, Any]) -> None:
    size, found = answer["inputs"]["batch"], answer["batch"]
    last, out, bare = found["until_the_last"], found["taken_out"], found["without_exits"]
    names = [row["exit"] for row in answer["exits"]]
    ends = ", ".join(f"{name} {100 * p:.2f} %" for name, p in zip(names, last["probabilities"], strict=True))
    print(f"\na batch of {size} ends at: {ends}")
    rows = [
        ("until the last sample leaves", last["latency_s"]["expected"], last["samples_per_s"]),
        ("samples taken out where they leave", out["expected_s"], out["samples_per_s"]),
        ("without exits", bare["latency_s"]["expected"], bare["samples_per_s"]),
    ]
    cells = [(name, f"{seconds * 1e3:,.3f}", f"{rate:,.0f}") for name, seconds, rate in rows]
    print_columns([(f"batch of {size}", "expected ms", "samples/s"), *cells], numbers=(1, 2))
