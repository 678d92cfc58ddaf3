"""Calibration files of a world in which one device was never measured, for judging what spot measurements bring."""

from __future__ import annotations

from pathlib import Path

from perfmodel.fitting import classes, judging
from perfmodel.fitting.writing import write_calibration
from perfmodel.specs import load_calibration_mapping, load_yaml

CLASSES = tuple(name for name in classes.CLASSES if name != "recurrence")
"""Classes that spot measurements are judged in: recurrence has no table in the columns of ``perfmodel kernels``."""


def without_device(data: Path, device: str, folder: Path) -> list[str]:
    """Write the tables of ``data`` without a device into ``folder``; return the classes that it was measured in."""
    import pandas as pd

    found: list[str] = []
    for name in CLASSES:
        frame = pd.concat([pd.read_csv(file, low_memory=False) for file in sorted(data.glob(f"{name}.csv*"))])
        own = frame["device"] == device
        if own.to_numpy().any():
            found.append(name)
            frame[~own].to_csv(folder / f"{name}.csv.gz", index=False)
    return found


def refit(name: str, data: Path, out: Path) -> None:
    """Fit an operator class on the tables in ``data`` and write its calibration file, without errors and bands."""
    job = classes.class_fit(name)
    write_calibration(out, judging.refit(job, judging.read_rows(job, data)))


def keep_bands(name: str, device: str, out: Path) -> None:
    """Give a refitted file the packaged bands, which come from all left-out devices, but for those of the device."""
    packaged, _ = load_calibration_mapping(name)
    bands = [rule for rule in packaged["bands"] if (rule.get("when") or {}).get("device") != device]
    write_calibration(out, {**load_yaml(out).plain(), "bands": bands})
