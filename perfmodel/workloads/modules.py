"""The modules of a layer and how many parameters each has: one function a kind of block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch

from perfmodel.workloads.spec import (
    CompressedAttention,
    CrossAttention,
    DenseFfn,
    GroupedQueryAttention,
    Indexer,
    LatentAttention,
    LayerGroup,
    LinearBlock,
    MemoryFfn,
    MoeFfn,
    RecurrentMixer,
)

Part = tuple[str, str, int]
"""Module, the field of Quantisation that gives its format, elements in one layer."""


def layer_parts(group: LayerGroup, hidden: int) -> Iterator[Part]:
    """Yield the modules of one layer that have any parameters."""
    for mixer in group.mixers:
        yield from _some(block_parts(mixer, hidden))
    if group.cross is not None:
        yield from _some(block_parts(group.cross, hidden))
    if group.ffn is not None:
        yield from _some(block_parts(group.ffn, hidden))
    yield from _some(_around(group, hidden))


def _some(parts: Iterator[Part]) -> Iterator[Part]:
    return (part for part in parts if part[2])


def _around(group: LayerGroup, hidden: int) -> Iterator[Part]:
    """Yield what lies around the blocks: norms, residual streams, a layer's own input."""
    yield "norms", "base", group.norms * hidden
    yield "hyper_connections", "base", hyper_connection_parameters(group, hidden)
    yield "side_input", "linear", 3 * group.side_width * hidden
    yield "other", "base", group.other


def hyper_connection_parameters(group: LayerGroup, hidden: int) -> int:
    """Return those of a layer's mixing of n streams: for each block ``(2n + n^2)*(n*hidden + 1) + 3``.

    Source: manifold-constrained hyper-connections (Xie et al. 2026), as DeepSeek-V4 has them.
    """
    n = group.streams
    if n == 1:
        return 0
    blocks = len(group.mixers) + (group.ffn is not None)
    return blocks * ((2 + n) * n * (n * hidden + 1) + 3)


@singledispatch
def block_parts(block: object, hidden: int) -> Iterator[Part]:
    """Yield the modules of one block, those without parameters too."""
    raise TypeError(f"{type(block).__name__} has no parameter count")


@block_parts.register
def _(a: GroupedQueryAttention, hidden: int) -> Iterator[Part]:
    queries, gate = a.heads * a.head_dim, {"none": 0, "element": a.heads * a.value_dim, "head": a.heads}[a.output_gate]
    keys, values = a.kv_heads * a.head_dim, 0 if a.shared_values else a.kv_heads * a.value_dim
    if a.shared_cache:
        keys = values = 0
    norm_heads, norm_keys = {"none": (0, 0), "head": (1, 1), "full": (a.heads, a.kv_heads)}[a.qk_norm]
    rows = queries + keys + values
    yield "attention.qkv", "attention", hidden * rows
    yield "attention.gate", "attention", hidden * gate
    yield "attention.output", "attention", a.heads * a.value_dim * hidden
    biased_gate = gate if a.output_gate == "element" else 0
    yield "attention.bias", "base", (rows + biased_gate) * a.qkv_bias + hidden * a.output_bias
    yield "attention.qk_norm", "base", (norm_heads + (0 if a.shared_cache else norm_keys)) * a.head_dim
    yield "attention.sinks", "base", a.heads * a.sinks


@block_parts.register
def _(a: LatentAttention, hidden: int) -> Iterator[Part]:
    queries, rank = a.heads * (a.nope_dim + a.rope_dim), a.q_lora_rank
    cached = a.kv_lora_rank + a.rope_dim
    if rank:
        yield "attention.q_down", "attention", hidden * rank
    yield "attention.q_up" if rank else "attention.q", "attention", (rank or hidden) * queries
    yield "attention.kv_down", "attention", hidden * cached
    yield "attention.kv_up", "attention", a.kv_lora_rank * a.heads * (a.nope_dim + a.v_dim)
    yield "attention.output", "attention", a.heads * a.v_dim * hidden
    yield "attention.bias", "base", (rank + cached + hidden) * a.bias
    yield "attention.latent_norm", "base", rank + a.kv_lora_rank
    if a.indexer is not None and not a.indexer.shared:
        yield "indexer", "attention", _indexer(a.indexer, hidden, rank or hidden)
        yield "indexer.norm", "base", 2 * a.indexer.dim


