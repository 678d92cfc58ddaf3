"""The one procedure by which every operator class's fit is judged: splits, devices left out, bands, ablation, file."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from perfmodel.fitting.bands import Bands, Rule, judged_bands
from perfmodel.fitting.common import error_table, read_measured, shape_split

Terms = Mapping[str, Mapping[str, float]]
"""Physical term -> its coefficients and the values at which they switch it off."""

NOTHING = 1e-9
"""Stands for zero in coefficients that are fitted by their logarithm."""

DATE = "2026-11-21"


class Found(Protocol):
    """What a fit found."""

    def ratio(self, frame: Any) -> Any:
        """Return expected/measured of every row of a frame; groups never seen add nothing."""
        ...

    def rules(self) -> list[Rule]:
        """Return the calibration rules, the shared coefficients first."""
        ...


class ClassFit(Protocol):
    """How an operator class is fitted: what :func:`judge` and :func:`ablation` ask of it.

    ``shape`` are the columns of the hash split, ``group`` the column that errors are told apart by, ``table_by`` those
    of the printed tables. ``terms`` are the physical terms of the ablation.
    """

    @property
    def operator(self) -> str: ...
    @property
    def form(self) -> str: ...
    @property
    def data(self) -> tuple[str, ...]: ...
    @property
    def shape(self) -> tuple[str, ...]: ...
    @property
    def group(self) -> str: ...
    @property
    def table_by(self) -> tuple[str, ...]: ...
    @property
    def terms(self) -> Terms: ...
    @property
    def bands(self) -> Bands: ...
    @property
    def extra(self) -> Mapping[str, Any]:
        """What the calibration file says beside the common entries."""
        ...

    @property
    def stem(self) -> str:
        """The name of the file of data, without its ending."""
        ...

    def prepare(self, frame: Any, /) -> Any:
        """Return the rows to fit on, with the columns that the groups need."""
        ...

    def fit(self, frame: Any, near: Any = None) -> Found:
        """Return the fit on all rows of a frame; it may start at ``near``, a fit on much the same rows."""
        ...

    def unseen(self, frame: Any, held: Any, own: Any, near: Any) -> Found:
        """Return a fit that never saw the rows ``own``, all those of a device; ``near`` saw them."""
        ...

    def roofline_s(self, frame: Any) -> Any:
        """Return the datasheet roofline of every row."""
        ...

    def without_term(self, neutral: Mapping[str, float]) -> Self:
        """Return the same with some coefficients fixed for every row, so that their term has no effect."""
        ...

    def levels(self) -> list[tuple[str, ...]]:
        """Return the sets of columns whose groups have factors of their own."""
        ...

    def without_level(self, columns: tuple[str, ...]) -> Self:
        """Return the same without the factors of the groups that these columns make."""
        ...

    def thinned(self, weight: float) -> Self:
        """Return the same for a sample of the rows, each of which stands for ``weight`` of them."""
        ...


def read_rows(job: ClassFit, source: str | Path) -> Any:
    """Return the prepared rows of a class from a CSV file, or a folder that has its file."""
    frame = job.prepare(read_measured(source, job.stem))
    return frame.assign(sibling=job.bands.sibling(frame))


def leave_devices_out(frame: Any, unseen: Callable[[Any], Found]) -> Any:
    """Return expected/measured of every row by a fit that never saw its device: ``unseen(own rows)``."""
    import numpy as np

    ratio = np.full(len(frame), np.nan)
    for device in sorted(frame["device"].unique()):
        own = (frame["device"] == device).to_numpy()
        ratio[own] = unseen(own).ratio(frame[own].reset_index(drop=True))
    return ratio


def judge(job: ClassFit, frame: Any) -> dict[str, Any]:
    """Fit a class, print its errors and what its bands hold, and return the calibration file's content.

    The three errors are of the fit's own rows, of held-out shapes, and of devices left out; the rules are then fitted
    on all rows.
    """
    held = shape_split(frame, job.shape)
    near = job.fit(frame[~held].reset_index(drop=True))
    fitted = near.ratio(frame)
    left_out = leave_devices_out(frame, lambda own: job.unseen(frame, held, own, near))
    errors = _errors(job, frame, held, fitted, left_out)
    errors["bands"] = _coverage(job, frame, held, fitted, left_out)
    bands = job.bands.rules(frame, held, fitted, left_out)
    return _document(job, frame, job.fit(frame, near).rules(), bands, errors)


def refit(job: ClassFit, frame: Any) -> dict[str, Any]:
    """Return a calibration file's content without judging it: coefficients fitted on all rows, no errors, no bands."""
    near = job.fit(frame[~shape_split(frame, job.shape)].reset_index(drop=True))
    return _document(job, frame, job.fit(frame, near).rules(), [], {})


def _document(job: ClassFit, frame: Any, rules: list[Rule], bands: list[Rule], errors: Any) -> dict[str, Any]:
    split = f"30 % of the shapes ({', '.join(job.shape)}) held out by a hash that sees neither device nor backend"
    return {
        "schema": "calibration/1",
        "operator": job.operator,
        "form": job.form,
        "data": list(job.data),
        "date": DATE,
        "split": f"{split}; left out: refitted without each device in turn; the rules are refitted on all rows",
        "errors": {"unit": "% of |expected/measured - 1|", **errors},
        **job.extra,
        "measured_devices": sorted(frame["device"].unique().tolist()),
        "rules": rules,
        "bands": bands,
    }


