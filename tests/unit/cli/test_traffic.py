"""``perfmodel traffic`` and ``offload``: tables, stacks, cascades, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Cli

GEMM = ("traffic", "gemm", "--m", "512", "--n", "4096", "--k", "4096")


def test_policies_and_sizes(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    found = cli(*GEMM, "--sram", "16KiB,64KiB", "--policy", "optimal,os,bound", "--json", "--csv", target)
    answer = json.loads(found.out)
    assert answer["schema"] == "perfmodel/traffic/1"
    rows = {(row["sram_bytes"], row["policy"]): row for row in answer["rows"]}
    assert len(rows) == 6
    assert rows[65536, "optimal"]["moved_bytes"] == 2 * 98566144
    assert rows[65536, "optimal"]["schedule"] == "output-stationary"
    assert rows[65536, "bound"]["moved_bytes"] < rows[65536, "optimal"]["moved_bytes"]
    assert len(target.read_text().splitlines()) == 7


def test_a_stack_of_a_device_and_of_options(cli: Cli) -> None:
    answer = json.loads(cli(*GEMM, "--on", "h100-sxm", "--policy", "optimal", "--json").out)
    assert [(row["inner"], row["outer"]) for row in answer["rows"]] == [("L2", "HBM3")]
    levels = ("--level", "SRAM=64KiB", "--level", "HBM=80GB@2TB/s", "--level", "DDR=1TB@0.1TB/s")
    answer = json.loads(cli(*GEMM, *levels, "--policy", "optimal", "--json").out)
    assert [row["moved_bytes"] for row in answer["rows"]] == [2 * 98566144, 0]
    assert answer["least_time_s"]["optimal"] == pytest.approx(2 * 98566144 / 2e12)


def test_convolutions_attention_and_text(cli: Cli) -> None:
    conv = ("traffic", "conv", "--height", "56", "--width", "56", "--kernel", "3", "--in", "64", "--out", "64")
    found = cli(*conv, "--sram", "16KiB")
    assert "2,508,800" in found.out  # 1,254,400 words
    depthwise = json.loads(cli(*conv, "--groups", "64", "--json").out)
    assert depthwise["flops"] == 2 * 64 * 56 * 56 * 9
    found = cli("traffic", "attention", "--q", "2048", "--kv", "2048", "--kv-heads", "8", "--sram", "228KiB")
    assert "fused" in found.out
    assert "passes" in found.out


def test_cascades_of_the_library_and_of_a_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "cascade.txt"
    path.write_text("S[p] = sum(X[d,p])\nY[d,p] = X[d,p] / S[p]\n")
    answer = json.loads(cli("traffic", "cascade", path, "--over", "d", "--extent", "d=64,p=8", "--json").out)
    assert (answer["passes"], answer["buffer_bytes"], answer["refetched_bytes"]) == (2, 128, 1024)
    found = cli("traffic", "cascade", "attention-1-pass", "--over", "m", "--extent", "m=64,p=8,e=4,f=4")
    assert found.out.startswith("passes over m: 1\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*GEMM, "--policy", "optimum"), "a product has no policy 'optimum' - did you mean 'optimal'"),
        ((*GEMM, "--sram", "16K"), "--sram: '16K'"),
        ((*GEMM, "--sram", "16KiB", "--on", "h100-sxm"), "give one of --sram"),
        ((*GEMM, "--level", "HBM"), "--level: 'HBM' is not NAME=SIZE"),
        ((*GEMM, "--array", "2x3x4"), "--array: '2x3x4' is neither"),
        (("traffic", "cascade", "attention-4-pass", "--over", "m", "--extent", "m=1"), "no cascade or file"),
        (("traffic", "attention", "--q", "9", "--kv", "8"), "--q: 9 new tokens are more than --kv, 8"),
        (("offload", "llama-3.1-8b", "--on", "rtx-4090", "--flash", "2TB"), "--flash needs its rate"),
        (("offload", "llama-3.1-8b", "--on", "rtx-4090", "--cache", "lfu"), ""),
    ],
)
def test_what_is_refused(cli: Cli, words: tuple[str, ...], said: str) -> None:
    found = cli(*words)
    if said:
        assert found.code == 2
        assert said in found.err
    else:
        assert found.code == 0  # no experts, so that no cache is asked for


def test_offload(cli: Cli) -> None:
    answer = json.loads(cli("offload", "mixtral-8x7b", "--on", "rtx-4090", "--zipf", "0.6", "--json").out)
    assert answer["schema"] == "perfmodel/offload/1"
    t = answer["tpot_s"]
    assert 0 < t["bound"] <= t["p10"] <= t["expected"] <= t["p90"]
    assert answer["resident_tpot_s"] < t["expected"]
    assert 0 < answer["decode"]["hit_rate"] < 1
    parts = {row["part"]: row for row in answer["placement"]}
    assert parts["experts"]["bytes"] == pytest.approx(
        parts["experts"]["device_bytes"] + parts["experts"]["host_bytes"]
    )  # fmt: skip
    text = cli("offload", "llama-3.1-70b", "--on", "rtx-4090").out
    assert "limited by link" in text
