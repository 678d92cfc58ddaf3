"""Speed of the library itself, on one process with BLAS threads pinned to one.

    python benchmarks/speed.py [--quick]

Rates of other tools on the same question, measured elsewhere on a comparable core: GenZ 12.3 points a second,
LLM-Viewer 15,700. Ratios against work done in the same run (a bare ``import numpy``) hold across machines; the absolute
rates do not.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import perfmodel as pm

CACHE = tempfile.mkdtemp(prefix="perfmodel-pycache-")
MODEL, DEVICE = "llama-3-8b", "h100-sxm"
PEERS = {"GenZ": 12.3, "LLM-Viewer": 15_700.0}


def sweep_rate(points_a_side: int, **options: object) -> float:
    """Return points a CPU second of a factorial batch x input x tp grid, set-up and compilation included."""
    grid = {
        "batch": range(1, points_a_side + 1),
        "input_tokens": range(32, 32 * points_a_side + 1, 32),
        "tp": [1, 2, 4, 8],
    }
    pm.sweep(MODEL, DEVICE)  # imports, so that only the sweep is timed; its compilation is
    start = time.process_time()
    result = pm.sweep(MODEL, DEVICE, **grid, **options)  # pyright: ignore[reportArgumentType]
    return result.points / (time.process_time() - start)


def streamed_peak_mb(points_a_side: int) -> tuple[int, float]:
    """Return (points, peak resident MB) of a child process that streams a grid to a file."""
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import perfmodel as pm\n"
            f"s = pm.sweep({MODEL!r}, {DEVICE!r}, batch=range(1, {points_a_side + 1}), "
            f"input_tokens=range(32, {32 * points_a_side + 1}, 32), out={str(Path(folder) / 'grid.csv')!r})\n"
            "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
            "print(s.points, int(peak.split()[1]) / 1024)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    points, peak = done.stdout.split()
    return int(points), float(peak)


def estimate_us(read: Callable[[pm.Estimate], object], rounds: int) -> float:
    """Return CPU microseconds of one warm estimate whose numbers differ from call to call."""
    model, device = pm.load_model(MODEL), pm.load_device(DEVICE)

    def ask(i: int) -> None:
        read(pm.estimate(model, device, batch=1 + i % 64, input_tokens=512 + i, output_tokens=256))

    for i in range(3):
        ask(i)
    start = time.process_time()
    for i in range(rounds):
        ask(i)
    return (time.process_time() - start) / rounds * 1e6


def cpu_seconds(command: list[str], rounds: int) -> float:
    """Return the least user plus system time of a command over several runs, its bytecode cached by the first."""
    times: list[float] = []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment | {"PYTHONPYCACHEPREFIX": CACHE})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller grids, fewer rounds")
    quick = parser.parse_args().quick
    side, rounds = (512, 50) if quick else (1536, 500)
    times = ("ttft_s", "tpot_s", "ttft_bound_s", "tpot_bound_s", "memory_bytes_per_device")
    cases: dict[str, dict[str, object]] = {
        "bounds and memory": {"expected": False},
        "expected times, bounds and memory": {"columns": times},
        "all columns but the bands": {"bands": False},
        "all columns": {},
    }
    for name, options in cases.items():
        rate = sweep_rate(side, **options)
        peers = ", ".join(f"{rate / peer:,.0f} x {tool}" for tool, peer in PEERS.items())
        print(f"sweep, {name}: {rate / 1e6:.2f} million points a CPU second on {4 * side * side:,} points ({peers})")
    for points in (64, 256) if quick else (128, 512):
        count, peak = streamed_peak_mb(points)
        print(f"sweep streamed to a file: {count:,} points, peak {peak:.0f} MB resident")
    print(f"warm estimate, bound:    {estimate_us(lambda e: e.bounds_s, rounds):.0f} us CPU")
    print(f"warm estimate, expected: {estimate_us(lambda e: e.tpot_s, rounds):.0f} us CPU")
    numpy = cpu_seconds([sys.executable, "-c", "import numpy"], 5 if quick else 15)
    ours = cpu_seconds(
        [str(Path(sys.executable).parent / "perfmodel"), "estimate", MODEL, "--on", DEVICE, "--json"],
        5 if quick else 15,
    )
    print(
        f"perfmodel estimate --json: {ours * 1e3:.0f} ms CPU = {ours / numpy:.2f} x import numpy ({numpy * 1e3:.0f} ms)"
    )


if __name__ == "__main__":
    main()
