"""Grids of networks: every point is the estimate of its question, streamed or held."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from perfmodel.errors import InputError, PlanError
from perfmodel.network_api import estimate_network
from perfmodel.sweeps import sweep_network


def test_points_are_estimates() -> None:
    vary = {"engine": ["torch", "tensorrt"], "device.power": ["300 W", "450 W"], "dp": [1, 2]}
    found = sweep_network("resnet18", "rtx-4090", batch=[2, 64], vary=vary)
    assert found.shape == (2, 2, 2, 2)
    for row in found.rows():
        answer = estimate_network(
            "resnet18", "rtx-4090", batch=row["batch"], engine=row["engine"], dp=row["dp"],
            changes={"device.power": row["device.power"]},
        )  # fmt: skip
        assert row["latency_s"] == pytest.approx(answer.latency_s.expected)
        assert row["latency_bound_s"] == pytest.approx(answer.latency_s.bound)
        assert row["samples_per_s"] == pytest.approx(answer.samples_per_s)
        assert row["joules_per_sample"] == pytest.approx(answer.joules_per_sample)
        assert row["fits"] is True
    assert found.sample == "image"


def test_a_file_has_the_same_points(tmp_path: Path) -> None:
    axes = {"batch": [1, 4, 16], "vary": {"precision": ["float16", "int8"]}}
    held = list(sweep_network("resnet18", "rtx-4090", **axes).rows())
    told: list[tuple[int, int | None]] = []
    sweep_network("resnet18", "rtx-4090", **axes, out=tmp_path / "g.csv", progress=lambda *p: told.append(p))
    with (tmp_path / "g.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert told[-1] == (6, 6)
    assert [row["precision"] for row in rows] == [row["precision"] for row in held]
    for row, other in zip(rows, held, strict=True):
        assert float(row["latency_s"]) == pytest.approx(other["latency_s"], rel=1e-6)


def test_what_cannot_be_is_left_out_with_its_reason() -> None:
    found = sweep_network("vgg16", "rtx-4090", batch=1, vary={"image": [8, 224]})
    assert [row["image"] for row in found.rows()] == [224]
    assert found.problems[0][0] == "image=8"
    assert "too small" in found.problems[0][1]


def test_if_nothing_can_be_the_reason_is_raised() -> None:
    with pytest.raises(PlanError, match="2:4"):
        sweep_network("resnet18", "v100-sxm-32gb", vary={"sparsity": ["2:4"]})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vary": {"tp": [1]}}, "no field 'tp' of networks"),
        ({"vary": {"layers": ["a"]}}, "no field 'layers'"),
        ({"vary": {"image": []}}, "image has no values"),
        ({"batch": []}, "batch has no values"),
        ({"batch": [0]}, "batch must be at least 1"),
        ({"layers": (("no", "int8"),)}, "no layer of resnet18"),
        ({"changes": {"model.no": "1"}}, "no field 'no'"),
    ],
)
def test_bad_axes(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        sweep_network("resnet18", "rtx-4090", **options)  # type: ignore[arg-type]


def test_a_grid_beyond_memory_is_refused() -> None:
    with pytest.raises(InputError, match="too many to hold"):
        sweep_network("resnet18", "rtx-4090", batch=range(1, 60_000_000))
