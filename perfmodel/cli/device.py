"""``perfmodel device``: the devices of the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.device_silicon import area, energy
from perfmodel.cli.output import note, print_columns, print_json
from perfmodel.cli.plain import PlainCommand, examples, new_app

if TYPE_CHECKING:
    from perfmodel.devices import Device, System

app = new_app("List, show, compare and check devices.")
_SIXTEEN_BIT = ("bfloat16", "float16")


@app.command("list", cls=PlainCommand, epilog=examples("device list", "device list --json"))
def list_(json: o.Json = False) -> None:
    """List the devices and systems of the library and of the folders in PERFMODEL_SPECS."""
    from perfmodel.devices import list_devices, list_systems, load_device, load_system

    rows = [_summary(load_device(name)) for name in list_devices()]
    systems = [_system_summary(load_system(name)) for name in list_systems()]
    if json:
        print_json({"schema": "perfmodel/devices/1", "devices": rows, "systems": systems})
        return
    heading = ("device", "kind", "architecture", "released", "memory GB", "GB/s", "16-bit TFLOP/s")
    print_columns([heading, *(_cells(row) for row in rows)], numbers=(4, 5, 6))
    print()
    heading = ("system", "device", "a node", "nodes", "scale-up", "joins", "GB/s", "scale-out GB/s")
    print_columns([heading, *(_system_cells(row) for row in systems)], numbers=(2, 3, 5, 6, 7))


def _summary(device: Device) -> dict[str, Any]:
    peaks = [device.peak_flops_per_s(d) for d in _SIXTEEN_BIT if device.has_peak(d)]
    return {
        "name": device.name,
        "kind": device.kind,
        "architecture": device.architecture,
        "released": device.released,
        "memory_bytes": device.main_memory.capacity_bytes,
        "memory_bandwidth_bytes_per_s": device.main_memory.bandwidth_bytes_per_s,
        "peak_16bit_flops_per_s": max(peaks, default=None),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    peak = row["peak_16bit_flops_per_s"]
    return [
        row["name"], row["kind"], row["architecture"], row["released"], f"{row['memory_bytes'] / 1e9:.0f}",
        f"{row['memory_bandwidth_bytes_per_s'] / 1e9:,.0f}", "" if peak is None else f"{peak / 1e12:,.1f}",
    ]  # fmt: skip


def _system_summary(system: System) -> dict[str, Any]:
    up = next((link for link in system.links if link.scope == "scale_up"), None)
    out = next((link for link in system.links if link.scope == "scale_out"), None)
    return {
        "name": system.name,
        "device": system.device,
        "devices_per_node": system.devices_per_node,
        "nodes": system.nodes,
        "scale_up": up.name if up else None,
        "scale_up_domain": up.domain_size if up else 1,
        "scale_up_bandwidth_bytes_per_s": up.bandwidth_bytes_per_s if up else None,
        "scale_out_bandwidth_bytes_per_s": out.bandwidth_bytes_per_s if out else None,
    }


def _system_cells(row: dict[str, Any]) -> list[str]:
    up, out = row["scale_up_bandwidth_bytes_per_s"], row["scale_out_bandwidth_bytes_per_s"]
    nodes = "any" if row["nodes"] is None else f"{row['nodes']:,}"
    return [
        row["name"], row["device"], str(row["devices_per_node"]), nodes,
        row["scale_up"] or "", f"{row['scale_up_domain']:,}", "" if up is None else f"{up / 1e9:,.4g}",
        "" if out is None else f"{out / 1e9:,.4g}",
    ]  # fmt: skip


@app.command("show", cls=PlainCommand, epilog=examples("device show h100-sxm", "device show ./mine.yaml --json"))
def show(device: o.Device, json: o.Json = False) -> None:
    """Show what a device's file states, and where each number comes from; a system's links stand in for its own."""
    from perfmodel.devices.compare import flatten_device

    found = _with_engines(device)
    flat = flatten_device(found)
    if json:
        print_json(_object(found, flat))
        return
    print_columns([(name, _shown(name, value)) for name, value in flat.items()])
    print("\naliases  " + ", ".join(found.aliases))
    for text in found.notes:
        print(f"note     {text}")
    for source in found.sources:
        print(f"source   {source.id}: {source.citation()}{'' if source.verified else ' (not verified)'}")


def _object(device: Device, flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "perfmodel/device/1",
        **flat,
        "aliases": device.aliases,
        "notes": device.notes,
        "field_sources": dict(device.field_sources),
        "sources": {s.id: {"citation": s.citation(), "verified": s.verified} for s in device.sources},
        "spec_hash": device.spec_hash,
        "path": device.path,
    }


_DIMENSIONS = {
    "_bytes": "bytes", "_bytes_per_s": "bytes_per_s", "flops_per_s": "flops_per_s", "_hz": "hertz", "_w": "watts",
    "_s": "seconds",
}  # fmt: skip


def _shown(name: str, value: Any) -> str:
    """Return a value in the unit that its name ends with, or as it is."""
    from perfmodel.units import format_quantity

    if value is None:
        return "not stated"
    endings = [ending for ending in _DIMENSIONS if name.endswith(ending)]
    if isinstance(value, float) and endings:
        return format_quantity(value, _DIMENSIONS[max(endings, key=len)])
    return f"{value:,}" if isinstance(value, int) else str(value)


@app.command("diff", cls=PlainCommand, epilog=examples("device diff h100-sxm h200-sxm"))
def diff(device: o.Device, other: o.Device, json: o.Json = False) -> None:
    """Show in what two devices differ."""
    from perfmodel.devices import load_device
    from perfmodel.devices.compare import diff_devices

    a, b = load_device(device), load_device(other)
    rows = diff_devices(a, b)
    if json:
        fields = [{"field": field, a.name: left, b.name: right} for field, left, right in rows]
        print_json({"schema": "perfmodel/device-diff/1", "devices": [a.name, b.name], "differences": fields})
        return
    if not rows:
        note(f"{a.name} and {b.name} state the same")
        return
    heading = ("field", a.name, b.name, "ratio")
    print_columns([heading, *((field, _shown(field, x), _shown(field, y), _ratio(x, y)) for field, x, y in rows)])


def _ratio(left: Any, right: Any) -> str:
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float)) and left
    return f"x{right / left:.3g}" if numbers else ""


@app.command("check", cls=PlainCommand, epilog=examples("device check", "device check ./mine.yaml --strict"))
def check(
    devices: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DEVICE]...", autocompletion=o.complete_device, help="Which; all of them if none is named."
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    json: o.Json = False,
) -> None:
    """Look for what is well formed and yet likely wrong; exit code 5 if there is an error."""
    from perfmodel.cli.check import check_all
    from perfmodel.devices import list_devices

    names = devices or list_devices()
    check_all("device", names, _findings, json, strict, _verified(names))


def _findings(name: str) -> list[dict[str, str]]:
    from perfmodel.cli.check import findings
    from perfmodel.devices import check_device

    return findings(name, _with_engines, check_device)


def _with_engines(name: str) -> Device:
    """Return a device whose engines' blocks were read too."""
    from perfmodel.cost.engines.registry import engines_of
    from perfmodel.devices import load_device

    device = load_device(name)
    engines_of(device)
    return device


