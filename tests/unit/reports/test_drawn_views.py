"""The views that are drawn as SVG: sentences and shapes from made-up reports, and what they say of nothing."""

import itertools
from typing import Any

import pytest

from perfmodel.reports.drawing import Axis, Bar, Line, Mark, Part, bars, lines
from perfmodel.reports.drawing.scales import Scale, ticks
from perfmodel.reports.page import section
from perfmodel.reports.views import ESTIMATE_VIEWS
from perfmodel.reports.views.energy_flow import _apart, energy_view, flows
from perfmodel.reports.views.gap import by_gap, gap_view
from perfmodel.reports.views.growth import growth_view
from perfmodel.reports.views.tiers import roofs_of, tiers_view
from perfmodel.reports.views.timeline import layer_of, spans_of, timeline_view
from perfmodel.reports.views.utilisation import utilisation_view
from perfmodel.reports.views.view import View

HOSTILE = '<script>alert("1")</script>'


def test_an_empty_report_has_a_sentence_for_every_view_and_no_drawing() -> None:
    for make in ESTIMATE_VIEWS:
        view = make({})
        assert view.finding.endswith(".")
        assert not view.drawings
        assert not view.plots


def test_a_hostile_name_stays_text_in_every_drawing(report: dict[str, Any]) -> None:
    report["energy"] = {"prefill_compute_j": 2.0, "decode_memory_j": 6.0, "static_j": 2.0}
    report["device"]["caches"] = [{"name": HOSTILE, "bandwidth_bytes_per_s": 1e13}]
    for row in report["operators"]:
        row |= {"name": HOSTILE, "part": HOSTILE}
    for make in ESTIMATE_VIEWS:
        assert "<script" not in section(make(report))


def test_the_gap_adds_up_and_names_its_largest_part(report: dict[str, Any]) -> None:
    decode = [row for row in report["operators"] if row["phase"] == "decode"]
    for row in decode:
        row["expected_s"] = row["bound_s"] * (3.0 if row["name"] == "o_proj" else 1.01)
    text = gap_view(report).finding
    assert "The decode takes" in text
    assert "most of it in o_proj" in text.partition("The decode")[2]


def test_nothing_beyond_the_bound_is_said(report: dict[str, Any]) -> None:
    for row in report["operators"]:
        row["expected_s"] = row["bound_s"]
    assert gap_view(report).finding == "No operator takes longer than its bound."


def test_operators_are_ordered_by_gap() -> None:
    from perfmodel.reports.ops_table import Phase

    rows = [{"name": "a", "expected_s": 9.0, "bound_s": 8.0}, {"name": "b", "expected_s": 5.0, "bound_s": 1.0}]
    assert [row["name"] for row in by_gap(Phase("decode", rows, 14.0, 9.0))] == ["b", "a"]


def row(name: str, seconds: float, link: float = 0.0, behind: str = "") -> dict[str, Any]:
    return {"name": name, "expected_s": 2 * seconds, "repeat": 2, "link_bytes": link, "behind": behind, "part": "ffn"}


def test_communication_behind_an_operator_begins_with_it_and_sticks_out() -> None:
    spans = {s.name: s for s in spans_of([row("a", 1.0), row("b", 2.0), row("c", 3.0, 1.0, "b"), row("d", 1.0, 1.0)])}
    assert (spans["c"].start_s, spans["c"].end_s) == (1.0, 4.0)
    assert (spans["b"].start_s, spans["b"].end_s) == (1.0, 3.0)
    assert (spans["d"].start_s, spans["d"].end_s) == (3.0, 4.0)
    assert spans["c"].hidden
    assert not spans["d"].hidden


def test_the_timeline_shows_the_layer_that_repeats(report: dict[str, Any]) -> None:
    names = [span.name for span in layer_of(report, "decode")]
    assert "gate_up_proj" in names
    assert "lm_head" not in names
    assert "all of it on the device" in timeline_view(report).finding


def test_links_that_hide_are_said(report: dict[str, Any]) -> None:
    decode = next(r for r in report["operators"] if r["phase"] == "decode" and r["name"] == "rope")
    decode |= {"link_bytes": 1e6, "behind": "qkv_proj"}
    assert "100 % of it beside other work" in timeline_view(report).finding


def test_tiers_are_caches_memory_and_links(report: dict[str, Any]) -> None:
    report["device"]["caches"] = [
        {"name": "L2", "bandwidth_bytes_per_s": 1e13},
        {"name": "L3", "bandwidth_bytes_per_s": None},
    ]
    assert [roof.name for roof in roofs_of(report)] == ["L2", "main memory", "links"]
    assert "the decode needs of main memory" in tiers_view(report).finding


@pytest.mark.parametrize(
    ("fit", "words"),
    [((90, 8, 2), "8 requests fit up to 4,096 tokens each."), ((90, 80, 8), "up to 16,384 tokens, the longest shown."),
     ((7, 2, 0), "at none of these lengths; from 16,384 tokens not even one does.")],
)  # fmt: skip
def test_memory_by_context(report: dict[str, Any], fit: tuple[int, ...], words: str) -> None:
    report["memory"]["by_context"] = [
        {"tokens": n, "largest_batch": b, "sequence_bytes": 1e9} for n, b in zip((1024, 4096, 16384), fit, strict=True)
    ]
    assert growth_view(report).finding.endswith(words)


