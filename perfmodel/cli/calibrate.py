"""``perfmodel calibrate``: a device's own coefficients from a user's measured kernels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import options as o
from perfmodel.cli.output import note, one_stdout, print_columns, print_json, write_page
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError

app = new_app()
SCHEMA = "perfmodel/calibrate/1"
_STAY = "no fit was better held out: coefficients stay"
_MOST_REASONS = 8
_LEAST_SAID = 0.04
"""Factors closer to 1 are in the file, not in the summary."""


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "calibrate spots.csv --device rtx-4090",
        "calibrate spots.csv --device my-gpu.yaml --out specs/calibration/my-gpu.calibration.yaml --html fit.html",
        "calibrate spots.csv --device l40s --json",
    ),
)
def calibrate(
    table: Annotated[
        str, typer.Argument(metavar="DATA.csv", help="Measured kernels, one a row (- is standard input).")
    ],
    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="DEVICE",
            autocompletion=o.complete_device,
            help="What they ran on: a device's name, an alias or your own YAML file.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option("--out", metavar="FILE", help="The calibration file  [default: in a folder of PERFMODEL_SPECS]"),
    ] = "",
    json: o.Json = False,
    html: o.HtmlFile = "",
) -> None:
    """Fit a device's coefficients on your own measurements.

    Columns are those of `perfmodel kernels`, and latency_us, the measured microseconds. For each operator class in the
    file a few coefficients are fitted, held to those that the device had without measurements: a dozen rows help.
    Printed are the errors before (datasheet and family), of the fit, and on rows held out. The file is laid over the
    library's coefficients for that device wherever PERFMODEL_SPECS finds it.
    """
    one_stdout(json)
    from perfmodel.csv_input import read_rows
    from perfmodel.fitting.spot_file import default_path, is_found
    from perfmodel.fitting.spot_report import calibrate as fit

    report = fit(read_rows(table), device)
    if not report.classes:
        reason = report.refused[0][1] if report.refused else "the file has no rows"
        raise InputError(f"no row of {table} can be used: {reason}")
    publish(report, table, Path(out) if out else default_path(report.device), json, html, found=is_found)


def publish(report: Any, data: str, path: Path, json: bool, html: str, *, found: Any, sources: Any = None) -> None:
    """Write the file and the page of a calibration, and print its numbers."""
    from perfmodel.fitting.spot_file import folder_to_name, write_spots

    kept = write_spots(path, report, data, sources)
    answer = as_json(report, data, str(path), kept)
    if html:
        from perfmodel.reports.measured import calibration_html

        write_page(html, calibration_html(answer), answer)
    if json:
        print_json(answer)
    else:
        _print(answer)
    note(f"wrote {path}")
    if kept:
        note(f"kept from before: {', '.join(kept)}")
    if not found(path):
        note(f"to use it: export PERFMODEL_SPECS={folder_to_name(path)}")


def as_json(report: Any, data: str, path: str, kept: list[str]) -> dict[str, Any]:
    """Return a calibration as one JSON object."""
    from dataclasses import asdict

    classes: list[dict[str, Any]] = []
    for part in report.classes:
        found = asdict(part)
        classes.append({"class": found.pop("name"), **found})
    refused = [{"row": row, "reason": reason} for row, reason in report.refused]
    return {
        "schema": SCHEMA, "version": __version__, "device": report.device, "data": data, "file": path,
        "rows": report.rows, "classes": classes, "kept_classes": kept, "refused": refused,
    }  # fmt: skip


def _print(answer: Mapping[str, Any]) -> None:
    heading = ["class", "rows", "before", "fit", "held out", "p10", "p90", "held out by"]
    rows = [heading]
    for part in answer["classes"]:
        held = part["held_out"]
        rows.append([
            part["class"], str(part["rows"]), _percent(part["before"]), _percent(part["fit"]),
            _percent(held) if held else "-", f"{part['band']['p10']:.2f}", f"{part['band']['p90']:.2f}", part["method"],
        ])  # fmt: skip
    print(f"{answer['device']}: mean (median) of |expected/measured - 1|; the band is measured/expected")
    print_columns(rows, numbers=range(1, 7))
    for part in answer["classes"]:
        scales = "; ".join(filter(None, map(_rule, part["rules"])))
        print(f"{part['class']}: {scales or ('all factors are near 1' if part['rules'] else _STAY)}")
    if answer["refused"]:
        note(f"{len(answer['refused'])} rows could not be used:")
        for one in answer["refused"][:_MOST_REASONS]:
            note(f"  row {one['row']}: {one['reason']}")
        if len(answer["refused"]) > _MOST_REASONS:
            note(f"  and {len(answer['refused']) - _MOST_REASONS} more (--json has all)")
    _warn(answer)


def _percent(errors: Mapping[str, float]) -> str:
    return f"{errors['mape_percent']:.1f} % ({errors['median_percent']:.1f})"


def _rule(rule: Mapping[str, Any]) -> str:
    where = {k: v for k, v in rule["when"].items() if k != "device"}
    said = " and ".join(f"{k} {'/'.join(v) if isinstance(v, list) else v or 'none'}" for k, v in where.items())
    factors = ", ".join(f"{k} x {v:.2f}" for k, v in rule["scale"].items() if abs(v - 1.0) > _LEAST_SAID)
    return f"{factors} ({said})" if said and factors else factors


def _warn(answer: Mapping[str, Any]) -> None:
    fast = [row["row"] for part in answer["classes"] for row in part["figures"]
            if row["measured_us"] < 0.95 * row["bound_us"]]  # fmt: skip
    if fast:
        shown = ", ".join(map(str, fast[:5]))
        note(f"{len(fast)} rows are faster than the datasheet allows (rows {shown}): microseconds? the right device?")
