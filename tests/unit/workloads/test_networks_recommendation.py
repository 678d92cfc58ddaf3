"""Recommenders: published counts, sums worked by hand, tables as nodes, refusals."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from perfmodel import ops
from perfmodel.errors import InputError
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network, load_variants

FOLDER = Path(__file__).parents[3] / "workloads/recsys"
FILES = {path.stem: load_variants(path) for path in sorted(FOLDER.glob("*.yaml"))}
ALL = [name for found in FILES.values() for name in found]
PUBLISHED = [name for found in FILES.values() for name, variant in found.items() if variant.published]


def load(name: str, **changes: object) -> Network:
    network = load_network(name, **changes)
    assert isinstance(network, Network)
    return network


def dense(*widths: int) -> int:
    """Return the numbers of dense layers with biases between ``widths``."""
    return sum(a * b + b for a, b in pairwise(widths))


def products(*widths: int) -> int:
    """Return the multiply-accumulates of dense layers between ``widths``."""
    return sum(a * b for a, b in pairwise(widths))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    network = load(name)
    assert network.parameters == network.published_parameters


@pytest.mark.parametrize("name", ALL)
def test_whole(name: str) -> None:
    """Every node but the score is read, as is every input."""
    network = load(name)
    assert [n.name for i, n in enumerate(network.nodes) if i not in network.readers] == [network.nodes[-1].name]
    assert all(-1 - index in network.readers for index in range(len(network.inputs)))
    assert network.sample == "user-item pair"
    assert network.shape_of(network.outputs[0]) == (1,)


def test_mlperf_dlrm_by_hand() -> None:
    """Rows of 128 of 26 tables; 27 vectors make 351 pairs, which join the 128 dense features."""
    network = load("dlrm-mlperf")
    bags = [n for n in network.nodes if isinstance(n.operator, ops.EmbeddingBag)]
    assert len(bags) == 26
    assert sum(n.operator.rows for n in bags if isinstance(n.operator, ops.EmbeddingBag)) == 187_767_399
    bottom, top = (13, 512, 256, 128), (351 + 128, 1024, 1024, 512, 256, 1)
    assert network.parameters == 187_767_399 * 128 + dense(*bottom) + dense(*top)
    assert network.matmul_flops == 2 * (products(*bottom) + 27 * 27 * 128 + products(*top))


def test_dcnv2_by_hand() -> None:
    """204184588 rows, 214 look-ups; crosses of rank 512 over 27 vectors of 128."""
    network = load("dlrm-dcnv2")
    assert network.inputs == ((13,), (214,))
    bottom, top = (13, 512, 256, 128), (3456, 1024, 1024, 512, 256, 1)
    crosses = 3 * (2 * 3456 * 512 + 3456)
    assert network.parameters == 204_184_588 * 128 + dense(*bottom) + crosses + dense(*top)
    assert network.matmul_flops == 2 * (products(*bottom) + 3 * 2 * 3456 * 512 + products(*top))
    kinds = {(n.operator.rows, n.operator.lookups) for n in network.nodes if isinstance(n.operator, ops.EmbeddingBag)}
    assert {(40_000_000, 3), (40_000_000, 7), (40_000_000, 12), (40_000_000, 100), (40_000_000, 27)} < kinds


def test_tables_alike_are_one_node() -> None:
    network = load("dlrm-rmc1")
    (bag,) = [n for n in network.nodes if isinstance(n.operator, ops.EmbeddingBag)]
    assert bag.operator == ops.EmbeddingBag(1, 8, 4_000_000, 80, 32)
    assert bag.parameters == 8 * 4_000_000 * 32
    assert network.matmul_flops == 2 * (products(128, 64, 32) + products(32 + 8 * 32, 256, 64, 1))


def test_deep_interest_by_hand() -> None:
    """The history of 100 items shares the candidate's tables; attention sees 4 x 128 features of each."""
    network = load("din-amazon-electronics")
    tables = (63003 + 803) * 64
    attention = dense(512, 512, 256, 1) + 512 + 256
    top = dense(256, 1024, 512, 256, 1) + 3 * (1024 + 512 + 256)
    assert network.parameters == tables + attention + top
    weighed = 100 * products(512, 512, 256, 1) + 100 * 128
    assert network.matmul_flops == 2 * (weighed + products(256, 1024, 512, 256, 1))


def test_self_attention_by_hand() -> None:
    """SASRec: 200 items of 50 features, of which a query sees those before it."""
    network = load("sasrec-ml-1m")
    layer = 3 * (50 * 50 + 50) + 2 * 100 + 2 * (50 * 50 + 50)
    assert network.parameters == 3417 * 50 + 200 * 50 + 2 * layer + 100
    seen = 200 * 201 // 2
    assert network.matmul_flops == 2 * (2 * (200 * 5 * 50 * 50 + 2 * seen * 50) + 50)
    more = load("sasrec-ml-1m", candidates=101)
    assert more.matmul_flops - network.matmul_flops == 2 * 100 * 50


def test_hstu_by_hand() -> None:
    """One projection to 4 x 256 features, one back, biases of 421 places and 129 times; half the scores."""
    network = load("hstu-ml-20m")
    layer = 256 * 4 * 256 + 256 * 256 + 256 + 421 + 129
    assert network.parameters == 131263 * 256 + 211 * 256 + 4 * layer
    pairs = 200 * 201 // 2
    assert network.matmul_flops == 2 * (4 * (200 * 5 * 256 * 256 + 2 * pairs * 256) + 256)


def test_refusals() -> None:
    with pytest.raises(InputError, match="look-ups are 2 numbers for 26 tables"):
        load_network("dlrm-mlperf", lookups=[1, 2])
    with pytest.raises(InputError, match="leave 64 features for embeddings of 128"):
        load_network("dlrm-mlperf", bottom=[512, 64])
    with pytest.raises(InputError, match="interaction is dot, cat or cross"):
        load_network("dlrm-mlperf", interaction="sum")
    with pytest.raises(InputError, match="cross layer is"):
        load_network("dcn-frappe", kind="outer")
