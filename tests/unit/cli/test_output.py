"""What commands print."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import perfmodel
from perfmodel.cli.output import give, jsonable, one_stdout, print_columns, print_json, short
from perfmodel.errors import InputError


def test_json_has_plain_finite_numbers_only(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": np.float64(1.5), "b": float("nan"), "c": [np.int64(3), float("inf")], "d": (True, None), 1: "x"})
    assert json.loads(capsys.readouterr().out) == {"a": 1.5, "b": None, "c": [3, None], "d": [True, None], "1": "x"}


def test_arrays_generators_and_other_things() -> None:
    assert jsonable(np.array([1.0, np.nan])) == [1.0, None]
    assert jsonable(i * i for i in range(3)) == [0, 1, 4]
    assert jsonable(np.bool_(True)) is True
    assert jsonable(3 + 4j) == "(3+4j)"


def test_numbers_keep_their_kind() -> None:
    assert json.dumps(jsonable({"i": 2, "f": 2.0, "n": np.float64(2)})) == '{"i": 2, "f": 2.0, "n": 2.0}'


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns([("name", "n"), ("a", "10"), ("long", "5")], numbers=(1,))
    assert capsys.readouterr().out == "name   n\na     10\nlong   5\n"


@pytest.mark.parametrize(("value", "text"), [(None, ""), (12345, "12,345"), (0.000123456, "0.0001235"), (2.0, "2")])
def test_short(value: float | None, text: str) -> None:
    assert short(value) == text


def test_two_answers_cannot_share_standard_output() -> None:
    one_stdout(False, "-")
    one_stdout(True, "a.csv")
    for json_asked, files in ((True, ("-",)), (False, ("-", "-"))):
        with pytest.raises(InputError, match="standard output"):
            one_stdout(json_asked, *files)


def test_an_answer_is_printed_unless_its_table_has_standard_output(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report, rows = {"schema": "x/1", "rows": [{"a": 1}]}, [{"a": 1}]
    give(report, rows, lambda: print("shown"), json=False)
    assert capsys.readouterr().out == "shown\n"
    give(report, rows, lambda: print("shown"), json=False, csv="-")
    assert capsys.readouterr().out == "a\n1\n"
    give(report, rows, lambda: print("shown"), json=False, csv=str(tmp_path / "a.csv"))
    told = capsys.readouterr()
    assert told.out == "shown\n"
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"
    give(report, rows, lambda: print("shown"), json=True)
    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_every_page_that_a_command_names_can_be_made() -> None:
    text = "".join(path.read_text() for path in (Path(perfmodel.__file__).parent / "cli").glob("*.py"))
    named = set(re.findall(r'page="(\w+)\.(\w+)"', text))
    assert len(named) > 4
    for module, function in named:
        assert callable(getattr(import_module(f"perfmodel.reports.{module}"), function))
