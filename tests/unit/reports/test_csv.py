from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import InputError
from perfmodel.reports import ESTIMATE_COLUMNS, estimate_rows, write_csv
from perfmodel.reports.csv import cell


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-a", "@sum", "\tx", "\rx", "-", "+", "=", "-1;2"])
def test_text_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1", "+1.5", "-1e-3", "-inf", "a=b", "", "llama-3.1-8b", "'=x"])
def test_numbers_and_other_texts_stay(text: str) -> None:
    assert cell(text) == text


def test_a_tab_before_a_number_is_still_defused() -> None:
    assert cell("\t1") == "'\t1"


def test_values_as_cells() -> None:
    assert [cell(value) for value in (None, float("nan"), True, False, 3, 0.1, -2.5)] == [
        *("", "", "true", "false", "3", "0.1", "-2.5"),
    ]


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    np = pytest.importorskip("numpy")
    assert [cell(value) for value in (np.float64(-0.5), np.int64(-4), np.bool_(True), np.float32("nan"))] == [
        *("-0.5", "-4", "true", ""),
    ]


def test_header_and_line_ends(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"a_s": 1.5, "b": "µ, x"}, {"b": None, "other": 1}], ["a_s", "b", "=c"])
    assert (tmp_path / "a.csv").read_bytes() == 'a_s,b,\'=c\n1.5,"µ, x",\n,,\n'.encode()


def test_gz_is_compressed_and_deterministic(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        write_csv(tmp_path / name, [{"a": 1}], ["a"])
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"a\n1\n"


def test_dash_is_the_stream() -> None:
    stream = io.StringIO()
    write_csv("-", [{"a": 1}], ["a"], stream)
    assert stream.getvalue() == "a\n1\n"
    with pytest.raises(InputError, match="stream"):
        write_csv("-", [], ["a"])


def test_failing_rows_leave_no_file(tmp_path: Path) -> None:
    def rows() -> Any:
        yield {"a": 1}
        raise ValueError("broken")

    for name in ("a.csv", "a.csv.gz"):
        with pytest.raises(ValueError, match="broken"):
            write_csv(tmp_path / name, rows(), ["a"])
    assert list(tmp_path.iterdir()) == []


def test_estimate_rows_have_the_inputs_in_every_row(report: dict[str, Any], tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", estimate_rows(report), ESTIMATE_COLUMNS)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report["operators"]) == 26
    assert {(row["model"], row["device"], row["batch"]) for row in rows} == {("llama-3.1-8b", "h100-sxm", "8")}
    assert float(rows[2]["expected_s"]) == report["operators"][2]["expected_s"]


def test_without_operators_the_csv_has_its_header(overfull_report: dict[str, Any]) -> None:
    stream = io.StringIO()
    write_csv("-", estimate_rows(overfull_report), ESTIMATE_COLUMNS, stream)
    assert stream.getvalue() == ",".join(ESTIMATE_COLUMNS) + "\n"
