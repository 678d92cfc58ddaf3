"""Operators as the matrix products that an array runs."""

from __future__ import annotations

from typing import NamedTuple

from perfmodel.cost.systolic.array import conv_as_gemm
from perfmodel.numeric import Number, maximum
from perfmodel.ops import AttentionDecode, AttentionPrefill, BatchedMatmul, Experts, Linear, Operator
from perfmodel.ops.conv import Convolution


class Product(NamedTuple):
    """``repeats`` products of M x K by K x N; ``inputs`` is what they read of distinct inputs each (None: M*K)."""

    m: Number
    n: Number
    k: Number
    repeats: Number = 1.0
    inputs: Number | None = None


def products_of(op: Operator) -> list[Product]:
    """Return the products of one operator; none for what has no matrix arithmetic, or another shape of it.

    A group of a convolution is a product, and so is an expert that is touched, a KV head of a sequence (its queries
    against the keys that they see on average, then scores against values).
    """
    if isinstance(op, (Linear, BatchedMatmul)):
        return [Product(op.m, op.n, op.k, getattr(op, "batch", 1.0))]
    if isinstance(op, Convolution):
        positions = op.multiplications() / maximum(op.weights, 1e-9)
        m, n, k = conv_as_gemm(positions, op.in_per_group, op.out_per_group, op.taps)
        return [Product(m, n, k, op.groups, op.batch * op.inputs * op.in_per_group)]
    if isinstance(op, Experts):
        rows, touched = op.rank_share()
        each, width = rows / maximum(touched, 1e-9), op.intermediate / op.tp
        wide = Product(each, width, op.hidden, touched * (op.matrices - 1.0))
        return [wide, Product(each, op.hidden, width, touched)]
    return _attention_products(op)


def _attention_products(op: Operator) -> list[Product]:
    if isinstance(op, AttentionPrefill):
        seen = op.pairs() / maximum(op.batch * op.q_tokens, 1e-9)
        return _attention(op.q_tokens * op.heads / op.kv_heads, seen, op.head_dim, op.batch * op.kv_heads)
    if isinstance(op, AttentionDecode):
        return _attention(op.heads / op.kv_heads, op.visible(), op.head_dim, op.batch * op.kv_heads)
    return []


def _attention(rows: Number, seen: Number, width: Number, repeats: Number) -> list[Product]:
    return [Product(rows, seen, width, repeats), Product(rows, width, seen, repeats)]
