"""Speed of the systolic-array formulas against the simulator that they are equal to.

    python benchmarks/systolic.py scalesim.csv.gz

The table has a row a layer: the shape (M, N, K), the array, the dataflow and the CPU seconds that SCALE-Sim v3 took
(rows of ``row_source`` scalesim_v3_CALC). All of them are answered at once, warm, in one process: cycles, utilisation
and SRAM words. Both times are CPU time; the simulator's is as recorded with its counts.
"""

from __future__ import annotations

import csv
import gzip
import os
import sys
import time

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

from perfmodel.cost.systolic import DATAFLOWS, cycles, sram_words, utilisation

ROUNDS = 200
Shapes = dict[str, tuple[np.ndarray, ...]]


def read(path: str) -> tuple[Shapes, dict[str, np.ndarray], float]:
    """Return the shapes and the simulator's cycles by dataflow, and the CPU seconds that all took together."""
    with gzip.open(path, "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["row_source"] == "scalesim_v3_CALC"]
    shapes: Shapes = {}
    counted: dict[str, np.ndarray] = {}
    for dataflow in DATAFLOWS:
        mine = [row for row in rows if row["dataflow"] == dataflow]
        names = ("M", "N", "K", "array_r", "array_c")
        shapes[dataflow] = tuple(np.array([float(row[name]) for row in mine]) for name in names)
        counted[dataflow] = np.array([float(row["total_cycles"]) for row in mine])
    return shapes, counted, sum(float(row["cpu_s"]) for row in rows)


def answer(shapes: Shapes) -> dict[str, np.ndarray]:
    """Return the cycles by dataflow, having worked out utilisation and SRAM words too."""
    found: dict[str, np.ndarray] = {}
    for dataflow, shape in shapes.items():
        taken = cycles(*shape, dataflow)
        utilisation(*shape, taken)
        sram_words(*shape, dataflow)
        found[dataflow] = taken
    return found


def main() -> None:
    """Compare the counts, time the formulas, print the ratio."""
    shapes, counted, simulator_s = read(sys.argv[1])
    rows = sum(len(cycles_) for cycles_ in counted.values())
    equal = sum(int((answer(shapes)[d] == counted[d]).sum()) for d in DATAFLOWS)  # which also warms up
    start = time.process_time()
    for _ in range(ROUNDS):
        answer(shapes)
    ours_s = (time.process_time() - start) / ROUNDS
    print(f"{rows} layers, {equal} with equal cycles: simulator {simulator_s:.1f} s, formulas {1e6 * ours_s:.0f} us")
    print(f"ratio {simulator_s / ours_s:,.0f}")


if __name__ == "__main__":
    main()
