"""Towers of inception modules, written as the papers' figures say them: "64 1x1 | 96 1x1, 128 3x3 | max, 32 1x1"."""

from __future__ import annotations

import re

from perfmodel.workloads.building import Builder, Value

_STEP = re.compile(r"(\d+|max|avg)(?: (\d+)x(\d+))?(?:/(\d+))?([vc]?)")


def towers(b: Builder, x: Value, text: str, *, norm: bool = True) -> Value:
    """Add towers that all read ``x`` and whose results are joined.

    Towers are separated by "|", the steps of one by ",". A step is "channels heightxwidth" for a convolution with its
    activation (batch norm between them with ``norm``, a bias without), or "max" or "avg" for a 3x3 pooling. "/2" is a
    stride; "v" takes only whole windows, "c" also those that hang over the end, otherwise stride 1 keeps the size.
    Steps joined by "+" read the same value and are joined in turn.
    """
    found: list[Value] = []
    for index, tower in enumerate(text.split("|")):
        with b.scope(f"branch{index}"):
            y = x
            for number, step in enumerate(tower.split(",")):
                parts = [_step(b, y, part.strip(), f"{number}", norm) for part in step.split("+")]
                y = parts[0] if len(parts) == 1 else b.concat(parts)
            found.append(y)
    return found[0] if len(found) == 1 else b.concat(found)


def _step(b: Builder, x: Value, text: str, number: str, norm: bool) -> Value:
    match = _STEP.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is no step of a tower")
    what, height, width, stride, edge = match.groups()
    by = int(stride or 1)
    if not what.isdigit():
        pool = b.max_pool if what == "max" else b.avg_pool
        return pool(x, 3, by, 0 if edge else 1, ceil=edge == "c", name=f"{what}{number}")
    kernel = (int(height), int(width))
    padding = 0 if edge else None
    if norm:
        return b.conv_bn(x, int(what), kernel, by, padding, name=f"conv{number}")
    return b.act(b.conv(x, int(what), kernel, by, padding, name=f"conv{number}"), name=f"conv{number}_act")
