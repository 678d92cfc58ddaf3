"""The tables of all classes' errors, bands, coefficients and bounds, from calibration files and measured rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from perfmodel.devices import load_device
from perfmodel.fitting.common import device_facts

Content = Mapping[str, Any]
Row = dict[str, str]

MARGIN = 0.95
"""A kernel is called faster than its bound below this share of it: clocks and timers scatter."""


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    title: str
    rows: tuple[Row, ...]

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))


def is_datacentre(device: str, error: Mapping[str, Any]) -> bool:
    """Say whether a device left out is of the kind that most measured ones are.

    It has stacked memory, NVIDIA's matrix units as the others have, and was timed on the device: cards with GDDR
    memory, other vendors' chips and what the host's clock timed are the others.
    """
    return (
        device_facts(device)["memory_kind"] == "hbm"
        and load_device(device).vendor.casefold() == "nvidia"
        and error.get("timing") != "wall"
    )


def error_rows(name: str, content: Content) -> list[Row]:
    """Return a row a group of a class: fit, held out, means over devices left out of both kinds, roofline."""
    errors = content["errors"]
    rows: list[Row] = []
    for group, fit in errors["fit"].items():
        left = errors.get("left_out_by_device", {}).get(group, {})
        kinds = {
            kind: [one for device, one in left.items() if is_datacentre(device, one) == (kind == "datacentre")]
            for kind in ("datacentre", "other")
        }
        rows.append({
            "class": name, "of": group, "fit": _both(fit), "held out": _both(errors["held_out_shapes"].get(group)),
            "left out, all rows": _both(errors["left_out_device"].get(group)),
            **{f"left out, {kind} devices": _mean(found) for kind, found in kinds.items()},
            "roofline": _both(errors["roofline"].get(group)),
        })  # fmt: skip
    return rows


def _both(error: Mapping[str, float] | None) -> str:
    return f"{error['mape']:.1f} ({error['median']:.1f})" if error else ""


def _mean(errors: Sequence[Mapping[str, float]]) -> str:
    if not errors:
        return ""
    mape, median = (fmean(one[key] for one in errors) for key in ("mape", "median"))
    return f"{mape:.1f} ({median:.1f}), {len(errors)}"


def device_rows(name: str, content: Content) -> list[Row]:
    """Return a row a group of a class: the error of each device when it is left out."""
    found = content["errors"].get("left_out_by_device", {})
    return [
        {"class": name, "of": group, "devices left out": ", ".join(f"{d} {_both(e)}" for d, e in devices.items())}
        for group, devices in found.items()
    ]


def band_rows(name: str, content: Content) -> list[Row]:
    """Return what a class's bands hold of rows that they were not made of (in %), and their median p90/p10."""
    row: Row = {"class": name}
    for of, found in content["errors"].get("bands", {}).items():
        row[of.replace("_", " ")] = f"{found['holds']:.0f} ({found['width']:.2f})"
    return [row]


def coefficient_row(name: str, content: Content) -> Row:
    """Return how many coefficients a class shares, and by what factors groups differ (rules by reason apart)."""
    fitted = [rule for rule in content["rules"] if "note" not in rule]
    shared = next(rule["set"] for rule in fitted if not rule.get("when"))
    groups: dict[str, int] = {}
    for rule in fitted:
        keys = " and ".join(sorted(rule.get("when", {})))
        groups[keys] = groups.get(keys, 0) + len(rule.get("scale", {}))
    factors = {keys: count for keys, count in groups.items() if count}
    return {
        "class": name, "shared": str(len(shared)), "factors": str(sum(factors.values())),
        "by": ", ".join(f"{count} by {keys}" for keys, count in factors.items()),
    }  # fmt: skip


def against_bound(frame: Any) -> Any:
    """Return measured/bound of every row that ``perfmodel kernels`` answers, operands warm or not as it was timed."""
    import numpy as np

    from perfmodel.fitting.spot_rows import read_spots

    texts = frame.astype(str).where(frame.notna(), "")
    parts = [read_spots(part.to_dict("records"), str(device)) for device, part in texts.groupby("device")]
    groups = [group for part in parts for group in part.groups]
    return np.concatenate([group.measured_s / group.bound_s() for group in groups])


def bound_row(name: str, ratio: Any) -> Row:
    """Return the median of measured/bound, and how many rows are faster than the bound."""
    import numpy as np

    return {
        "class": name, "rows": str(len(ratio)), "median measured/bound": f"{np.median(ratio):.2f}",
        "least": f"{ratio.min():.2f}", "faster": f"{100 * (ratio < 1).mean():.2f} %",
        f"faster by more than {100 * (1 - MARGIN):.0f} %": f"{100 * (ratio < MARGIN).mean():.2f} %",
    }  # fmt: skip


def ablation_rows(table: Any) -> list[Row]:
    """Return the rows of :func:`perfmodel.fitting.judging.ablation` as texts."""
    return [
        {"form": str(name), **{key: f"{value:.1f}" for key, value in row.items()}} for name, row in table.iterrows()
    ]


def plain(table: Table) -> str:
    """Return a table for the terminal."""
    columns = table.columns
    cells = [columns, *[[row.get(name, "") for name in columns] for row in table.rows]]
    width = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = ["  ".join(text.ljust(width[i]) for i, text in enumerate(line)).rstrip() for line in cells]
    return "\n".join([table.title, *lines])


def markdown(table: Table) -> str:
    """Return a table in Markdown under its title."""
    columns = table.columns
    lines = ["| " + " | ".join(row.get(name, "") for name in columns) + " |" for row in table.rows]
    return "\n".join(
        [f"## {table.title}", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns), *lines]
    )


HEAD = """# Fits of the kernels' forms

Written by `python -m perfmodel.fitting --data FOLDER --markdown docs/fits.md`; what the columns mean, and what was
aimed at, is in [accuracy.md](accuracy.md#kernels)."""


def document(tables: Sequence[Table]) -> str:
    """Return tables as a page in Markdown."""
    return "\n\n".join([HEAD, *(markdown(table) for table in tables)]) + "\n"
