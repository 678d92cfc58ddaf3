"""Attention and position embeddings: the standard's (operator set 23) and ONNX Runtime's own."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.workloads.importers.graphs.layers import Heads, attention, copied, dense
from perfmodel.workloads.importers.graphs.tensors import Malformed, NotCounted, Tensor, rows_and_columns, shape_text
from perfmodel.workloads.importers.onnx_ops.call import MICROSOFT, Call, Result, lowers


@lowers("Attention")
def standard(c: Call) -> Result:
    """Lower attention of Q, K, V as (batch, heads, tokens, width) or (batch, tokens, width of all heads).

    Further inputs: mask, earlier keys and values; further results: keys and values, scores.
    """
    q, k, v = c.x, c.need(1), c.need(2)
    if not q.rank == k.rank == v.rank or q.rank not in (3, 4):
        raise Malformed(f"attends with {shape_text(q.shape)}, {shape_text(k.shape)} and {shape_text(v.shape)}")
    past = c.get(4)
    if q.rank == 4:
        (batch, heads, tokens, qk), kv_heads, kv_tokens, wide = q.shape, k.shape[1], k.shape[2], v.shape[3]
    else:
        batch, tokens, all_qk = q.shape
        heads, kv_heads = c.int("q_num_heads"), c.int("kv_num_heads")
        if heads < 1 or kv_heads < 1 or all_qk % heads or v.shape[2] % kv_heads:
            raise Malformed(f"splits widths {all_qk} and {v.shape[2]} into {heads} and {kv_heads} heads")
        qk, kv_tokens, wide = all_qk // heads, k.shape[1], v.shape[2] // kv_heads
    if past is not None and past.rank == 4:
        kv_tokens += past.shape[2]
    sizes = Heads(batch, heads, kv_heads, tokens, kv_tokens, qk, wide, c.flag("is_causal"))
    shape = (batch, heads, tokens, wide) if q.rank == 4 else (batch, tokens, heads * wide)
    y = attention(c.write, c.inputs[:6], shape, sizes)
    found = [y, *_caches(c, ((k, past), (v, c.get(5))), (batch, kv_heads, kv_tokens), (qk, wide))]
    if c.outputs > 3:
        found.append(copied(c.write, (q, k), (batch, heads, tokens, kv_tokens), "scores"))
    return found


def _caches(
    c: Call, parts: Sequence[tuple[Tensor, Tensor | None]], sizes: tuple[int, int, int], widths: Sequence[int]
) -> list[Tensor]:
    """Return the keys and values that an attention hands on, if anybody takes them: views of old and new."""
    taken = list(zip(parts, widths, strict=True))[: max(c.outputs - 1, 0)]
    return [c.write.node(None, part, (*sizes, width)) for part, width in taken]


@lowers("Attention", domain=MICROSOFT)
def with_projection(c: Call) -> Result:
    """Lower a projection to queries, keys and values, and their attention: input, weights, bias, mask, past."""
    x, weight, bias = c.x, c.need(1), c.get(2)
    if x.rank != 3 or weight.rank != 2:
        raise Malformed("needs (batch, tokens, width) and a matrix of weights")
    widths = c.ints("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
    heads, past = c.int("num_heads"), c.get(4)
    if heads < 1 or len(widths) != 3 or any(n % heads for n in widths) or sum(widths) != weight.shape[1]:
        raise Malformed(f"splits {weight.shape[1]} features into {widths} of {heads} heads")
    qkv = dense(c.write, x, weight.shape[1], (weight, bias))
    earlier = past.shape[3] if past is not None and past.rank == 5 else 0
    batch, tokens, _ = x.shape
    sizes = Heads(
        batch, heads, heads, tokens, tokens + earlier, widths[0] // heads, widths[2] // heads, c.flag("unidirectional")
    )
    y = attention(c.write, (qkv, c.get(3), past, c.get(5)), (batch, tokens, widths[2]), sizes)
    if c.outputs < 2:
        return y
    return [y, c.write.node(None, (qkv, past), (2, batch, heads, tokens + earlier, widths[0] // heads))]


@lowers("MultiHeadAttention", domain=MICROSOFT)
def multi_head(c: Call) -> Result:
    """Lower attention of projected queries, keys and values, perhaps packed; further inputs: bias, masks, past."""
    q, k, v = c.x, c.get(1), c.get(2)
    heads, past = c.int("num_heads"), c.get(6)
    if heads < 1 or q.rank < 3:
        raise Malformed(f"attends with {shape_text(q.shape)} in {heads} heads")
    batch, tokens = q.shape[:2]
    packed = k is None and q.rank == 5
    width = prod(q.shape[2:]) // (3 if packed else 1)
    kv_tokens, v_width = tokens, width
    if k is not None:
        kv_tokens = k.shape[2] if k.rank == 4 else k.shape[1] if k.rank in (3, 5) else kv_tokens
        last = v if v is not None else k
        v_width = heads * last.shape[3] if last.rank == 4 else width if last.rank == 5 else last.shape[-1]
    if width % heads or v_width % heads:
        raise Malformed(f"splits widths {width} and {v_width} into {heads} heads")
    if c.get(3) is not None:
        q = c.write.node(ops.Scale(*rows_and_columns(q.shape)), (q, c.get(3)), q.shape, kind="add")
    if past is not None and past.rank == 4:
        kv_tokens += past.shape[2]
    sizes = Heads(
        batch, heads, heads, tokens, kv_tokens, width // heads, v_width // heads, c.flag("unidirectional")
    )  # fmt: skip
    y = attention(c.write, (q, k, v, *c.inputs[4:8]), (batch, tokens, v_width), sizes)
    parts = ((k or q, past), (v or q, c.get(7)))
    return [y, *_caches(c, parts, (batch, heads, kv_tokens), (width // heads, v_width // heads))]


@lowers("GroupQueryAttention", domain=MICROSOFT)
def grouped(c: Call) -> Result:
    """Lower causal attention of a decoder with its cache; queries, keys and values may be packed in the first input."""
    q, k, v, past = c.x, c.get(1), c.get(2), c.get(3)
    heads, kv_heads = c.int("num_heads"), c.int("kv_num_heads")
    if heads < 1 or kv_heads < 1 or q.rank != 3:
        raise Malformed(f"attends with {shape_text(q.shape)} in {heads} heads over {kv_heads}")
    batch, tokens, width = q.shape
    width = width if k is not None else width * heads // (heads + 2 * kv_heads)
    head = width // heads
    kv_tokens = tokens + (past.shape[2] if past is not None and past.rank == 4 else 0)
    sizes = Heads(batch, heads, kv_heads, tokens, kv_tokens, head, head, causal=True)
    if c.flag("do_rotary"):
        q = c.write.node(ops.Rope(batch * tokens, (heads + kv_heads) * head), (q, k), q.shape)
    y = attention(c.write, (q, k, v, past, c.get(4)), (batch, tokens, heads * head), sizes)
    parts = ((k or q, past), (v or q, c.get(4)))
    return [y, *_caches(c, parts, (batch, kv_heads, kv_tokens), (head, head))]


@lowers("RotaryEmbedding")
def rotary(c: Call) -> Result:
    """Lower a rotation of queries or keys by their places."""
    return _rotated(c, c.x)


@lowers("RotaryEmbedding", domain=MICROSOFT)
def rotary_there(c: Call) -> Result:
    """Lower a rotation of queries or keys by their places."""
    return _rotated(c, c.x)


def _rotated(c: Call, x: Tensor) -> Tensor:
    rows, columns = rows_and_columns(x.shape)
    return c.write.node(ops.Rope(rows, columns), (x, *c.inputs[1:4]), x.shape, weights=())


@lowers("RelativePositionBias", "GatedRelativePositionBias", domain=MICROSOFT)
def position_bias(c: Call) -> Result:
    """Report a bias of positions: its size depends on the data."""
    raise NotCounted("its shape depends on the data")


@lowers("LinearAttention")
def linear(c: Call) -> Result:
    """Report linear attention: its state's work is not known from the graph, the shape of its result is."""
    q, k, v = c.x, c.need(1), c.need(2)
    heads, kv_heads = c.int("q_num_heads", 1), c.int("kv_num_heads", 1)
    if q.rank != 3 or v.rank != 3 or min(heads, kv_heads) < 1:
        raise Malformed(f"attends with {shape_text(q.shape)} in {heads} heads over {kv_heads}")
    wide = v.shape[2] // kv_heads
    state = (q.shape[0], kv_heads, k.shape[-1] // kv_heads, wide)
    raise NotCounted("linear attention is not lowered", (*q.shape[:2], heads * wide), state)
