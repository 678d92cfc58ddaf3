"""The page of a sweep: which figure a grid gets, the iso-lines of a service level, the best point, empty states."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from perfmodel.reports.sweep import best_point, meets, sweep_html
from perfmodel.sweeps import sweep

HEAD = {"schema": "perfmodel/sweep/1", "version": "0", "notes": []}


def _page(slo: dict[str, float] | None = None, **axes: Any) -> tuple[str, list[dict[str, Any]]]:
    found = sweep("llama-3.1-8b", "h100-sxm", **axes)
    page = sweep_html({**HEAD, "model": found.model, "device": found.device, "axes": found.axes,
                       "rows": list(found.rows()), "slo": slo or {}})  # fmt: skip
    specs = re.findall(r'<script type="application/json" data-plot="[^"]+">(.*?)</script>', page, re.DOTALL)
    return page, [json.loads(text) for text in specs]


def test_one_axis_is_a_line_with_its_band_and_limit() -> None:
    page, plots = _page({"tpot_s": 0.01}, batch=[1, 8, 64])
    tpot = next(p for p in plots if p["layout"]["yaxis"]["title"]["text"].startswith("TPOT"))
    kinds = [trace.get("fill") or trace["line"].get("dash") or trace["mode"] for trace in tpot["data"][:-1]]
    assert kinds == ["toself", "dot", "lines+markers", "dash"]
    assert "2 of 3 points keep TPOT within" in page.replace("\u00a0", " ")


def test_words_have_a_line_each() -> None:
    _, plots = _page(batch=[1, 8, 64], vary={"precision": ["bfloat16", "fp8"]})
    assert sum(t.get("mode") == "lines+markers" for t in plots[0]["data"]) == 2


def test_two_axes_are_a_heat_map_with_iso_lines() -> None:
    _, plots = _page({"tpot_s": 0.01, "ttft_s": 0.2}, batch=[1, 8, 64], input_tokens=[512, 2048, 8192])
    kinds = [trace["type"] for trace in plots[0]["data"]]
    assert kinds == ["heatmap", "contour", "contour", "scatter", "scatter", "scatter"]
    assert plots[0]["data"][0]["customdata"][0][0] > 0
    numbers, *frames = plots[0]["data"][3:]
    assert (numbers["mode"], numbers["meta"], len(numbers["text"])) == ("text", 3, 9)  # over the iso-lines
    assert [frame["line"]["color"] for frame in frames] == ["#ffffff", "#000000"]  # seen on dark and on light cells
    assert max(frames[0]["x"]) - min(frames[0]["x"]) == 1.0


def test_one_point_is_said_in_words() -> None:
    page, plots = _page(batch=[4])
    assert plots == []
    assert "There is one point alone, of " in page
    assert "1 point, which fits in memory" in page.replace("\u00a0", " ")


def test_the_best_point_keeps_the_limits() -> None:
    rows = [{"tpot_s": 1.0, "tokens_per_s_per_device": 5.0}, {"tpot_s": 3.0, "tokens_per_s_per_device": 9.0}]
    assert best_point(rows, {"tpot_s": 2.0}) is rows[0]
    assert best_point(rows, {}) is rows[1]
    assert best_point(rows, {"tpot_s": 0.5}) is None
    assert not meets({"tpot_s": None}, {"tpot_s": 1.0})


@pytest.mark.parametrize(
    ("rows", "said"),
    [([], "No point of this grid can be answered."), ([{"batch": 1, "fits": False}], "No point of this grid fits")],
)
def test_empty_states(rows: list[dict[str, Any]], said: str) -> None:
    page = sweep_html({**HEAD, "model": "m", "device": "d", "axes": {"batch": [1, 2]}, "rows": rows, "slo": {}})
    assert said in page
    assert "Plotly.newPlot" not in page
