"""Reports of networks: the same functions, in the words of their samples."""

from __future__ import annotations

import copy
import zipfile
from io import BytesIO
from typing import Any

import pytest

from perfmodel.network_api import estimate_network
from perfmodel.reports import estimate_columns, estimate_html, estimate_rows, render_estimate
from perfmodel.reports.ops_table import main_phases, phases, together
from perfmodel.reports.summary import article, plural, rates, scenario, shape_text, stages, times, work, work_line
from perfmodel.reports.text import big
from perfmodel.reports.views import views_of
from perfmodel.reports.views.blocks import MOST_BLOCKS, blocks_of
from perfmodel.reports.views.style import part_colour, phase_symbols
from perfmodel.reports.xlsx import estimate_xlsx

_KEPT: dict[str, dict[str, Any]] = {}


def kept(name: str, **question: Any) -> dict[str, Any]:
    """Return a report that a test may change; each is made once."""
    if name not in _KEPT:
        _KEPT[name] = estimate_network(**question).report()
    return copy.deepcopy(_KEPT[name])


@pytest.fixture
def images() -> dict[str, Any]:
    return kept("images", network="resnet18", device="rtx-4090", batch=64, layers={"fc": "float16"})


@pytest.fixture
def pipeline() -> dict[str, Any]:
    return kept("pipeline", network="sdxl", device="l40s", image=512, changes={"model.steps": "4"})


def test_what_is_said_is_said_of_images(images: dict[str, Any]) -> None:
    assert scenario(images) == "batch 64, images of 3x224x224, float16, fc float16, fusion epilogue"
    assert [time.name for time in times(images)] == ["Latency"]
    said = dict(rates(images))
    assert said["throughput"].endswith(" images/s")
    assert "J/image" in said["energy"]
    assert "USD per million images at" in said["price"]
    assert dict(work(images))["products"] == "1.81 GMAC an image"
    assert work_line(images).startswith("11.7 M parameters, 1.81 GMAC, 3.")
    assert " an image, " in work_line(images)
    assert stages(images) == []


def test_a_pipeline_says_its_networks(pipeline: dict[str, Any]) -> None:
    assert scenario(pipeline) == "batch 1, images of 3x512x512 by 4 networks, float16, fusion epilogue, model.steps 4"
    rows = stages(pipeline)
    assert [row[0] for row in rows] == ["clip-l-14-text", "openclip-bigg-14-text", "sdxl-unet", "sdxl-vae-decoder"]
    assert rows[2][1:3] == ("4", "2")
    (whole,) = together(pipeline)
    assert whole.expected_s == pytest.approx(sum(phase.expected_s for phase in phases(pipeline)))
    assert all(": " in row["name"] for row in whole.rows)
    assert "sdxl-unet" in {phase.name for phase in main_phases(pipeline)}


def test_language_models_are_as_they_were(report: dict[str, Any]) -> None:
    assert work(report) == []
    assert stages(report) == []
    assert together(report) == phases(report) == main_phases(report)
    assert "tokens in" in scenario(report)
    anchors = [view.anchor for view in views_of(report)]
    assert anchors[:3] == ["roofline", "tiers", "breakdown"]
    assert {"gap", "timeline", "memory", "growth", "energy", "utilisation"} == set(anchors[3:])


