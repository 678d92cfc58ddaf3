"""What twelve spot measurements bring: ``python -m perfmodel.fitting.spots --data FOLDER [--devices a,b]``.

A device is taken out of the data and every class that it was measured in is fitted again
(:mod:`perfmodel.fitting.refit`), so that it gets its family's coefficients and its datasheet, as a device that nobody
measured. Then a few of its rows, picked by a hash and spread over the range of sizes, are given to
:func:`perfmodel.fitting.spot_report.calibrate_spots`, and the error on all its other rows is shown before and after.
``--leaky`` only strikes the rules that name the device out of the packaged files: quick, but what its measurements put
into the rules of its family stays. ``--work DIR`` keeps the refitted files.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perfmodel.calibration import forget_calibrations
from perfmodel.devices import Device
from perfmodel.fitting.refit import CLASSES, keep_bands, refit, without_device
from perfmodel.fitting.spot_report import calibrate_spots
from perfmodel.fitting.spot_rows import Group, Spots, read_spots
from perfmodel.fitting.writing import write_calibration
from perfmodel.specs import load_calibration_mapping
from perfmodel.specs.locate import USER_FOLDERS

DEVICES = ("l40s", "rtx-3090", "rtx-a6000", "v100-pcie-16gb", "mi210")
"""The measured devices that are not of a data centre's newest kind."""

SPOTS = 12
FEWEST_REST = 25
"""Classes with fewer rows beside the spots are not judged."""


@dataclass(frozen=True)
class Brought:
    """MAPE (median) in percent on the rows that were not spots, before and after, and how the bands did."""

    device: str
    name: str
    rows: int
    spots: int
    before: tuple[float, float]
    after: tuple[float, float]
    in_band_before: float
    in_band_after: float

    @property
    def gone(self) -> float:
        """Return the share of the error (MAPE) that is gone, in percent."""
        return 100.0 * (1.0 - self.after[0] / self.before[0])


def judged(spots: Spots, count: int = SPOTS, salt: str = "", mixed: bool = False) -> Iterator[Brought]:
    """Yield, for each class of a device's rows, what ``count`` of them bring for the others.

    Each backend stands by itself (whoever measures has one), and the means over them are given; ``mixed`` draws from
    all of them together.
    """
    for name, groups in spots.classes().items():
        backends: dict[str, list[Group]] = {}
        for group in groups:
            backends.setdefault("" if mixed else group.key.backend, []).append(group)
        able = [g for g in backends.values() if sum(len(one.shapes) for one in g) >= count + FEWEST_REST]
        found = [_judged(spots.device, name, group, count, salt) for group in able]
        yield from (replace(one, rows=sum(b.rows for b in found)) for one in averaged([[b] for b in found]))


def _judged(device: Device, name: str, groups: Sequence[Group], count: int, salt: str) -> Brought:
    import numpy as np

    chosen = picked(groups, count, salt)
    few, rest = _parted(groups, chosen, True), _parted(groups, chosen, False)
    found = calibrate_spots(Spots(device, tuple(few), ())).classes[0]
    measured = np.concatenate([g.measured_s for g in rest])
    before, after = _expected(rest, {}), _expected(rest, found.rules)
    low, high = _packaged_bands(name, rest)
    bound = np.concatenate([g.bound_s() for g in rest])
    return Brought(
        device.name, name, len(measured) + len(chosen), len(chosen), _errors(before / measured),
        _errors(after / measured), _inside(measured, np.maximum(before * low, bound), before * high),
        _inside(measured, np.maximum(after * found.band.p10, bound), after * found.band.p90),
    )  # fmt: skip


def picked(groups: Sequence[Group], count: int, salt: str = "") -> set[tuple[int, int]]:
    """Return (group, row) of the spots: one of each of ``count`` equal parts of the rows by bound, picked by a hash."""
    rows = sorted(
        (float(bound), zlib.crc32(f"{salt}{group.key}{shape}".encode()), number, i)
        for number, group in enumerate(groups)
        for i, (bound, shape) in enumerate(zip(group.bound_s(), group.shapes, strict=True))
    )
    edges = [round(len(rows) * part / count) for part in range(count + 1)]
    parts = [rows[a:b] for a, b in itertools.pairwise(edges) if b > a]
    return {min(part, key=lambda row: row[1])[2:] for part in parts}


def _parted(groups: Sequence[Group], chosen: set[tuple[int, int]], wanted: bool) -> list[Group]:
    found: list[Group] = []
    for number, group in enumerate(groups):
        if rows := [i for i in range(len(group.shapes)) if ((number, i) in chosen) == wanted]:
            found.append(group.take(rows))
    return found


def _expected(groups: Sequence[Group], rules: Any) -> Any:
    """Return the times of rows with the rules of a calibration applied, as a loaded file would."""
    import numpy as np

    times: list[Any] = []
    for group in groups:
        factors: dict[str, float] = {}
        for rule in rules:
            if _applies(rule["when"], group):
                for name, factor in rule["scale"].items():
                    factors[name] = factors.get(name, 1.0) * factor
        times.append(group.expected_s(factors))
    return np.concatenate(times)


def _applies(when: Mapping[str, Any], group: Group) -> bool:
    situation = group.machine.situation(group.calibration)
    return all(situation[k] in (v if isinstance(v, list) else [v]) for k, v in when.items())


