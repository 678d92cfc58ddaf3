"""The page of measured figures against the model: what is drawn of them, and empty states."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from perfmodel.reports.measured import calibration_html, validation_html
from perfmodel.reports.views.parity import Point, error_plot, parity_plots, unit_of
from perfmodel.validation.tables import error_table


def figures(count: int, ratio: float = 1.2, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for i in range(count):
        measured = 10.0 ** (1 + i / 5)
        found.append({
            "op": "gemm", "device": f"gpu-{i % 2}", "metric": "latency_us", "published": measured,
            "predicted": measured * ratio, "low": measured * 0.9, "high": measured * 1.5, "bound": measured / 2,
            "over_bound": 2.0, "ratio": ratio, "in_band": True, "beats_bound": False, **more,
        })  # fmt: skip
    return found


def report(rows: list[dict[str, Any]], reasons: dict[str, int] | None = None) -> dict[str, Any]:
    by = ["op", "device"]
    return {"schema": "perfmodel/validate/1", "version": "0", "kind": "kernels", "data": "a.csv", "by": by,
            "errors": error_table(rows, by), "figures": rows, "not_answered": reasons or {}}  # fmt: skip


def specs_of(page: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json" data-plot="[^"]+">(.*?)</script>', page, re.DOTALL)
    return [json.loads(text) for text in found]


def test_a_page_has_points_lines_band_and_boxes() -> None:
    page = validation_html(report(figures(12), {"no <such> device": 3}))
    parity, errors = specs_of(page)
    clouds = [t for t in parity["data"] if t["mode"] == "markers"]
    assert sorted(len(t["x"]) for t in clouds) == [6, 6]  # a colour a device: all have one op
    lines = [t for t in parity["data"] if t["mode"] == "lines"]
    assert [t.get("fill") or t["line"]["dash"] for t in lines] == ["toself", "solid", "dot", "dot"]
    assert parity["layout"]["xaxis"]["range"] == parity["layout"]["yaxis"]["range"]
    assert errors["data"][0]["median"] == [pytest.approx(1.2)] * 2
    text = page.replace("\u00a0", " ")
    assert "Of 12 figures the median error is 20.0 %" in text
    assert "100 % lie in their 80 % band, whose median p90/p10 is 1.67" in text
    assert "no &lt;such&gt; device" in page
    assert "3 rows could not be answered" in text
    assert "src=" not in page.split("<script>")[0]  # nothing from anywhere else


def test_points_outside_their_band_are_hollow() -> None:
    plot = parity_plots([Point(10, 11, 9, 12, "µs", "a", "in"), Point(10, 30, 20, 40, "µs", "a", "out")])[0]
    assert plot.data[0]["marker"]["symbol"] == ["circle", "circle-open"]
    assert "50 % in their band" in plot.heading


def test_units_have_a_figure_each_and_thousands_are_thinned() -> None:
    many = [Point(1.0 + i, 1.0 + i, 0.5, 2e4, "ms", f"g{i % 9}", "") for i in range(9000)]
    plots = parity_plots([*many, Point(5, 5, 4, 6, "tokens/s", "g0", "")])
    assert [p.heading.split(":")[0] for p in plots] == ["ms", "tokens/s"]
    assert "every 3th" in plots[0].heading or "every 3rd" in plots[0].heading
    assert sum(len(t["x"]) for t in plots[0].data if t["mode"] == "markers") == 3000
    assert [k.text for k in plots[0].legend][-1] == "others"


def test_groups_in_order_and_long_names() -> None:
    groups = {"large": [2.0, 2.0], "a name that is far too long for a telephone": [1.0]}
    assert error_plot(groups, "x", "size").layout["yaxis"]["ticktext"][-1].startswith("large")
    ordered = error_plot(groups, "x", "size", in_order=True).layout["yaxis"]["ticktext"]
    assert ordered[0] == "large  (2)"
    assert "…" in ordered[1]


@pytest.mark.parametrize(
    ("metric", "unit"),
    [("latency_us", "µs"), ("ttft_ms", "ms"), ("tok_s_out_total", "tokens/s"), ("decode_total_s", "s"),
     ("samples_per_s", "samples/s"), ("joules_per_token", "J"), ("score", "score")],
)  # fmt: skip
def test_units(metric: str, unit: str) -> None:
    assert unit_of(metric) == unit


def test_nothing_answered() -> None:
    page = validation_html(report([], {"unknown op": 2}))
    assert "No figure could be answered" in page
    assert not specs_of(page)


def test_a_calibration_of_nothing() -> None:
    page = calibration_html({"schema": "s", "version": "0", "device": "d", "data": "a.csv", "rows": 0, "classes": [],
                             "refused": [{"row": 1, "reason": "<b>"}]})  # fmt: skip
    assert "No row could be used" in page
    assert "&lt;b&gt;" in page
