"""The command line of one class's fit: ``python -m perfmodel.fitting.CLASS --data DIR_OR_CSV [--out FILE]``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from perfmodel.fitting.judging import ClassFit, ablation, judge, read_rows
from perfmodel.fitting.writing import write_calibration


def run(job: ClassFit, argv: Sequence[str] | None = None) -> None:
    """Fit a class and print its errors; ``--out`` writes the calibration file, ``--ablation`` tries each term."""
    parser = argparse.ArgumentParser(description=f"Fit the {job.operator} form on measured kernels.")
    parser.add_argument("--data", type=Path, required=True, help=f"a CSV file, or a folder with {job.stem}.csv.gz")
    parser.add_argument("--out", type=Path, help="calibration file to write")
    parser.add_argument("--ablation", action="store_true", help="print only what each physical term buys")
    given = parser.parse_args(argv)
    frame = read_rows(job, given.data)
    if given.ablation:
        print(ablation(job, frame).to_string())
        return
    document = judge(job, frame)
    if given.out is not None:
        write_calibration(given.out, document)
