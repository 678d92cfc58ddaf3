"""Blocks of the YOLO detectors of versions 3 to 11: convolutions, cross-stage partial blocks, pooling pyramids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfmodel.workloads.building import Builder, Value


@dataclass(frozen=True)
class Step:
    """One layer of a detector, its channels and repeats already scaled.

    ``kind`` is one of :data:`BLOCKS`; ``flags``: "add" (residuals inside), "deep" (C3 inside a C2f), "large" (7x7
    depthwise). ``expand`` is the part of the channels that a block works with, ``middle`` a width it is told.
    """

    kind: str
    channels: int = 0
    kernel: int = 1
    stride: int = 1
    repeat: int = 1
    middle: int = 0
    expand: float = 0.5
    flags: frozenset[str] = frozenset()
    act: str = "silu"


def conv(
    b: Builder, x: Value, channels: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, act: str = "silu",
    name: str = "conv",
) -> Value:  # fmt: skip
    """Add a convolution, its batch norm and activation."""
    return b.conv_bn(x, channels, kernel, stride, groups=groups, act=act, name=name)


def bottleneck(
    b: Builder, x: Value, channels: int, kernels: tuple[int, int], expand: float, step: Step, name: str
) -> Value:  # fmt: skip
    """Add two convolutions, and their input if the block says so."""
    with b.scope(name):
        y = conv(b, x, int(channels * expand), kernels[0], act=step.act, name="cv1")
        y = conv(b, y, channels, kernels[1], act=step.act, name="cv2")
        return b.add(x, y) if "add" in step.flags and x.channels == channels else y


def plain(b: Builder, x: Value, step: Step) -> Value:
    """Add a convolution, ``repeat`` times; the first has the stride."""
    for index in range(step.repeat):
        x = conv(b, x, step.channels, step.kernel, 1 if index else step.stride, act=step.act, name=f"conv{index or ''}")
    return x


def up_conv(b: Builder, x: Value, step: Step) -> Value:
    """Add a transposed convolution to twice the resolution."""
    return b.conv_transpose(x, step.channels, 2, 2)


def fuse(b: Builder, reads: Sequence[Value], step: Step) -> Value:
    """Add the fusion of a coarser, a like and a finer feature map (YOLOv6's BiFusion)."""
    coarse = b.conv_transpose(reads[0], step.channels, 2, 2, name="up")
    like = conv(b, reads[1], step.channels, act=step.act, name="cv1")
    fine = conv(b, conv(b, reads[2], step.channels, act=step.act, name="cv2"), step.channels, 3, 2, act=step.act,
                name="down")  # fmt: skip
    return conv(b, b.concat([coarse, like, fine]), step.channels, act=step.act, name="cv3")


def depthwise(b: Builder, x: Value, step: Step) -> Value:
    """Add a depthwise convolution with a stride and a 1x1 convolution (YOLOX-nano)."""
    y = conv(b, x, int(x.channels), step.kernel, step.stride, groups=int(x.channels), act=step.act, name="dw")
    return conv(b, y, step.channels, act=step.act, name="pw")


def focus(b: Builder, x: Value, step: Step) -> Value:
    """Add the move of each 2x2 positions to channels, and a convolution."""
    channels, height, width = (int(n) for n in x.shape)
    x = b.copy(x, (4 * channels, height // 2, width // 2), name="focus")
    return conv(b, x, step.channels, step.kernel, act=step.act)


def dark(b: Builder, x: Value, step: Step) -> Value:
    """Add residual blocks of a 1x1 and a 3x3 convolution (Darknet-53, arXiv 1804.02767, table 1)."""
    for index in range(step.repeat):
        x = bottleneck(b, x, step.channels, (1, 3), step.expand, step, f"m{index}")
    return x


def dark3(b: Builder, x: Value, step: Step) -> Value:
    """Add residual blocks of two 3x3 convolutions."""
    for index in range(step.repeat):
        x = bottleneck(b, x, step.channels, (3, 3), step.expand, step, f"m{index}")
    return x


def c3(b: Builder, x: Value, step: Step, *, kernels: tuple[int, int] = (1, 3), depthwise: bool = False) -> Value:
    """Add two halves, one through bottlenecks, and a convolution of both (YOLOv5's C3, YOLOX's CSPLayer)."""
    width = int(step.channels * step.expand)
    y = conv(b, x, width, act=step.act, name="cv1")
    for index in range(step.repeat):
        if depthwise:
            with b.scope(f"m{index}"):
                z = conv(b, y, width, act=step.act, name="cv1")
                z = conv(b, z, width, 3, groups=width, act=step.act, name="dw")
                z = conv(b, z, width, act=step.act, name="cv2")
                y = b.add(y, z) if "add" in step.flags else z
        else:
            y = bottleneck(b, y, width, kernels, 1.0, step, f"m{index}")
    other = conv(b, x, width, act=step.act, name="cv2")
    return conv(b, b.concat([y, other]), step.channels, act=step.act, name="cv3")


def c3_depthwise(b: Builder, x: Value, step: Step) -> Value:
    """Add a C3 whose 3x3 convolutions are depthwise separable (YOLOX-nano)."""
    return c3(b, x, step, depthwise=True)


def csp(b: Builder, x: Value, step: Step) -> Value:
    """Add a cross-stage partial block with its norm after the concatenation (YOLOv5 before version 4)."""
    width = int(step.channels * step.expand)
    y = conv(b, x, width, act=step.act, name="cv1")
    for index in range(step.repeat):
        y = bottleneck(b, y, width, (1, 3), 1.0, step, f"m{index}")
    y = b.conv(y, width, bias=False, name="cv3")
    other = b.conv(x, width, bias=False, name="cv2")
    y = b.act(b.batch_norm(b.concat([y, other])), "leaky_relu")
    return conv(b, y, step.channels, act=step.act, name="cv4")


def c2f(b: Builder, x: Value, step: Step) -> Value:
    """Add two halves, bottlenecks after one, and a convolution of every result (YOLOv8; of C3 blocks: YOLO11)."""
    width = int(step.channels * step.expand)
    y = conv(b, x, 2 * width, act=step.act, name="cv1")
    found = b.split(y, (width, width))
    for index in range(step.repeat):
        found.append(_inside(b, found[-1], width, step, index))
    return conv(b, b.concat(found), step.channels, act=step.act, name="cv2")


def _inside(b: Builder, x: Value, width: int, step: Step, index: int) -> Value:
    if "deep" in step.flags:
        with b.scope(f"m{index}"):
            inner = Step("c3", width, repeat=2, flags=step.flags, act=step.act)
            return c3(b, x, inner, kernels=(3, 3))
    if step.kind == "cib":
        return _inverted(b, x, width, step, f"m{index}")
    return bottleneck(b, x, width, (3, 3), 0.5 if step.kind == "c3k2" else 1.0, step, f"m{index}")


def _inverted(b: Builder, x: Value, width: int, step: Step, name: str) -> Value:
    """Add depthwise and pointwise convolutions in turn (YOLOv10's compact inverted block, its 7x7 as deployed)."""
    with b.scope(name):
        y = conv(b, x, width, 3, groups=width, act=step.act, name="dw1")
        y = conv(b, y, 2 * width, act=step.act, name="pw1")
        size = 7 if "large" in step.flags else 3
        y = conv(b, y, 2 * width, size, groups=2 * width, act=step.act, name="dw2")
        y = conv(b, y, width, act=step.act, name="pw2")
        y = conv(b, y, width, 3, groups=width, act=step.act, name="dw3")
        return b.add(x, y) if "add" in step.flags else y


def spp(b: Builder, x: Value, step: Step) -> Value:
    """Add poolings of three sizes side by side (5, 9 and 13)."""
    y = conv(b, x, int(x.channels) // 2, act=step.act, name="cv1")
    pools = [b.max_pool(y, k, 1, k // 2, name=f"pool{k}") for k in (5, 9, 13)]
    return conv(b, b.concat([y, *pools]), step.channels, act=step.act, name="cv2")


def sppf(b: Builder, x: Value, step: Step) -> Value:
    """Add three poolings of 5x5, one after the other."""
    found = [conv(b, x, int(x.channels) // 2, act=step.act, name="cv1")]
    for _ in range(3):
        found.append(b.max_pool(found[-1], 5, 1, 2))
    return conv(b, b.concat(found), step.channels, act=step.act, name="cv2")


def sppcspc(b: Builder, x: Value, step: Step) -> Value:
    """Add poolings inside a cross-stage partial block (YOLOv7); ``tiny`` has no 3x3 convolutions."""
    width, tiny = int(2 * step.channels * step.expand), "tiny" in step.flags
    y = conv(b, x, width, act=step.act, name="cv1")
    if not tiny:
        y = conv(b, conv(b, y, width, 3, act=step.act, name="cv3"), width, act=step.act, name="cv4")
    pools = [b.max_pool(y, k, 1, k // 2, name=f"pool{k}") for k in (5, 9, 13)]
    y = conv(b, b.concat([y, *pools]), width, act=step.act, name="cv5")
    y = y if tiny else conv(b, y, width, 3, act=step.act, name="cv6")
    other = conv(b, x, width, act=step.act, name="cv2")
    return conv(b, b.concat([y, other]), step.channels, act=step.act, name="cv7")


def elan(b: Builder, x: Value, step: Step) -> Value:
    """Add a chain of ``repeat`` 3x3 convolutions beside a 1x1 one, and a convolution of all or every second result.

    Source: YOLOv7 (arXiv 2207.02696), figure 2; "all" is the head's, whose 3x3 convolutions are half as wide.
    """
    every, width = "all" in step.flags, step.middle
    first = conv(b, x, width, act=step.act, name="cv1")
    chain = [conv(b, x, width, act=step.act, name="cv2")]
    inner = int(width * step.expand)
    for index in range(step.repeat):
        chain.append(conv(b, chain[-1], inner, 3, act=step.act, name=f"m{index}"))
    kept = chain if every else chain[::2]
    return conv(b, b.concat([*reversed(kept), first]), step.channels, act=step.act, name="cv3")


def pool_down(b: Builder, x: Value, step: Step) -> Value:
    """Add two ways to half the resolution, each to half of the channels: a pooling, and a convolution (YOLOv7's MP)."""
    half = step.channels // 2
    y = conv(b, b.max_pool(x, 2), half, act=step.act, name="cv1")
    z = conv(b, x, half, act=step.act, name="cv2")
    return b.concat([conv(b, z, half, 3, 2, act=step.act, name="cv3"), y])


def separate_down(b: Builder, x: Value, step: Step) -> Value:
    """Add a pointwise convolution, then a depthwise one with the stride (YOLOv10's SCDown)."""
    y = conv(b, x, step.channels, act=step.act, name="cv1")
    return conv(b, y, step.channels, step.kernel, step.stride, groups=step.channels, act="", name="cv2")


def self_attention(b: Builder, x: Value, step: Step) -> Value:
    """Add attention and a feed-forward layer, ``repeat`` times, over half of the channels (YOLOv10's PSA, C2PSA)."""
    width = int(step.channels * step.expand)
    y = conv(b, x, 2 * width, act=step.act, name="cv1")
    kept, y = b.split(y, (width, width))
    for index in range(step.repeat):
        with b.scope(f"m{index}"):
            y = b.add(y, _attention(b, y, max(width // 64, 1)))
            z = conv(b, conv(b, y, 2 * width, act=step.act, name="ffn1"), width, act="", name="ffn2")
            y = b.add(y, z)
    return conv(b, b.concat([kept, y]), step.channels, act=step.act, name="cv2")


def _attention(b: Builder, x: Value, heads: int) -> Value:
    """Add attention of all positions; keys are half as wide as values, and a depthwise convolution gives positions."""
    width, height, breadth = (int(n) for n in x.shape)
    positions, value = height * breadth, width // heads
    key = value // 2
    qkv = conv(b, x, width + 2 * heads * key, act="", name="qkv")
    scores = b.matmul(qkv, qkv, (heads, positions, positions), batch=heads, m=positions, n=positions, k=key,
                      name="scores")  # fmt: skip
    scores = b.softmax(b.scale(scores))
    y = b.matmul(qkv, scores, x.shape, batch=heads, m=value, n=positions, k=positions, name="mix")
    y = b.add(y, conv(b, b.view(qkv, x.shape, name="values"), width, 3, groups=width, act="", name="pe"))
    return conv(b, y, width, act="", name="proj")


Block = Callable[[Builder, Value, Step], Value]
BLOCKS: dict[str, Block] = {
    "conv": plain, "dwsep": depthwise, "focus": focus, "dark": dark, "dark3": dark3, "c3": c3, "c3dw": c3_depthwise,
    "csp": csp, "c2f": c2f, "c3k2": c2f, "cib": c2f, "spp": spp, "sppf": sppf, "sppcspc": sppcspc, "elan": elan,
    "mp": pool_down, "scdown": separate_down, "psa": self_attention, "upconv": up_conv,
}  # fmt: skip
"""The function that adds a layer of each kind."""
