"""ATen's convolutions, products, attention, norms, tables and recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from perfmodel import ops
from perfmodel.ops.conv import HALF
from perfmodel.workloads.importers.aten.call import AtenCall, lowers
from perfmodel.workloads.importers.graphs.contraction import contracted
from perfmodel.workloads.importers.graphs.layers import (
    Heads,
    Window,
    attention,
    batch_norm,
    convolution,
    group_norm,
    layer_norm,
    looked_up,
    product,
)
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor, shape_text


@lowers("conv1d", "conv2d", "conv3d", "convolution", "_convolution")
def conv(c: AtenCall) -> Tensor:
    """Lower a convolution: input, weight, bias, stride, padding, dilation, [transposed, output padding,] groups."""
    x, weight = c.x, c.need(1, "weight")
    sides = max(weight.rank - 2, 1)
    general = c.op.endswith("convolution")
    stride, dilation = c.ints(3, "stride", sides, 1), c.ints(5, "dilation", sides, 1)
    transposed = general and bool(c.arg(6, "transposed", False))
    extra = c.ints(7, "output_padding", sides, 0) if general else ()
    groups = c.whole(8 if general else 6, "groups", 1)
    pads = _padding(c, sides, weight.shape[2:], dilation)
    window = Window(weight.shape[2:], stride, pads, dilation, groups, extra if transposed else ())
    return convolution(c.write, x, weight, c.get(2, "bias"), window, transposed=transposed)


def _padding(c: AtenCall, sides: int, kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    wanted = c.arg(4, "padding")
    if wanted == "same":
        return tuple(d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    if wanted == "valid":
        return (0,) * sides
    return tuple(2 * n for n in c.ints(4, "padding", sides, 0))


@lowers("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(c: AtenCall) -> Tensor:
    """Lower a transposed convolution: input, weight, bias, stride, padding, output padding, groups, dilation."""
    weight = c.need(1, "weight")
    sides = max(weight.rank - 2, 1)
    pads = tuple(2 * n for n in c.ints(4, "padding", sides, 0))
    window = Window(
        weight.shape[2:], c.ints(3, "stride", sides, 1), pads, c.ints(7, "dilation", sides, 1), c.whole(6, "groups", 1),
        c.ints(5, "output_padding", sides, 0),
    )  # fmt: skip
    return convolution(c.write, c.x, weight, c.get(2, "bias"), window, transposed=True)


@lowers("torchvision.deform_conv2d")
def deform_conv(c: AtenCall) -> Tensor:
    """Lower a deformable convolution: input, weight, offset, mask, bias, strides, paddings, dilations, groups, ..."""
    weight, offset = c.need(1, "weight"), c.need(2, "offset")
    numbers = [
        c.whole(place, "", default) for place, default in zip(range(5, 13), (1, 1, 0, 0, 1, 1, 1, 1), strict=True)
    ]
    window = Window(
        weight.shape[2:], tuple(numbers[:2]), (2 * numbers[2], 2 * numbers[3]), tuple(numbers[4:6]), numbers[6]
    )
    masked = bool(c.arg(13, "use_mask", True))
    return convolution(
        c.write, c.x, weight, c.get(4, "bias"), window, deformed=(numbers[7], masked),
        others=(offset, c.get(3, "mask") if masked else None),
    )  # fmt: skip


def turned(tensor: Tensor) -> Tensor:
    """Return a matrix as a product that transposes it reads it."""
    if tensor.rank < 2:
        raise Malformed(f"transposes {shape_text(tensor.shape)}")
    return replace(tensor, shape=(*tensor.shape[:-2], tensor.shape[-1], tensor.shape[-2]))


@lowers("linear")
def linear(c: AtenCall) -> Tensor:
    """Lower a dense layer: input, weight of (out, in), bias."""
    return product(c.write, c.x, turned(c.need(1, "weight")), c.get(2, "bias"))


@lowers("mm", "bmm", "matmul", "mv", "dot")
def matmul(c: AtenCall) -> Tensor:
    """Lower a product."""
    return product(c.write, c.x, c.need(1, "mat2" if c.op != "matmul" else "other"))


@lowers("addmm", "baddbmm", "addbmm")
def add_matmul(c: AtenCall) -> Tensor:
    """Lower a product with a bias: bias, a, b."""
    return product(c.write, c.need(1, "mat1"), c.need(2, "mat2"), c.x)


@lowers("einsum")
def einsum(c: AtenCall) -> Tensor:
    """Lower a contraction by its letters."""
    equation, tensors = c.arg(0, "equation"), c.tensors()
    if not isinstance(equation, str):
        raise Malformed("says no equation")
    return contracted(c.write, equation, tensors)


@lowers(
    "scaled_dot_product_attention", "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_attention_math",
    "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_fused_attention_overrideable",
)  # fmt: skip
def attend(c: AtenCall) -> list[Tensor | None]:
    """Lower attention of (..., heads, tokens, width): query, key, value, mask, dropout, causal."""
    q, k, v = c.x, c.need(1, "key"), c.need(2, "value")
    if min(q.rank, k.rank, v.rank) < 3 or q.rank != k.rank or k.rank != v.rank:
        raise Malformed(f"attends with {shape_text(q.shape)}, {shape_text(k.shape)} and {shape_text(v.shape)}")
    mask = c.get(3, "attn_mask") or c.get(3, "attn_bias")
    flag = {"_scaled_dot_product_efficient_attention": 6, "_scaled_dot_product_flash_attention": 4}.get(c.op, 5)
    if c.op == "_scaled_dot_product_flash_attention_for_cpu":
        flag = 4
    sizes = Heads(
        prod(q.shape[:-3]), q.shape[-3], k.shape[-3], q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1],
        c.arg(flag, "is_causal", False) is True,
    )  # fmt: skip
    y = attention(c.write, (q, k, v, mask), (*q.shape[:-1], v.shape[-1]), sizes)
    return [y, *(None for _ in c.results[1:])]


@lowers(
    "batch_norm", "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm", "_batch_norm_no_update", "_batch_norm_with_update", "_batch_norm_impl_index",
)  # fmt: skip
def norm_batch(c: AtenCall) -> list[Tensor | None]:
    """Lower a batch norm: input, weight, bias, mean, variance."""
    rest = (c.get(3, "running_mean"), c.get(4, "running_var"))
    y = batch_norm(c.write, c.x, c.get(1, "weight"), c.get(2, "bias"), rest)
    return [y, *(None for _ in c.results[1:])]


@lowers("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
def norm_layer(c: AtenCall) -> list[Tensor | None]:
    """Lower a layer norm: input, normalised shape, weight, bias."""
    axes = c.arg(1, "normalized_shape")
    columns = prod(axes) if isinstance(axes, list) else c.x.shape[-1]
    weights = (c.get(2, "weight"), c.get(3, "bias"))
    y = layer_norm(c.write, c.x, columns, weights, rms="rms" in c.op)
    return [y, *(None for _ in c.results[1:])]


@lowers("group_norm")
def norm_group(c: AtenCall) -> Tensor:
    """Lower a group norm: input, groups, weight, bias."""
    return group_norm(c.write, c.x, c.whole(1, "num_groups", 1), (c.get(2, "weight"), c.get(3, "bias")))


@lowers("native_group_norm")
def norm_group_native(c: AtenCall) -> list[Tensor | None]:
    """Lower a group norm: input, weight, bias, N, C, HxW, groups."""
    y = group_norm(c.write, c.x, c.whole(6, "group", 1), (c.get(1, "weight"), c.get(2, "bias")))
    return [y, *(None for _ in c.results[1:])]


@lowers("instance_norm")
def norm_instance(c: AtenCall) -> Tensor:
    """Lower a norm of each channel of each sample."""
    channels = c.x.shape[1] if c.x.rank > 1 else 0
    return group_norm(c.write, c.x, channels, (c.get(1, "weight"), c.get(2, "bias")))


@lowers("embedding")
def embedding(c: AtenCall) -> Tensor:
    """Lower a look-up of rows: table, indices."""
    return looked_up(c.write, c.need(0, "weight"), c.need(1, "indices"), c.shape)


@lowers("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(c: AtenCall) -> list[Tensor | None]:
    """Lower sums of looked-up rows: table, indices, offsets."""
    table, indices = c.need(0, "weight"), c.need(1, "indices")
    if table.rank != 2 or len(c.shape) != 2:
        raise Malformed(f"looks up bags in {shape_text(table.shape)}")
    bags = max(c.shape[0], 1)
    op = ops.EmbeddingBag(bags, 1, table.shape[0], max(indices.elements // bags, 1), table.shape[1])
    y = c.write.node(op, (table, indices), c.shape, weights=(table,), dtype=table.dtype)
    return [y, *(None for _ in c.results[1:])]


@lowers("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(c: AtenCall) -> list[Tensor | None]:
    """Lower a recurrent layer as dense layers over all steps: input, state(s), weights of all layers, ...

    Omits: that the recurrence reads its weights again in every step, one after the other.
    """
    x = c.x
    stored = [t for t in (c.arg(2, "params") or []) if isinstance(t, Tensor)]
    matrices = [t for t in stored if t.rank == 2]
    if x.rank != 3 or not matrices:
        raise Malformed("needs (batch, steps, features) and weights")
    rows = prod(x.shape[:2])
    y = x
    for weight in matrices:
        op = ops.Linear(rows, weight.shape[0], weight.shape[1], HALF)
        y = c.write.node(op, (y, weight), (*x.shape[:2], weight.shape[0]), weights=(weight,))
    hidden = c.shape[-1]
    biases = [t for t in stored if t.rank == 1]
    gates = ops.GatedActivation(rows, sum(t.shape[0] for t in matrices[::2]))
    y = c.write.node(gates, (y, *biases), (*c.shape[:-1], hidden), weights=biases, kind=c.op)
    return [y, *(c.write.view(y, r.shape) if r else None for r in c.results[1:])]
