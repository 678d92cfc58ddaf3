"""SCALE-Sim v3's own counts of real layers on systolic arrays, against the formulas: equal, row by row."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from perfmodel.cost.systolic import cycles, dram_reads, dram_writes, flushed_capacity, folds_of, sram_words, utilisation
from perfmodel.cost.systolic.array import DATAFLOWS, mapping_efficiency
from perfmodel.tables import run_kernels

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="no reference data here")


def _rows(name: str, dataflow: str) -> dict[str, np.ndarray]:
    column = "df" if "random" in name else "dataflow"
    with gzip.open(REFERENCE / name, "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[column] == dataflow]
    texts = {"kind", "topology", "layer", "bw_mode", "row_source", column}
    return {
        key: np.array([row[key] if key in texts else float(row[key] or "nan") for row in rows]) for key in rows[0]
    }  # fmt: skip


def _of_layers(dataflow: str) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
    d = _rows("scalesim.csv.gz", dataflow)
    return d, (d["M"], d["N"], d["K"], d["array_r"], d["array_c"])


def _of_random(dataflow: str) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
    d = _rows("scalesim_random.csv.gz", dataflow)
    return d, (d["M"], d["N"], d["K"], d["R"], d["C"])


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_cycles_utilisation_and_sram_of_every_layer(dataflow: str) -> None:
    d, shape = _of_layers(dataflow)
    assert len(d["M"]) > 300
    taken = cycles(*shape, dataflow)
    assert np.array_equal(taken, d["total_cycles"])
    assert np.allclose(100 * utilisation(*shape, taken), d["overall_util"], rtol=1e-12, atol=0)
    folds = folds_of(*shape, dataflow)
    assert np.allclose(100 * mapping_efficiency(folds, *shape[3:]), d["mapping_eff"], rtol=1e-12, atol=0)
    words = sram_words(*shape, dataflow)
    assert np.array_equal(words.input_reads, d["sram_if_reads"])
    assert np.array_equal(words.weight_reads, d["sram_fl_reads"])
    # its own count of output-stationary writes has a row and a column of the array too many in every fold
    defect = folds.folds * (shape[3] + shape[4]) if dataflow == "os" else 0.0
    assert np.array_equal(words.output_writes + defect, d["sram_of_writes"])


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_cycles_of_random_shapes_on_arrays_that_are_not_square(dataflow: str) -> None:
    d, shape = _of_random(dataflow)
    assert np.array_equal(cycles(*shape, dataflow), d["total_cycles"])


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_dram_reads_of_weights_and_of_products(dataflow: str) -> None:
    for d, shape, kb in ((*_of_layers(dataflow), "sram_if_kb"), (*_of_random(dataflow), "sram_kb")):
        held = flushed_capacity(1024 * d[kb])
        reads = dram_reads(*shape, dataflow, (held, held))
        gemm = d["kind"] == "gemm"
        assert gemm.any()
        assert np.array_equal(reads.weights, d["dram_fl_reads" if "dram_fl_reads" in d else "dram_fl"])
        inputs = d["dram_if_reads" if "dram_if_reads" in d else "dram_if"]
        assert np.array_equal(np.broadcast_to(reads.inputs, inputs.shape)[gemm], inputs[gemm])


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_dram_reads_of_convolutions(dataflow: str) -> None:
    """Where the distinct inputs fit they are read once; else overlapping windows cost more than we can say."""
    d, shape = _of_layers(dataflow)
    conv = d["kind"] == "conv"
    rows, columns = (
        np.minimum(d["stride"], d[f]) * ((d[side] - d[f]) // d["stride"]) + d[f]
        for f, side in (("FH", "H_padded"), ("FW", "W_padded"))
    )
    distinct, held = rows * columns * d["Cin"], flushed_capacity(1024 * d["sram_if_kb"])
    reads = dram_reads(*shape, dataflow, (held, held), distinct).inputs
    fits = conv & (distinct < held)
    assert fits.sum() > 80
    assert np.array_equal(reads[fits], d["dram_if_reads"][fits])
    assert (reads[conv] <= d["dram_if_reads"][conv]).all()
    assert (reads[conv] == d["dram_if_reads"][conv]).mean() > 0.88


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_dram_writes_are_its_own_where_partial_sums_leave(dataflow: str) -> None:
    """It writes partial sums for every fold of K, and ends with up to a row of the array more."""
    d, shape = _of_layers(dataflow)
    written, _ = dram_writes(*shape, dataflow, np.zeros_like(shape[0]))
    assert ((d["dram_of_writes"] - written >= 0) & (d["dram_of_writes"] - written < shape[4])).all()


def test_the_kernels_table_answers_every_layer(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    with gzip.open(REFERENCE / "scalesim.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    source = tmp_path / "in.csv"
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["op", "device", "m", "n", "k", "rows", "cols", "dataflow"])
        writer.writerows(
            ["systolic_gemm", "", *(row[c] for c in ("M", "N", "K", "array_r", "array_c", "dataflow"))] for row in rows
        )
    assert run_kernels(str(source), str(target)).answered == len(rows)
    with target.open(newline="") as file:
        for got, row in zip(csv.DictReader(file), rows, strict=True):
            assert float(got["cycles"]) == float(row["total_cycles"])
            assert 100 * float(got["utilisation"]) == pytest.approx(float(row["overall_util"]), rel=1e-12)
