"""How published rows are read: names, units, and what is refused rather than guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel import api
from perfmodel.errors import InputError
from perfmodel.validation.names import device_name, engine_name, model_name, precision_of
from perfmodel.validation.published import load_group, read_published
from perfmodel.validation.tables import error_table

COLUMNS = ("id", "gpu", "n_gpu", "model", "precision", "engine", "engine_version", "tp", "pp", "load_kind",
           "batch_or_concurrency", "input_len", "output_len", "metric", "value", "notes")  # fmt: skip
ROW = {"id": "a", "gpu": "H100-SXM5-80GB", "n_gpu": "1", "model": "Llama-3.1-8B", "precision": "BF16",
       "engine": "gpt-fast", "tp": "1", "pp": "1", "load_kind": "static_batch", "batch_or_concurrency": "8",
       "input_len": "512", "output_len": "128", "metric": "tok_s_out_total", "value": "1000"}  # fmt: skip


def _read(tmp_path: Path, **changes: str) -> tuple[list, dict[str, int]]:
    path = tmp_path / "published.csv"
    row = ROW | changes
    path.write_text(",".join(COLUMNS) + "\n" + ",".join(row.get(name, "") for name in COLUMNS) + "\n")
    return read_published(path)


def test_a_static_batch_is_predicted_as_one(tmp_path: Path) -> None:
    ((one,), reasons) = _read(tmp_path)
    ours = api.estimate("llama-3.1-8b", "h100-sxm", batch=8, input_tokens=512, output_tokens=128, static=True,
                        precision="bfloat16")  # fmt: skip
    assert ours.e2e_s is not None
    assert one.predicted == pytest.approx(8 * 128 / ours.e2e_s.expected)
    assert one.bound == pytest.approx(8 * 128 / ours.e2e_s.bound)
    assert one.ratio == pytest.approx(1000 / one.predicted)
    assert not reasons


@pytest.mark.parametrize(
    ("metric", "part", "scale"),
    [("ttft_ms", "ttft_s", 1e3), ("tpot_ms", "tpot_s", 1e3), ("latency_total_ms", "e2e_s", 1e3)],
)
def test_times_keep_their_unit(tmp_path: Path, metric: str, part: str, scale: float) -> None:
    ((one,), _) = _read(tmp_path, metric=metric)
    ours = api.estimate("llama-3.1-8b", "h100-sxm", batch=8, input_tokens=512, output_tokens=128, static=True,
                        precision="bfloat16")  # fmt: skip
    assert one.predicted == pytest.approx(getattr(ours, part).expected * scale)
    assert one.ratio == pytest.approx(one.predicted / 1000)


def test_per_gpu_rates_are_divided(tmp_path: Path) -> None:
    ((whole,), _) = _read(tmp_path, tp="4")
    ((share,), _) = _read(tmp_path, tp="4", metric="tok_s_out_per_gpu")
    assert share.predicted == pytest.approx(whole.predicted / 4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"load_kind": "request_rate_qps"}, "load is not of known batch or concurrency"),
        ({"metric": "itl_median_ms"}, "metric itl_median_ms is not predicted"),
        ({"input_len": "dataset"}, "input length is not stated"),
        ({"output_len": ""}, "output length is not stated"),
        ({"model": "Nobody-7B"}, "no model 'Nobody-7B'"),
        ({"gpu": "Abacus"}, "no device"),
        ({"precision": "EXL2 2.5 bpw"}, "precision is not one of ours"),
        ({"notes": "SUSPECT: copied"}, "flagged as suspect in its source table"),
        ({"model": "Llama-3.1-405B"}, "does not fit by our memory model"),
        ({"pp": "2", "metric": "prefill_tok_s"}, "a prompt that goes down a pipeline in chunks is not modelled"),
    ],
)
def test_what_cannot_be_told_is_counted_and_not_guessed(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    found, reasons = _read(tmp_path, **change)
    assert not found
    assert reasons == {reason: 1}


def test_names() -> None:
    assert device_name("A100-SXM4-80GB(330W)") == "a100-sxm-80gb"
    assert device_name("GB200-192GB(NVL72)") == "gb200"
    assert model_name("meta-llama/Llama-2-70b-chat-hf", "vLLM") == "llama-2-70b"
    assert model_name("LLaMA 7B", "TensorRT-LLM") == "llama-2-7b"
    assert [precision_of(t) for t in ("FP8", "INT4 AWQ weight-only g128", "MXFP4", "W8A8")] == [
        "fp8",
        "int4_wo",
        None,
        "int8",
    ]
    assert [engine_name("TensorRT-LLM", v) for v in ("0.9", "1.1", "")] == ["", "trtllm", "trtllm"]
    kinds = ("static (closed loop, fixed lengths)", "batch1 greedy decode", "MLPerf closed Server")
    assert [load_group(kind) for kind in kinds] == ["closed", "static", ""]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="has no column batch_or_concurrency"):
        read_published(tmp_path / "x.csv")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_published(tmp_path / "none.csv")


def test_error_table_by_hand() -> None:
    rows = [{"device": "a", "ratio": 1.1, "in_band": True}, {"device": "a", "ratio": 0.8, "in_band": False},
            {"device": "b", "ratio": 2.0, "in_band": False}]  # fmt: skip
    a, b, everything = error_table(rows, ["device"])
    assert (a["rows"], a["median_error_percent"], a["in_band_percent"]) == (2, pytest.approx(15.0), 50.0)
    assert b["median_ratio"] == 2.0
    assert (everything["device"], everything["rows"]) == ("all", 3)
    with pytest.raises(InputError, match="no column 'devise' to group by - did you mean 'device'"):
        error_table(rows, ["devise"])
    assert error_table([], ["device"]) == []
