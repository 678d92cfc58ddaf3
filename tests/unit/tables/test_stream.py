"""Tables through a stand-in formula: carrying, renaming, refusing, and never half a file."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.errors import InputError
from perfmodel.tables.stream import CHUNK_ROWS, Job, Row, Summary, defused, number, process, word

OUTPUTS = ("twice", "kind", "error")


def _prepare(row: Row) -> Job:
    return Job(word(row, "kind", "plain"), (number(row, "n"),))


def _evaluate(key: Hashable, numbers: Any) -> Mapping[str, Any]:
    if key == "broken":
        raise InputError("this kind cannot be evaluated")
    if key == "bug":
        raise ZeroDivisionError
    return {"twice": numbers[0] * 2, "kind": f"k-{key}", "error": ""}


def _run(source: Path | str, target: Path | str) -> Summary:
    return process(str(source), str(target), OUTPUTS, _prepare, _evaluate, None)


def _table(tmp_path: Path, text: str) -> tuple[Summary, list[dict[str, str]], list[str]]:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text)
    summary = _run(source, target)
    with target.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    return summary, rows, list(reader.fieldnames or [])


def test_good_and_bad_rows_keep_their_order(tmp_path: Path) -> None:
    text = "n,kind,note\n3,a,x\nfour,a,y\n5.0,b,z\n,a,\n7,broken,w\n8,a,v\n"
    summary, rows, header = _table(tmp_path, text)
    assert header == ["n", "measured_kind", "note", "twice", "kind", "error"]
    assert [row["note"] for row in rows] == ["x", "y", "z", "", "w", "v"]
    assert [row["twice"] for row in rows] == ["6", "", "10", "", "", "16"]
    assert [row["error"] for row in rows] == [
        "", "column n: 'four' is not a number", "", "column n is empty", "this kind cannot be evaluated", "",
    ]  # fmt: skip
    assert [row["kind"] for row in rows] == ["k-a", "", "k-b", "", "", "k-a"]
    assert (summary.rows, summary.answered, summary.failed) == (6, 3, 3)
    assert summary.reasons["this kind cannot be evaluated"] == 1


def test_an_earlier_error_column_is_replaced(tmp_path: Path) -> None:
    _, rows, header = _table(tmp_path, "n,error\n3,old\nx,old\n")
    assert header == ["n", "twice", "kind", "error"]
    assert [row["error"] for row in rows] == ["", "column n: 'x' is not a number"]


def test_answers_can_be_run_again(tmp_path: Path) -> None:
    _, _, header = _table(tmp_path, "n,twice\n3,9\n")
    assert header == ["n", "measured_twice", "twice", "kind", "error"]
    again = tmp_path / "again.csv"
    _run(tmp_path / "out.csv", again)
    row = next(csv.DictReader(again.read_text().splitlines()))
    assert len(again.read_text().splitlines()[0].split(",")) == len(row), "no column twice"
    assert row["measured_twice"] == "9", "what was measured stays"
    assert row["twice"] == "6"


def test_rows_of_another_length(tmp_path: Path) -> None:
    _, rows, _ = _table(tmp_path, "n,kind,note\n3\n4,a,b,c\n")
    assert rows[0]["twice"] == "6"
    assert rows[1]["error"] == "the row has more cells than the header"


@pytest.mark.parametrize("empty", ["", "nan", "NaN", "None", "  "])
def test_empty_cells(empty: str) -> None:
    assert number({"n": empty}, "n", 4.0) == 4.0
    assert word({"n": empty}, "n", "x") == "x"
    with pytest.raises(InputError, match="column n is empty"):
        number({"n": empty}, "n")
    with pytest.raises(InputError, match="column n is empty"):
        word({"n": empty}, "n", None)
    with pytest.raises(InputError, match="column n is empty"):
        word({}, "n", None)


@pytest.mark.parametrize(
    ("text", "value"), [("4", 4.0), ("4.0", 4.0), (" 4 ", 4.0), ("1e3", 1000.0), ("1000000000000000", 1e15)]
)
def test_whole_numbers(text: str, value: float) -> None:
    assert number({"n": text}, "n") == value


@pytest.mark.parametrize("text", ["4.5", "0", "-1", "inf", "-inf", "1e300", "1e400", "1e16"])
def test_other_numbers(text: str) -> None:
    with pytest.raises(InputError, match=r"column n: '.*' is not a whole number of at least 1 and at most 1e15"):
        number({"n": text}, "n")


@pytest.mark.parametrize("text", ["four", "1,000", "0x10", "4 4"])
def test_no_numbers(text: str) -> None:
    with pytest.raises(InputError, match="is not a number"):
        number({"n": text}, "n")


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\r=1", "=", "-"])
def test_formulas_are_defused(cell: str) -> None:
    assert defused(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "-1", "+2.5", "-1e-3", "text", "a=b", "llama-3.1-8b", "-inf"])
def test_numbers_and_text_are_left(cell: str) -> None:
    assert defused(cell) == cell


def test_carried_cells_and_names_are_defused(tmp_path: Path) -> None:
    _, rows, header = _table(tmp_path, 'n,note,=HYPERLINK("x")\n3,=1+1,@x\n')
    assert header[1:3] == ["note", '\'=HYPERLINK("x")']
    assert rows[0]["note"] == "'=1+1"
    assert rows[0][header[2]] == "'@x"


def test_quoted_cells_survive(tmp_path: Path) -> None:
    _, rows, _ = _table(tmp_path, 'n,note\n3,"a, ""b""\nc"\n')
    assert rows[0]["note"] == 'a, "b"\nc'


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes("n\n3\n".encode("utf-8-sig"))
    _run(source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().startswith("n,twice")


def test_compressed_in_and_out(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv.gz", tmp_path / "out.csv.gz"
    with gzip.open(source, "wt") as file:
        file.write("n\n3\n")
    _run(source, target)
    with gzip.open(target, "rt") as file:
        assert file.read() == "n,twice,kind,error\n3,6,k-plain,\n"


def test_a_table_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("n\n3\n")
    _run(path, path)
    assert path.read_text() == "n,twice,kind,error\n3,6,k-plain,\n"


def test_more_rows_than_a_chunk(tmp_path: Path) -> None:
    count = CHUNK_ROWS * 2 + 5
    told: list[tuple[int, int | None]] = []
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("n,kind\n" + "".join(f"{i + 1},{'ab'[i % 2]}\n" for i in range(count)))
    process(str(source), str(target), OUTPUTS, _prepare, _evaluate, lambda done, total: told.append((done, total)))
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["n"]) for row in rows] == list(range(1, count + 1))
    assert all(int(row["twice"]) == 2 * int(row["n"]) and row["kind"] == f"k-{row['measured_kind']}" for row in rows)
    assert [done for done, _ in told] == [CHUNK_ROWS, 2 * CHUNK_ROWS, count]


def test_standard_input_and_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n3\n"))
    _run("-", "-")
    assert capsys.readouterr().out == "n,twice,kind,error\n3,6,k-plain,\n"


def test_a_header_without_rows(tmp_path: Path) -> None:
    summary, rows, _ = _table(tmp_path, "n,note\n")
    assert (rows, summary.rows) == ([], 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: the first row must name the columns"),
        (b"n,kind,n\n1,a,2\n", "has the column 'n' twice"),
        (b"n\n\xff\xfe\x00\n", "is not a UTF-8 CSV file"),
        (b"n,note\n3," + b"x" * 200_000 + b"\n", "is not a UTF-8 CSV file"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, said: str) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(content)
    target.write_text("mine")
    with pytest.raises(InputError, match=said):
        _run(source, target)
    assert target.read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"in.csv", "out.csv"}, "nothing half-written"


def _truncated() -> bytes:
    return gzip.compress(b"n\n" + b"3\n" * 1000)[:-12]


def _corrupted() -> bytes:
    whole = bytearray(gzip.compress(b"n\n" + bytes(range(48, 58)) * 500))
    whole[20:30] = b"\xff" * 10
    return bytes(whole)


@pytest.mark.parametrize("content", [b"n\n3\n", _truncated(), _corrupted()], ids=["plain", "truncated", "corrupted"])
def test_compressed_files_that_are_not(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "in.csv.gz"
    source.write_bytes(content)
    with pytest.raises(InputError):
        _run(source, tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == [source]


def test_missing_files_and_folders(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    with pytest.raises(InputError, match=r"no file '.*in\.csv'"):
        _run(source, tmp_path / "out.csv")
    source.write_text("n\n3\n")
    with pytest.raises(InputError, match="it is a folder"):
        _run(tmp_path, tmp_path / "out.csv")
    with pytest.raises(InputError, match="it is a folder"):
        _run(source, tmp_path)
    with pytest.raises(InputError, match="cannot write"):
        _run(source, tmp_path / "no" / "out.csv")
    assert list(tmp_path.iterdir()) == [source]


def test_a_bug_leaves_nothing_behind(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("n,kind\n3,a\n4,bug\n")
    target.write_text("mine")
    with pytest.raises(ZeroDivisionError):
        _run(source, target)
    assert target.read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"in.csv", "out.csv"}


@given(st.text())
def test_no_cell_starts_a_formula(cell: str) -> None:
    safe = defused(cell)
    assert safe.endswith(cell)
    if safe.startswith(("=", "@", "\t", "\r")):
        raise AssertionError(safe)
    if safe.startswith(("+", "-")):
        float(safe)


def test_a_reason_that_begins_with_a_name_of_the_table_is_defused(tmp_path: Path) -> None:
    def refuse(row: Row) -> Job:
        raise InputError(f"{row['model']} is no model")

    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('model,note\n=cmd|x,harmless = text\n"@a,b",-1.5\n', encoding="utf-8")
    process(str(source), str(target), ["x", "error"], refuse, lambda key, numbers: {}, None)
    assert target.read_text(encoding="utf-8").splitlines()[1:] == [
        "'=cmd|x,harmless = text,,'=cmd|x is no model", '"\'@a,b",-1.5,,"\'@a,b is no model"',
    ]  # fmt: skip