def test_energy_goes_where_most_joules_go() -> None:
    report = {"energy": {"prefill_compute_j": 2.0, "decode_memory_j": 6.0, "decode_link_j": 0.0, "static_j": 2.0}}
    assert sum(joules for _, _, joules in flows(report)) == 10.0
    assert energy_view(report).finding == "A request takes 10 J, 60 % of them for memory of decode."


def test_idle_devices_cost_ten_times_at_a_tenth_of_the_time() -> None:
    view = utilisation_view({"tokens_per_s": 1000.0, "money": {"usd_per_hour": 3.6, "usd_per_kwh": 0.0}})
    assert "cost $1, busy a tenth of the time $10:" in view.finding


def test_ticks_are_round_and_inside() -> None:
    assert ticks(Scale(0.0, 10.0, 0.0, 1.0)) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert ticks(Scale(1.0, 900.0, 0.0, 1.0, log=True)) == [1.0, 3.0, 10.0, 30.0, 100.0, 300.0]


def test_points_that_cannot_be_drawn_are_left_out() -> None:
    drawing = lines("x", [Line("a", [(1.0, float("nan")), (0.0, 1.0), (2.0, 3.0)])], Axis("x", log=True), Axis("y"))
    assert drawing.wide.count('class="mark"') == 1
    empty = lines("x", [Line("a", [])], Axis("x"), Axis("y"))
    assert "There is nothing to draw." in empty.wide
    assert "There is nothing to draw." in bars("x", [Bar("a", [Part("", 0.0, "#000000")])], Axis("x")).wide


def test_names_and_marks_are_escaped() -> None:
    series = [Line(HOSTILE, [(1.0, 2.0), (2.0, 3.0)])]
    drawing = lines("x", series, Axis(HOSTILE), Axis(HOSTILE), marks=[Mark("y", 2.5, HOSTILE)])
    row = bars("x", [Bar(HOSTILE, [Part(HOSTILE, 2.0, "#000000")], HOSTILE, (1.0, 3.0), 0.5)], Axis(HOSTILE))
    for text in (drawing.wide, drawing.narrow, row.wide, row.narrow):
        assert "<script" not in text
        assert "&lt;script" in text


def test_a_section_has_both_widths() -> None:
    view = View(
        "a",
        "A",
        "Said.",
        [],
        tiers_view({}).table,
        "",
        [lines("l", [Line("a", [(1, 2), (2, 3)])], Axis("x"), Axis("y"))],
    )
    text = section(view)
    assert 'class="wide"' in text
    assert 'class="narrow"' in text
    assert 'aria-label="l"' in text


def test_texts_of_small_flows_stand_apart() -> None:
    found = _apart([10.0, 12.0, 13.0, 60.0])
    assert found[0] == 10.0
    assert all(b - a >= 15.0 for a, b in itertools.pairwise(found))
    assert found[-1] == 60.0


def test_memory_over_context_has_a_line_for_each_batch(report: dict[str, Any]) -> None:
    report["memory"]["by_context"] = [
        {"tokens": tokens, "largest_batch": 1e6 / tokens, "sequence_bytes": 131072.0 * tokens}
        for tokens in (1024, 4096)
    ]
    drawings = growth_view(report).drawings
    assert [key.text for key in drawings[1].legend] == [
        "1 request at once",
        "8 requests at once",
        "64 requests at once",
    ]
    assert "capacity 80 GB" in drawings[1].wide
    report["inputs"]["mode"] = "disagg"  # whose pools have sizes of their own
    assert len(growth_view(report).drawings) == 1


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.0, 1000.0, [1, 3, 10, 30, 100, 300, 1000]), (520.0, 830.0, [550, 600, 650, 700, 750, 800]),
     (3.0, 4.0, [3.0, 3.2, 3.4, 3.6, 3.8, 4.0])],
)  # fmt: skip
def test_logarithmic_axes_have_round_ticks_over_any_range(low: float, high: float, expected: list[float]) -> None:
    assert ticks(Scale(low, high, 0.0, 100.0, True)) == pytest.approx(expected)


def test_a_caption_is_a_whole_sentence(report: dict[str, Any]) -> None:
    for make in ESTIMATE_VIEWS:
        view = make(report)
        assert not view.caption or view.caption.rstrip().endswith("."), view.title


def test_what_hides_behind_the_other_half_takes_its_turn() -> None:
    def row(name: str, link_bytes: float, behind: str) -> dict[str, Any]:
        return {"phase": "decode", "name": name, "repeat": 2.0, "expected_s": 2e-6, "part": "ffn",
                "link_bytes": link_bytes, "behind": behind}  # fmt: skip

    rows = [row("router", 0.0, ""), row("dispatch", 8.0, "step"), row("experts", 0.0, "")]
    spans = spans_of(rows)
    assert [span.start_s for span in spans] == pytest.approx([0.0, 1e-6, 2e-6])  # experts wait for their tokens
    found = timeline_view({"operators": rows}).finding
    assert "of half the batch takes 3.00 µs" in found
    assert "100 % of it beside the other half's work" in found
