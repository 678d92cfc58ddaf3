"""Timing kernels: the grid, the budget, and the table that comes of it. No PyTorch here: a fake does the timing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from perfmodel.calibration.overlay import read_overlay
from perfmodel.errors import InputError
from perfmodel.fitting.spot_rows import read_spots
from perfmodel.measuring import torch_bench
from perfmodel.measuring.grid import Case, grid
from perfmodel.measuring.run import measure, write_rows

LARGE = 1e12


class FakeBench:
    """A device that takes a launch, and its time by a roofline; what it is told to refuse it refuses."""

    timing, source, name, kind = "cuda_graph", "a test", "NVIDIA L4", "cuda"

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.seconds = 0.0

    def memory_bytes(self) -> float:
        return LARGE

    def latency_us(self, case: Case) -> float:
        if case.op == self.refuses:
            raise RuntimeError("CUDA out of memory.\nTried to allocate")
        found = 4.0 + 1e6 * max(case.flops / 60e12, case.bytes / 200e9)
        self.seconds += 30 * found * 1e-6
        return found

    def clock(self) -> float:
        return self.seconds


@pytest.mark.parametrize("quick", [True, False])
def test_the_grid_is_even_wherever_it_is_cut_off(quick: bool) -> None:
    cases = grid("bfloat16", quick, LARGE)
    assert len(cases) == len(set(cases))
    assert [c.op for c in cases[:4]] == ["gemm", "attention_prefill", "attention_decode", "activation"]
    gemms = [c for c in cases if c.op == "gemm"]
    work = [c.flops for c in gemms]
    assert {min(work), max(work)} == set(work[:2])
    assert len(cases) >= (30 if quick else 70)


def test_memory_bounds_the_grid() -> None:
    small = grid("float32", False, 1e8)
    assert small
    assert all(c.bytes <= 1e8 for c in small)
    assert len(small) < len(grid("float16", False, 1e8)) < len(grid("float16", False, LARGE))


def test_every_case_is_a_row_of_a_table_of_kernels(tmp_path: Path) -> None:
    cases = grid("bfloat16", False, LARGE)
    found = measure(FakeBench(), cases, "l4", 1e9)
    write_rows(tmp_path / "m.csv", found.rows)
    with (tmp_path / "m.csv").open() as lines:
        spots = read_spots(list(csv.DictReader(lines)), "l4")
    assert (spots.rows, spots.refused) == (len(cases), ())
    assert set(spots.classes()) == {"gemm", "attention_prefill", "attention_decode", "elementwise"}


def test_the_budget_ends_it() -> None:
    bench = FakeBench()
    cases = grid("bfloat16", False, LARGE)
    found = measure(bench, cases, "l4", 0.5, clock=bench.clock)
    assert found.rows
    assert found.not_reached == len(cases) - len(found.rows) > 0
    assert bench.seconds < 1.0


def test_a_failure_has_its_reason_and_the_rest_is_measured() -> None:
    cases = grid("bfloat16", True, LARGE)
    found = measure(FakeBench(refuses="add"), cases, "l4", 1e9)
    assert {reason for _, reason in found.failed} == {"CUDA out of memory."}
    assert len(found.rows) + len(found.failed) == len(cases)
    with pytest.raises(InputError, match="nothing could be measured"):
        write_rows(Path("never.csv"), [])


def test_the_command_measures_and_calibrates(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_bench, "TorchBench", lambda kind: FakeBench())
    monkeypatch.chdir(tmp_path)
    found = cli("measure", "--quick", "--json", "--html", "page.html")
    assert found.code == 0, found.err
    answer = json.loads(found.out)
    assert answer["device"] == "l4"  # by what the driver says
    assert {part["class"] for part in answer["classes"]} >= {"gemm", "elementwise"}
    assert all(part["fit"]["mape_percent"] <= part["before"]["mape_percent"] for part in answer["classes"])
    overlay = read_overlay(tmp_path / "perfmodel_specs/calibration/l4.calibration.yaml")
    assert overlay["sources"] == {"measured": "a test"}
    assert (tmp_path / "measured.csv").exists()


def test_an_unknown_device_is_measured_all_the_same(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = FakeBench()
    bench.name = "Some New GPU"
    monkeypatch.setattr(torch_bench, "TorchBench", lambda kind: bench)
    found = cli("measure", "--quick", "--out", tmp_path / "m.csv")
    assert found.code == 0
    assert "which device is this?" in found.err
    assert (tmp_path / "m.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dtype", "float15"), "did you mean 'float16'"),
        (("--device-kind", "gpu"), "is cuda or cpu"),
        (("--minutes", "0"), "--minutes"),
        (("--name", "rtx-409"), "rtx-4090"),
    ],
)
def test_mistakes(cli: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str) -> None:
    monkeypatch.setattr(torch_bench, "TorchBench", lambda kind: FakeBench())
    found = cli("measure", *arguments)
    assert found.code == 2
    assert said in found.err


def test_without_pytorch_it_says_how_to_get_it(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(torch_bench, "import_module", missing)
    found = cli("measure")
    assert found.code == 2
    assert "pip install 'perfmodel[measure]'" in found.err
