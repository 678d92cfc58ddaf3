"""ONNX's norms."""

from __future__ import annotations

from math import prod

from perfmodel import ops
from perfmodel.workloads.importers.graphs.layers import batch_norm, elementwise, group_norm, layer_norm
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor, axis_of
from perfmodel.workloads.importers.onnx_ops.call import MICROSOFT, Call, Result, lowers


@lowers("BatchNormalization", "SpatialBN")
def batch(c: Call) -> Result:
    """Lower a batch norm: input, scale, shift, mean, variance. Training's further results are no nodes."""
    if c.x.rank < 1:
        raise Malformed("norms a single number")
    y = batch_norm(c.write, c.x, c.need(1), c.get(2), (c.get(3), c.get(4)))
    return [y, *(Tensor(c.need(1).shape) for _ in range(1, c.outputs))]


@lowers("InstanceNormalization")
def instance(c: Call) -> Result:
    """Lower a norm of each channel of each sample."""
    return group_norm(c.write, c.x, c.x.shape[1] if c.x.rank > 1 else 0, (c.need(1), c.get(2)))


@lowers("GroupNormalization")
def group(c: Call) -> Result:
    """Lower a norm of groups of channels."""
    return group_norm(c.write, c.x, c.int("num_groups", 1), (c.need(1), c.get(2)))


@lowers("GroupNorm", "SkipGroupNorm", domain=MICROSOFT)
def group_last(c: Call) -> Result:
    """Lower a norm of groups of channels, which stand last unless it is said otherwise."""
    x, groups = c.x, c.int("groups", 1)
    if x.rank < 3 or groups < 1:
        raise Malformed("needs (batch, sides ..., channels) and groups")
    skips = [t for t in (c.get(3), c.get(4)) if t is not None]
    if c.op == "SkipGroupNorm":
        x = elementwise(c.write, (x, *skips), "add", x.shape)
    rows = x.shape[0] * groups
    op = ops.GroupNorm(rows, x.elements // max(rows, 1))
    y = c.write.node(op, (x, c.get(1), c.get(2)), x.shape, weights=(c.get(1), c.get(2)))
    return [y, x][: max(c.outputs, 1)]


@lowers("LayerNormalization", "RMSNormalization")
def layer(c: Call) -> Result:
    """Lower a layer norm; the mean and deviation that it may return are no nodes."""
    return _layer(c, c.op == "RMSNormalization")


@lowers("SimplifiedLayerNormalization")
def simplified(c: Call) -> Result:
    """Lower a root-mean-square norm."""
    return _layer(c, rms=True)


def _layer(c: Call, rms: bool) -> Result:
    x = c.x
    axis = axis_of(c.int("axis", -1), max(x.rank, 1))
    y = layer_norm(c.write, x, prod(x.shape[axis:]), (c.need(1), c.get(2)), rms=rms)
    small = (*x.shape[:axis], *(1 for _ in x.shape[axis:]))
    return [y, *(c.write.view(y, small) for _ in range(1, c.outputs))]


@lowers("LpNormalization", "MeanVarianceNormalization")
def plain(c: Call) -> Result:
    """Lower a norm that learns nothing: over an axis, or over a sample's positions."""
    x = c.x
    if c.op == "LpNormalization" and x.rank:
        return layer_norm(c.write, x, x.shape[axis_of(c.int("axis", -1), x.rank)], ())
    axes = {axis_of(axis, x.rank) for axis in c.ints("axes", [0, 2, 3]) or []} - {0}
    return layer_norm(c.write, x, prod(x.shape[i] for i in axes), ())


@lowers("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip(c: Call) -> Result:
    """Lower ``norm(input + skip + bias)``: input, skip, gain, and (without a mean) bias of the norm and of the sum."""
    simple = c.op == "SkipSimplifiedLayerNormalization"
    gain, shift, bias = c.need(2), None if simple else c.get(3), c.get(3 if simple else 4)
    x = elementwise(c.write, [t for t in (c.x, c.need(1), bias) if t is not None], "add", c.x.shape)
    y = layer_norm(c.write, x, x.shape[-1], (gain, shift), rms=simple)
    rows = (*x.shape[:-1], 1)
    return [y, *(c.write.view(y, rows) for _ in range(1, min(c.outputs, 3))), x][: max(c.outputs, 1)]


@lowers("SimplifiedLayerNormalization", domain=MICROSOFT)
def simplified_there(c: Call) -> Result:
    """Lower a root-mean-square norm."""
    return _layer(c, rms=True)
