"""Published results with exact conditions, as they are predicted: loose limits on what was found."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from perfmodel.validation.energy import read_energy
from perfmodel.validation.published import read_published

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
pytestmark = [
    pytest.mark.skipif(not REFERENCE.is_dir(), reason="no reference data beside this checkout"),
    pytest.mark.slow,
    pytest.mark.xdist_group("published"),  # one worker reads the table, once
]


FASTER_THAN_ITS_MEMORY = {"msc-00806"}
"""GPT-J on Gaudi 1 would read its weights at 1.8 times the memory's bandwidth: we take it for the source's error."""


@pytest.fixture(scope="module")
def published() -> list:
    return read_published(REFERENCE / "published_inference.csv.gz")[0]


def test_no_published_run_beats_the_bound(published: list) -> None:
    assert {one.id for one in published if one.beats_bound} <= FASTER_THAN_ITS_MEMORY


@pytest.mark.parametrize(
    ("engine", "device", "limit"),
    [("TensorRT-LLM", "a100-sxm-80gb", 16), ("TensorRT-LLM", "h100-sxm", 26), ("TensorRT-LLM", "h200-sxm", 18),
     ("gpt-fast (PyTorch)", "a100-sxm-80gb", 15)],
)  # fmt: skip
def test_static_batches(published: list, engine: str, device: str, limit: float) -> None:
    rows = [o for o in published if (o.kind, o.engine, o.device) == ("static", engine, device)]
    assert len(rows) >= 10
    assert 100 * statistics.median(abs(o.ratio - 1) for o in rows) < limit


def test_energy_of_dense_models_on_one_device() -> None:
    rows, _ = read_energy(REFERENCE / "gpu_power_mlenergy.csv.gz")
    dense = [abs(r["ratio"] - 1) for r in rows if r["group"] == "one device, dense, 16 bit"]
    assert len(dense) >= 25
    assert statistics.median(dense) < 0.23
