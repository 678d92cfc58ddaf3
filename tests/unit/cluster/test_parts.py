"""Parts on disk: kept once, never taken for those of another question, and joined to what one process writes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from perfmodel.cluster import PartStore, keep_all, spread
from perfmodel.cluster.mapping import one_by_one
from perfmodel.cluster.parts import Made
from perfmodel.errors import InputError
from perfmodel.sweeps import sweep, sweep_network
from perfmodel.sweeps.parted import sweep_parts
from perfmodel.sweeps.parted_grid import GridJob

GRID: dict[str, Any] = {"batch": [1, 2, 8], "input_tokens": [128, 1000], "output_tokens": [64], "tp": [1, 2, 3],
                        "vary": {"precision": ["bfloat16", "fp8"]}}  # fmt: skip


def test_what_is_kept_is_not_made_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make(task: int) -> Made:
        if task == 3:
            raise KeyboardInterrupt
        made.append(task)
        return Made(str(task).encode()) if task != 1 else Made(b"", "cannot be")

    store = PartStore(tmp_path / "parts", {"asked": 1}, "txt")
    with pytest.raises(KeyboardInterrupt):
        keep_all(store, make, [0, 1, 2, 3], one_by_one, [1] * 4)
    assert made == [0, 1, 2]
    again = PartStore(tmp_path / "parts", {"asked": 1}, "txt")
    seen: list[tuple[int, int | None]] = []
    assert (
        keep_all(again, lambda task: Made(b"late"), [0, 1, 2, 3], one_by_one, [1] * 4, lambda *n: seen.append(n)) == 3
    )
    assert seen == [(4, 4)]
    assert [again.path(i).read_text() for i in (0, 2, 3)] == ["0", "2", "late"]
    assert again.problem(1) == "cannot be"


def test_parts_of_another_question_are_refused(tmp_path: Path) -> None:
    PartStore(tmp_path / "parts", {"asked": 1}, "txt")
    with pytest.raises(InputError, match="another question"):
        PartStore(tmp_path / "parts", {"asked": 2}, "txt")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"other files, such as"):
        PartStore(tmp_path, {"asked": 1}, "txt")


def test_blocks_of_one_plan_join_to_the_file_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, joined = tmp_path / "whole.csv", tmp_path / "joined.csv"
    asked: dict[str, Any] = {"batch": range(1, 301), "input_tokens": range(1, 121), "columns": ["tpot_s", "fits"]}
    sweep("llama-3.1-8b", "l40s", out=whole, **asked)
    job = _job(monkeypatch, tmp_path, asked)
    found = sweep_parts(job, joined, points=16_384)
    assert found.parts > 2
    assert joined.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["joined.csv", "whole.csv"]


def _job(monkeypatch: pytest.MonkeyPatch, folder: Path, asked: dict[str, Any]) -> GridJob:
    """Return the job that a sweep to Parquet would run."""
    caught: list[Any] = []

    def catch(job: Any, *_: Any) -> Any:
        caught.append(job)
        raise InputError("enough")

    monkeypatch.setattr("perfmodel.sweeps.parted.sweep_parts", catch)
    with pytest.raises(InputError, match="enough"):
        sweep("llama-3.1-8b", "l40s", out=folder / "x.parquet", **asked)
    return caught[0]


def test_parquet_holds_the_numbers_to_the_last_bit(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    at_hand = sweep("llama-3.1-8b", "h100-sxm", **GRID)
    streamed = sweep("llama-3.1-8b", "h100-sxm", out=tmp_path / "grid.parquet", **GRID)
    assert streamed.problems == at_hand.problems
    rows = parquet.read_table(tmp_path / "grid.parquet", partitioning=None).to_pylist()
    assert rows == [row | {"fits": float(row["fits"])} for row in at_hand.rows()]
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "grid.parquet").iterdir())
    sweep("llama-3.1-8b", "h100-sxm", out=tmp_path / "grid.parquet", **GRID)
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "grid.parquet").iterdir()) == before
    with pytest.raises(InputError, match="another question"):
        sweep("llama-3.1-8b", "h100-sxm", out=tmp_path / "grid.parquet", **(GRID | {"batch": [1]}))


def test_networks_come_in_parts_too(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    asked: dict[str, Any] = {"batch": [1, 4], "vary": {"precision": ["float16", "int8"], "image": [64, 96]}}
    at_hand = sweep_network("resnet18", "rtx-4090", **asked)
    found = sweep_network("resnet18", "rtx-4090", out=tmp_path / "grid.parquet", **asked)
    assert (found.model, found.sample) == (at_hand.model, at_hand.sample)
    rows = parquet.read_table(tmp_path / "grid.parquet", partitioning=None).to_pylist()
    assert rows == [row | {"fits": float(row["fits"])} for row in at_hand.rows()]
    assert len(rows) == 8


def test_a_plan_that_cannot_be_is_said(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="does not divide"):
        sweep("llama-3.1-8b", "h100-sxm", tp=[3, 5], out=tmp_path / "grid.parquet")
    assert list(tmp_path.iterdir()) == []


def test_one_process_needs_no_dask() -> None:
    with spread("") as mapper:
        assert list(mapper(abs, [-1, 2])) == [(0, 1), (1, 2)]


def test_a_cluster_needs_a_file() -> None:
    with pytest.raises(InputError, match="name one"):
        sweep("llama-3.1-8b", "h100-sxm", scheduler="2")


def test_parts_have_the_blocks_of_one_process() -> None:
    job = GridJob(None, None, {"tp": [1, 2], "batch": list(range(100)), "input_tokens": list(range(300)),  # type: ignore[arg-type]
                  "output_tokens": [1, 2]}, None, {}, {})  # type: ignore[arg-type]  # fmt: skip
    parts = job.parts(16_384)
    assert sum(part.points for part in parts) == 2 * 100 * 300 * 2
    for _, mine in itertools.groupby(parts, key=lambda part: part.place):
        edges = list(mine)
        assert [part.first for part in edges] == [0, *(part.last for part in edges[:-1])]