def _indexer(i: Indexer, hidden: int, query_inputs: int) -> int:
    """Return the matrices of queries, of the one key and of the heads' weights."""
    return query_inputs * i.heads * i.dim + hidden * (i.dim + i.heads)


@block_parts.register
def _(a: CompressedAttention, hidden: int) -> Iterator[Part]:
    inner, series = a.heads * a.head_dim, 2 if a.overlapping else 1
    yield "attention.q_down", "attention", hidden * a.q_lora_rank
    yield "attention.q_up", "attention", a.q_lora_rank * inner
    yield "attention.kv", "attention", hidden * a.head_dim
    yield "attention.output", "attention", inner * a.output_rank + a.output_groups * a.output_rank * hidden
    yield "attention.norm", "base", a.q_lora_rank + a.head_dim
    yield "attention.sinks", "base", a.heads
    if a.rate:
        yield "compressor", "attention", 2 * hidden * series * a.head_dim
        yield "compressor.bias", "base", a.rate * series * a.head_dim + a.head_dim
    if a.indexer is not None:
        i = a.indexer
        yield "indexer", "attention", a.q_lora_rank * i.heads * i.dim + hidden * (2 * series * i.dim + i.heads)
        yield "indexer.bias", "base", a.rate * series * i.dim + i.dim


@block_parts.register
def _(m: RecurrentMixer, hidden: int) -> Iterator[Part]:
    yield "mixer.in", "attention", hidden * m.in_width
    yield "mixer.middle", "attention", sum(k * n for k, n in m.middle)
    yield "mixer.output", "attention", m.out_in * hidden
    yield "mixer.other", "base", m.small


@block_parts.register
def _(c: CrossAttention, hidden: int) -> Iterator[Part]:
    queries = c.heads * c.head_dim
    yield "cross_attention.q", "attention", hidden * queries
    yield "cross_attention.kv", "attention", 2 * c.source_hidden * c.kv_heads * c.head_dim
    yield "cross_attention.output", "attention", queries * hidden
    yield "cross_attention.bias", "base", c.bias


@block_parts.register
def _(b: LinearBlock, hidden: int) -> Iterator[Part]:
    yield "linear", "linear", hidden * b.outputs


@block_parts.register
def _(f: DenseFfn, hidden: int) -> Iterator[Part]:
    widths = 2 if f.gated else 1
    yield "ffn", "linear", (widths + 1) * hidden * f.intermediate
    yield "ffn.bias", "base", (widths * f.intermediate + hidden) * f.bias


@block_parts.register
def _(f: MemoryFfn, hidden: int) -> Iterator[Part]:
    yield "memory.query", "linear", hidden * f.heads * f.key_dim
    yield "memory.keys", "linear", f.heads * f.keys * f.key_dim  # two tables of half the width
    yield "memory.values", "base", 0 if f.shared_values else f.keys * f.keys * hidden


@block_parts.register
def _(f: MoeFfn, hidden: int) -> Iterator[Part]:
    matrices = 3 if f.gated else 2
    weights, biases = expert_elements(f, hidden)
    choices = f.experts + f.identities
    yield "router", "base", choices * hidden
    yield "router.bias", "base", choices * f.router_bias + f.router_extra
    yield "experts", "experts", f.experts * weights
    yield "experts.bias", "base", f.experts * biases
    yield "experts.latent", "linear", 2 * hidden * f.latent
    yield "shared_expert", "linear", matrices * hidden * f.shared_intermediate
    yield "shared_expert.gate", "base", hidden * f.shared_gate


def expert_elements(f: MoeFfn, hidden: int) -> tuple[int, int]:
    """Return the weights and the biases of one routed expert."""
    widths, outer = 2 if f.gated else 1, f.latent or hidden
    return (widths + 1) * outer * f.intermediate, (widths * f.intermediate + outer) * f.expert_bias
