"""Rows of deployments are the estimates of their questions."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import perfmodel as pm
from perfmodel.tables import networks, run_scenarios
from perfmodel.tables.scenarios import OUTPUTS

BASE = {"model": "llama-3.1-8b", "device": "h100-sxm", "batch": "8", "input_tokens": "1000", "output_tokens": "100"}
UNKNOWN = ("usd_per_million_tokens",)
"""Empty where a row gives no price and the device's file has none."""


def _run(tmp_path: Path, rows: list[dict[str, str]], **options: Any) -> list[dict[str, str]]:
    source, target = tmp_path / "scenarios.csv", tmp_path / "results.csv"
    names = list(dict.fromkeys(name for row in rows for name in row))
    with source.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    run_scenarios(str(source), str(target), **options)
    with target.open(newline="") as file:
        return list(csv.DictReader(file))


def _same(row: dict[str, str], estimate: Any) -> None:
    for name in ("ttft", "tpot", "e2e"):
        time = getattr(estimate, f"{name}_s")
        found = [row[f"{name}_ms"], *(row[f"{name}_{q}_ms"] for q in ("bound", "p10", "p90"))]
        if time is None:
            assert found == [""] * 4
        else:
            want = [t * 1e3 for t in (time.expected, time.bound, time.p10, time.p90)]
            assert [float(x) for x in found] == pytest.approx(want, rel=1e-6)
    for name in ("tokens_per_s", "tokens_per_s_per_device", "requests_per_s"):
        assert float(row[name]) == pytest.approx(getattr(estimate, name), rel=1e-6)
    assert float(row["memory_gb_per_device"]) == pytest.approx(estimate.memory.used_bytes / 1e9, rel=1e-6)
    assert row["fits"] == str(estimate.fits)
    assert row["bottleneck"] == estimate.bottleneck
    assert row["error"] == ""


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({}, {}),
        ({"tp": "2", "dp": "2", "engine": "vllm"}, {"tp": 2, "dp": 2, "engine": "vllm"}),
        ({"precision": "fp8", "kv_precision": "fp8"}, {"precision": "fp8", "kv_precision": "fp8"}),
        ({"static": "True"}, {"static": True}),
        ({"phase": "prefill"}, {"phase": "prefill"}),
        ({"phase": "decode"}, {"phase": "decode"}),
        ({"model": "deepseek-v3", "device": "h200-sxm", "attention_dp": "8", "ep": "8"},
         {"model": "deepseek-v3", "device": "h200-sxm", "attention_dp": 8, "ep": 8}),
        ({"model": "mixtral-8x7b", "tp": "4", "moe_tp": "2", "ep": "2", "moe_precision": "fp8"},
         {"model": "mixtral-8x7b", "tp": 4, "moe_tp": 2, "ep": 2, "moe_precision": "fp8"}),
    ],
)  # fmt: skip
def test_a_row_is_its_estimate(tmp_path: Path, change: dict[str, str], options: dict[str, Any]) -> None:
    (row,) = _run(tmp_path, [{**BASE, **change}])
    named: dict[str, Any] = {"model": "llama-3.1-8b", "device": "h100-sxm", **options}
    _same(row, pm.estimate(**named, batch=8, input_tokens=1000, output_tokens=100))


def test_a_disaggregated_row_is_its_estimate(tmp_path: Path) -> None:
    pools = {"prefill_workers": "2", "prefill_tp": "2", "decode_workers": "1", "decode_tp": "4"}
    (row,) = _run(tmp_path, [{**BASE, "mode": "disagg", "engine": "trtllm", **pools}])
    from perfmodel.plan import Plan
    from perfmodel.serving.scenario import Pool

    estimate = pm.estimate(
        "llama-3.1-8b", "h100-sxm", batch=8, input_tokens=1000, output_tokens=100, mode="disagg", engine="trtllm",
        prefill_pool=Pool(2, Plan(tp=2)), decode_pool=Pool(1, Plan(tp=4)),
    )  # fmt: skip
    _same(row, estimate)
    assert float(row["tokens_per_s"]) / float(row["tokens_per_s_per_device"]) == pytest.approx(8, rel=1e-6)


