from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import InputError
from perfmodel.reports import write_xlsx
from perfmodel.reports.xlsx import estimate_xlsx

pytest.importorskip("xlsxwriter")


def _parts(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def test_the_sheets_and_their_values(report: dict[str, Any]) -> None:
    parts = _parts(estimate_xlsx(report))
    assert [f'name="{name}"' in parts["xl/workbook.xml"] for name in ("inputs", "summary", "operators")] == [True] * 3
    assert parts["xl/worksheets/sheet3.xml"].count("<row ") == 27
    assert "<v>0.0664</v>" in parts["xl/worksheets/sheet2.xml"]
    assert "tokens_per_s_per_device" in parts["xl/sharedStrings.xml"]


def test_two_runs_are_the_same_bytes(report: dict[str, Any]) -> None:
    first = estimate_xlsx(report)
    time.sleep(2.1)  # zip stores times in steps of two seconds
    assert estimate_xlsx(report) == first


def test_a_text_is_no_formula_and_no_link(report: dict[str, Any]) -> None:
    report["inputs"]["model"] = "=1+1"
    report["notes"] = ["https://example.org"]
    parts = _parts(estimate_xlsx(report))
    assert "<f>" not in "".join(parts.values())
    assert "=1+1" in parts["xl/sharedStrings.xml"]
    assert not any("rels" in name and "example.org" in text for name, text in parts.items())


def test_missing_numbers_are_empty(overfull_report: dict[str, Any], tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx", overfull_report)
    sheet = _parts((tmp_path / "a.xlsx").read_bytes())["xl/worksheets/sheet2.xml"]
    assert "NaN" not in sheet
    assert 'r="B2"' not in sheet


def test_a_folder_that_is_not_there(report: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        write_xlsx(tmp_path / "missing" / "a.xlsx", report)


@pytest.mark.parametrize(("model", "quoted"), [("llama-3.1-8b", False), ("@SUM(A1)", True), ("-1", False)])
def test_a_text_stays_one_when_the_cell_is_edited(report: dict[str, Any], model: str, quoted: bool) -> None:
    report["inputs"]["model"] = model
    assert ('quotePrefix="1"' in _parts(estimate_xlsx(report))["xl/styles.xml"]) is quoted
