"""An estimate as a workbook whose cells are the formulas themselves, so that its inputs can be changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfmodel.api import Estimate
    from perfmodel.network_api import NetworkEstimate

__all__ = ["live_xlsx", "write_live_xlsx"]


def write_live_xlsx(path: str | Path, estimate: Estimate | NetworkEstimate) -> None:
    """Write the live workbook of an estimate (:func:`live_xlsx`), whole or not at all.

    Raises :class:`InputError` where no file can be written.
    """
    from perfmodel.files import write_bytes

    write_bytes(path, live_xlsx(estimate))


def live_xlsx(estimate: Estimate | NetworkEstimate) -> bytes:
    """Return the live workbook of an estimate of a language model or a network.

    Where a formula can only be computed and not traced, the workbook of plain values
    (:func:`perfmodel.reports.xlsx.estimate_xlsx`) with a note that says so.
    """
    from perfmodel.reports.xlsx import estimate_xlsx
    from perfmodel.workbook.book import live_workbook, model_of

    try:
        model = model_of(estimate)
    except TypeError:
        report = estimate.report()
        return estimate_xlsx({**report, "notes": [*report["notes"], "plain values: an engine here has no formulas"]})
    return live_workbook(estimate, model)
