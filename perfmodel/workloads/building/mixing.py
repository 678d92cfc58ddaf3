"""Attention, products of activations, and tables."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.formats import FLOAT16
from perfmodel.numeric import Number
from perfmodel.workloads.building.nodes import NodeBuilder, Value
from perfmodel.workloads.network import Shape


class Mixing(NodeBuilder):
    """Layers in which positions or rows of a table meet."""

    def attend(
        self, inputs: Sequence[Value], shape: Shape, *, heads: Number, head_dim: Number, q_tokens: Number,
        kv_tokens: Number | None = None, windows: Number = 1, kv_heads: Number | None = None, fused: bool = True,
        causal: bool = False, parameters: Number = 0, name: str = "attend",
    ) -> Value:  # fmt: skip
        """Add softmax attention of ``q_tokens`` over ``kv_tokens`` in each of ``windows``; ``shape`` is the result's.

        ``inputs`` are the values that hold queries, keys and values. ``parameters`` count position biases.
        """
        op = ops.AttentionPrefill(
            windows, q_tokens, q_tokens if kv_tokens is None else kv_tokens, heads,
            heads if kv_heads is None else kv_heads, head_dim, causal=causal, dtype="float16", cache=FLOAT16,
            writes_cache=False, fused=fused,
        )  # fmt: skip
        return self.node(name, op, inputs, shape, parameters)

    def matmul(self, a: Value, b: Value, shape: Shape, *, batch: Number, m: Number, n: Number, k: Number,
               name: str = "matmul") -> Value:  # fmt: skip
        """Add ``batch`` products ``[m,k] x [k,n]`` of two activations."""
        return self.node(name, ops.BatchedMatmul(batch, m, n, k), (a, b), shape)

    def embedding_bag(
        self, x: Value, tables: int, rows: Number, lookups: Number, width: Number, *, name: str = "embedding_bag"
    ) -> Value:
        """Add sums of looked-up rows of ``tables`` tables of ``rows`` rows each."""
        op = ops.EmbeddingBag(1, tables, rows, lookups, width)
        return self.node(name, op, (x,), (tables, width), tables * rows * width)

    def embedding(self, x: Value, rows: Number, width: Number, tokens: Number, *, name: str = "embedding") -> Value:
        """Add a look-up of one row a token."""
        return self.node(name, ops.Embedding(tokens, width, table_rows=rows), (x,), (tokens, width), rows * width)
