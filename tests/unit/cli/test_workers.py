"""Work on a whole library goes to other processes, and nobody sees a difference."""

from __future__ import annotations

import pytest

from perfmodel.cli import workers
from perfmodel.cli.workers import FEW, each
from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.specs.locate import is_path
from perfmodel.specs.used import note_hashes, read_hashes
from perfmodel.validation.kinds import find_kind


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "processors", lambda: 2)


def test_results_come_in_the_order_of_the_items() -> None:
    items = ["./a.yaml", "h100-sxm"] * FEW
    assert each(is_path, items, "names") == [True, False] * FEW


def test_few_items_are_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_worker", pytest.fail)
    assert each(lambda item: item + 1, [1, 2, 3], "numbers") == [2, 3, 4]


def test_an_error_is_that_of_the_work() -> None:
    with pytest.raises(InputError, match="published"):
        each(find_kind, ["published"] * FEW + ["publishd"], "kinds")


def test_files_that_workers_read_are_known_here(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[dict[str, str]] = []
    monkeypatch.setattr(workers, "note_hashes", heard.append)
    each(load_device, ["l4"] * (FEW + 1), "devices")
    assert any("l4.yaml" in path for hashes in heard for path in hashes)
    monkeypatch.setattr("perfmodel.specs.used._read", {})
    note_hashes({"/some/where.yaml": "0123"})
    assert read_hashes()["/some/where.yaml"] == "0123"


def test_a_worker_that_dies_costs_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_START", "raise SystemExit(0)")
    assert each(is_path, ["./a.yaml"] * (FEW + 1), "names") == [True] * (FEW + 1)
