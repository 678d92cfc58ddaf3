"""Networks that predict clicks from categories: Wide & Deep, DeepFM, Deep & Cross, neural collaborative filtering."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.dlrm import low_rank_cross
from perfmodel.workloads.networks.recommendation_parts import PAIR, Tables, per_table, score, tower, vector
from perfmodel.workloads.networks.registry import family


@family("wide-deep")
def wide_deep(
    name: str,
    rows: Sequence[int],
    width: int,
    hidden: Sequence[int] = (1024, 512, 256),
    *,
    lookups: int | Sequence[int] = 1,
    dense: int = 0,
    wide: bool = True,
    factors: bool = False,
    norm: bool = False,
) -> Network:
    """Return Wide & Deep (``factors``: DeepFM) for one user-item pair.

    ``rows`` of each table and ``lookups`` in each, ``width`` of an embedding, ``hidden`` layers of the deep part,
    ``dense`` features (with ``factors``, each is a field with a learned vector), ``wide``: a weight of each row is
    summed too (no crossed features), ``norm``: batch norms. Source: Cheng et al. 2016 (arXiv 1606.07792), section 3;
    DeepFM, Guo et al. 2017 (arXiv 1703.04247), section 2.
    """
    ids = sum(per_table(lookups, len(rows), "look-ups"))
    b = Builder(name, "wide-deep", *([(dense,)] if dense else []), (ids,))
    indices, tables = b.input(1 if dense else 0), Tables(b, rows, width)
    with b.block("tables"):
        fields = tables.bags(indices, lookups)
        wides = [tables.bags(indices, lookups, width=1, name="wide")] if wide or factors else []
    deep = [fields, b.input()] if dense else [fields]
    if dense and factors:
        with b.block("dense"):
            value = b.view(b.input(), (dense, 1))
            shape = (dense, width)
            scaled = b.node("fields", ops.Scale(dense, width), (value,), shape, dense * width, "embedding")
            wides.append(b.node("weights", ops.Scale(dense, 1), (value,), (dense, 1), dense, "embedding"))
            deep = [b.concat((fields, scaled), name="all_fields")]
    with b.block("deep"):
        x = tower(b, vector(b, deep), hidden, norm=norm, last="same")
        x = b.linear(x, 1, name="score")
    with b.block("sum"):
        terms = [x, *(_summed(b, w) for w in wides), *([_pairs(b, deep[0])] if factors else [])]
        for term in terms[1:]:
            x = b.add(x, term)
        x = b.act(x, "sigmoid", name="probability")
    return b.build(x, sample=PAIR)


def _summed(b: Builder, x: Value) -> Value:
    return b.token_pool(x, name="first_order")


def _pairs(b: Builder, fields: Value) -> Value:
    """Add a factorisation machine's products of all pairs, from the square of the sum and the sum of the squares."""
    total = b.token_pool(fields, name="sum")
    squares = b.token_pool(b.multiply(fields, fields, name="squares"), name="sum_of_squares")
    both = b.add(b.multiply(total, total, name="square_of_sum"), squares, name="pairs")
    return b.token_pool(b.view(both, (both.width, 1)), name="second_order")


@family("deep-cross")
def deep_cross(
    name: str,
    rows: Sequence[int],
    width: int | Sequence[int],
    hidden: Sequence[int] = (1024, 1024),
    *,
    lookups: int | Sequence[int] = 1,
    dense: int = 0,
    history: int = 0,
    layers: int = 3,
    kind: str = "matrix",
    rank: int = 64,
    norm: bool = False,
) -> Network:
    """Return a Deep & Cross network for one user-item pair: cross layers and dense layers side by side.

    ``rows``, ``lookups`` and ``width`` of the tables (widths may differ), ``hidden`` dense layers, ``layers`` cross
    layers of ``kind`` "vector" (DCN), "matrix" (DCN-V2) or "low_rank" (DCN-V2 of ``rank``), ``history`` ids that are
    looked up in each table again and averaged, ``norm``: batch norms. Source: Wang et al. 2017 (arXiv 1708.05123),
    section 2; Wang et al. 2020 (arXiv 2008.13535), section 3.
    """
    counts, widths = per_table(lookups, len(rows), "look-ups"), per_table(width, len(rows), "widths")
    ids = (sum(counts), *([history * len(rows)] if history else []))
    b = Builder(name, "deep-cross", *([(dense,)] if dense else []), *((n,) for n in ids))
    first = 1 if dense else 0
    parts: list[Value] = [b.input()] if dense else []
    with b.block("tables"):
        for each in dict.fromkeys(widths):
            chosen = [i for i, w in enumerate(widths) if w == each]
            tables = Tables(b, [rows[i] for i in chosen], each)
            parts.append(tables.bags(b.input(first), [counts[i] for i in chosen]))
            if history:
                parts.append(tables.averaged(b.input(first + 1), history))
    x = vector(b, parts)
    with b.block("cross"):
        crossed = _cross(b, x, layers, kind, rank)
    with b.block("deep"):
        deep = tower(b, x, hidden, norm=norm, last="same") if hidden else None
    with b.block("top"):
        x = score(b, vector(b, [v for v in (crossed, deep) if v is not None]))
    return b.build(x, sample=PAIR)


def _cross(b: Builder, x: Value, layers: int, kind: str, rank: int) -> Value:
    if kind == "low_rank":
        return low_rank_cross(b, x, layers, rank)
    if kind not in ("vector", "matrix"):
        raise ValueError(f"a cross layer is vector, matrix or low_rank, not {kind!r}")
    first = x
    for index in range(layers):
        with b.scope(f"cross{index}"):
            if kind == "matrix":
                y = b.multiply(first, b.linear(x, x.width, name="w"))
            else:
                y = b.learned(b.scale(first, b.linear(x, 1, bias=False, name="w")), x.width, name="bias")
            x = b.add(y, x)
    return x


@family("neural-cf")
def neural_cf(
    name: str,
    users: int,
    items: int,
    *,
    factors: int = 64,
    hidden: Sequence[int] = (256, 256, 128, 64),
) -> Network:
    """Return neural collaborative filtering (NeuMF) for one user-item pair.

    ``factors`` of the product of user and item; ``hidden`` the concatenated embeddings of the dense part (so half of
    the first is the width of each), then its layers. Source: He et al. 2017 (arXiv 1708.05031), section 3.4; MLPerf
    training 0.5, recommendation.
    """
    b = Builder(name, "neural-cf", (2,))
    half = hidden[0] // 2
    with b.block("tables"):
        product = Tables(b, (users, items), factors).bags(b.input(), name="factor")
        sides = Tables(b, (users, items), half).bags(b.input(), name="deep")
    with b.block("layers"):
        user, item = b.split(product, (1, 1))
        product = b.flatten(b.multiply(user, item))
        deep = tower(b, vector(b, (sides,)), hidden[1:], last="same")
        x = score(b, vector(b, (product, deep)))
    return b.build(x, sample=PAIR)
