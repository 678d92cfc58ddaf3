"""Deep learning recommendation models: dense features, tables of embeddings, their interactions, dense layers."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.recommendation_parts import PAIR, Tables, per_table, tower, vector
from perfmodel.workloads.networks.registry import family


@family("dlrm")
def dlrm(
    name: str,
    rows: Sequence[int],
    width: int,
    bottom: Sequence[int],
    top: Sequence[int],
    *,
    lookups: int | Sequence[int] = 1,
    dense: int = 13,
    interaction: str = "dot",
    cross_layers: int = 3,
    cross_rank: int = 512,
) -> Network:
    """Return a deep learning recommendation model for one user-item pair.

    ``rows`` of each table and ``lookups`` in each (one number for all, or one a table), ``width`` of an embedding;
    ``bottom`` layers over ``dense`` features, ``top`` layers to the score. ``interaction``: "dot" products of all
    pairs, "cat" (none), or "cross": ``cross_layers`` of DCN-V2 with matrices of rank ``cross_rank``. Source: Naumov et
    al. 2019 (arXiv 1906.00091), section 2; facebookresearch/dlrm dlrm_s_pytorch.py; DCN-V2 (arXiv 2008.13535); torchrec
    models/dlrm.py, DLRM_DCN. The dot product of all pairs is computed whole, both halves, as implementations do.
    """
    ids = sum(per_table(lookups, len(rows), "look-ups"))
    b = Builder(name, "dlrm", (dense,), (ids,))
    with b.block("bottom"):
        x = tower(b, b.input(), bottom, last="same")
    with b.block("tables"):
        embedded = Tables(b, rows, width).bags(b.input(1), lookups)
    with b.block("interaction"):
        x = _interaction(b, x, embedded, interaction, cross_layers, cross_rank)
    with b.block("top"):
        x = tower(b, x, top, last="sigmoid")
    return b.build(x, sample=PAIR)


def _interaction(b: Builder, x: Value, tables: Value, kind: str, layers: int, rank: int) -> Value:
    if kind == "cat":
        return vector(b, (x, tables))
    if kind not in ("dot", "cross"):
        raise ValueError(f"an interaction is dot, cat or cross, not {kind!r}")
    if x.width != tables.width:
        raise ValueError(f"the bottom layers leave {x.width} features for embeddings of {tables.width}")
    joined = b.concat((b.view(x, (1, x.width)), tables), name="features")
    if kind == "cross":
        return low_rank_cross(b, b.flatten(joined), layers, rank)
    vectors, width = int(joined.shape[0]), int(joined.width)
    products = b.matmul(joined, joined, (vectors, vectors), batch=1, m=vectors, n=vectors, k=width)
    pairs = vectors * (vectors - 1) // 2
    triangle = b.node("triangle", ops.Copy(1, pairs), (products,), (pairs,))
    return vector(b, (x, triangle))


def low_rank_cross(b: Builder, x: Value, layers: int, rank: int) -> Value:
    """Add ``layers`` of ``x0 * (U (V x) + bias) + x``."""
    first = x
    for index in range(layers):
        with b.scope(f"cross{index}"):
            y = b.linear(b.linear(x, rank, bias=False, name="v"), first.width, name="u")
            x = b.add(b.multiply(first, y), x)
    return x