def _verified(names: Sequence[str]) -> dict[str, int]:
    """Count the numbers of the devices that can be read, and those whose source was not looked up."""
    from perfmodel.devices import load_device
    from perfmodel.devices.check import unverified_count
    from perfmodel.errors import PerfmodelError

    unverified = total = 0
    for name in names:
        try:
            found, all_of_it = unverified_count(load_device(name))
        except PerfmodelError:
            continue  # said as a finding
        unverified, total = unverified + found, total + all_of_it
    return {"numbers": total, "unverified": unverified}


app.command("area", cls=PlainCommand, epilog=examples("device area h100-sxm", "device area tpu-v4 --json"))(area)
app.command("energy", cls=PlainCommand, epilog=examples("device energy h100-sxm", "device energy l4 --json"))(energy)


@app.command(
    "new",
    cls=PlainCommand,
    epilog=examples(
        "device new --like h100-sxm --set memory.hbm.bandwidth=8TB/s --set compute.tensor.fp8=4PFLOP/s",
        "device new --like wse-3 --set engines.mesh.stage=4ns --name wse-next --out wse-next.yaml",
    ),
)
def new(
    like: Annotated[
        str, typer.Option("--like", metavar="DEVICE", autocompletion=o.complete_device, help="What it starts from.")
    ],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Another number: memory.main.bandwidth=8TB/s, power=*2."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Its name  [default: DEVICE-what-if]")] = "",
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Its file  [default: NAME.yaml]")] = "",
    json: o.Json = False,
) -> None:
    """Write the file of a device that is like another one but for some numbers: a chip that is yet to be built."""
    from pathlib import Path

    from perfmodel.cli.question import changes
    from perfmodel.cost.engines.registry import engines_of
    from perfmodel.devices.compare import diff_devices
    from perfmodel.devices.design import check_new, design_device
    from perfmodel.devices.load import load_device
    from perfmodel.files import write_text

    device, text = design_device(like, changes(change), name)
    engines_of(device)
    path = Path(out or f"{device.name}.yaml")
    check_new(path)
    write_text(path, text)
    rows = [row for row in diff_devices(load_device(load_device(like).path), device) if row[0] != "name"]
    if json:
        fields = [{"field": field, "was": was, "is": value} for field, was, value in rows]
        print_json({"schema": "perfmodel/device-new/1", "name": device.name, "path": str(path), "changed": fields})
        return
    print_columns([(field, _shown(field, was), _shown(field, value)) for field, was, value in rows])
    note(f"wrote {path}; ask with --on {path}, or put its folder's parent into PERFMODEL_SPECS")
