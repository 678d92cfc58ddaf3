"""Networks that read a user's history for one candidate item: DIN, DIEN, the behavior sequence transformer."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.ops.conv import HALF
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.recommendation_parts import PAIR, Tables, score, tower, vector
from perfmodel.workloads.networks.registry import family


@family("interest")
def interest(
    name: str,
    rows: Sequence[int],
    width: int,
    *,
    history: int = 100,
    profile: Sequence[int] = (),
    attention: Sequence[int] = (80, 40),
    evolution: bool = False,
    hidden: Sequence[int] = (200, 80),
    act: str = "dice",
    attention_act: str = "dice",
    norm: bool = False,
) -> Network:
    """Return a deep interest network (``evolution``: DIEN) for one user-item pair.

    ``rows`` of the tables that the candidate and each of ``history`` items are looked up in, ``profile`` rows of other
    tables, ``width`` of an embedding; ``attention`` layers weigh the history against the candidate, ``hidden`` layers
    lead to the score. ``evolution``: a gated recurrent layer over the history before, and one that attention gates
    after. Source: Zhou et al. 2017 (arXiv 1706.06978), section 4.3; DIEN, Zhou et al. 2018 (arXiv 1809.03672), section
    3. Omits DIEN's auxiliary loss (training) and that recurrences run step by step, weights read each time.
    """
    b, tables, target, past = _looked_up(name, "interest", rows, width, history, profile)
    with b.block("extraction"):
        states = _gru(b, past, "gru") if evolution else past
    with b.block("attention"):
        weights = _weights(b, target, states, attention, attention_act)
        if evolution:
            pooled = b.view(_gru(b, states, "augru", weights), (states.width,), name="last")
        else:
            pooled = b.matmul(weights, states, (states.width,), batch=1, m=1, n=states.width, k=history)
    with b.block("top"):
        x = vector(b, (*tables, target, pooled))
        x = score(b, tower(b, x, hidden, act=act, norm=norm, last="same"))
    return b.build(x, sample=PAIR)


def _looked_up(
    name: str, kind: str, rows: Sequence[int], width: int, history: int, profile: Sequence[int]
) -> tuple[Builder, list[Value], Value, Value]:
    """Return a builder with the embeddings of the profile, of the candidate, and of the history."""
    shapes = [(len(rows),), (history * len(rows),), *([(len(profile),)] if profile else [])]
    b = Builder(name, kind, *shapes)
    with b.block("tables"):
        tables = Tables(b, rows, width)
        target = b.flatten(tables.bags(b.input()), name="target")
        past = tables.history(b.input(1), history)
        others = [Tables(b, profile, width).bags(b.input(2), name="profile")] if profile else []
    return b, others, target, past


def _weights(b: Builder, target: Value, states: Value, layers: Sequence[int], act: str) -> Value:
    """Add the weight of each item of the history: layers over candidate, item, difference and product."""
    tokens, width = states.shape
    repeated = b.copy(target, (tokens, width), name="repeat")
    difference = b.add(repeated, states, name="difference")
    product = b.multiply(repeated, states, name="product")
    x = b.concat((repeated, states, difference, product), axis=1)
    x = b.linear(tower(b, x, layers, act=act, last="same"), 1, name="weight")
    return b.softmax(b.view(x, (tokens,), name="weights"))


def _gru(b: Builder, x: Value, name: str, gate: Value | None = None) -> Value:
    """Add a gated recurrent layer as dense layers over all steps: the input's, the recurrence's, and the gates."""
    tokens, width = x.shape
    with b.scope(name):
        inside = b.linear(x, 3 * width, name="input")
        again = b.node(
            "recurrence", ops.Linear(tokens, 3 * width, width, HALF), (inside,), inside.shape, 3 * width * (width + 1)
        )  # fmt: skip
        inputs = (again,) if gate is None else (again, gate)
        return b.node("gates", ops.GatedActivation(tokens, 3 * width), inputs, x.shape, kind="gru")


@family("behavior-sequence")
def behavior_sequence(
    name: str,
    rows: Sequence[int],
    width: int,
    *,
    history: int = 20,
    profile: Sequence[int] = (),
    position: int = 64,
    depth: int = 1,
    heads: int = 8,
    mlp_ratio: float = 1.0,
    layer_norm: bool = True,
    hidden: Sequence[int] = (1024, 512, 256),
    act: str = "leaky_relu",
    norm: bool = False,
    pooled: str = "all",
) -> Network:
    """Return the behavior sequence transformer for one user-item pair.

    ``rows`` of the tables that the candidate and each of ``history`` items are looked up in, ``profile`` rows of other
    tables, ``width`` of an embedding, ``position`` features of a place in the history that are put beside; ``depth``
    transformer layers of ``heads`` over history and candidate (``layer_norm``: with norms), ``hidden`` layers to the
    score; they see ``pooled`` "all" tokens, or the "target"'s alone and the candidate's embeddings. Source: Chen et al.
    2019 (arXiv 1905.06874), section 2; FuxiCTR model_zoo/BST.
    """
    b, tables, target, past = _looked_up(name, "behavior-sequence", rows, width, history, profile)
    x = b.concat((past, b.view(target, (1, target.width))), name="sequence")
    tokens = history + 1
    with b.block("position"):
        places = b.node("places", ops.Embedding(tokens, position), (x,), (tokens, position), tokens * position)
        x = b.concat((x, places), axis=1, name="placed")
    for index in range(depth):
        with b.block(f"layers.{index}"):
            x = b.add(x, b.self_attention(x, heads), name="add1")
            x = b.layer_norm(x, name="norm1") if layer_norm else x
            x = b.add(x, b.mlp(x, int(x.width * mlp_ratio), act=act), name="add2")
            x = b.layer_norm(x, name="norm2") if layer_norm else x
    with b.block("top"):
        seen = [x] if pooled == "all" else [b.view(x, (x.width,), name="target_token"), target]
        x = tower(b, vector(b, (*tables, *seen)), hidden, act=act, norm=norm, last="same")
        x = score(b, x)
    return b.build(x, sample=PAIR)
