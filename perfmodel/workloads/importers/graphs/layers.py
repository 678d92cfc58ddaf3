"""Layers that graphs of every kind are made of, added to a writer: what they read and the shape that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from perfmodel import ops
from perfmodel.formats import FLOAT16
from perfmodel.ops.conv import HALF
from perfmodel.workloads.importers.graphs.tensors import (
    Malformed,
    Shape,
    Tensor,
    axis_of,
    broadcast,
    rows_and_columns,
    shape_text,
)
from perfmodel.workloads.importers.graphs.writer import Writer

_SUMS = frozenset({"add", "sub"})


@dataclass(frozen=True)
class Window:
    """Where the windows of a convolution lie, one number a side; ``padding`` is of both ends together."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int = 1
    output_padding: Shape = ()

    def __post_init__(self) -> None:
        sides = len(self.kernel)
        for what in ("kernel", "stride", "padding", "dilation"):
            if len(getattr(self, what)) != sides:
                raise Malformed(f"{what} {getattr(self, what)} is not of {sides} sides")
        if sides not in (1, 2, 3):
            raise Malformed(f"is a convolution of {sides} dimensions, not of 1 to 3")
        if min(*self.kernel, *self.stride, *self.dilation, self.groups) < 1:
            raise Malformed(
                f"kernel {self.kernel}, stride {self.stride}, dilation {self.dilation} and groups {self.groups} "
                "must be at least 1"
            )

    def three(self, sizes: Sequence[int], filler: int) -> tuple[int, int, int]:
        """Return sizes of (frames, height, width), with ``filler`` for what is not there."""
        t, h, w = (*(filler for _ in range(3 - len(self.kernel))), *sizes)
        return t, h, w


def convolution(
    w: Writer, x: Tensor, weight: Tensor, bias: Tensor | None, window: Window, *, transposed: bool = False,
    deformed: tuple[int, bool] | None = None, others: Sequence[Tensor | None] = (),
) -> Tensor:  # fmt: skip
    """Add a convolution of (batch, channels, sides ...); ``deformed`` is (offset groups, whether there is a mask)."""
    sides = len(window.kernel)
    if x.rank != sides + 2 or weight.rank != sides + 2:
        raise Malformed(f"input {shape_text(x.shape)} and weights {shape_text(weight.shape)} are not of {sides} sides")
    batch, channels, *sizes = x.shape
    first, second = weight.shape[:2]
    fits = first == channels if transposed else second * window.groups == channels and first % window.groups == 0
    if not fits or channels % window.groups:
        raise Malformed(
            f"weights {shape_text(weight.shape)} in {window.groups} groups do not fit an input of {channels} channels"
        )
    out_per_group = second if transposed else first // window.groups
    t, h, wide = window.three(sizes, 1)
    common = (
        batch, window.groups, channels // window.groups, out_per_group, h, wide, t, window.three(window.kernel, 1),
        window.three(window.stride, 1), window.three(window.padding, 0), window.three(window.dilation, 1),
    )  # fmt: skip
    if transposed:
        extra = window.three(window.output_padding or (0,) * sides, 0)
        op: ops.Operator = ops.TransposedConv(*common, output_padding=extra)
    elif deformed is not None:
        op = ops.DeformableConv(*common, offset_groups=deformed[0], masked=deformed[1])
    else:
        op = ops.Conv(*common)
    assert isinstance(op, (ops.Conv, ops.TransposedConv, ops.DeformableConv))
    out = tuple(int(n) for n in op.sides())[3 - sides :]
    if min(out) < 1:
        raise Malformed(f"leaves nothing of an input of {shape_text(x.shape)}; is the input too small?")
    shape = (batch, out_per_group * window.groups, *out)
    return w.node(op, (x, weight, bias, *others), shape, weights=(weight, bias))


