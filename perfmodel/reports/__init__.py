"""Reports: the JSON object of an estimate goes in; an HTML page, a CSV, a workbook or a terminal table comes out.

Nothing here computes a performance number, and plotly, xlsxwriter and rich are imported only when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfmodel.reports.csv import write_csv
    from perfmodel.reports.html import estimate_html
    from perfmodel.reports.ops_table import ESTIMATE_COLUMNS, estimate_columns, estimate_rows
    from perfmodel.reports.terminal import render_estimate
    from perfmodel.reports.xlsx import write_xlsx

_WHERE = {
    "ESTIMATE_COLUMNS": "ops_table",
    "estimate_columns": "ops_table",
    "estimate_html": "html",
    "estimate_rows": "ops_table",
    "render_estimate": "terminal",
    "write_csv": "csv",
    "write_xlsx": "xlsx",
}

__all__ = [
    "ESTIMATE_COLUMNS",
    "estimate_columns",
    "estimate_html",
    "estimate_rows",
    "render_estimate",
    "write_csv",
    "write_xlsx",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that a CSV does not pay for a page."""
    if name not in _WHERE:
        raise AttributeError(f"module 'perfmodel.reports' has no attribute '{name}'")
    return getattr(import_module(f"perfmodel.reports.{_WHERE[name]}"), name)
