"""Reports: the JSON object of an estimate goes in; an HTML page, a CSV, a workbook or a terminal table comes out.

Nothing here computes a performance number, and plotly, xlsxwriter and rich are imported only when they are used.
"""

from __future__ import annotations

from perfmodel.reports.csv import write_csv
from perfmodel.reports.files import write_text
from perfmodel.reports.html import estimate_html
from perfmodel.reports.ops_table import ESTIMATE_COLUMNS, estimate_rows
from perfmodel.reports.terminal import render_estimate
from perfmodel.reports.xlsx import write_xlsx

__all__ = [
    "ESTIMATE_COLUMNS",
    "estimate_html",
    "estimate_rows",
    "render_estimate",
    "write_csv",
    "write_text",
    "write_xlsx",
]
