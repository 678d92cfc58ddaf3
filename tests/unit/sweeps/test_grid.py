"""Sweeps are the estimates of their points."""

from __future__ import annotations

import csv
import gzip
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perfmodel as pm
from perfmodel.errors import InputError, PerfmodelError, PlanError
from perfmodel.sweeps import sweep

AXES: dict[str, Any] = {
    "batch": [1, 7, 64],
    "input_tokens": [128, 4000],
    "output_tokens": [1, 200],
    "tp": [1, 4],
    "dp": [1, 2],
}
TIMES = [f"{m}{q}_s" for m in ("ttft", "tpot", "e2e") for q in ("", "_bound", "_p10", "_p90")]


def _estimate(model: str, device: str, point: dict[str, Any], **options: Any) -> dict[str, float]:
    e = pm.estimate(model, device, **{k: v for k, v in point.items() if k in (*AXES, "ep", "attention_dp")}, **options)
    found: dict[str, float] = {}
    for name in ("ttft", "tpot", "e2e"):
        time = getattr(e, f"{name}_s")
        if time is not None:
            found |= {f"{name}_s": time.expected} | {f"{name}_{q}_s": getattr(time, q) for q in ("bound", "p10", "p90")}
    return found | {
        "tokens_per_s": e.tokens_per_s,
        "tokens_per_s_per_device": e.tokens_per_s_per_device,
        "requests_per_s": e.requests_per_s,
        "memory_bytes_per_device": e.memory.used_bytes,
        "largest_batch": float(e.answer.most_running) * e.setup.replicas,
        "fits": e.fits,
    }


@pytest.mark.parametrize(
    ("model", "device", "options"),
    [
        ("llama-3.1-8b", "h100-sxm", {}),
        ("llama-3.1-8b", "l40s", {"static": True, "precision": "fp8"}),
        ("gpt-oss-20b", "h100-sxm", {"engine": "vllm"}),
    ],
)
def test_every_point_is_its_estimate(model: str, device: str, options: dict[str, Any]) -> None:
    result = sweep(model, device, **AXES, **options)
    assert result.shape == (2, 1, 1, 2, 3, 2, 2)  # tp, ep, attention_dp, dp, batch, input, output
    assert result.points == 48
    assert not result.problems
    rows = list(result.rows())
    assert len(rows) == 48
    for row in rows[::5]:
        for name, value in _estimate(model, device, row, **options).items():
            assert row[name] == pytest.approx(value, rel=1e-9), (name, row)


@pytest.mark.parametrize(("phase", "absent"), [("prefill", "tpot_s"), ("decode", "ttft_s")])
def test_a_phase_has_its_columns(phase: str, absent: str) -> None:
    result = sweep("llama-3.1-8b", "h100-sxm", batch=[1, 8], input_tokens=[100, 1000], phase=phase)
    assert absent not in result.columns
    for row in result.rows():
        for name, value in _estimate("llama-3.1-8b", "h100-sxm", row, phase=phase).items():
            assert row[name] == pytest.approx(value, rel=1e-9), name


def test_bounds_alone() -> None:
    full = sweep("llama-3.1-8b", "h100-sxm", batch=[1, 8], input_tokens=[100, 1000])
    lean = sweep("llama-3.1-8b", "h100-sxm", batch=[1, 8], input_tokens=[100, 1000], expected=False)
    bounds = {"ttft_bound_s", "tpot_bound_s", "e2e_bound_s"}
    assert set(lean.columns) == bounds | {"memory_bytes_per_device", "largest_batch", "fits"}
    for name, column in lean.columns.items():
        np.testing.assert_allclose(column, full.columns[name], rtol=1e-12)


def test_bands_can_be_left_out() -> None:
    result = sweep("llama-3.1-8b", "h100-sxm", bands=False)
    assert {name for name in result.columns if name.startswith("tpot")} == {"tpot_s", "tpot_bound_s"}


def test_plans_that_cannot_be_are_listed_and_their_points_empty() -> None:
    result = sweep("llama-3.1-8b", "h100-sxm", tp=[1, 3, 5], batch=[1, 2])
    assert [text for text, _ in result.problems] == ["tp=3 ep=1 attention_dp=1 dp=1", "tp=5 ep=1 attention_dp=1 dp=1"]
    assert "does not divide the 32 attention heads" in result.problems[0][1]
    assert "does not divide the 32 attention heads" in result.problems[1][1]
    column = result.columns["tpot_s"]
    assert np.isnan(column[1:]).all()
    assert not np.isnan(column[0]).any()
    assert {row["tp"] for row in result.rows()} == {1}


def test_no_plan_at_all_is_the_first_plans_error() -> None:
    with pytest.raises(PlanError, match="tp 3 does not divide"):
        sweep("llama-3.1-8b", "h100-sxm", tp=[3, 5])


