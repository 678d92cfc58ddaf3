"""Multi-scale dense networks: dense layers at several resolutions at once, with a classifier after each block."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

from perfmodel.errors import InputError
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("msdnet")
def msdnet(
    name: str,
    steps: Sequence[int],
    *,
    channels: int = 32,
    growth: int = 16,
    factors: Sequence[int] = (1, 2, 4, 4),
    bottlenecks: Sequence[int] = (1, 2, 4, 4),
    prune: str = "max",
    reduction: float = 0.5,
    stem: str = "large",
    inner: int = 0,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return blocks of ``steps`` dense layers over several scales, with an exit after each block.

    Scale i has ``factors[i]`` times ``channels`` and grows by ``growth`` times that; a bottleneck of ``bottlenecks[i]``
    times what it leaves is before each 3x3. ``prune`` "max" drops the finest scale after each of as many equal parts of
    the layers as there are scales, with a transition that keeps ``reduction`` of the channels; "min" keeps all scales
    that later layers still need, with transitions at a third and two thirds. ``stem`` "large" is a strided 7x7 with a
    pooling (ImageNet), "small" a 3x3 (CIFAR). A classifier has two strided 3x3 of ``inner`` channels (0: as many as
    come in). Source: Huang et al. 2017 (arXiv 1703.09844), section 4; kalviny/MSDNet-PyTorch models/msdnet.py.
    """
    if prune not in {"max", "min"} or stem not in {"large", "small"}:
        raise InputError(f"{name}: prune is max or min, stem is large or small")
    b = Builder(name, "msdnet", (3, image, image))
    net = _Net(b, growth, tuple(factors), tuple(bottlenecks), reduction)
    xs, width, total, done = _stem(b, [channels * f for f in factors], stem), channels, sum(steps), 0
    out = xs[-1]
    for number, step in enumerate(steps):
        for _ in range(step):
            done += 1
            before, after = _scales(prune, done, total, len(factors))
            with b.block(f"layer{done}"):
                xs, width = net.layer(xs, after), width + growth
                if (prune == "max" and before > after) or (prune == "min" and done in {total // 3, 2 * total // 3}):
                    width = floor(reduction * width)
                    xs = net.transition(xs, width)
        with b.block(f"exit{number + 1}"):
            out = _classifier(b, xs[-1], inner or int(xs[-1].channels), classes)
        if number < len(steps) - 1:
            b.exit(f"exit{number + 1}", out)
    return b.build(out)


def _scales(prune: str, layer: int, layers: int, scales: int) -> tuple[int, int]:
    """Return how many scales come into a layer, and how many leave it."""
    if prune == "min":
        return min(scales, layers - layer + 2), min(scales, layers - layer + 1)
    part = ceil(layers / scales)
    return scales - max(0, layer - 2) // part, scales - (layer - 1) // part


def _stem(b: Builder, widths: Sequence[int], kind: str) -> list[Value]:
    with b.block("stem"):
        x = b.input()
        if kind == "large":
            x = b.conv(x, widths[0], 7, 2, 3, name="conv")
            x = b.max_pool(b.act(b.batch_norm(x)), 3, 2, 1)
        else:
            x = b.conv_bn(x, widths[0], 3)
        found = [x]
        for width in widths[1:]:
            found.append(b.conv_bn(found[-1], width, 3, 2, name=f"scale{len(found)}"))
    return found


class _Net:
    """Dense layers over scales; the coarsest is always there, the finest are dropped on the way."""

    def __init__(
        self, b: Builder, growth: int, factors: tuple[int, ...], bottlenecks: tuple[int, ...], reduction: float
    ) -> None:  # fmt: skip
        self.b, self.growth, self.factors, self.bottlenecks = b, growth, factors, bottlenecks
        self.reduction = reduction

    def layer(self, xs: Sequence[Value], leaving: int) -> list[Value]:
        """Add a layer: each scale reads itself, and the next finer one if there is one."""
        b, last = self.b, len(self.factors)
        finer = {last - len(xs) + i: x for i, x in enumerate(xs)}
        found: list[Value] = []
        for scale in range(last - leaving, last):
            x, new = finer[scale], self.growth * self.factors[scale]
            with b.scope(f"scale{scale}"):
                if scale - 1 in finer:
                    down = self._branch(finer[scale - 1], new // 2, self.bottlenecks[scale - 1], 2, "down")
                    parts = (x, down, self._branch(x, new // 2, self.bottlenecks[scale], 1, "same"))
                else:
                    parts = (x, self._branch(x, new, self.bottlenecks[scale], 1, "same"))
                found.append(b.concat(parts))
        return found

    def _branch(self, x: Value, out: int, bottleneck: int, stride: int, name: str) -> Value:
        with self.b.scope(name):
            y = self.b.conv_bn(x, min(int(x.channels), bottleneck * out), name="reduce")
            return self.b.conv_bn(y, out, 3, stride)

    def transition(self, xs: Sequence[Value], width: int) -> list[Value]:
        """Add a 1x1 convolution at each scale."""
        offset = len(self.factors) - len(xs)
        return [
            self.b.conv_bn(x, width * self.factors[offset + i], name=f"transition{offset + i}")
            for i, x in enumerate(xs)
        ]


def _classifier(b: Builder, x: Value, inner: int, classes: int) -> Value:
    x = b.conv_bn(x, inner, 3, 2, name="conv1")
    x = b.conv_bn(x, inner, 3, 2, name="conv2")
    return b.linear(b.flatten(b.avg_pool(x, 2)), classes, name="classifier")
