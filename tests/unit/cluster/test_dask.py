"""A real scheduler with two worker processes, one of which is killed; and a client that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dask")]

ROOT = Path(__file__).resolve().parents[3]
SWEEP = ("sweep", "llama-3.1-8b", "--on", "h100-sxm", "--tp", "1,2", "--dp", "1,2,3,4,5,6", "--batch", "1,2,4,8,100",
         "--input", "128,1000,5000")  # fmt: skip
PARTS = 12
WAIT_S = 240.0


def command(*words: str | Path) -> list[str]:
    program = "from perfmodel.cli import main; main()"
    return [sys.executable, "-c", program, *map(str, words)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def start(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def client(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a command line that runs, and leave none behind."""
    with subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    return process.stderr.read().decode()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Yield a scheduler's file and its two worker processes."""
    file = tmp_path / "scheduler.json"
    module = [sys.executable, "-m"]
    scheduler = start([*module, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                       "--no-dashboard", "--scheduler-file", str(file)])  # fmt: skip
    assert waited(file.exists)
    worker = [*module, "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny",
              "--no-dashboard", "--local-directory", str(tmp_path)]  # fmt: skip
    workers = [start(worker), start(worker)]
    try:
        yield str(file), workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def waited(done: object) -> bool:
    """Wait until something is so."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if done():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*")) if folder.exists() else []


def test_a_worker_and_a_client_are_killed(cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path) -> None:
    scheduler, workers = cluster
    alone, together = tmp_path / "alone.csv", tmp_path / "together.csv"
    subprocess.run(command(*SWEEP, "--csv", alone), env=environment(), check=True, capture_output=True)
    words = command(*SWEEP, "--csv", together, "--dask", scheduler)
    parts = tmp_path / "together.csv.parts"

    with client(words) as first:
        assert waited(lambda: first.poll() is not None or len(kept(parts)) >= PARTS // 4)
        assert first.poll() is None, said(first)
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert not together.exists()
    before = {path: path.stat().st_mtime_ns for path in kept(parts)}
    assert PARTS // 4 <= len(before) < PARTS

    with client(words) as second:
        assert waited(lambda: second.poll() is not None or len(kept(parts)) > len(before))
        assert second.poll() is None, said(second)
        assert {path: path.stat().st_mtime_ns for path in kept(parts) if path in before} == before
        workers[0].kill()
        assert second.wait(timeout=WAIT_S) == 0, said(second)
    assert workers[1].poll() is None
    assert together.read_bytes() == alone.read_bytes()
    assert not parts.exists()


def test_plans_and_simulations_are_those_of_one_process(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    scheduler, _ = cluster
    asked = {
        "plan": ("plan", "llama-3.1-8b", "--on", "l40s,h100-sxm", "--gpus", "2", "--rate", "2", "--tpot", "40ms"),
        "simulate": ("simulate", "llama-3.1-8b", "--on", "l40s", "--rate", "1,3", "--seed", "0,1", "--requests", "60"),
    }
    for name, words in asked.items():
        for where, more in (("alone", ()), ("together", ("--dask", scheduler))):
            target = tmp_path / f"{name}-{where}.csv"
            done = subprocess.run(
                command(*words, "--csv", target, *more), env=environment(), check=False, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
        assert (tmp_path / f"{name}-alone.csv").read_bytes() == (tmp_path / f"{name}-together.csv").read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_nobody_answers(tmp_path: Path) -> None:
    done = subprocess.run(
        command(*SWEEP, "--csv", tmp_path / "x.csv", "--dask", "tcp://127.0.0.1:9"), env=environment(), check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no dask scheduler answers" in done.stderr.splitlines()[-1]


def test_a_number_starts_so_many_processes(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    words = ("sweep", "resnet18", "--on", "rtx-4090", "--batch", "1,8", "--image", "64,96,128",
             "--precision", "float16,int8")  # fmt: skip
    for target, more in (("alone", ()), ("together", ("--dask", "2"))):
        done = subprocess.run(
            command(*words, "--parquet", tmp_path / target, *more), env=environment(), check=False, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    alone, together = (
        [path.read_bytes() for path in kept(tmp_path / f"{name}.parquet")] for name in ("alone", "together")
    )
    assert len(alone) == 6
    assert together == alone
