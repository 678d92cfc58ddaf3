"""What estimates and sweeps show of themselves in a notebook."""

import numpy as np
import pytest

import perfmodel as pm
from perfmodel.errors import InputError
from perfmodel.reports.notebook import estimate_card, figure_names
from perfmodel.sweeps import Sweep

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def estimate():
    return pm.estimate("llama-3.1-8b", "h100-sxm", batch=8, input_tokens=2048, output_tokens=256)


@pytest.fixture(scope="module")
def grid():
    return pm.sweep("llama-3.1-8b", "h100-sxm", batch=[1, 8, 64], tp=[1, 2])


def test_an_estimate_is_a_small_table(estimate):
    text = estimate._repr_html_()
    assert "llama-3.1-8b" in text
    assert all(f"<th>{name}</th>" in text for name in ("TTFT", "TPOT", "E2E", "expected", "bound", "p10", "p90"))
    assert len(text) < 3000


def test_a_network_is_one_too():
    found = pm.estimate("resnet50", "rtx-4090", batch=8)
    assert "resnet50" in found._repr_html_()
    assert len(found.figure("roofline").data) > 0


def test_figures_by_name(estimate):
    names = list(figure_names(estimate.report()))
    assert names == ["roofline", "breakdown-prefill", "breakdown-decode", "memory"]
    times = [trace.x for trace in estimate.figure().data if trace.type == "bar"]
    decode = [row["expected_s"] for row in estimate.operator_rows() if row["phase"] == "decode"]
    assert sum(map(sum, times)) == pytest.approx(1e3 * sum(decode), rel=1e-6)
    with pytest.raises(InputError, match=r"no figure 'roofl' .*roofline"):
        estimate.figure("roofl")


def test_the_formula_is_latex(estimate):
    text = estimate.latex("tpot", ("batch", "bandwidth"))
    assert text.startswith("\\max")
    assert "{BW}" in text


def test_a_sweep_is_its_first_rows(grid):
    text = grid._repr_html_()
    assert "6 points (tp 2, batch 3)" in text
    assert text.count("<tr>") == 7
    assert "no answers are held here" in Sweep("m", "d", {"batch": [1]})._repr_html_()


def test_a_sweep_draws_lines_along_its_longest_axis(grid):
    figure = grid.figure()
    assert [list(trace.x) for trace in figure.data] == [[1, 8, 64]] * 2
    assert list(figure.data[1].y) == grid.columns["tokens_per_s"].reshape(2, 3)[1].tolist()
    assert figure.layout.xaxis.title.text == "batch"
    assert len(grid.figure("tpot_s", x="tp", by="batch").data) == 3
    with pytest.raises(InputError, match="no column 'tpot'"):
        grid.figure("tpot")
    with pytest.raises(InputError, match=r"no axis 'btach'.*batch"):
        grid.figure(x="btach")


def test_hostile_names_stay_text(estimate):
    report = estimate.report()
    report["inputs"]["model"] = HOSTILE
    assert "<script" not in estimate_card(report)
    assert "<script" not in Sweep(HOSTILE, HOSTILE, {HOSTILE: [1, 2]}, {HOSTILE: np.array([1.0, 2.0])})._repr_html_()