def test_static_for_all_rows(tmp_path: Path) -> None:
    asked, all_ = _run(tmp_path, [{**BASE, "static": "1"}])[0], _run(tmp_path, [BASE], static=True)[0]
    assert asked["ttft_ms"] == all_["ttft_ms"]
    assert asked["ttft_ms"] != _run(tmp_path, [BASE])[0]["ttft_ms"]


def test_mixed_rows_keep_their_order(tmp_path: Path) -> None:
    rows = [
        {**BASE, "batch": str(b), "device": d, "note": f"{b}{d}"}
        for b in (1, 4.0, 16)
        for d in ("h100-sxm", "L40S", "none")
    ]
    found = _run(tmp_path, rows)
    assert [row["note"] for row in found] == [row["note"] for row in rows]
    assert [bool(row["error"]) for row in found] == [False, False, True] * 3
    alone = [_run(tmp_path, [row])[0] for row in rows]
    assert found == alone


def test_what_is_not_known_is_empty_and_never_zero(tmp_path: Path) -> None:
    row, priced = _run(tmp_path, [{**BASE, "device": "b300"}, {**BASE, "usd_per_device_hour": "3.6"}])
    assert [row[name] for name in UNKNOWN] == [""]
    assert all(row[name] != "" for name in OUTPUTS if name not in (*UNKNOWN, *networks.OUTPUTS, "error"))
    assert all(row[name] == "" for name in networks.OUTPUTS)
    # a device for 3.6 dollars an hour costs a thousandth of a dollar a second
    assert float(priced["usd_per_million_tokens"]) == pytest.approx(1e3 / float(priced["tokens_per_s"]))
    (prefill,) = _run(tmp_path, [{**BASE, "phase": "prefill", "output_tokens": ""}])
    assert prefill["tpot_ms"] == ""
    assert prefill["error"] == ""


def test_measured_columns_are_renamed(tmp_path: Path) -> None:
    (row,) = _run(tmp_path, [{**BASE, "tpot_ms": "12.5", "tokens_per_s": "99"}])
    assert (row["measured_tpot_ms"], row["measured_tokens_per_s"]) == ("12.5", "99")
    assert float(row["tpot_ms"]) > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "lama-3.1-8b"}, "no model 'lama-3.1-8b'; nearest: llama-3.1-8b"),
        ({"device": "h101"}, "no device 'h101'"),
        ({"model": ""}, "column model is empty"),
        ({"batch": "0"}, "column batch: '0' is not a whole number"),
        ({"batch": "2.5"}, "column batch: '2.5' is not a whole number"),
        ({"input_tokens": ""}, "column input_tokens is empty"),
        ({"output_tokens": ""}, "column output_tokens is empty"),
        ({"output_tokens": "1e300"}, "column output_tokens: '1e300' is not a whole number"),
        ({"precision": "fp9"}, "unknown precision 'fp9'"),
        ({"phase": "training"}, "unknown phase 'training'"),
        ({"engine": "vlm"}, "unknown engine 'vlm' - did you mean 'vllm'"),
        ({"static": "perhaps"}, "column static must be true or false"),
        ({"tp": "3"}, "tp 3 does not divide the 32 attention heads"),
        ({"pp": "33"}, "pp 33 is more than the 32 layers"),
        ({"cp": "0"}, "column cp must be at least 1"),
        ({"mode": "disagg", "decode_pp": "2.5"}, "column decode_pp must be a whole number"),
        ({"overlap": "both"}, "unknown overlap 'both'"),
        ({"model": "mixtral-8x7b", "ep": "2"}, "ep 2 does not divide the tp x attention_dp = 1 devices"),
    ],
)
def test_rows_that_cannot_be(tmp_path: Path, change: dict[str, str], said: str) -> None:
    good, bad = _run(tmp_path, [BASE, {**BASE, **change}])
    assert bad["error"].startswith(said)
    assert all(bad[name] == "" for name in OUTPUTS if name != "error")
    assert good["error"] == ""


def test_a_batch_beyond_memory_is_answered(tmp_path: Path) -> None:
    served, static = _run(tmp_path, [{**BASE, "batch": "1e6"}, {**BASE, "batch": "1e6", "static": "true"}])
    assert (served["fits"], static["fits"]) == ("True", "False")
    assert served["error"] == static["error"] == ""
    (none,) = _run(tmp_path, [{**BASE, "model": "llama-3.1-70b"}])
    assert none["fits"] == "False"


