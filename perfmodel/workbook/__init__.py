"""An estimate as a workbook whose cells are the formulas themselves, so that its inputs can be changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfmodel.api import Estimate

__all__ = ["live_xlsx", "write_live_xlsx"]


def write_live_xlsx(path: str | Path, estimate: Estimate) -> None:
    """Write the live workbook of a language model's estimate (:func:`live_xlsx`), whole or not at all.

    Raises :class:`InputError` where no file can be written.
    """
    from perfmodel.files import write_bytes

    write_bytes(path, live_xlsx(estimate))


def live_xlsx(estimate: Estimate) -> bytes:
    """Return the live workbook of a language model's estimate.

    Where a formula can only be computed and not traced, the workbook of plain values
    (:func:`perfmodel.reports.xlsx.estimate_xlsx`) with a note that says so.
    """
    from perfmodel.reports.xlsx import estimate_xlsx
    from perfmodel.workbook.book import live_workbook
    from perfmodel.workbook.model import live_model

    try:
        model = live_model(estimate)
    except TypeError:
        report = estimate.report()
        return estimate_xlsx({**report, "notes": [*report["notes"], "plain values: an engine here has no formulas"]})
    return live_workbook(estimate, model)
