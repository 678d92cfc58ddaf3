"""Networks of searched cells: NASNet-A and PNASNet-5."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("nasnet")
def nasnet(
    name: str,
    *,
    width: int = 168,
    cells: Sequence[int] = (6, 6, 6),
    stem: int = 96,
    image: int = 331,
    classes: int = 1000,
) -> Network:
    """Return a NASNet-A: two reduction cells, then ``cells`` normal cells a stage with a reduction cell between.

    ``width`` is the width of the first stage's branches (the last features divided by 24), ``stem`` that of the first
    convolution. Source: Zoph et al. 2017 (arXiv 1707.07012), figure 4 and appendix A.4; timm models/nasnet.py.
    """
    b = Builder(name, "nasnet", (3, image, image))
    first = b.conv_bn(b.input(), stem, 3, 2, 0, act="", name="conv0")
    with b.block("stem0"):
        x = _reduction_a(b, _act_conv(b, first, width // 4, 1, "conv_1x1"), first, width // 4)
    with b.block("stem1"):
        before, x = x, _cell_a(b, x, first, width // 2, True)
    for stage, count in enumerate(cells):
        wide = width * 2**stage
        if stage:
            with b.block(f"reduction{stage}"):
                behind, before, x = before, x, _cell_a(b, x, before, wide, True)
        else:
            behind = before
        for index in range(count):
            with b.block(f"stage{stage + 1}.{index}"):
                other = behind if index == 0 else before
                before, x = x, _cell_a(b, x, other, wide, False)
    return b.build(b.linear(b.global_pool(b.act(x)), classes, name="fc"))


def _cell_a(b: Builder, x: Value, before: Value, width: int, reduces: bool) -> Value:
    """Add a cell of NASNet-A on what the cell before left and what the one before that left."""
    past = _fitted(b, before, x, width)
    x = _act_conv(b, x, width, 1, "conv_1x1")
    return (_reduction_a if reduces else _normal_a)(b, x, past, width)


def _reduction_a(b: Builder, x: Value, past: Value, width: int) -> Value:
    zero = b.add(_separables(b, x, width, 5, 2), _separables(b, past, width, 7, 2))
    one = b.add(_pool(b, x, 2), _separables(b, past, width, 7, 2))
    two = b.add(_pool(b, x, 2), _separables(b, past, width, 5, 2))
    three = b.add(_pool(b, zero, 1), one)
    four = b.add(_separables(b, zero, width, 3, 1), _pool(b, x, 2))
    return b.concat((one, two, three, four))


def _normal_a(b: Builder, x: Value, past: Value, width: int) -> Value:
    zero = b.add(_separables(b, x, width, 5, 1), _separables(b, past, width, 3, 1))
    one = b.add(_separables(b, past, width, 5, 1), _separables(b, past, width, 3, 1))
    two = b.add(_pool(b, x, 1), past)
    three = b.add(_pool(b, past, 1), _pool(b, past, 1))
    four = b.add(_separables(b, x, width, 3, 1), x)
    return b.concat((past, zero, one, two, three, four))


@family("pnasnet")
def pnasnet(
    name: str,
    *,
    width: int = 54,
    cells: Sequence[int] = (4, 3, 3),
    stem: int = 96,
    image: int = 331,
    classes: int = 1000,
) -> Network:
    """Return a PNASNet-5: two halving cells, then ``cells`` cells a stage, each later stage begun by a halving one.

    ``width`` is the width of the first cell's branches; it doubles with every halving and between the stem and the
    first stage. Source: Liu et al. 2017 (arXiv 1712.00559), figure 1 and section 5; timm models/pnasnet.py.
    """
    b = Builder(name, "pnasnet", (3, image, image))
    before = b.conv_bn(b.input(), stem, 3, 2, 0, act="", name="conv0")
    with b.block("stem0"):
        x = _cell_p(b, _act_conv(b, before, width, 1, "conv_1x1"), before, width, 2)
    plan = [("stem1", 2 * width, 2)]
    for stage, count in enumerate(cells):
        wide = 4 * width * 2**stage
        plan += [(f"reduction{stage}", wide, 2)] if stage else []
        plan += [(f"stage{stage + 1}.{index}", wide, 1) for index in range(count)]
    for label, wide, stride in plan:
        with b.block(label):
            past = _fitted(b, before, x, wide)
            before, x = x, _cell_p(b, _act_conv(b, x, wide, 1, "conv_1x1"), past, wide, stride)
    return b.build(b.linear(b.global_pool(b.act(x)), classes, name="fc"))


def _cell_p(b: Builder, x: Value, past: Value, width: int, stride: int) -> Value:
    pooled = _pool(b, past, stride)
    if past.channels != width:
        pooled = b.conv_bn(pooled, width, 1, act="", name="pool_1x1")
    zero = b.add(_separables(b, past, width, 5, stride), pooled)
    one = b.add(_separables(b, x, width, 7, stride), _pool(b, x, stride))
    two = b.add(_separables(b, x, width, 5, stride), _separables(b, x, width, 3, stride))
    three = b.add(_separables(b, two, width, 3, 1), _pool(b, x, stride))
    kept = _act_conv(b, x, width, stride, "reduce_1x1") if stride > 1 else x
    four = b.add(_separables(b, past, width, 3, stride), kept)
    return b.concat((zero, one, two, three, four))


def _fitted(b: Builder, x: Value, like: Value, width: int) -> Value:
    """Add what gives an earlier cell's result its width, and the size of ``like``: two strided halves, one shifted."""
    if x.shape[1:] == like.shape[1:]:
        return _act_conv(b, x, width, 1, "conv_prev_1x1")
    x = b.act(x)
    shifted = b.copy(x, name="shift")
    halves = [b.conv(b.avg_pool(y, 1, 2), width // 2, 1, bias=False, name="path") for y in (x, shifted)]
    return b.batch_norm(b.concat(halves), name="path_bn")


def _act_conv(b: Builder, x: Value, width: int, stride: int, name: str) -> Value:
    return b.conv_bn(b.act(x), width, 1, stride, act="", name=name)


def _pool(b: Builder, x: Value, stride: int) -> Value:
    return b.max_pool(x, 3, stride, "same")


def _separables(b: Builder, x: Value, width: int, kernel: int, stride: int) -> Value:
    """Add two separable convolutions, each after an activation and before a batch norm; the first one strides."""
    with b.scope("separable"):
        for by in (stride, 1):
            x = b.conv(b.act(x), x.channels, kernel, by, "same", groups=x.channels, bias=False, name="dw")
            x = b.batch_norm(b.conv(x, width, 1, bias=False, name="pw"))
    return x
