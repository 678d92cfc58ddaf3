"""The file of a device's own calibration: where it goes, what it says, and how one class after another joins it."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from perfmodel import __version__
from perfmodel.calibration import forget_calibrations
from perfmodel.calibration.overlay import SCHEMA, read_overlay
from perfmodel.errors import InputError
from perfmodel.files import write_text
from perfmodel.fitting.spot_report import ClassReport, DeviceReport
from perfmodel.fitting.writing import calibration_text
from perfmodel.specs.locate import USER_FOLDERS, user_roots

FOLDER = "perfmodel_specs"
"""The folder that is made where PERFMODEL_SPECS names none."""


def default_path(device: str) -> Path:
    """Return where a device's calibration goes: the first folder of PERFMODEL_SPECS, or one to be made here."""
    root = next(iter(user_roots("hardware_specs")), Path(FOLDER))
    return root / "calibration" / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', device)}.calibration.yaml"


def is_found(path: Path) -> bool:
    """Say whether a file lies in a folder that PERFMODEL_SPECS names."""
    found = path.resolve()
    return any(found.is_relative_to(root.resolve()) for root in user_roots("hardware_specs"))


def folder_to_name(path: Path) -> str:
    """Return what PERFMODEL_SPECS must be for a file to be found."""
    folder = str(path.resolve().parent.parent if path.parent.name == "calibration" else path.resolve().parent)
    return os.pathsep.join(filter(None, [folder, os.environ.get(USER_FOLDERS, "")]))


def write_spots(path: Path, report: DeviceReport, data: str, sources: Mapping[str, str] | None = None) -> list[str]:
    """Write a device's calibration; classes that only the file has stay in it, and are returned.

    Errors: :class:`InputError` if nothing was fitted, or if the file is of another device.
    """
    if not report.classes:
        raise InputError(f"no row of {data} could be used, so there is no calibration to write")
    kept: dict[str, Any] = {}
    if path.exists():
        before = read_overlay(path)
        if before["device"] != report.device:
            raise InputError(f"{path} is the calibration of {before['device']}, not of {report.device}: name another")
        kept = {name: part for name, part in before["classes"].items() if name not in {c.name for c in report.classes}}
    content = {
        "schema": SCHEMA, "device": report.device, "perfmodel": __version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(), "data": data, "sources": dict(sources or {}),
        "classes": {**kept, **{part.name: _class(part) for part in report.classes}},
    }  # fmt: skip
    if path.parent.name == "calibration":
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, calibration_text({key: value for key, value in content.items() if value != {}}))
    forget_calibrations()
    return sorted(kept)


def _class(part: ClassReport) -> dict[str, Any]:
    errors = {"before": asdict(part.before), "fit": asdict(part.fit)}
    if part.held_out:
        errors["held_out"] = asdict(part.held_out)
    return {
        "rows": part.rows, "held_out_by": part.method, "strength": part.strength, "errors": errors,
        "rules": part.rules, "bands": [{"set": {"p10": part.band.p10, "p90": part.band.p90}}],
    }  # fmt: skip
