"""``perfmodel reproduce``."""

from __future__ import annotations

import json

import pytest

from perfmodel.cli import run

KEYS = {"name", "quantity", "published", "ours", "ratio", "conditions", "assumptions", "inputs", "verdict"}


def test_a_list_of_objects(capsys):
    assert run(["reproduce", "duplex", "tpi-llm", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert isinstance(rows, list)
    assert all(row.keys() >= KEYS for row in rows)
    assert {row["name"] for row in rows} == {"duplex", "tpi-llm"}
    assert all(
        row["ratio"] == pytest.approx(row["ours"] / row["published"]) for row in rows if row["result"] == "gqa_high"
    )


def test_alone_it_lists(capsys):
    assert run(["reproduce"]) == 0
    assert "cloudmatrix384" in capsys.readouterr().out


def test_text_tells_the_inputs_apart(capsys):
    assert run(["reproduce", "cambricon-llm"]) == 0
    out = capsys.readouterr().out
    assert (
        out.index("the source states:") < out.index("batch 1") < out.index("we assume:") < out.index("precision int8")
    )


def test_files(tmp_path, capsys):
    page, table = tmp_path / "page.md", tmp_path / "table.csv"
    assert run(["reproduce", "duplex", "--markdown", str(page), "--csv", str(table)]) == 0
    assert "perfmodel reproduce --all --markdown" in page.read_text()
    assert table.read_text().count("\n") == 4
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", [["duplex", "--all"], ["--markdown", "x.md"], ["no-such-paper"]])
def test_what_cannot_be_asked(words, capsys):
    assert run(["reproduce", *words]) == 2
    assert "error:" in capsys.readouterr().err