def test_words() -> None:
    assert [plural(word) for word in ("image", "query", "video")] == ["images", "queries", "videos"]
    assert [article(word) for word in ("image", "user", "")] == ["an", "a", "a"]
    assert shape_text([3, 224, 224]) == "3x224x224"
    assert [big(n) for n in (512, 25.6e6, 4.09e9, 6.8e14, None)] == ["512", "25.6 M", "4.09 G", "680 T", "-"]
    assert big(3.4e9, "B") == "3.4 B"


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_ten_kernels_and_fits_the_width(
    images: dict[str, Any], capsys: pytest.CaptureFixture[str], width: int
) -> None:
    render_estimate(images, width)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    order = ["resnet18 on rtx-4090", "Latency", "images/s", "work", "Memory", "(name+n: n more", "conv1+1", "others"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert sum("convolution" in line for line in text.splitlines()) <= 10


def test_the_terminal_shows_the_networks_of_a_pipeline(
    pipeline: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    render_estimate(pipeline, 120)
    text = capsys.readouterr().out
    assert "Networks of the pipeline" in text
    assert text.count(" expected (name+n") == 1


def test_a_page_has_blocks_in_the_order_in_which_they_run(images: dict[str, Any]) -> None:
    page = estimate_html(images)
    for word in ("images/s", "Time by block", "1.81\u00a0GMAC an image", "convolution", "input shapes", "3x224x224"):
        assert word in page
    assert "tokens" not in page.split("<script>")[0]
    blocks = next(view for view in views_of(images) if view.anchor == "blocks")
    (plot,) = blocks.plots
    names = [text.split("  ")[0] for text in plot.layout["yaxis"]["ticktext"]]
    assert names[:3] == ["conv1", "maxpool", "layer1.0"]
    assert names[-1] == "fc"
    assert estimate_html(images) == page


def test_a_page_of_a_pipeline_draws_what_takes_time(pipeline: dict[str, Any]) -> None:
    page = estimate_html(pipeline)
    assert "Networks of the pipeline" in page
    drawn = [plot.div_id for view in views_of(pipeline) for plot in view.plots]
    assert len(drawn) == len(set(drawn))
    assert "plot-blocks-sdxl-unet" in drawn


def test_too_many_blocks_are_taken_together() -> None:
    rows = [{"block": f"stage{s}.{b}", "expected_s": 1.0} for s in range(4) for b in range(20)]
    assert list(blocks_of(rows)) == [f"stage{s}" for s in range(4)]
    assert len(blocks_of(rows[:MOST_BLOCKS])) == MOST_BLOCKS
    many = [{"block": f"b{n}", "expected_s": 1.0} for n in range(100)]
    assert len(blocks_of(many)) == 100


def test_kinds_of_layers_and_networks_look_different() -> None:
    kinds = ("convolution", "depthwise", "dense", "attention", "lookup", "pooling", "element-wise")
    assert len({part_colour(kind) for kind in kinds}) == len(kinds)
    assert phase_symbols(["prefill", "decode"]) == {"prefill": "circle", "decode": "diamond"}
    assert phase_symbols(["a", "b", "a", "c"]) == {"a": "circle", "b": "diamond", "c": "square"}


def test_a_row_of_csv_has_its_block(images: dict[str, Any]) -> None:
    columns, rows = estimate_columns(images), estimate_rows(images)
    assert all(set(row) == set(columns) for row in rows)
    assert columns[:4] == ("model", "device", "batch", "precision")
    assert rows[0]["block"] == "conv1"
    assert "input_tokens" not in columns


def test_a_workbook_has_the_stages_of_a_pipeline(images: dict[str, Any], pipeline: dict[str, Any]) -> None:
    def sheets(report: dict[str, Any]) -> str:
        with zipfile.ZipFile(BytesIO(estimate_xlsx(report))) as book:
            return book.read("xl/workbook.xml").decode()

    assert "stages" in sheets(pipeline)
    assert "stages" not in sheets(images)
    assert estimate_xlsx(images) == estimate_xlsx(images)


def test_what_does_not_fit_is_said(images: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    images["memory"]["free_bytes"] = -20e9
    render_estimate(images | {"fits": False, "memory_bytes_per_device": 100e9}, 100)
    assert "does not fit" in capsys.readouterr().out


def test_a_nearly_empty_report_of_a_network_prints(capsys: pytest.CaptureFixture[str]) -> None:
    empty = {"inputs": {"sample": "image", "model": "m"}}
    render_estimate(empty, 80)
    assert "limited by" in capsys.readouterr().out
    assert "nothing to draw" in estimate_html(empty)
