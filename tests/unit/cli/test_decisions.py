"""The commands that decide: plan, simulate, fleet, tco, require, sensitivity, as a newcomer runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Cli

PLAN = ("plan", "llama-3.1-8b", "--on", "h100-sxm", "--gpus", "4", "--rate", "4", "--tpot", "40ms", "--engine", "vllm")
QUESTIONS = [
    PLAN,
    ("simulate", "llama-3.1-8b", "--on", "h100-sxm", "--rate", "4", "--requests", "100"),
    (
        "fleet",
        "llama-3.1-8b",
        "--on",
        "l4,h100-sxm",
        "--rate",
        "5",
        "--input",
        "400",
        "--output",
        "100",
        "--tpot",
        "100ms",
    ),
    ("tco", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "16"),
    ("require", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "16", "--tpot", "5ms"),
    ("sensitivity", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "16"),
]


@pytest.mark.parametrize("arguments", QUESTIONS, ids=lambda words: words[0])
def test_text_and_json(cli: Cli, arguments: tuple[str, ...]) -> None:
    text = cli(*arguments)
    assert text.code == 0, text.err
    assert "llama-3.1-8b" in text.out
    found = cli(*arguments, "--json")
    assert found.code == 0
    assert json.loads(found.out)["schema"] == f"perfmodel/{arguments[0]}/1"


@pytest.mark.parametrize("arguments", [QUESTIONS[0], QUESTIONS[4], QUESTIONS[5]], ids=lambda words: words[0])
def test_a_page(cli: Cli, arguments: tuple[str, ...], tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    assert cli(*arguments, "--html", target).code == 0
    page = target.read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert "http" not in page.split("<script>")[0].replace("http-equiv", "")


@pytest.mark.parametrize("arguments", [QUESTIONS[0], QUESTIONS[1], QUESTIONS[4]], ids=lambda words: words[0])
def test_csv(cli: Cli, arguments: tuple[str, ...], tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    assert cli(*arguments, "--csv", target).code == 0
    assert len(target.read_text(encoding="utf-8").splitlines()) > 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((*PLAN[:-4], "--tpot", "30"), 2, "30ms"),
        ((*PLAN, "--objective", "cheap"), 2, "throughput"),
        ((*PLAN, "--mode", "dis"), 2, "disagg"),
        (("plan", "llama-3.1-405b", "--on", "l4", "--gpus", "2"), 3, "GB a device"),
        (("simulate", "llama-3.1-8b", "--on", "h100-sxm"), 2, "--rate"),
        (("simulate", "llama-3.1-8b", "--on", "h100-sxm", "--trace", "none.csv"), 2, "none.csv"),
        (("fleet", "llama-3.1-8b", "--on", "l4=x", "--rate", "1"), 2, "whole number"),
        (("tco", "llama-3.1-8b", "--on", "l40s"), 2, "--purchase"),
        (("require", "llama-3.1-8b", "--on", "h100-sxm"), 2, "nothing is required"),
        (("require", "llama-3.1-8b", "--on", "h100-sxm", "--tpot", "1ms", "--trade", "peak"), 2, "--trade"),
        (("require", "llama-3.1-8b", "--on", "h100-sxm", "--tpot", "1ms", "--parameters", "big"), 2, "parameters"),
        (("sensitivity", "llama-3.1-8b", "--on", "h100-sxm", "--metric", "tpt"), 2, "tpot"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(cli: Cli, arguments: tuple[str, ...], code: int, says: str) -> None:
    found = cli(*arguments)
    assert found.code == code, found.err
    assert says in found.err
    assert "Traceback" not in found.err


def test_limits_that_no_plan_keeps_exit_with_3_and_say_what_is_missing(cli: Cli) -> None:
    found = cli(*PLAN[:-4], "--tpot", "0.1ms")
    assert found.code == 3
    assert "TPOT" in found.out
    assert json.loads(cli(*PLAN[:-4], "--tpot", "0.1ms", "--json").out)["best"] is None
