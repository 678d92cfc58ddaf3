"""DETR: a transformer over a backbone's last map, and learned queries that become boxes."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.grafts import Backbone, Tap, features
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("detr")
def detr(
    name: str,
    *,
    backbone: Backbone = "resnet50",
    tap: Tap = "layer4",
    frozen: bool = True,
    width: int = 256,
    encoders: int = 6,
    decoders: int = 6,
    heads: int = 8,
    mlp: int = 2048,
    queries: int = 100,
    image: int | Sequence[int] = 800,
    classes: int = 91,
) -> Network:
    """Return a DETR: ``encoders`` and ``decoders`` of ``width``, ``queries`` objects of ``classes`` and none.

    ``frozen``: the backbone's batch norms have nothing that is learned. Source: Carion et al. 2020 (arXiv 2005.12872),
    section 3.2 and appendix; facebookresearch/detr models; transformers models/detr/modeling_detr.py. Omits: the
    working out of positions, which are sines.
    """
    b = Builder(name, "detr", (3, *sides(image)))
    x = features(b, b.input(), backbone, [tap], fixed=frozen)[0]
    x = b.tokens(b.conv(x, width, name="input_proj"))
    for index in range(encoders):
        with b.block(f"encoder.{index}"):
            x = b.layer_norm(b.add(x, _attend(b, _placed(b, x), x, x, heads, "self")), name="norm1")
            x = b.layer_norm(b.add(x, b.mlp(x, mlp, act="relu")), name="norm2")
    memory = _placed(b, x, "memory_position")
    query = b.node("queries", None, (), (queries, width), queries * width)
    y = query
    for index in range(decoders):
        with b.block(f"decoder.{index}"):
            placed = b.add(y, query, name="position") if index else query
            y = b.layer_norm(b.add(y, _attend(b, placed, placed, y, heads, "self")), name="norm1")
            placed = b.add(y, query, name="cross_position")
            y = b.layer_norm(b.add(y, _attend(b, placed, memory, x, heads, "cross")), name="norm2")
            y = b.layer_norm(b.add(y, b.mlp(y, mlp, act="relu")), name="norm3")
    with b.block("head"):
        y = b.layer_norm(y)
        boxes = b.act(b.linear(y, width, name="box1"), name="box1_act")
        boxes = b.act(b.linear(boxes, width, name="box2"), name="box2_act")
        return b.build(b.linear(y, classes + 1, name="classes"), b.act(b.linear(boxes, 4, name="boxes"), "sigmoid"))


def _placed(b: Builder, x: Value, name: str = "position") -> Value:
    """Add fixed positions."""
    return b.scale(x, name=name)


def _attend(b: Builder, query: Value, key: Value | None, value: Value, heads: int, name: str) -> Value:
    """Add attention of one sequence to another, each of the three through a dense layer of its own."""
    width, key = int(value.width), query if key is None else key
    with b.scope(name):
        q, k = b.linear(query, width, name="query"), b.linear(key, width, name="key")
        v = b.linear(value, width, name="value")
        y = b.attend(
            (q, k, v), (query.shape[0], width), heads=heads, head_dim=width // heads, q_tokens=query.shape[0],
            kv_tokens=value.shape[0],
        )  # fmt: skip
        return b.linear(y, width, name="proj")
