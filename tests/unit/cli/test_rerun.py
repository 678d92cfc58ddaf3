"""Outputs that say where they come from, the command behind them once more, and again when a file changes."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from openpyxl import load_workbook

from perfmodel import __version__
from perfmodel.cli.invocation import headline
from perfmodel.cli.rerun import compared, stored
from perfmodel.cli.watch import again
from tests.conftest import Cli

QUESTION = ("estimate", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "4")
COMMAND = "perfmodel " + " ".join(QUESTION)
PAGES = {
    "estimate": QUESTION,
    "estimate of a network": ("estimate", "resnet18", "--on", "rtx-4090"),
    "sweep": ("sweep", *QUESTION[1:4], "--batch", "1,2"),
    "compare": ("compare", "llama-3.1-8b", "--on", "h100-sxm,l4"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_where_it_comes_from(cli: Cli, tmp_path: Path, name: str) -> None:
    assert cli(*PAGES[name], "--html", tmp_path / "r.html").code == 0
    kept = stored(str(tmp_path / "r.html"))
    command = "perfmodel " + " ".join(PAGES[name])
    assert (kept["version"], kept["command"]) == (__version__, command)
    assert kept["headline"]
    footer = (tmp_path / "r.html").read_text().partition("<footer>")[2].partition("</footer>")[0]
    assert command in footer
    assert all(digest in footer for digest in kept["spec_hashes"].values())
    assert kept["spec_hashes"]


def test_all_outputs_of_one_command_keep_the_same(cli: Cli, tmp_path: Path) -> None:
    page, book = tmp_path / "r.html", tmp_path / "r.xlsx"
    (tmp_path / "a.json").write_text(cli(*QUESTION, "--html", page, "--xlsx", book, "--json").out)
    found = [stored(str(path)) for path in (page, book, tmp_path / "a.json")]
    assert {one["command"] for one in found} == {COMMAND}
    assert found[0]["headline"] == found[1]["headline"] == found[2]["headline"]
    assert found[0]["spec_hashes"] == found[1]["spec_hashes"] == found[2]["spec_hashes"]
    assert json.loads(load_workbook(book).properties.description)["command"] == COMMAND


def test_hostile_words_stay_text(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.chdir(tmp_path)
    name = "<script>alert(1)<script>.yaml"
    (tmp_path / name).write_text((root / "hardware_specs/gpu/l4.yaml").read_text())
    assert cli("estimate", "llama-3.1-8b", "--on", f"./{name}", "--html", "r.html").code == 0
    assert "<script>alert" not in (tmp_path / "r.html").read_text()
    assert name in stored("r.html")["command"]


def test_rerun_shows_then_and_now(cli: Cli, tmp_path: Path) -> None:
    answer = json.loads(cli(*QUESTION, "--json").out)
    answer["tpot_s"]["expected"] *= 1.1
    answer["spec_hashes"]["device"] = "0" * 16
    (tmp_path / "a.json").write_text(json.dumps(answer))
    found = cli("rerun", tmp_path / "a.json", "--tolerance", "5")
    assert found.code == 5
    assert found.out.startswith(COMMAND)
    assert "other specs: device" in found.out
    assert re.search(r"tpot_s +[\d.]+ +[\d.]+ +-9.09 %", found.out)
    assert "a number differs by 9.09 %, more than 5 %" in found.err
    report = json.loads(cli("rerun", tmp_path / "a.json", "--json").out)
    changed = {row["name"]: row["change_percent"] for row in report["numbers"] if row["change_percent"]}
    assert changed == {"tpot_s": pytest.approx(-100 / 11)}


def test_show_runs_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"command": "perfmodel estimate nothing"}))
    assert cli("rerun", tmp_path / "a.json", "--show") == (0, "perfmodel estimate nothing\n", "")


@pytest.mark.parametrize(
    ("code", "text", "message"),
    [
        (2, "{", "cannot be read"),
        (2, "[]", "names no command"),
        (2, '{"tpot_s": 1}', "names no command"),
        (2, '{"command": "rm -rf x"}', "is no command of perfmodel"),
        (2, '{"command": "perfmodel estimate a --html=b.html"}', "would write a file (--html=b.html)"),
        (2, '{"command": "perfmodel run a.csv --out b.csv"}', "would write a file"),
        (2, '{"command": "perfmodel device new --like l4"}', "`perfmodel device new` writes"),
        (2, '{"command": "perfmodel estimate \\"a"}', "cannot be read"),
    ],
)
def test_what_cannot_be_run_again(cli: Cli, tmp_path: Path, code: int, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    found = cli("rerun", tmp_path / "a.json")
    assert (found.code, found.out) == (code, "")
    assert message in found.err


def test_the_code_of_the_command_is_ours(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"command": "perfmodel estimate llama-3.1-8b --on h100-sxm --tp 3"}))
    found = cli("rerun", tmp_path / "a.json")
    assert found.code == 3
    assert "does not divide" in found.err


@pytest.mark.parametrize(
    ("name", "message"), [("a.csv", "keep no command"), ("a.txt", "takes .html"), ("no.json", "no file")]
)
def test_files_without_a_command(cli: Cli, tmp_path: Path, name: str, message: str) -> None:
    if not name.startswith("no"):
        (tmp_path / name).write_text("a\n")
    found = cli("rerun", tmp_path / name)
    assert found.code == 2
    assert message in found.err


def test_headline_takes_the_outermost_numbers_first() -> None:
    report = {"a": {"b": 1, "operators": [2]}, "t_s": {"expected": 3.0, "p10": 2.0}, "rows": [{"x": 4, "s": "no"}],
              "fits": True, "inputs": {"y": 5}}  # fmt: skip
    assert headline(report) == {"t_s": 3.0, "a.b": 1.0, "rows.0.x": 4.0}
    assert len(headline({str(i): i for i in range(500)})) == 120


def test_a_number_that_is_gone_differs() -> None:
    rows = compared({"a": 1.0, "b": 2.0, "z": 0.0}, {"a": 1.0, "c": 3.0, "z": 1.0})
    assert [row["change_percent"] for row in rows] == [0.0, math.inf, math.inf, math.inf]


def test_again_when_a_file_changes(tmp_path: Path) -> None:
    file, runs, waits = tmp_path / "a.yaml", [], []
    file.write_text("1")

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            file.write_text("22")
        if len(waits) == 4:
            raise KeyboardInterrupt

    again(lambda: runs.append(1) or 0, lambda: [file, tmp_path / "gone"], lambda code: None, wait)
    assert (len(runs), len(waits)) == (2, 4)


def test_watch_needs_files(cli: Cli) -> None:
    found = cli("run", "-", "--out", "x.csv", "--watch")
    assert found.code == 2
    assert "standard input" in found.err


def test_watch_runs_the_same_words_and_ends_with_0(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[list[str]] = []

    def interrupted(line: list[str], **_: object) -> None:
        lines.append(line)
        raise KeyboardInterrupt

    monkeypatch.setattr("perfmodel.cli.watch.subprocess.run", interrupted)
    found = cli(*QUESTION, "--watch", "--json")
    assert (found.code, found.out, found.err) == (0, "", "stopped\n")
    assert lines[0][-len(QUESTION) - 1 :] == [*QUESTION, "--json"]
