"""EfficientDet: an EfficientNet, a pyramid that goes both ways several times, and heads shared by all levels."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.grafts import Backbone, Tap, features
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("efficientdet")
def efficientdet(
    name: str,
    *,
    backbone: Backbone,
    width: int,
    cells: int,
    depth: int,
    taps: Sequence[Tap] = ("blocks.2", "blocks.4", "blocks.6"),
    levels: int = 5,
    weighted: bool = True,
    act: str = "silu",
    anchors: int = 9,
    image: int | Sequence[int] = 512,
    classes: int = 90,
) -> Network:
    """Return an EfficientDet: ``cells`` of a pyramid of ``width`` channels and ``levels``, heads of ``depth`` layers.

    ``weighted``: what a node sums has learned weights. The heads' convolutions are shared by the levels, their norms
    are not. Source: Tan et al. 2019 (arXiv 1911.09070), section 4 and table 1; rwightman/efficientdet-pytorch
    effdet/efficientdet.py, after google/automl efficientdet. Omits: selection and suppression of boxes.
    """
    b = Builder(name, "efficientdet", (3, *sides(image)))
    maps = features(b, b.input(), backbone, taps)
    pyramid = _Pyramid(b, width, levels, weighted, act)
    found = pyramid.first(maps)
    for index in range(cells):
        with b.scope(f"fpn.{index}"):
            found = pyramid.cell(found, maps if index == 0 else None)
    return b.build(
        *_head(b, found, depth, anchors * classes, act, "class"), *_head(b, found, depth, anchors * 4, act, "box")
    )


class _Pyramid:
    """Cells of a pyramid: from coarse to fine, then from fine to coarse."""

    def __init__(self, b: Builder, width: int, levels: int, weighted: bool, act: str) -> None:
        self.b, self.width, self.levels, self.weighted, self.act = b, width, levels, weighted, act

    def first(self, maps: Sequence[Value]) -> list[Value]:
        """Return the backbone's maps and coarser ones: a 1x1 layer and poolings."""
        b, found = self.b, list(maps)
        with b.block("fpn.coarser"):
            x = maps[-1]
            for index in range(len(maps), self.levels):
                if int(x.channels) != self.width:
                    x = self._projected(x, f"project{index}")
                x = b.max_pool(x, 3, 2, "same", name=f"pool{index}")
                found.append(x)
        return found

    def _projected(self, x: Value, name: str) -> Value:
        return self.b.batch_norm(self.b.conv(x, self.width, name=name), name=f"{name}_bn")

    def _entering(self, x: Value, name: str) -> Value:
        return x if int(x.channels) == self.width else self._projected(x, name)

    def cell(self, maps: Sequence[Value], raw: Sequence[Value] | None) -> list[Value]:
        """Add one cell; in the first, each use of a backbone's map has a 1x1 layer of its own."""
        b, last = self.b, self.levels - 1
        down: list[Value] = list(maps)
        for level in reversed(range(last)):
            with b.block(f"td{level}"):
                here = self._entering(maps[level], "enter")
                above = down[level + 1] if level + 1 < last else self._entering(maps[last], "enter_above")
                up = b.resize(above, [int(n) for n in here.shape[1:]], "nearest")
                down[level] = self._fused([here, up])
        out = [down[0]]
        for level in range(1, self.levels):
            with b.block(f"bu{level}"):
                terms = [self._entering(maps[level], "enter")]
                if level < last:
                    terms.append(down[level])
                terms.append(b.max_pool(out[-1], 3, 2, "same"))
                out.append(self._fused(terms))
        return out

    def _fused(self, terms: Sequence[Value]) -> Value:
        """Add the (weighted) sum of maps, an activation and a separable convolution."""
        b, y = self.b, terms[0]
        for term in terms[1:]:
            y = b.add(y, term)
        if self.weighted:
            y = b.scale(y, parameters=len(terms), name="weights")
        y = b.act(y, self.act)
        y = b.conv(y, self.width, 3, groups=self.width, bias=False, name="depthwise")
        return b.batch_norm(b.conv(y, self.width, name="pointwise"))


def _head(b: Builder, maps: Sequence[Value], depth: int, outputs: int, act: str, name: str) -> list[Value]:
    """Add separable convolutions whose weights all levels share; each level has norms of its own."""
    found: list[Value] = []
    for level, entering in enumerate(maps):
        with b.block(f"{name}.{level}"):
            x, width = entering, int(entering.channels)
            for index in range(depth):
                x = _shared(b, _shared(b, x, width, 3, width, level, f"dw{index}"), width, 1, 1, level, f"pw{index}")
                x = b.act(b.batch_norm(x, name=f"bn{index}"), act, name=f"act{index}")
            y = _shared(b, x, width, 3, width, level, "predict_dw")
            found.append(_shared(b, y, outputs, 1, 1, level, "predict_pw"))
    return found


def _shared(b: Builder, x: Value, out: int, kernel: int, groups: int, level: int, name: str) -> Value:
    """Add a convolution whose weights count at the first level only; pointwise ones have a bias."""
    inside = Builder(name, name, x.shape)
    y = inside.conv(inside.input(), out, kernel, groups=groups, bias=groups == 1, name=name)
    return b.graft(inside.build(y), [x], learned=level == 0)[0]
