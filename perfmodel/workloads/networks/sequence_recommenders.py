"""Recommenders that read a user's items as a sequence: SASRec, BERT4Rec, HSTU."""

from __future__ import annotations

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import bare_norm
from perfmodel.workloads.networks.recommendation_parts import PAIR
from perfmodel.workloads.networks.registry import family


def _items(b: Builder, rows: int, hidden: int, length: int) -> Value:
    with b.block("items"):
        return b.embedding(b.input(), rows, hidden, length, name="items")


def _scored(b: Builder, state: Value, candidates: int, hidden: int) -> Value:
    """Add the products of a state with the embeddings of ``candidates``, which the items' table holds."""
    with b.block("scores"):
        op = ops.Embedding(candidates, hidden)
        rows = b.node("candidates", op, (b.input(1),), (candidates, hidden))
        return b.matmul(state, rows, (candidates,), batch=1, m=1, n=candidates, k=hidden, name="scores")


@family("sasrec")
def sasrec(
    name: str,
    items: int,
    hidden: int = 50,
    depth: int = 2,
    heads: int = 1,
    *,
    length: int = 200,
    candidates: int = 1,
) -> Network:
    """Return SASRec: causal self-attention over the last ``length`` items, and the scores of ``candidates``.

    ``items`` that there are (one row more is the padding), ``hidden`` features, ``depth`` layers of ``heads``: queries
    are normed, keys and values not; no projection after attention; dense layers as wide as ``hidden``. Source: Kang and
    McAuley 2018 (arXiv 1808.09781), section III; kang205/SASRec.
    """
    b = Builder(name, "sasrec", (length,), (candidates,))
    x = b.learned(_items(b, items + 1, hidden, length), length * hidden)
    for index in range(depth):
        with b.block(f"layers.{index}"):
            q = b.layer_norm(x, name="norm1")
            kv = b.linear(x, 2 * hidden, name="kv")
            mixed = b.attend(
                (b.linear(q, hidden, name="q"), kv), q.shape, heads=heads, head_dim=hidden // heads, q_tokens=length,
                causal=True,
            )  # fmt: skip
            y = b.layer_norm(b.add(q, mixed, name="add1"), name="norm2")
            x = b.add(y, b.mlp(y, hidden, act="relu"), name="add2")
    x = b.layer_norm(x, name="final_norm")
    last = b.view(x, (hidden,), name="last")
    return b.build(_scored(b, last, candidates, hidden), sample=PAIR)


@family("bert4rec")
def bert4rec(
    name: str,
    items: int,
    hidden: int = 64,
    depth: int = 2,
    heads: int = 2,
    *,
    special: int = 2,
    token_types: int = 0,
    length: int = 200,
    candidates: int = 1,
) -> Network:
    """Return BERT4Rec: BERT over the last ``length`` items, the last of them masked, and the scores of ``candidates``.

    ``items`` that there are and ``special`` rows (padding, mask), ``hidden`` features, ``depth`` layers of ``heads``,
    ``token_types`` rows of a table that implementations keep though it says nothing. Source: Sun et al. 2019 (arXiv
    1904.06690), section 3; FeiSun/BERT4Rec.
    """
    rows = items + special
    b = Builder(name, "bert4rec", (length,), (candidates,))
    x = b.learned(_items(b, rows, hidden, length), (length + token_types) * hidden)
    x = b.layer_norm(x, name="embedding_norm")
    for index in range(depth):
        with b.block(f"layers.{index}"):
            x = b.layer_norm(b.add(x, b.self_attention(x, heads), name="add1"), name="norm1")
            x = b.layer_norm(b.add(x, b.mlp(x, 4 * hidden), name="add2"), name="norm2")
    with b.block("head"):
        last = b.view(x, (1, hidden), name="masked")
        y = b.layer_norm(b.act(b.linear(last, hidden, name="transform"), "gelu"), name="norm")
    y = _scored(b, y, candidates, hidden)
    return b.build(b.learned(y, rows, name="bias"), sample=PAIR)


@family("hstu")
def hstu(
    name: str,
    items: int,
    hidden: int,
    depth: int,
    heads: int,
    *,
    qk_dim: int,
    v_dim: int,
    length: int = 200,
    positions: int | None = None,
    time_buckets: int = 128,
    candidates: int = 1,
) -> Network:
    """Return a hierarchical sequential transduction unit over the last ``length`` items, and ``candidates``' scores.

    ``items`` ids that there are (one row more is the padding), ``hidden`` features, ``depth`` layers of ``heads`` with
    ``qk_dim`` and ``v_dim`` features each; ``positions`` that have an embedding (``length`` and 11 more, by default)
    and relative biases, ``time_buckets`` biases of times between items. Attention takes the SiLU of the scores. Source:
    Zhai et al. 2024 (arXiv 2402.17152), section 3; facebookresearch/generative-recommenders modeling/sequential. Omits
    that a SiLU costs less than the softmax that is counted in its place.
    """
    places = length + 11 if positions is None else positions
    b = Builder(name, "hstu", (length,), (candidates,))
    x = b.learned(_items(b, items + 1, hidden, length), places * hidden)
    biases = 2 * places - 1 + time_buckets + 1
    for index in range(depth):
        with b.block(f"layers.{index}"):
            x = b.add(x, _transduced(b, x, heads, qk_dim, v_dim, biases))
    last = b.view(x, (hidden,), name="last")
    return b.build(_scored(b, last, candidates, hidden), sample=PAIR)


def _transduced(b: Builder, x: Value, heads: int, qk_dim: int, v_dim: int, biases: int) -> Value:
    """Add one layer: gates, values, queries and keys at once; attention; a gated norm; a dense layer."""
    tokens, hidden = x.shape
    inner = heads * v_dim
    y = b.linear(bare_norm(b, x, name="norm1"), 2 * inner + 2 * heads * qk_dim, bias=False, name="uvqk")
    gate, vqk = b.split(b.act(y, "silu"), (inner, inner + 2 * heads * qk_dim), axis=1)
    mixed = b.attend(
        (vqk,), (tokens, inner), heads=heads, head_dim=(qk_dim + v_dim) / 2, q_tokens=tokens, causal=True,
        parameters=biases,
    )  # fmt: skip
    return b.linear(b.multiply(bare_norm(b, mixed, name="norm2"), gate), hidden, name="proj")
