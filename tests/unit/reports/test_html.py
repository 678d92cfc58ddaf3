from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from perfmodel.reports import estimate_html
from perfmodel.reports.views import ESTIMATE_VIEWS, breakdown_view, memory_view, roofline_view
from perfmodel.reports.views.labels import Box, place_labels

pytest.importorskip("plotly")

_VOID = {"meta", "br", "link", "img", "input", "hr", "path", "circle"}


class _Page(HTMLParser):
    """Collects tags with their attributes, and checks that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def _without_plotly(text: str) -> str:
    return re.sub(r"<script>/\*\*.*?</script>", "", text, flags=re.DOTALL)


def _ids(text: str) -> list[str]:
    return re.findall(r'<div class="plot" id="([^"]+)"', text)


def test_the_answer_is_on_the_page(report: dict[str, Any]) -> None:
    text = estimate_html(report).replace("\u00a0", " ")
    for said in ("llama-3.1-8b on h100-sxm", "66.4 ms", "8.16 ms", "954 tokens/s", "56.4 GB free of 80 GB"):
        assert said in text


def test_elements_are_closed_and_nothing_is_loaded(report: dict[str, Any]) -> None:
    text = estimate_html(report)
    page = _Page(text)
    assert page.open == []
    assert not [attrs for _, attrs in page.tags if {"src", "href", "srcset", "action"} & attrs.keys()]
    assert page.count("link") == 0
    assert "default-src 'none'" in text
    own = _without_plotly(text)
    assert len(own) < 150_000
    assert not re.search(r"https?://|@import|url\(", own)


def test_plotly_is_inlined_once_and_only_for_figures(report: dict[str, Any], overfull_report: dict[str, Any]) -> None:
    assert estimate_html(report).count("* plotly.js v") == 1
    assert "plotly.js v" not in estimate_html({**overfull_report, "memory": {}})


def test_two_runs_are_the_same_bytes(report: dict[str, Any]) -> None:
    assert estimate_html(report) == estimate_html(json.loads(json.dumps(report)))


def test_every_view_has_a_finding_a_named_figure_and_a_table(report: dict[str, Any]) -> None:
    text = estimate_html(report)
    page = _Page(text)
    figures = [attrs for tag, attrs in page.tags if tag == "figure"]
    assert len(figures) == 4 + 6  # four of plotly, and two phases of tiers, gaps and timelines
    assert all(attrs["aria-label"] for attrs in figures)
    assert [attrs["role"] for attrs in figures] == ["group", *["img"] * 9]  # the roofline can be zoomed: it has buttons
    assert text.count('class="finding"') == 9
    assert page.count("details") == 6
    assert page.count("table") == 4 + 6
    assert _ids(text) == ["plot-roofline", "plot-breakdown-prefill", "plot-breakdown-decode", "plot-memory"]


@pytest.mark.parametrize("name", ["report", "sharded_report", "overfull_report"])
def test_plotly_accepts_every_figure(name: str, request: pytest.FixtureRequest) -> None:
    import plotly.graph_objects as go

    for make in ESTIMATE_VIEWS:
        for plot in make(request.getfixturevalue(name)).plots:
            go.Figure({"data": plot.data, "layout": plot.layout})


def test_texts_cannot_become_markup(report: dict[str, Any]) -> None:
    evil = "</script><script>alert(1)</script><img src=x>"
    report["inputs"]["model"] = evil
    report["notes"] = [evil]
    for row in report["operators"]:
        row |= {"name": evil, "part": evil, "dtype": evil, "bottleneck": evil, "phase": evil}
    text = estimate_html(report)
    assert _Page(text).count("img") == 0
    assert "<script>alert" not in text


def test_the_roofline_leaves_collectives_to_the_table(sharded_report: dict[str, Any]) -> None:
    view = roofline_view(sharded_report)
    drawn = sum(len(trace["x"]) for trace in view.plots[0].data if trace["mode"] == "markers")
    listed = [row for row in view.table.rows if row[0] == "all_reduce"]
    assert drawn == 24
    assert len(view.table.rows) == 28
    assert len(listed) == 2
    assert listed[0][-3:-1] == ("-", "-")


def test_the_roofline_has_a_roof_for_each_data_type_in_use(report: dict[str, Any]) -> None:
    assert _roofs(report) == 1
    report["operators"][2]["dtype"] = "fp8"
    assert _roofs(report) == 2
    report["operators"][2]["dtype"] = "a type without a peak"
    assert _roofs(report) == 1


def _roofs(report: dict[str, Any]) -> int:
    return sum(trace["mode"] == "lines" for trace in roofline_view(report).plots[0].data)


def test_the_roofline_says_what_limits_and_how_close_it_comes(report: dict[str, Any]) -> None:
    rows = [row for row in report["operators"] if row["phase"] == "decode"]
    reached = sum(row["bound_s"] for row in rows) / sum(row["expected_s"] for row in rows)
    said = f"100 % of the decode time is limited by memory, at {reached * 100:.0f} % of the bound's speed"
    assert said in roofline_view(report).finding


def test_a_number_format_has_the_roof_of_what_it_multiplies_in(report: dict[str, Any]) -> None:
    for row in report["operators"]:
        row["dtype"] = "fp8_block"
    names = [note["text"] for note in roofline_view(report).plots[0].layout["annotations"]]
    assert "fp8 1.98 PFLOP/s" in names
    del report["device"]["peak_flops_per_s"]["fp8"]
    names = [note["text"] for note in roofline_view(report).plots[0].layout["annotations"]]
    assert "bfloat16 989 TFLOP/s" in names


def test_marks_over_the_slope_are_explained(report: dict[str, Any]) -> None:
    assert "cache" not in roofline_view(report).caption
    report["operators"][-2] |= {"bytes": 1e9, "flops": 1e9, "expected_s": 1e-5}
    assert "cache" in roofline_view(report).caption


def test_operators_of_one_name_are_told_apart_by_their_repetitions(report: dict[str, Any]) -> None:
    for row in report["operators"][7:10]:
        row["name"] = "gemm"
    report["operators"][9]["repeat"] = 3.0
    ticks = breakdown_view(report).plots[0].layout["yaxis"]["ticktext"]
    assert [tick.split("  ")[0] for tick in ticks[:2]] == ["gemm (x32)", "gemm (x3)"]
    assert "qkv_proj" in ticks[2]


def test_without_a_datasheet_there_are_points_but_no_roofs(report: dict[str, Any]) -> None:
    view = roofline_view({**report, "device": {}})
    assert {trace["mode"] for trace in view.plots[0].data} == {"markers"}
    assert "peaks of the device are not known" in view.caption


def test_bars_of_operators_with_one_name_stay_apart(report: dict[str, Any]) -> None:
    for row in report["operators"]:
        row["name"] = "gemm"
    bars = [trace for trace in breakdown_view(report).plots[0].data if trace["type"] == "bar"]
    places = [place for trace in bars for place in trace["y"]]
    assert sorted(places) == list(range(13))


def test_a_long_phase_is_folded_and_keeps_its_sum(report: dict[str, Any]) -> None:
    report["operators"] = report["operators"][:13] * 3
    plot = breakdown_view(report).plots[0]
    bars = [trace for trace in plot.data if trace["type"] == "bar"]
    assert plot.layout["yaxis"]["ticktext"][-1].startswith("24 others")
    total = sum(row["expected_s"] for row in report["operators"])
    assert sum(sum(trace["x"]) for trace in bars) == pytest.approx(total * 1e3)


def test_only_prefill(report: dict[str, Any]) -> None:
    report |= {"tpot_s": None, "e2e_s": None, "operators": report["operators"][:13]}
    text = estimate_html(report)
    assert "plot-breakdown-decode" not in text
    assert "TPOT" not in text


def test_no_operators(overfull_report: dict[str, Any]) -> None:
    text = estimate_html(overfull_report).replace("\u00a0", " ")
    assert _ids(text) == ["plot-memory"]
    assert text.count("there is nothing to draw") == 2
    assert "does not fit" in text
    assert "68.6 GB too much" in text
    assert "one device has 80 GB and would need 149 GB" in text


def test_a_nearly_empty_report_makes_a_page() -> None:
    assert _Page(estimate_html({})).open == []


@pytest.mark.parametrize("value", [None, float("nan"), 0.0])
@pytest.mark.parametrize("key", ["flops", "bytes", "expected_s", "p10_s", "p90_s", "bound_s", "share"])
def test_unknown_numbers_of_an_operator_are_no_error(report: dict[str, Any], key: str, value: float | None) -> None:
    for row in report["operators"]:
        row[key] = value
    specs = [plot for make in ESTIMATE_VIEWS for plot in make(report).plots]
    for plot in specs:
        json.dumps([plot.data, plot.layout], allow_nan=False)


def test_the_memory_figure_shows_parts_and_capacity(report: dict[str, Any]) -> None:
    plot = memory_view(report).plots[0]
    assert [trace["name"] for trace in plot.data] == ["weights", "KV cache", "activations", "overhead"]
    assert plot.layout["shapes"][0]["x0"] == 80.0
    assert plot.layout["xaxis"]["range"][1] > 80.0


def test_the_figures_use_no_red(report: dict[str, Any]) -> None:
    assert "#D55E00" not in _without_plotly(estimate_html(report)).upper()


def test_names_do_not_pile_up() -> None:
    area = Box(0.1, 1e9, 1e4, 1e15)
    crowd = [(8.0, 2e13, f"operator_{place}") for place in range(30)]
    placed = place_labels(crowd, [(8.0, 2e13)], area)
    offsets = [(label.right_px, label.up_px) for label in placed]
    assert 2 <= len(placed) < 30
    assert len(set(offsets)) == len(offsets)