def _errors(job: ClassFit, frame: Any, held: Any, fitted: Any, left_out: Any) -> dict[str, Any]:
    """Print the tables of errors; return MAPE and median by group, for devices left out also by device."""
    import numpy as np

    measured = frame["latency_us"].to_numpy(float) * 1e-6
    every = np.ones(len(frame), dtype=bool)
    parts = {
        "fit": (~held, fitted),
        "held_out_shapes": (held, fitted),
        "left_out_device": (every, left_out),
        "roofline": (every, job.roofline_s(frame) / measured),
    }
    errors: dict[str, Any] = {}
    for name, (rows, ratio) in parts.items():
        table = error_table(frame[rows], ratio[rows], job.table_by)
        print(f"\n{job.operator}, {name}: |expected/measured - 1| in %\n{table.to_string()}", flush=True)
        errors[name] = _by_group(frame[rows], ratio[rows], job.group)
    errors["left_out_by_device"] = {
        str(group): _by_group(frame.iloc[rows], left_out[rows], "device", overall=False)
        for group, rows in sorted(frame.groupby(job.group).indices.items())
    } | {"all": _by_group(frame, left_out, "device", overall=False)}
    return errors


def _by_group(frame: Any, ratio: Any, column: str, *, overall: bool = True) -> dict[str, Any]:
    """Return MAPE and median by the values of a column; ``timing: wall`` where the host's clock timed most rows."""
    table = error_table(frame, ratio, [column])
    timed = frame["timing"] == "wall" if "timing" in frame else False
    wall: dict[Any, float] = frame.assign(wall=timed).groupby(column)["wall"].mean().to_dict()
    return {
        str(key): {"mape": float(row["mape"]), "median": float(row["median"])}
        | ({"timing": "wall"} if not overall and wall.get(key, 0) > 0.5 else {})
        for (key, *_), row in zip([k if isinstance(k, tuple) else (k,) for k in table.index], table.iloc, strict=True)
        if overall or key != "all"
    }


def _coverage(job: ClassFit, frame: Any, held: Any, fitted: Any, left_out: Any) -> dict[str, Any]:
    """Print what bands hold of rows that they were not drawn from; return the share (in %) and the median width."""
    import pandas as pd

    shapes = frame[list(job.shape)].astype(str).agg("|".join, axis=1)
    half = shapes.map(lambda shape: zlib.crc32(f"half {shape}".encode()) % 2 == 0).to_numpy(bool)
    rows = judged_bands(job.bands, frame, held, fitted, left_out, half)
    print(f"\n{job.operator}: 80 % bands, judged on rows that they were not made of")
    print(coverage_table(rows, ["of", "device"]).to_string())
    every = rows[rows["of"] != "held_out_shapes"].assign(of="left_out_device")
    found = coverage_table(pd.concat([rows, every]), ["of"])
    print(found.to_string(), flush=True)
    return {str(name): {"holds": float(row["holds"]), "width": float(row["width"])} for name, row in found.iterrows()}


def coverage_table(rows: Any, by: Sequence[str]) -> Any:
    """Return the number of rows, the share inside (in %) and the median p90/p10 by columns."""
    grouped = rows.assign(inside=100.0 * rows["inside"]).groupby(list(by))
    table = grouped.agg(rows=("inside", "size"), holds=("inside", "mean"), width=("width", "median"))
    return table.round(2)


def mean_over_devices(frame: Any, ratio: Any) -> float:
    """Return the mean of the devices' own MAPE in %: each device counts once, however many rows it has."""
    import numpy as np

    devices, off = frame["device"].to_numpy(), 100 * np.abs(np.asarray(ratio) - 1)
    return float(np.mean([off[devices == device].mean() for device in np.unique(devices)]))


def ablation(job: ClassFit, frame: Any, most: int = 3000, *, factors: bool = False, shapes_only: bool = False) -> Any:
    """Return the MAPE (in %) of the whole form, and of the form refitted without each physical term.

    ``factors``: also without the factors of each kind of group. On at most ``most`` rows, picked at random; columns:
    fit, held out, device left out (mean over devices; not with ``shapes_only``, which takes a fraction of the time).
    """
    import numpy as np
    import pandas as pd

    part = frame.sample(min(most, len(frame)), random_state=0).reset_index(drop=True)
    held = shape_split(part, job.shape)
    whole = job.thinned(len(frame) / len(part))
    near = whole.fit(part[~held].reset_index(drop=True))

    def row(changed: ClassFit) -> dict[str, float]:
        found = changed.fit(part[~held].reset_index(drop=True), near)
        off = 100 * np.abs(found.ratio(part) - 1)
        errors = {"fit": off[~held].mean(), "held out": off[held].mean()}
        if not shapes_only:
            left = leave_devices_out(part, lambda own: changed.unseen(part, held, own, found))
            errors["device left out"] = mean_over_devices(part, left)
        return errors

    rows = {"whole form": row(whole)}
    rows |= {f"without {term}": row(whole.without_term(neutral)) for term, neutral in job.terms.items()}
    levels = sorted(set(job.levels())) if factors else []
    rows |= {f"without factors by {' and '.join(columns)}": row(whole.without_level(columns)) for columns in levels}
    return pd.DataFrame(rows).T.round(1)
