"""``perfmodel device area`` and ``device energy``: what a chip's parts cover, and what its work takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmodel.cli import options as o
from perfmodel.cli.output import print_columns, print_json
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.devices import Device

_PARTS = {
    "matrix_mm2": "matrix units", "vector_mm2": "vector units and their control", "sram_mm2": "caches and scratchpads",
    "interface_mm2": "memory and links",
}  # fmt: skip


def area(device: o.Device, json: o.Json = False) -> None:
    """Show a chip's die area by part, from its process, peaks, caches, memory and links, beside the stated area."""
    from perfmodel.calibration import load_calibration
    from perfmodel.cost.area import die_area
    from perfmodel.devices import load_device

    found = load_device(device)
    parts = die_area(found)
    band = load_calibration("area").band()
    report: dict[str, Any] = {name: getattr(parts, name) for name in _PARTS} | {
        "modelled_mm2": parts.modelled_mm2, "modelled_mm2_p10": parts.modelled_mm2 * band.p10,
        "modelled_mm2_p90": parts.modelled_mm2 * band.p90, "stated_mm2": parts.stated_mm2,
    }  # fmt: skip
    if json:
        print_json(
            {"schema": "perfmodel/device-area/1", "device": found.name, "process_nm": found.process_nm, **report}
        )
        return
    rows = [(title, f"{report[name]:,.0f}") for name, title in _PARTS.items()]
    low, high = report["modelled_mm2_p10"], report["modelled_mm2_p90"]
    rows.append(("all of it", f"{parts.modelled_mm2:,.0f} ({low:,.0f} to {high:,.0f})"))
    rows.append(("stated", "not stated" if parts.stated_mm2 is None else f"{parts.stated_mm2:,.0f}"))
    print_columns([(f"{found.name}, {found.process_nm:g} nm", "mm2"), *rows], numbers=(1,))


def energy(device: o.Device, json: o.Json = False) -> None:
    """Show what a chip draws idle and what a byte and a flop take, whole chip and arithmetic alone."""
    from perfmodel.cost.energy import energy_facts
    from perfmodel.devices import load_device

    found = load_device(device)
    facts = energy_facts(found)
    if facts is None:
        raise InputError(
            f"{found.name} states no power limit, so that its energy is not known: add 'power' to its file"
        )
    kv = facts.j_per_byte if facts.j_per_kv_byte is None else facts.j_per_kv_byte
    bare = _arithmetic(found)
    report: dict[str, Any] = {
        "static_w": facts.static_w, "limit_w": facts.board_w, "measured": facts.measured,
        "pj_per_byte": facts.j_per_byte * 1e12, "pj_per_kv_byte": kv * 1e12,
        "pj_per_link_byte": facts.j_per_link_byte * 1e12,
        "pj_per_flop": {dtype: each * 1e12 for dtype, each in facts.j_per_flop.items()},
        "pj_per_flop_arithmetic": bare,
    }  # fmt: skip
    if json:
        print_json({"schema": "perfmodel/device-energy/1", "device": found.name, **report})
        return
    known = "measured" if facts.measured else "from its memory, limit and peaks: not measured"
    rows = [("idle, ready", f"{facts.static_w:.4g} W"), ("limit", f"{facts.board_w:.4g} W")]
    rows += [("byte of weights", f"{report['pj_per_byte']:.4g} pJ"), ("byte of KV cache", f"{kv * 1e12:.4g} pJ")]
    rows.append(("byte to another device", f"{report['pj_per_link_byte']:.4g} pJ"))
    for dtype, each in report["pj_per_flop"].items():
        alone = f" ({bare[dtype]:.3g} the arithmetic alone)" if dtype in bare else ""
        rows.append((f"flop in {dtype}", f"{each:.3g} pJ{alone}"))
    print_columns([(found.name, known), *rows])


def _arithmetic(device: Device) -> dict[str, float]:
    """Return pJ a flop of multipliers and adders alone at the chip's process; empty if that is not stated."""
    from perfmodel.cost.technology import technology

    if device.process_nm is None:
        return {}
    known = technology()
    return {dtype: known.mac_j(dtype, device.process_nm) / 2.0 * 1e12 for dtype in device.dtypes("tensor")}
