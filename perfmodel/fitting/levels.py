"""The whole of a fit by levels (:class:`perfmodel.fitting.common.Shrunken`): errors, bands, ablation, file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfmodel.fitting import common
from perfmodel.fitting.ablation import Terms, ablation_table, print_ablation, print_coefficients, shrunken_ratio
from perfmodel.fitting.bands import Groups, has_sibling, print_coverage, sibling_bands
from perfmodel.fitting.common import Shrunken, Specification


@dataclass(frozen=True)
class LevelFit:
    """What the fit of an operator class consists of.

    ``shape`` are the columns of the hash split; ``rows_of`` turns a frame into ``seconds(coefficients)``, ``measured``
    and ``roofline_s()``; ``expand`` gives the ``when`` mappings of a level's value. ``by_reason`` are rules for what
    was never measured. ``constants`` are coefficients that are known and not fitted. A device left out had a sibling if
    another of its architecture was measured in the same ``sibling_by``. ``robust`` and ``noise`` are those of
    :func:`perfmodel.fitting.common.fit_log_ratios`; ``terms`` are the physical terms of the ablation.
    """

    operator: str
    form: str
    data: tuple[str, ...]
    shape: tuple[str, ...]
    specification: Specification
    rows_of: Callable[[Any], Any]
    prepare: Callable[[Any], Any]
    expand: Callable[[tuple[str, ...], tuple[str, ...]], list[dict[str, Any]]]
    by_reason: Sequence[dict[str, Any]]
    table_by: tuple[str, ...]
    band_by: Groups
    sibling_by: tuple[str, ...]
    terms: Terms
    starts: Mapping[Any, float] = field(default_factory=dict[Any, float])
    constants: tuple[str, ...] = ()
    robust: float = 0.06
    noise: float = 0.12
    iterations: int = 20
    least: float = 0.02

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of every fit."""
        return {"robust": self.robust, "noise": self.noise, "frozen": self.constants}


def run(job: LevelFit) -> None:
    """Run a fit from the command line: ``--data DIR_OR_CSV [--out FILE] [--ablation]``."""
    parser = argparse.ArgumentParser(description=f"Fit the {job.operator} form on measured kernels.")
    parser.add_argument("--data", required=True, help=f"a CSV file, or a folder with {job.operator}.csv.gz")
    parser.add_argument("--out", default=f"hardware_specs/calibration/{job.operator}.yaml")
    parser.add_argument("--ablation", action="store_true", help="print what each physical term buys; write nothing")
    arguments = parser.parse_args()
    frame = job.prepare(common.read_measured(arguments.data, job.operator))
    held = common.shape_split(frame, job.shape)
    levels = Shrunken(frame, job.specification, job.starts)
    known = frame[~held].reset_index(drop=True)
    rows = job.rows_of(known)
    theta = _fit(job, levels, rows, known)
    if arguments.ablation:
        ratio = shrunken_ratio(frame, held, levels, theta, job.rows_of, **job.options)
        print_ablation(ablation_table(frame, held, ratio, job.terms, job.table_by[0]), job.operator)
    else:
        common.write_calibration(arguments.out, _judged(job, frame, held, levels, theta))


def _fit(job: LevelFit, levels: Shrunken, rows: Any, frame: Any) -> Any:
    """Return the parameters: with a wide loss first, whose optimum is easy to find, then with the narrow one."""
    index = levels.index(frame)
    wide = {**job.options, "robust": 2.0 * job.robust, "noise": 1.41 * job.noise, "iterations": job.iterations}
    theta = levels.fit(rows.seconds, rows.measured, index, **wide)
    return levels.fit(rows.seconds, rows.measured, index, start=theta, iterations=12, **job.options)


def _judged(job: LevelFit, frame: Any, held: Any, levels: Shrunken, theta: Any) -> dict[str, Any]:
    """Print errors, coverage and the number of coefficients; return the calibration file's content."""
    everything = job.rows_of(frame)
    index = levels.index(frame)
    fitted = everything.seconds(levels.coefficients(theta, index)) / everything.measured
    left_out = common.leave_devices_out(frame, levels, theta, held, job.rows_of, **job.options)
    roofline = everything.roofline_s() / everything.measured
    errors = common.three_errors(frame, held, fitted, left_out, roofline, job.table_by)
    sibling = has_sibling(frame, job.sibling_by)
    print_coverage(frame, held, fitted, left_out, job.band_by, sibling)
    final = levels.fit(everything.seconds, everything.measured, index, start=theta, iterations=12, **job.options)
    rules = levels.rules(final, job.expand, least=job.least)
    print_coefficients(job.operator, [rule.get("scale", {}) for rule in rules], len(job.specification))
    return {
        "schema": "calibration/1",
        "operator": job.operator,
        "form": job.form,
        "data": list(job.data),
        "date": "2026-11-21",
        "split": (
            f"30 % of the shapes ({', '.join(job.shape)}) held out by a hash, left_out_device refitted without each "
            "device; the rules below are refitted on all rows"
        ),
        "errors": {"unit": "% of |expected/measured - 1|", **errors},
        "measured_devices": sorted(frame["device"].unique().tolist()),
        "rules": [*rules, *job.by_reason],
        "bands": sibling_bands(frame, held, fitted, left_out, job.band_by, sibling),
    }
