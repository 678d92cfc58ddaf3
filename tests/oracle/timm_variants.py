"""Variants of our files of networks against timm's modules of the same names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from perfmodel.specs.locate import normalise
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network, load_variants
from tests.vision_oracle import timm_count

CNN = Path(__file__).parents[2] / "workloads" / "cnn"


def variants(files: Iterable[str], without: Collection[str] = ()) -> list[str]:
    """Return the names of all variants of files of ``workloads/cnn``."""
    names = [name for file in files for name in load_variants(CNN / f"{file}.yaml")]
    return [name for name in names if name not in without]


def timm_name(name: str) -> str:
    """Return timm's spelling of our name."""
    timm = pytest.importorskip("timm")
    known = {normalise(found, "workloads"): found for found in timm.list_models()}
    return known[normalise(name, "workloads")]


def assert_equals_timm(name: str, image: int | None = None, *, oracle: str | None = None, **options: Any) -> None:
    """Assert equal parameters and flops at an image size (ours, if none is given) and timm's ``options``."""
    network = load_network(name) if image is None else load_network(name, image=image)
    assert isinstance(network, Network)
    size = int(network.inputs[0][1])
    assert_counts(network, timm_count.__wrapped__(oracle or timm_name(name), size, **options))


def assert_counts(network: Any, counted: Any) -> None:
    """Assert equal parameters and flops."""
    assert network.parameters == counted.parameters
    assert network.matmul_flops == counted.flops
