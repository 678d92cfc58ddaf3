"""Feature pyramids of detectors, and heads that run over all levels with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perfmodel.workloads.building import Builder, Value

Head = Callable[[Builder, Value], Sequence[Value]]
"""Adds a head to one feature map and returns its results."""


def feature_pyramid(
    b: Builder, maps: Sequence[Value], width: int = 256, *, extra: str = "", norm: bool = False, name: str = "fpn"
) -> list[Value]:
    """Add a feature pyramid over feature maps from fine to coarse; return its levels, all of ``width`` channels.

    ``extra``: "pool" adds a level of every second position, "p6p7" two of strided 3x3 convolutions of the coarsest
    level, "p6p7-c5" the same of the coarsest feature map. ``norm``: batch norms instead of biases. Source: Lin et al.
    2016 (arXiv 1612.03144), section 3; torchvision ops/feature_pyramid_network.py.
    """

    def projected(x: Value, kernel: int, kind: str) -> Value:
        if norm:
            return b.conv_bn(x, width, kernel, act="", name=kind)
        return b.conv(x, width, kernel, name=kind)

    found: list[Value] = []
    above: Value | None = None
    for index in reversed(range(len(maps))):
        with b.block(f"{name}.{index}"):
            inner = projected(maps[index], 1, "inner")
            if above is not None:
                inner = b.add(inner, b.resize(above, [int(n) for n in inner.shape[1:]], "nearest"))
            found.insert(0, projected(inner, 3, "layer"))
            above = inner
    if extra:
        found += _extra_levels(b, maps[-1], found[-1], width, extra, name)
    return found


def _extra_levels(b: Builder, deepest: Value, last: Value, width: int, extra: str, name: str) -> list[Value]:
    with b.block(f"{name}.extra"):
        if extra == "pool":
            return [b.max_pool(last, 1, 2)]
        if extra not in {"p6p7", "p6p7-c5"}:
            raise ValueError(f"extra '{extra}' is none of pool, p6p7 and p6p7-c5")
        sixth = b.conv(deepest if extra == "p6p7-c5" else last, width, 3, 2, name="p6")
        return [sixth, b.conv(b.act(sixth), width, 3, 2, name="p7")]


def shared_head(b: Builder, maps: Sequence[Value], head: Head, name: str) -> list[Value]:
    """Add one head to each feature map; its weights are those of the first. Return the results, map by map."""
    found: list[Value] = []
    for index, x in enumerate(maps):
        inside = Builder(name, name, x.shape)
        results = head(inside, inside.input())
        with b.block(f"{name}.{index}"):
            found += b.graft(inside.build(*results), [x], learned=index == 0)
    return found


def tower(
    b: Builder, x: Value, depth: int, width: int, *, norm: str = "", bias: bool = True, act: str = "relu"
) -> Value:
    """Add ``depth`` 3x3 convolutions with activations, and group norms or batch norms before them ("" for none)."""
    for index in range(depth):
        x = b.conv(x, width, 3, bias=bias, name=f"conv{index}")
        if norm == "group":
            x = b.group_norm(x, 32, name=f"norm{index}")
        elif norm == "batch":
            x = b.batch_norm(x, name=f"norm{index}")
        x = b.act(x, act, name=f"act{index}")
    return x