def test_rows_can_be_limited_and_hold_plain_numbers() -> None:
    rows = list(sweep("llama-3.1-8b", "h100-sxm", batch=range(1, 20)).rows(limit=3))
    assert [row["batch"] for row in rows] == [1, 2, 3]
    assert {type(value) for value in rows[0].values()} == {int, float, bool}


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"batch": []}, "batch has no values"),
        ({"batch": [0]}, "batch must be at least 1"),
        ({"tp": [1.5]}, "tp must be a whole number"),
        ({"input_tokens": ["many"]}, "input_tokens must be a whole number"),
    ],
)
def test_axes_that_cannot_be(axes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        sweep("llama-3.1-8b", "h100-sxm", **axes)


def test_a_number_is_an_axis_of_one() -> None:
    assert sweep("llama-3.1-8b", "h100-sxm", batch=4).axes["batch"] == [4]  # type: ignore[arg-type]


def test_too_many_points_to_hold_need_a_file() -> None:
    with pytest.raises(InputError, match="too many to hold; give a file"):
        sweep("llama-3.1-8b", "h100-sxm", batch=range(1, 10_001), input_tokens=range(1, 10_001))


@pytest.mark.parametrize("name", ["grid.csv", "grid.csv.gz"])
def test_a_file_has_a_row_for_each_point(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    held = sweep("llama-3.1-8b", "h100-sxm", **AXES)
    streamed = sweep("llama-3.1-8b", "h100-sxm", **AXES, out=path)
    assert streamed.columns == {}
    data = path.read_bytes()
    text = (gzip.decompress(data) if name.endswith("gz") else data).decode()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == held.points
    assert list(rows[0]) == [*held.axes, *held.columns]
    expected = [dict(zip(held.axes, point, strict=True)) for point in itertools.product(*held.axes.values())]
    assert [{k: int(row[k]) for k in held.axes} for row in rows] == expected
    for row, point in zip(rows[::7], list(held.rows())[::7], strict=True):
        for column in TIMES:
            assert float(row[column]) == pytest.approx(point[column], rel=1e-6)
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_a_file_leaves_out_plans_that_cannot_be(tmp_path: Path) -> None:
    result = sweep("llama-3.1-8b", "h100-sxm", tp=[3, 1], batch=[1, 2], out=tmp_path / "grid.csv")
    assert len(result.problems) == 1
    assert len((tmp_path / "grid.csv").read_text().splitlines()) == 3


def test_no_plan_at_all_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(PlanError):
        sweep("llama-3.1-8b", "h100-sxm", tp=[3], out=tmp_path / "grid.csv")
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_file_survives_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "grid.csv"
    path.write_text("mine\n")
    with pytest.raises(PlanError):
        sweep("llama-3.1-8b", "h100-sxm", tp=[3], out=path)
    assert path.read_text() == "mine\n"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a folder"):
        sweep("llama-3.1-8b", "h100-sxm", out=tmp_path)
    with pytest.raises(InputError, match=r"there is no folder .*; make it first"):
        sweep("llama-3.1-8b", "h100-sxm", out=tmp_path / "no" / "grid.csv")


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    sweep("llama-3.1-8b", "h100-sxm", tp=[1, 2], batch=[1, 2, 3], progress=lambda *state: told.append(state))
    assert told == [(3, 6), (6, 6)]


def test_large_whole_numbers_are_written_whole(tmp_path: Path) -> None:
    sweep("llama-3.1-8b", "h100-sxm", input_tokens=[1_234_567_891], out=tmp_path / "grid.csv")
    rows = list(csv.DictReader((tmp_path / "grid.csv").read_text().splitlines()))
    assert rows[0]["input_tokens"] == "1234567891"


def test_unknown_names_are_errors() -> None:
    for model, device in (("lama-3.1-8b", "h100-sxm"), ("llama-3.1-8b", "h1000")):
        with pytest.raises(PerfmodelError, match="nearest"):
            sweep(model, device)


def test_nothing_is_infinite() -> None:
    plans: dict[str, Any] = {"tp": [8], "ep": [1, 8]}
    result = sweep("deepseek-v3", "b200", **plans, batch=[1, 1000], input_tokens=[1, 100_000], output_tokens=[1, 2])
    for name, column in result.columns.items():
        assert np.isfinite(column).all(), name
        assert not math.isnan(float(column.sum()))


def test_only_the_columns_asked_for() -> None:
    wanted = ["tpot_s", "memory_bytes_per_device"]
    found = sweep("llama-3.1-8b", "h100-sxm", batch=[1, 8], input_tokens=[512], columns=wanted)
    whole = sweep("llama-3.1-8b", "h100-sxm", batch=[1, 8], input_tokens=[512])
    assert list(found.columns) == wanted
    for name in wanted:
        assert np.allclose(found.columns[name], whole.columns[name], rtol=1e-12, atol=0)
    with pytest.raises(InputError, match=r"no column 'tpot' - did you mean 'tpot_s'"):
        sweep("llama-3.1-8b", "h100-sxm", columns=["tpot"])


def test_further_axes_are_the_outermost() -> None:
    result = sweep("llama-3.1-8b", "h100-sxm", batch=[1, 8], vary={"precision": ["bfloat16", "fp8"], "pp": [1, 2]})
    assert list(result.axes)[:2] == ["precision", "pp"]
    assert result.shape[:2] == (2, 2)
    one = sweep("llama-3.1-8b", "h100-sxm", batch=[1, 8], precision="fp8", vary={"pp": [2]})
    np.testing.assert_allclose(result.columns["tpot_s"][1, 1].ravel(), one.columns["tpot_s"].ravel())


def test_numbers_of_the_device_can_vary(tmp_path: Path) -> None:
    factors = ["*1", "*2"]
    result = sweep(
        "llama-3.1-8b", "h100-sxm", vary={"device.memory.main.bandwidth": factors}, changes={"device.power": "400 W"}
    )
    slow, fast = result.columns["tpot_bound_s"].ravel()
    assert fast == pytest.approx(slow / 2)
    sweep("llama-3.1-8b", "h100-sxm", vary={"device.power": ["400 W", "700 W"]}, out=tmp_path / "x.csv")
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0].startswith("device.power,tp,")
    assert [line.split(",")[0] for line in lines[1:]] == ["400 W", "700 W"]


@pytest.mark.parametrize("field", ["tpp", "tp", "phase"])
def test_fields_that_cannot_vary(field: str) -> None:
    with pytest.raises(InputError, match=f"no field '{field}' to vary"):
        sweep("llama-3.1-8b", "h100-sxm", vary={field: [1, 2]})
