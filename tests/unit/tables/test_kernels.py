"""Rows of single kernels: every op, its counts, and rows that cannot be."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from perfmodel.cost.facts import chip_facts
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import load_device
from perfmodel.formats import find_format
from perfmodel.ops import Linear
from perfmodel.tables import run_kernels
from perfmodel.tables.kernels import _KINDS, OUTPUTS  # pyright: ignore[reportPrivateUsage] - so that no op is forgotten

ROWS: dict[str, dict[str, str]] = {
    "gemm": {"m": "128", "n": "4096", "k": "4096"},
    "attention_prefill": {
        "batch": "2",
        "q_tokens": "128",
        "kv_tokens": "256",
        "heads": "32",
        "kv_heads": "8",
        "head_dim": "128",
    },
    "attention_decode": {"batch": "8", "kv_tokens": "1000", "heads": "32", "kv_heads": "8", "head_dim": "128"},
    "mla_prefill": {"batch": "1", "q_tokens": "128", "kv_tokens": "128", "heads": "128"},
    "mla_decode": {"batch": "8", "kv_tokens": "1000", "heads": "128"},
    "moe": {"tokens": "64", "hidden": "4096", "intermediate": "1536", "topk": "8", "experts": "128"},
    "causal_conv": {"batch": "4", "tokens": "512", "channels": "8192"},
    "scan_prefill": {
        "batch": "4",
        "tokens": "512",
        "heads": "32",
        "key_heads": "16",
        "key_dim": "128",
        "value_dim": "128",
        "gates": "64",
        "rule": "delta",
    },
    "scan_decode": {"batch": "64", "heads": "64", "key_heads": "8", "key_dim": "128", "value_dim": "64"},
    "all_reduce": {"ranks": "8", "bytes": "1048576"},
    "all_gather": {"ranks": "8", "bytes": "1048576"},
    "reduce_scatter": {"ranks": "8", "bytes": "1048576"},
    "all_to_all": {"ranks": "8", "bytes": "1048576"},
    "send_recv": {"ranks": "2", "bytes": "1048576"},
    "conv2d": {
        "batch": "32",
        "in_channels": "64",
        "out_channels": "128",
        "height": "56",
        "width": "56",
        "kernel": "3",
        "padding": "1",
    },
    "conv_transpose2d": {
        "batch": "8",
        "in_channels": "64",
        "out_channels": "32",
        "height": "28",
        "width": "28",
        "kernel": "2",
        "stride": "2",
    },
    "pool": {"batch": "32", "channels": "64", "height": "112", "width": "112", "kernel": "3", "stride": "2"},
    "batchnorm": {"batch": "32", "channels": "64", "height": "56", "width": "56"},
    "resize": {
        "batch": "8",
        "channels": "64",
        "height": "28",
        "width": "28",
        "out_height": "56",
        "out_width": "56",
    },
    "embedding_bag": {"batch": "2048", "tables": "26", "rows": "100000", "lookups": "4", "width": "128"},
    "batched_matmul": {"batch": "384", "m": "197", "n": "64", "k": "197"},
    "pim_gemv": {"device": "hbm2-pim", "m": "4096", "n": "4096"},
    "systolic_gemm": {"m": "784", "n": "128", "k": "1152", "rows": "32", "cols": "32", "dataflow": "ws"},
    **{
        op: {"rows": "1024", "cols": "4096"}
        for op in ("rmsnorm", "layernorm", "activation", "gated_activation", "add", "softmax")
    },
}


def _run(tmp_path: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    source, target = tmp_path / "kernels.csv", tmp_path / "results.csv"
    names = list(dict.fromkeys(name for row in rows for name in row))
    with source.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    run_kernels(str(source), str(target))
    with target.open(newline="") as file:
        return list(csv.DictReader(file))


def _row(op: str, **more: str) -> dict[str, str]:
    return {"op": op, "device": "h100-sxm", **ROWS[op], **more}


def test_every_op_has_a_row_here() -> None:
    assert set(ROWS) == set(_KINDS)


def test_kernels_of_every_op_in_one_table(tmp_path: Path) -> None:
    found = _run(tmp_path, [_row(op) for op in ROWS])
    assert [row["op"] for row in found] == list(ROWS)
    for row in found:
        assert row["error"] == "", row
        bound, p10, latency, p90 = (float(row[f"{n}_us"]) for n in ("bound", "p10", "latency", "p90"))
        assert 0 < bound <= p10 <= latency <= p90
        assert row["bottleneck"] in ("compute", "memory", "link")
        assert float(row["bytes"]) > 0


@pytest.mark.parametrize(
    ("op", "flops", "moved"),
    [
        ("gemm", 2 * 128 * 4096 * 4096, 2 * (4096 * 4096 + 2 * 128 * 4096)),
        ("add", 1024 * 4096, 3 * 1024 * 4096 * 2),
        ("all_gather", 0, 1048576 * 7 / 8),  # what a rank sends
        # 56x56 positions of 128 channels, each of 64*9 products; input and output, and 128*64*9 weights of 2 bytes
        ("conv2d", 2 * 32 * 56 * 56 * 128 * 64 * 9, 2 * (32 * 56 * 56 * (64 + 128) + 128 * 64 * 9)),
        # each of 28x28 inputs is spread over 2x2 outputs
        ("conv_transpose2d", 2 * 8 * 28 * 28 * 64 * 32 * 4, 2 * (8 * (28 * 28 * 64 + 56 * 56 * 32) + 64 * 32 * 4)),
        # (112 - 3)//2 + 1 = 55 positions a side, of 9 inputs each
        ("pool", 32 * 64 * 55 * 55 * 9, 2 * 32 * 64 * (112 * 112 + 55 * 55)),
        ("resize", 8 * 64 * 56 * 56 * 4, 2 * 8 * 64 * (28 * 28 + 56 * 56)),
        ("batched_matmul", 2 * 384 * 197 * 64 * 197, 2 * 384 * (197 * 197 + 197 * 64 + 197 * 64)),
        # 8 sequences, 8000 rows read and 8 written of 2*8*128*2 = 4096 B, query and output of 32*128*2 = 8192 B each
        ("attention_decode", (4 * 128 + 5) * 32 * 8000, 8008 * 4096 + 2 * 8 * 8192),
    ],
)
def test_counts(tmp_path: Path, op: str, flops: float, moved: float) -> None:
    (row,) = _run(tmp_path, [_row(op)])
    assert float(row["flops"]) == pytest.approx(flops, rel=1e-6)
    assert float(row["bytes"]) == pytest.approx(moved, rel=1e-6)


def test_a_latency_is_the_operators_cost(tmp_path: Path) -> None:
    (row,) = _run(tmp_path, [_row("gemm", backend="trtllm", dtype="fp8")])
    machine = Machine(chip_facts(load_device("h100-sxm")), None, "trtllm", "cuda_graph", warm=True)
    cost = operator_cost(Linear(128, 4096, 4096, find_format("fp8")), machine)
    assert float(row["latency_us"]) == pytest.approx(cost.expected_s * 1e6, rel=1e-6)
    assert float(row["bound_us"]) == pytest.approx(cost.bound_s * 1e6, rel=1e-6)


def test_rows_of_one_kind_are_the_rows_one_by_one(tmp_path: Path) -> None:
    rows = [_row("gemm", m=str(m), note=str(m)) for m in (1, 7, 500, 8192)]
    together = _run(tmp_path, rows)
    alone = [_run(tmp_path, [row])[0] for row in rows]
    assert together == alone


def test_columns_are_carried_and_measurements_renamed(tmp_path: Path) -> None:
    (row,) = _run(tmp_path, [_row("gemm", latency_us="12.5", source="lab", device="H100")])
    assert (row["measured_latency_us"], row["source"], row["device"]) == ("12.5", "lab", "H100")
    assert list(row)[-len(OUTPUTS) :] == list(OUTPUTS)


def test_whole_numbers_may_arrive_as_floats_and_columns_of_other_ops_as_nan(tmp_path: Path) -> None:
    plain, floats = _run(tmp_path, [_row("gemm"), _row("gemm", m="128.0", n="4096.0", heads="nan", dtype="NaN")])
    assert floats["error"] == ""
    assert floats["latency_us"] == plain["latency_us"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"op": "gem"}, "unknown op 'gem' - did you mean 'gemm'"),
        ({"op": ""}, "column op is empty"),
        ({"device": "h101-sxm"}, "no device 'h101-sxm'; nearest: h100-sxm"),
        ({"device": ""}, "column device is empty"),
        ({"m": "0"}, "column m: '0' is not a whole number"),
        ({"m": "1.5"}, "column m: '1.5' is not a whole number"),
        ({"m": "1e300"}, "column m: '1e300' is not a whole number"),
        ({"k": ""}, "column k is empty"),
        ({"dtype": "fp9"}, "unknown precision 'fp9'"),
        ({"backend": "vlm"}, "unknown backend 'vlm' - did you mean 'vllm'"),
        ({"timing": "graph"}, "unknown timing 'graph'"),
        ({"includes_quantisation": "perhaps"}, "column includes_quantisation must be true or false, not 'perhaps'"),
    ],
)
def test_rows_that_cannot_be(tmp_path: Path, change: dict[str, str], said: str) -> None:
    good, bad, again = _run(tmp_path, [_row("gemm"), {**_row("gemm"), **change}, _row("gemm")])
    assert bad["error"].startswith(said)
    assert all(bad[name] == "" for name in OUTPUTS if name != "error")
    assert good["error"] == again["error"] == ""


@pytest.mark.parametrize(
    ("op", "change", "said"),
    [
        ("attention_prefill", {"q_tokens": "300"}, "column q_tokens: 300 is more than kv_tokens, 256"),
        ("attention_prefill", {"kv_heads": "64"}, "column kv_heads: 64 is more than heads, 32"),
        ("mla_decode", {"q_tokens": "2000"}, "column q_tokens: 2000 is more than kv_tokens, 1000"),
        ("moe", {"topk": "256"}, "column topk: 256 is more than experts, 128"),
        ("moe", {"distribution": "zipf"}, "unknown routing 'zipf'"),
        ("attention_decode", {"kv_dtype": "fp9"}, "unknown KV cache precision 'fp9'"),
        ("conv2d", {"groups": "3"}, "column groups: 3 groups do not divide 64 in_channels"),
        ("conv2d", {"kernel": ""}, "column kernel is empty"),
        ("conv2d", {"kernel": "3x3x3"}, "column kernel: '3x3x3' is neither a number nor HEIGHTxWIDTH"),
        ("conv2d", {"kernel": "three"}, "column kernel: 'three' is neither a number nor HEIGHTxWIDTH"),
        ("conv2d", {"stride": "0"}, "column stride: '0' is not of whole numbers of at least 1"),
        ("conv2d", {"padding": "0.5"}, "column padding: '0.5' is not of whole numbers"),
        ("conv2d", {"height": "2", "padding": "0"}, "column kernel: it reaches over 3 of a height of 2"),
        ("conv2d", {"dilation": "40"}, "column kernel: it reaches over 81 of a height of 56"),
        ("conv_transpose2d", {"groups": "48"}, "column groups: 48 groups do not divide 64 in_channels"),
        ("pool", {"width": "2"}, "column kernel: it reaches over 3 of a width of 2"),
        ("resize", {"mode": "cubic"}, "column mode: unknown mode 'cubic' - did you mean 'bicubic'"),
        ("embedding_bag", {"width": ""}, "column width is empty"),
    ],
)
def test_shapes_that_cannot_be(tmp_path: Path, op: str, change: dict[str, str], said: str) -> None:
    (row,) = _run(tmp_path, [{**_row(op), **change}])
    assert row["error"].startswith(said)


def test_without_a_mask_queries_may_outnumber_keys(tmp_path: Path) -> None:
    (row,) = _run(tmp_path, [_row("attention_prefill", q_tokens="300", causal="False")])
    assert row["error"] == ""
    assert float(row["flops"]) == pytest.approx((4 * 128 + 5) * 32 * 2 * 300 * 256, rel=1e-6)


_KEPT = (
    "device",
    "ranks",
    "topk",
    "experts",
    "q_tokens",
    "kv_heads",
    "rule",
    "kernel",
    "stride",
    "padding",
    "dataflow",
)


@pytest.mark.parametrize("op", list(ROWS))
def test_huge_shapes_stay_finite(tmp_path: Path, op: str) -> None:
    huge = {name: value if name in _KEPT else "1e12" for name, value in ROWS[op].items()}
    (row,) = _run(tmp_path, [{"op": op, "device": "h100-sxm", **huge}])
    assert row["error"] == ""
    assert float(row["latency_us"]) >= float(row["bound_us"]) > 0


def test_a_dtype_without_units_is_no_free_speed_up(tmp_path: Path) -> None:
    sixteen, eight = _run(
        tmp_path, [_row("gemm", device="a100-sxm-80gb", m="8192", dtype=dtype) for dtype in ("bf16", "fp8")]
    )
    assert float(eight["bound_us"]) >= 0.999 * float(sixteen["bound_us"])


def test_windows_of_two_sides_grouped_and_dilated(tmp_path: Path) -> None:
    wide, depthwise, dilated = _run(
        tmp_path,
        [
            _row("conv2d", kernel="1x7", padding="0x3", stride="2x1"),
            _row("conv2d", out_channels="64", groups="64.0"),
            _row("conv2d", dilation="2", padding="2"),
        ],
    )
    assert float(wide["flops"]) == pytest.approx(2 * 32 * 28 * 56 * 128 * 64 * 7, rel=1e-6)
    assert float(depthwise["flops"]) == pytest.approx(2 * 32 * 56 * 56 * 64 * 9, rel=1e-6)
    assert float(dilated["flops"]) == pytest.approx(2 * 32 * 56 * 56 * 128 * 64 * 9, rel=1e-6)


def test_convolutions_of_one_window_are_the_rows_one_by_one(tmp_path: Path) -> None:
    rows = [_row("conv2d", batch=str(batch), groups=str(groups)) for batch in (1, 7, 64) for groups in (1, 64)]
    assert _run(tmp_path, rows) == [_run(tmp_path, [row])[0] for row in rows]


def test_eight_bits_move_half_the_bytes(tmp_path: Path) -> None:
    for op in ("conv2d", "pool", "batchnorm", "batched_matmul"):
        sixteen, eight = _run(tmp_path, [_row(op, dtype=dtype) for dtype in ("float16", "int8")])
        assert float(eight["bytes"]) == pytest.approx(0.5 * float(sixteen["bytes"]))
