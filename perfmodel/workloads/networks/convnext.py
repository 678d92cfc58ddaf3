"""ConvNeXt V1 and V2: depthwise convolutions and pointwise layers in the order of a vision transformer's block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.normed import divisible, normalise
from perfmodel.workloads.networks.registry import family


@family("convnext")
def convnext(
    name: str,
    depths: Sequence[int],
    widths: Sequence[int],
    *,
    kernels: int | Sequence[int] = 7,
    mlp_ratio: float = 4.0,
    stem: str = "patch",
    conv_mlp: bool = False,
    response_norm: bool = False,
    layer_scale: bool = True,
    act: str = "gelu",
    norm: str = "layer",
    head_norm_first: bool = False,
    head_hidden: int = 0,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a ConvNeXt: stages of ``depths`` blocks of ``widths`` channels, a 2x2 convolution between them.

    ``kernels``: of the depthwise convolution, one or one a stage. ``stem``: "patch" (4x4), "overlap" (two 3x3),
    "overlap-tiered" (the first half as wide) or "overlap-act" (an activation between). ``conv_mlp``: the pointwise
    layers are convolutions, not dense layers. ``response_norm``: global response norm (V2, no ``layer_scale``).
    ``head_norm_first``: a norm before the mean, not after it. ``head_hidden``: of a hidden layer in the head.

    Source: Liu et al. 2022 (arXiv 2201.03545), section 3; V2: Woo et al. 2023 (arXiv 2301.00808), section 4;
    torchvision models/convnext.py; timm models/convnext.py. Omits: permutations, which channels-last does not need.
    """
    b = Builder(name, "convnext", (3, image, image))
    spans = (kernels,) * len(depths) if isinstance(kernels, int) else tuple(kernels)
    x = _stem(b, b.input(), widths[0], stem, act, norm)
    for stage, (depth, width, span) in enumerate(zip(depths, widths, spans, strict=True)):
        block = _Block(span, int(mlp_ratio * width), conv_mlp, response_norm, layer_scale, act, norm)
        if stage:
            with b.scope(f"stages.{stage}.downsample"):
                x = b.conv(normalise(b, x, norm, ""), width, 2, 2, 0)
        for index in range(depth):
            with b.block(f"stages.{stage}.{index}"):
                x = block.add(b, x)
    x = normalise(b, x, norm, "", name="norm_pre") if head_norm_first else x
    x = b.global_pool(x, keep=not head_norm_first, name="head.pool")
    x = x if head_norm_first else b.flatten(normalise(b, x, norm, "", name="head.norm"))
    if head_hidden:
        x = b.act(b.linear(x, head_hidden, name="head.hidden"), "gelu", name="head.act")
    return b.build(b.linear(x, classes, name="head.fc"))


def _stem(b: Builder, x: Value, width: int, kind: str, act: str, norm: str) -> Value:
    with b.scope("stem"):
        if kind == "patch":
            return normalise(b, b.conv(x, width, 4, 4, 0), norm, "")
        x = b.conv(x, divisible(width // 2) if kind == "overlap-tiered" else width, 3, 2)
        x = b.act(x, act) if kind == "overlap-act" else x
        return normalise(b, b.conv(x, width, 3, 2), norm, "")


@dataclass(frozen=True)
class _Block:
    kernel: int
    hidden: int
    conv_mlp: bool
    response_norm: bool
    layer_scale: bool
    act: str
    norm: str

    def add(self, b: Builder, x: Value) -> Value:
        width, height, breadth = x.shape
        y = b.conv(x, width, self.kernel, groups=width, name="conv_dw")
        y = normalise(b, y, self.norm, "")
        if self.conv_mlp:
            y = b.conv(self._bent(b, b.conv(y, self.hidden, name="fc1")), width, name="fc2")
        else:
            y = b.linear(self._bent(b, b.linear(b.tokens(y), self.hidden, name="fc1")), width, name="fc2")
            y = b.image(y, height, breadth)
        y = b.scale(y, parameters=width, name="gamma") if self.layer_scale else y
        return b.add(y, x)

    def _bent(self, b: Builder, y: Value) -> Value:
        y = b.act(y, self.act)
        if not self.response_norm:
            return y
        op = ops.GroupNorm(self.hidden, y.shape[0] * y.shape[1] * (y.shape[2] if self.conv_mlp else 1) // self.hidden)
        return b.node("grn", op, (y,), y.shape, 2 * self.hidden, "grn")