def product(w: Writer, a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Add ``a @ b`` by numpy's rule: a dense layer (or several) where one of them is fixed, else products."""
    if not a.rank or not b.rank:
        raise Malformed("is a product of a single number")
    left = a.shape if a.rank > 1 else (1, *a.shape)
    right = b.shape if b.rank > 1 else (*b.shape, 1)
    if left[-1] != right[-2]:
        raise Malformed(f"shapes {shape_text(a.shape)} and {shape_text(b.shape)} do not fit together")
    outer = broadcast(left[:-2], right[:-2])
    m, k, n = left[-2], left[-1], right[-1]
    shape = (*outer, *((m,) if a.rank > 1 else ()), *((n,) if b.rank > 1 else ()))
    if b.fixed:
        op = grouped(prod(right[:-2]), prod(outer), m, n, k)
    elif a.fixed:
        op = grouped(prod(left[:-2]), prod(outer), n, m, k)
    else:
        op = ops.BatchedMatmul(prod(outer), m, n, k)
    return w.node(op, (a, b, bias), shape, weights=(a, b, bias))


def grouped(groups: int, batch: int, rows: int, features: int, width: int) -> ops.Operator:
    """Return ``batch`` products of ``rows`` with ``groups`` fixed matrices: a dense layer, or a grouped convolution."""
    if groups == 1:
        return ops.Linear(batch * rows, features, width, HALF)
    return ops.Conv(
        batch * rows // groups, groups, width, features, 1, 1, kernel=(1, 1, 1), padding=(0, 0, 0)
    )  # fmt: skip


def dense(w: Writer, x: Tensor, features: int, weights: Sequence[Tensor | None], parameters: int = 0) -> Tensor:
    """Add a dense layer to ``features`` over the last dimension."""
    if not x.rank:
        raise Malformed("is a dense layer of a single number")
    op = ops.Linear(prod(x.shape[:-1]), features, x.shape[-1], HALF)
    return w.node(op, (x, *weights), (*x.shape[:-1], features), weights=weights, parameters=parameters)


def activation(w: Writer, x: Tensor, kind: str, weights: Sequence[Tensor | None] = (), dtype: str = "") -> Tensor:
    """Add what turns each element into one."""
    return w.node(
        ops.Activation(*rows_and_columns(x.shape)), (x, *weights), x.shape, weights=weights, kind=kind, dtype=dtype
    )


def elementwise(w: Writer, inputs: Sequence[Tensor], kind: str, shape: Shape | None = None, dtype: str = "") -> Tensor:
    """Add a sum, product, comparison ... of tensors, element by element, of ``shape`` if they do not tell it.

    With fixed numbers, or a tensor of fewer elements, it is a scale; of two of one size, a sum or product.
    """
    whole = broadcast(*(t.shape for t in inputs)) if shape is None else shape
    rows = rows_and_columns(whole)
    full = sum(1 for t in inputs if not t.fixed and t.shape == whole)
    if full < 2:
        op: ops.Operator = ops.Scale(*rows)
    else:
        op = ops.Add(*rows) if kind in _SUMS else ops.Multiply(*rows)
    return w.node(op, inputs, whole, kind=kind, dtype=dtype)


def copied(w: Writer, inputs: Sequence[Tensor | None], shape: Sequence[int], kind: str = "") -> Tensor:
    """Add a movement of elements: a transposition, a concatenation, a gather, a padding."""
    cols = shape[-1] if len(shape) > 1 else 1
    return w.node(ops.Copy(prod(shape) // cols if cols else 0, cols), inputs, shape, kind=kind)


def transposed(w: Writer, x: Tensor, order: Sequence[int]) -> Tensor:
    """Add a transposition; a view, if only dimensions of one element change places."""
    if sorted(order) != list(range(x.rank)):
        raise Malformed(f"order {tuple(order)} is none of {x.rank} dimensions")
    shape = tuple(x.shape[i] for i in order)
    long = [i for i in order if x.shape[i] != 1]
    return w.view(x, shape) if long == sorted(long) else copied(w, (x,), shape)


def pooled(w: Writer, x: Tensor, sides: Sequence[int], taps: int) -> Tensor:
    """Add a maximum or mean over windows of ``taps`` positions of (batch, channels, sides ...)."""
    if x.rank < 3:
        raise Malformed(f"pools an input of {shape_text(x.shape)}; it needs (batch, channels, sides ...)")
    op = ops.Pool(x.shape[0], x.shape[1], prod(x.shape[2:]), prod(sides), taps)
    return w.node(op, (x,), (*x.shape[:2], *sides))


def reduced(w: Writer, x: Tensor, axes: Sequence[int], keep: bool, kind: str, dtype: str = "") -> Tensor:
    """Add a mean, sum, maximum ... over axes."""
    gone = {axis_of(axis, x.rank) for axis in axes}
    shape = tuple(1 if i in gone else n for i, n in enumerate(x.shape) if keep or i not in gone)
    taps = prod(x.shape[i] for i in gone)
    if taps == 1:
        return w.view(x, shape, dtype=dtype)
    batch = x.shape[0] if 0 not in gone else 1
    left = prod(shape) // batch if batch else 0
    return w.node(ops.Pool(batch, left, taps, 1, taps), (x,), shape, kind=kind, dtype=dtype)


def softmax(w: Writer, x: Tensor, axis: int, *, whole: bool = False, kind: str = "") -> Tensor:
    """Add a softmax over an axis (``whole``: over it and all that follow)."""
    axis = axis_of(axis, max(x.rank, 1)) if x.rank else 0
    cols = prod(x.shape[axis:]) if whole else x.shape[axis] if x.rank else 1
    return w.node(ops.Softmax(x.elements // cols if cols else 0, cols), (x,), x.shape, kind=kind)


def layer_norm(w: Writer, x: Tensor, columns: int, weights: Sequence[Tensor | None], *, rms: bool = False) -> Tensor:
    """Add a layer norm (``rms``: a root-mean-square norm) over the last ``columns`` elements."""
    kind = ops.RmsNorm if rms else ops.LayerNorm
    return w.node(kind(x.elements // max(columns, 1), columns), (x, *weights), x.shape, weights=weights)


def group_norm(w: Writer, x: Tensor, groups: int, weights: Sequence[Tensor | None]) -> Tensor:
    """Add a norm over groups of channels of each sample."""
    if x.rank < 2 or groups < 1 or x.shape[1] % groups:
        raise Malformed(f"norms an input of {shape_text(x.shape)} in {groups} groups")
    rows = x.shape[0] * groups
    return w.node(ops.GroupNorm(rows, x.elements // rows), (x, *weights), x.shape, weights=weights)


def batch_norm(
    w: Writer, x: Tensor, scale: Tensor | None, shift: Tensor | None, rest: Sequence[Tensor | None]
) -> Tensor:
    """Add a batch norm; its running statistics (``rest``) are not learned."""
    columns = x.shape[1] if x.rank > 1 else 1
    op = ops.BatchNorm(x.elements // columns, columns)
    return w.node(op, (x, scale, shift, *rest), x.shape, weights=(scale, shift))


def resized(w: Writer, x: Tensor, shape: Shape, mode: str) -> Tensor:
    """Add an interpolation of (batch, channels, sides ...) to ``shape``: nearest, linear or cubic."""
    if shape == x.shape:
        return w.view(x, shape)
    sides = sum(1 for a, b in zip(x.shape[2:], shape[2:], strict=True) if a != b)
    taps = {"nearest": 1, "linear": 2**sides, "cubic": 4**sides}[mode]
    op = ops.Resize(x.shape[0], prod(x.shape[1:2]), prod(x.shape[2:]), prod(shape[2:]), taps)
    return w.node(op, (x,), shape, kind=mode)


def looked_up(w: Writer, table: Tensor, indices: Tensor, shape: Shape) -> Tensor:
    """Add a look-up of rows of a learned table, one an index."""
    columns = prod(shape) // max(indices.elements, 1)
    op = ops.Embedding(indices.elements, columns)
    return w.node(op, (table, indices), shape, weights=(table,), dtype=table.dtype)


@dataclass(frozen=True)
class Heads:
    """The sizes of an attention: ``qk`` and ``v`` are the widths of a head."""

    batch: int
    heads: int
    kv_heads: int
    q_tokens: int
    kv_tokens: int
    qk: int
    v: int
    causal: bool = False


def attention(w: Writer, inputs: Sequence[Tensor | None], shape: Shape, heads: Heads) -> Tensor:
    """Add softmax attention as one operator."""
    if min(heads.heads, heads.kv_heads) < 1 or heads.heads % heads.kv_heads:
        raise Malformed(f"is attention of {heads.heads} heads over {heads.kv_heads}")
    width, odd = divmod(heads.qk + heads.v, 2)
    causal = heads.causal and heads.q_tokens <= heads.kv_tokens
    op = ops.AttentionPrefill(
        heads.batch, heads.q_tokens, heads.kv_tokens, heads.heads, heads.kv_heads, width + odd / 2 if odd else width,
        causal=causal, dtype="float16", cache=FLOAT16, writes_cache=False, fused=True,
    )  # fmt: skip
    return w.node(op, inputs, shape)
