"""LibreOffice recalculates the workbook with other inputs, and has Python's numbers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from perfmodel.workbook import write_live_xlsx
from tests.unit.workbook.cases import (
    CONVOLUTIONS,
    DECODE,
    EDGE,
    EXPERTS,
    PIPELINE,
    SERVED,
    STAGES,
    VISION,
    Case,
    kernel_sheets,
    worst_difference,
)

OFFICE = shutil.which("libreoffice") or shutil.which("soffice")
pytest.importorskip("openpyxl")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(OFFICE is None, reason="needs LibreOffice (Debian: libreoffice-calc)"),
]


CASES = [SERVED, EXPERTS, STAGES, DECODE, CONVOLUTIONS, VISION, EDGE, PIPELINE]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.model} on {case.device}")
def test_libreoffice_has_the_numbers_of_python(case: Case, tmp_path: Path) -> None:
    write_live_xlsx(tmp_path / "asked.xlsx", case.asked())
    _change(tmp_path / "asked.xlsx", tmp_path / "changed.xlsx", case.cells())
    book = _recalculated(tmp_path / "changed.xlsx", tmp_path)
    names = [name for name in ("summary", "prefill", "decode", "sweep") if name in book.sheetnames]
    names += kernel_sheets(book.sheetnames)
    assert worst_difference({name: _rows(book[name]) for name in names}, case) < 1e-9
    errors = [cell.value for sheet in book for row in sheet.iter_rows() for cell in row
              if isinstance(cell.value, str) and cell.value.startswith("#")]  # fmt: skip
    assert errors == []


def _change(source: Path, target: Path, cells: Mapping[str, float]) -> None:
    """Write numbers into named cells; without the values that formulas had, so that all of them are computed anew."""
    import openpyxl

    book = openpyxl.load_workbook(source)
    for name, value in cells.items():
        sheet, _, cell = book.defined_names[name].attr_text.partition("!")
        book[sheet][cell.replace("$", "")] = value
    book.save(target)


def _recalculated(path: Path, folder: Path) -> Any:
    import openpyxl

    profile = (folder / "profile").as_uri()
    words = [f"-env:UserInstallation={profile}", "--headless", "--convert-to", "xlsx", "--outdir", str(folder / "out")]
    subprocess.run([str(OFFICE), *words, str(path)], check=True, capture_output=True, timeout=300)
    return openpyxl.load_workbook(folder / "out" / path.name, data_only=True)


def _rows(sheet: Any, heading: int = 3) -> list[dict[str, Any]]:
    names = [cell.value for cell in sheet[heading]]
    found: list[dict[str, Any]] = []
    for row in sheet.iter_rows(min_row=heading + 1, values_only=True):
        if row[0] in (None, ""):
            break
        found.append({str(name): value for name, value in zip(names, row, strict=True) if name})
    return found
