"""All classes' errors in tables: ``python -m perfmodel.fitting --data FOLDER [--classes gemm,moe] [--markdown F]``.

The errors come from the calibration files, where each class's fit left them; ``--refit`` fits anew first and writes the
files. The bound is held against every measured row. ``--ablation`` also refits without each physical term.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_text
from perfmodel.fitting import overview
from perfmodel.fitting.classes import CLASSES, class_fit
from perfmodel.fitting.judging import ClassFit, ablation, judge, read_rows
from perfmodel.fitting.overview import Table
from perfmodel.fitting.writing import write_calibration
from perfmodel.specs import load_calibration_mapping, load_yaml


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables, and write them as Markdown where asked."""
    given = _arguments(argv)
    jobs = [class_fit(name) for name in given.classes.split(",")]
    if given.refit:
        for job in jobs:
            write_calibration(given.out / f"{job.operator}.yaml", judge(job, read_rows(job, given.data)))
    tables = _tables(jobs, given)
    print("\n\n".join(overview.plain(table) for table in tables))
    if given.markdown:
        write_text(given.markdown, overview.document(tables))


def _tables(jobs: Sequence[ClassFit], given: argparse.Namespace) -> list[Table]:
    names = [job.operator for job in jobs]
    files = {name: _content(name, given.out if given.refit else None) for name in names}
    frames = {job.operator: read_rows(job, given.data) for job in jobs}
    parts = {
        "Errors by class: MAPE (median) in %; of devices left out the mean over devices, and how many": [
            row for name in names for row in overview.error_rows(name, files[name])
        ],
        "Each device left out: MAPE (median) in %": [r for n in names for r in overview.device_rows(n, files[n])],
        "80 % bands, on rows that they were not made of: % held (median p90/p10)": [
            row for name in names for row in overview.band_rows(name, files[name])
        ],
        "Coefficients": [overview.coefficient_row(name, files[name]) for name in names],
        "Measured time over the bound": [
            overview.bound_row(name, overview.against_bound(frames[name])) for name in names
        ],
    }
    for job in jobs if given.ablation else []:
        title = f"What each physical term buys in {job.operator}: MAPE in % of the form refitted without it"
        parts[title] = overview.ablation_rows(_ablation(job, frames[job.operator], given))
    return [Table(title, tuple(rows)) for title, rows in parts.items()]


def _ablation(job: ClassFit, frame: object, given: argparse.Namespace) -> object:
    return ablation(job, frame, given.rows, factors=given.factors, shapes_only=given.shapes_only)


def _content(name: str, folder: Path | None) -> dict[str, object]:
    return load_yaml(folder / f"{name}.yaml").plain() if folder else load_calibration_mapping(name)[0]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m perfmodel.fitting", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a CSV file for each class")
    parser.add_argument("--classes", default=",".join(CLASSES), help=f"of {', '.join(CLASSES)} (all)")
    parser.add_argument("--refit", action="store_true", help="fit anew and write the calibration files first")
    parser.add_argument("--out", type=Path, default=Path("hardware_specs/calibration"), help="where --refit writes")
    parser.add_argument("--ablation", action="store_true", help="also refit without each physical term")
    parser.add_argument("--factors", action="store_true", help="with --ablation: also without each kind of factor")
    parser.add_argument("--shapes-only", action="store_true", help="with --ablation: leave no devices out (quick)")
    parser.add_argument("--rows", type=int, default=3000, help="at most so many rows for the ablation")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    try:
        main()
    except PerfmodelError as error:
        sys.exit(f"error: {error}")
