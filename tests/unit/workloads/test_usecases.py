"""Use cases: distributions from the figures that a file states, and files that are refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from perfmodel.errors import InputError, SpecError, UnknownNameError
from perfmodel.workloads.usecases import Lengths, lengths_of, list_usecases, load_usecase

HEAD = 'schema: usecase/1\nname: mine\ndescription: "x"\noutput_tokens: {mean: 10, source: s}\n'
TAIL = '\nsources:\n  s: {title: "somewhere", date: 2026, verified: false}\n'


def _write(tmp_path: Path, lengths: str, more: str = "") -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(f"{HEAD}input_tokens: {{{lengths}, source: s}}\n{more}{TAIL}")
    return path


@pytest.mark.parametrize("name", list_usecases())
def test_every_use_case_loads(name: str) -> None:
    found = load_usecase(name)
    assert found.name == name
    assert found.sources
    for lengths in (found.input_tokens, found.output_tokens):
        assert 1 <= lengths.median <= lengths.mean <= lengths.quantile(0.9) * 1.5
    assert all(n >= 1 for n in lengths_of(found))
    assert lengths_of(found, 0.9) >= lengths_of(found, 0.5)


def test_figures_fix_the_distribution(tmp_path: Path) -> None:
    both = load_usecase(_write(tmp_path, "median: 100, p90: 200")).input_tokens
    assert (both.median, both.quantile(0.9)) == (100, pytest.approx(200))
    assert both.mean == pytest.approx(100 * math.exp(both.sigma**2 / 2))
    assert Lengths(100, 0.0).quantile(0.9) == Lengths(100, 0.0).mean == 100


def test_a_mean_alone_keeps_its_value(tmp_path: Path) -> None:
    assert load_usecase(_write(tmp_path, "mean: 500")).input_tokens.mean == pytest.approx(500)
    fixed = load_usecase(_write(tmp_path, "mean: 500, fixed: true")).input_tokens
    assert fixed.quantile(0.99) == 500


@pytest.mark.parametrize(
    ("lengths", "more", "said"),
    [
        ("median: 100, p90: 50", "", "p90 50 is below the median 100"),
        ("p90: 50", "", "states neither mean nor median"),
        ("mean: 0", "", "must be at least 1"),
        ("mean: 5", "shared_prefix: {value: 2, source: s}\n", "at most 1, not 2"),
        ("mean: 5", "ttft: {value: 2 m, source: s}\n", "ttft"),
        ("men: 5", "", "unknown key 'men'"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, lengths: str, more: str, said: str) -> None:
    path = tmp_path / f"{abs(hash((lengths, more)))}.yaml"
    path.write_text(_write(tmp_path, lengths, more).read_text())
    with pytest.raises(SpecError, match=said):
        load_usecase(path)


def test_names() -> None:
    assert load_usecase("conversation").name == "chat"
    with pytest.raises(UnknownNameError, match="nearest: rag"):
        load_usecase("ragg")
    with pytest.raises(InputError, match="between 0 and 1"):
        load_usecase("chat").input_tokens.quantile(1.0)
