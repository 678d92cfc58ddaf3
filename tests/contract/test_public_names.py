"""The names that others import: a change here is a change of the interface."""

from __future__ import annotations

import pytest

import perfmodel

PUBLIC = [
    "Comparison", "Estimate", "NetworkEstimate", "PerfmodelError", "Sweep", "__version__", "compare", "estimate",
    "estimate_network", "load_device", "load_model", "load_network", "sweep",
]  # fmt: skip


def test_all_is_pinned() -> None:
    assert sorted(perfmodel.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there(name: str) -> None:
    assert getattr(perfmodel, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'estimat'"):
        _ = perfmodel.estimat


def test_it_is_typed() -> None:
    from importlib.resources import files

    assert (files("perfmodel") / "py.typed").is_file()