def test_a_model_from_a_file(tmp_path: Path) -> None:
    import yaml

    folder = Path(__file__).resolve().parents[3] / "workloads" / "transformer"
    text = yaml.safe_load((folder / "llama-3.1-8b.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**text, "name": "mine", "aliases": []}))
    mine, theirs = _run(tmp_path, [{**BASE, "model": str(path)}, BASE])
    assert mine["error"] == ""
    assert mine["tpot_ms"] == theirs["tpot_ms"]


IMAGES = {"model": "resnet18", "device": "rtx-4090", "batch": "8"}
"""A row whose model is a network."""


def test_a_network_is_a_row_like_any_other(tmp_path: Path) -> None:
    more = {
        "precision": "int8",
        "engine": "TensorRT",
        "image": "288",
        "fusion": "none",
        "layers": "fc=float16;conv1=fp16",
    }
    token, image = _run(tmp_path, [BASE, {**IMAGES, **more}])
    assert (token["error"], image["error"]) == ("", "")
    assert all(image[name] != "" for name in (*networks.OUTPUTS, "memory_gb_per_device", "fits", "bottleneck"))
    assert all(image[name] == "" for name in ("ttft_ms", "tpot_ms", "tokens_per_s", "joules_per_token"))
    answer = pm.estimate(
        "resnet18", "rtx-4090", batch=8, image=288, precision="int8", engine="tensorrt", fusion="none",
        layers={"fc": "float16", "conv1": "float16"},
    )  # fmt: skip
    assert float(image["latency_ms"]) == pytest.approx(1e3 * answer.latency_s.expected, rel=1e-6)
    assert float(image["latency_bound_ms"]) == pytest.approx(1e3 * answer.latency_s.bound, rel=1e-6)
    assert float(image["samples_per_s"]) == pytest.approx(answer.samples_per_s, rel=1e-6)
    assert float(image["joules_per_sample"]) == pytest.approx(answer.joules_per_sample, rel=1e-6)
    assert float(image["usd_per_million_samples"]) == pytest.approx(answer.usd_per_million_samples, rel=1e-6)
    assert image["bottleneck"] == answer.bottleneck


def test_batches_of_a_network_are_the_rows_one_by_one(tmp_path: Path) -> None:
    rows = [{**IMAGES, "batch": str(batch)} for batch in (1, 3, 8, 64, 256, 5000)]
    assert _run(tmp_path, rows) == [_run(tmp_path, [row])[0] for row in rows]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "resnet1"}, "no model 'resnet1'; nearest: resnet"),
        ({"tp": "2"}, "column tp: a network is not split"),
        ({"engine": "vllm"}, "unknown engine 'vllm' of networks"),
        ({"image": "1.5"}, "column image: '1.5' is not a whole number"),
        ({"layers": "fc"}, "column layers: 'fc' is not PATTERN=PRECISION"),
        ({"layers": "fx=int8"}, "no layer of resnet18 matches 'fx'"),
        ({"sparsity": "4:8"}, "sparsity must be dense or 2:4"),
        ({"precision": "int9"}, "unknown precision 'int9'"),
        ({"dp": "0"}, "column dp: '0' is not a whole number"),
        ({"power_limit_w": "much"}, "column power_limit_w must be a number"),
    ],
)
def test_networks_that_cannot_be(tmp_path: Path, change: dict[str, str], said: str) -> None:
    good, bad = _run(tmp_path, [IMAGES, {**IMAGES, **change}])
    assert bad["error"].startswith(said)
    assert all(bad[name] == "" for name in OUTPUTS if name != "error")
    assert good["error"] == ""


def test_the_image_of_a_pipeline_is_its_height_and_width(tmp_path: Path) -> None:
    small, large = _run(tmp_path, [{"model": "sdxl", "device": "l40s", "image": size} for size in ("512", "1024")])
    assert (small["error"], large["error"]) == ("", "")
    assert float(large["latency_ms"]) > 3 * float(small["latency_ms"])