def _errors(ratio: Any) -> tuple[float, float]:
    import numpy as np

    off = 100.0 * np.abs(ratio - 1.0)
    return float(off.mean()), float(np.median(off))


def _packaged_bands(name: str, groups: Sequence[Group]) -> tuple[Any, Any]:
    import numpy as np

    from perfmodel.calibration import packaged_calibration

    bands = [packaged_calibration(name).band(measured="false", **g.machine.situation(name)) for g in groups]
    sizes = [len(g.shapes) for g in groups]
    return np.repeat([b.p10 for b in bands], sizes), np.repeat([b.p90 for b in bands], sizes)


def _inside(measured: Any, low: Any, high: Any) -> float:
    import numpy as np

    return 100.0 * float(np.mean((measured >= low) & (measured <= high)))


@contextmanager
def specs_in(folder: Path) -> Iterator[None]:
    """Use the calibration files of a folder instead of the packaged ones."""
    before = os.environ.get(USER_FOLDERS)
    os.environ[USER_FOLDERS] = str(folder)
    forget_calibrations()
    try:
        yield
    finally:
        os.environ.pop(USER_FOLDERS)
        if before is not None:
            os.environ[USER_FOLDERS] = before
        forget_calibrations()


def strike_out(device: str, folder: Path) -> None:
    """Write the packaged calibration files without the rules that name a device."""
    for name in CLASSES:
        raw, _ = load_calibration_mapping(name)
        for key in ("rules", "bands"):
            raw[key] = [rule for rule in raw[key] if (rule.get("when") or {}).get("device") != device]
        raw["measured_devices"] = [d for d in raw["measured_devices"] if d != device]
        write_calibration(folder / f"{name}.yaml", raw)


def rows_of(data: Path, device: str) -> list[dict[str, str]]:
    """Return the rows of a device in all tables of kernels of a folder."""
    import pandas as pd

    found: list[dict[str, str]] = []
    for name in CLASSES:
        for file in sorted(data.glob(f"{name}.csv*")):
            frame = pd.read_csv(file, dtype=str, keep_default_na=False)
            found += frame[frame["device"] == device].to_dict("records")  # type: ignore[arg-type]
    return found


def _prepare(data: Path, device: str, work: Path, leaky: bool) -> Path:
    """Return a folder of calibration files that never saw the device; what is there already is kept."""
    folder = work / device / ("leaky" if leaky else "calibration")
    folder.mkdir(parents=True, exist_ok=True)
    if leaky:
        strike_out(device, folder)
        return folder
    tables = work / device / "data"
    tables.mkdir(exist_ok=True)
    for name in without_device(data, device, tables):
        if not (folder / f"{name}.yaml").exists():
            refit(name, tables, folder / f"{name}.yaml")
            keep_bands(name, device, folder / f"{name}.yaml")
    return folder


def table(found: Sequence[Brought], heading: bool = True) -> str:
    """Return the results as rows of a table in Markdown, and their mean."""
    lines = ["| device | class | rows | before | after | gone | in band before | after |", "|" + " --- |" * 8]
    lines = lines if heading else []
    for one in found:
        lines.append(
            f"| {one.device} | {one.name} | {one.rows} | {one.before[0]:.1f} ({one.before[1]:.1f}) "
            f"| {one.after[0]:.1f} ({one.after[1]:.1f}) | {one.gone:.0f} | {one.in_band_before:.0f} "
            f"| {one.in_band_after:.0f} |"
        )
    if found:
        before, after = (sum(getattr(one, name)[0] for one in found) / len(found) for name in ("before", "after"))
        gone = 100.0 * (1.0 - after / before)
        lines.append(f"| {found[0].device} | mean | | {before:.1f} | {after:.1f} | {gone:.0f} | | |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Print what spot measurements bring, by device and class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder of measured kernels")
    parser.add_argument("--devices", default=",".join(DEVICES))
    parser.add_argument("--spots", type=int, default=SPOTS)
    parser.add_argument("--draws", type=int, default=3, help="how many draws of spots are averaged")
    parser.add_argument("--work", type=Path, help="keep the refitted files here, and use those that are there")
    parser.add_argument("--mixed", action="store_true", help="draw the spots from all backends together")
    parser.add_argument("--leaky", action="store_true", help="strike out rules instead of fitting again")
    chosen = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        for place, device in enumerate(chosen.devices.split(",")):
            folder = _prepare(chosen.data, device, chosen.work or Path(temporary), chosen.leaky)
            with specs_in(folder):
                spots = read_spots(rows_of(chosen.data, device), device)
                found = averaged([list(judged(spots, chosen.spots, str(i), chosen.mixed)) for i in range(chosen.draws)])
            print(table(found, heading=not place), flush=True)


def averaged(draws: Sequence[Sequence[Brought]]) -> list[Brought]:
    """Return the means over draws (or backends), class by class."""
    from statistics import fmean

    def mean(pick: Any, members: Sequence[Brought]) -> float:
        return fmean(pick(one) for one in members)

    return [
        Brought(
            one.device, one.name, one.rows, one.spots,
            (mean(lambda b: b.before[0], same), mean(lambda b: b.before[1], same)),
            (mean(lambda b: b.after[0], same), mean(lambda b: b.after[1], same)),
            mean(lambda b: b.in_band_before, same), mean(lambda b: b.in_band_after, same),
        )
        for same in zip(*draws, strict=True)
        for one in same[:1]
    ]  # fmt: skip


if __name__ == "__main__":
    main()
