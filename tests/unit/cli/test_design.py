"""``perfmodel design``, and simulations of several rates, as a newcomer runs them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from perfmodel.devices import load_device
from tests.conftest import Cli

DESIGN = ("design", "llama-3.1-8b", "--like", "h100-sxm", "--vary", "bandwidth=1TB/s:8TB/s", "--vary",
          "peak=300TFLOP/s:3PFLOP/s", "--batch", "16", "--trials", "64", "--searcher", "evolution")  # fmt: skip
RUNS = ("simulate", "llama-3.1-8b", "--on", "h100-sxm", "--requests", "30", "--output", "16")


def test_design(cli: Cli, tmp_path: Path) -> None:
    page, table = tmp_path / "page.html", tmp_path / "front.csv"
    found = cli(*DESIGN, "--area", "700mm2", "--html", page, "--csv", table)
    assert found.code == 0, found.err
    assert "Best: bandwidth" in found.out
    assert "Plotly.newPlot" in page.read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert rows
    assert all(float(row["area_mm2"]) <= 700.0 for row in rows)
    words = found.out.splitlines()[-1].split()
    assert words[:3] == ["perfmodel", "device", "new"]
    made = tmp_path / "next.yaml"
    assert cli(*words[1:], "--out", made).code == 0
    best = json.loads(cli(*DESIGN, "--area", "700mm2", "--json").out)["best"]
    assert load_device(made).main_bandwidth_bytes_per_s == pytest.approx(best["bandwidth"], rel=1e-5)
    asked = cli("estimate", "llama-3.1-8b", "--on", made, "--batch", "16", "--json")
    assert json.loads(asked.out)["tpot_s"]["expected"] == pytest.approx(best["tpot_s"], rel=1e-4)


def test_no_chip_keeps_the_limits(cli: Cli, tmp_path: Path) -> None:
    found = cli(*DESIGN, "--area", "100mm2", "--html", tmp_path / "page.html")
    assert found.code == 3
    assert "misses: mm2" in found.out
    assert "No chip keeps" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--vary", "bandwith=1TB/s:2TB/s"), "did you mean 'bandwidth'"),
        (("--objective", "tpot"), "did you mean 'tpot_s'"),
        (("--searcher", "genetic"), "one of auto, optuna, evolution, random"),
        (("--area", "800"), "mm2"),
    ],
)
def test_errors(cli: Cli, words: tuple[str, ...], message: str) -> None:
    found = cli(*DESIGN, *words)
    assert found.code == 2
    assert message in found.err


def test_several_runs(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    found = cli(*RUNS, "--rate", "1,5", "--seed", "0,7", "--csv", table)
    assert found.code == 0, found.err
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [(row["rate"], row["seed"]) for row in rows] == [("1.0", "0"), ("1.0", "7"), ("5.0", "0"), ("5.0", "7")]
    assert list(tmp_path.iterdir()) == [table]
    alone = json.loads(cli(*RUNS, "--rate", "5", "--seed", "7", "--json").out)
    assert float(rows[3]["tpot_p90_s"]) == alone["tpot_s"]["p90"]
    assert float(rows[3]["requests_per_s"]) == alone["requests_per_s"]


def test_a_cluster_needs_a_file(cli: Cli) -> None:
    found = cli("sweep", "llama-3.1-8b", "--on", "h100-sxm", "--dask", "2")
    assert found.code == 2
    assert "--csv FILE or --parquet FOLDER" in found.err
