from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from perfmodel.reports import render_estimate

pytest.importorskip("rich")


@pytest.mark.parametrize("width", [80, 120])
def test_the_answer_comes_first_and_fits_the_width(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str], width: int
) -> None:
    render_estimate(report, width)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    order = ["llama-3.1-8b on h100-sxm", "TTFT", "954 tokens/s", "fits: 56.4 GB free", "Memory", "prefill:", "Notes"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_times_stand_with_bound_and_band(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    render_estimate(report, 80)
    lines = capsys.readouterr().out.splitlines()
    heads = next(line.split() for line in lines if line.startswith("time "))
    tpot = next(line.split() for line in lines if line.startswith("TPOT"))
    assert heads == ["time", "bound", "p10", "expected", "p90"]
    assert " ".join(tpot) == "TPOT 4.81 ms 7.43 ms 8.16 ms 9.30 ms"


def test_what_does_not_fit_is_said_with_by_how_much(
    overfull_report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    render_estimate(overfull_report, 80)
    text = capsys.readouterr().out
    assert "does not fit: 68.6 GB too much" in text
    assert "TTFT" not in text
    assert "decode" not in text


def test_waiting_requests_are_said(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    render_estimate(report | {"running": 5, "waiting": 3}, 80)
    assert "5 running, 3 waiting" in capsys.readouterr().out


def test_brackets_in_names_are_no_markup(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    report["operators"][7]["name"] = "[bold]mlp[/bold] :smile:"
    report["notes"] = ["see [1]"]
    render_estimate(report, 120)
    text = capsys.readouterr().out
    assert "[bold]mlp[/bold] :smile:" in text
    assert "see [1]" in text


def test_a_terminal_that_knows_only_ascii(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    render_estimate(report, 80)
    sys.stdout.flush()
    assert b" us" in buffer.getvalue()


def test_a_nearly_empty_report_prints(capsys: pytest.CaptureFixture[str]) -> None:
    render_estimate({}, 80)
    assert "limited by" in capsys.readouterr().out


def test_times_of_a_plan_that_does_not_fit_come_with_a_warning_before_them(
    report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    report["memory"]["free_bytes"] = -20e9
    render_estimate(report | {"fits": False, "memory_bytes_per_device": 100e9}, 80)
    text = " ".join(capsys.readouterr().out.split())
    warning = "This plan does not fit on each device, 20 GB too much; the times are those of a device with more memory."
    assert text.index(warning) < text.index("TTFT")
