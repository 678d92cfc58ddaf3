"""How many parameters a language model has, how many bytes they take, and how many a token's cache takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfmodel.formats import find_format
from perfmodel.workloads.spec import (
    DenseFfn,
    GroupedQueryAttention,
    LanguageModel,
    LatentAttention,
    LayerGroup,
    MoeFfn,
    Quantisation,
)


@dataclass(frozen=True)
class ParameterRow:
    """The parameters of one module: ``total = each * layers`` elements, stored as ``format`` in ``bytes`` bytes.

    ``group`` is the index of the layer group that the module belongs to, or None outside the layers.
    """

    module: str
    format: str
    each: int
    layers: int
    bytes: float
    group: int | None = None

    @property
    def total(self) -> int:
        """Return the module's elements in all layers together."""
        return self.each * self.layers


_Part = tuple[str, str, int]  # module, which field of Quantisation gives its format, elements in one layer


def parameter_rows(model: LanguageModel) -> list[ParameterRow]:
    """Return the parameters module by module: embedding, each layer group's, final norm, output head.

    ``bytes = elements * (bits/8 + scale_bytes/block)`` of the module's stored format; the rows sum to
    :func:`parameters` and :func:`weights_bytes`. Tied embeddings have no row for the output head.
    """
    table = model.vocabulary * model.hidden
    rows = [_row(model.quantisation, ("embedding", "base", table), 1)]
    for index, group in enumerate(model.layers):
        rows += [_row(model.quantisation, part, group.count, index) for part in _layer_parts(group, model.hidden)]
    rows.append(_row(model.quantisation, ("final_norm", "base", model.final_norms * model.hidden), 1))
    rows += [_row(model.quantisation, (name, "base", each), 1) for name, each in (*model.extra, *model.towers)]
    if not model.tied_embeddings:
        rows.append(_row(model.quantisation, ("lm_head", "lm_head", table), 1))
    if model.lm_head_bias:
        rows.append(_row(model.quantisation, ("lm_head.bias", "base", model.vocabulary), 1))
    return rows


def _row(stored: Quantisation, part: _Part, layers: int, group: int | None = None) -> ParameterRow:
    module, field, each = part
    name: str = getattr(stored, field)
    size = each * layers * find_format(name).weight.bytes_per_element
    return ParameterRow(module, name, each, layers, size, group)


def _layer_parts(group: LayerGroup, hidden: int) -> Iterator[_Part]:
    """Yield the modules of one layer that have any parameters."""
    mixer, ffn = group.attention, group.ffn
    mixing = _latent_parts(mixer, hidden) if isinstance(mixer, LatentAttention) else _grouped_parts(mixer, hidden)
    feeding = _moe_parts(ffn, hidden) if isinstance(ffn, MoeFfn) else _dense_parts(ffn, hidden)
    for part in (*mixing, *feeding, ("norms", "base", group.norms * hidden)):
        if part[2]:
            yield part


def _grouped_parts(a: GroupedQueryAttention, hidden: int) -> Iterator[_Part]:
    queries, qkv = a.heads * a.head_dim, (a.heads + 2 * a.kv_heads) * a.head_dim
    gains = {"none": 0, "head": 2 * a.head_dim, "full": (a.heads + a.kv_heads) * a.head_dim}[a.qk_norm]
    yield "attention.qkv", "attention", hidden * qkv
    yield "attention.output", "attention", queries * hidden
    yield "attention.bias", "base", qkv * a.qkv_bias + hidden * a.output_bias
    yield "attention.qk_norm", "base", gains
    yield "attention.sinks", "base", a.heads * a.sinks


def _latent_parts(a: LatentAttention, hidden: int) -> Iterator[_Part]:
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


def _dense_parts(f: DenseFfn, hidden: int) -> Iterator[_Part]:
    widths = 2 if f.gated else 1
    yield "ffn", "linear", (widths + 1) * hidden * f.intermediate
    yield "ffn.bias", "base", (widths * f.intermediate + hidden) * f.bias


def _moe_parts(f: MoeFfn, hidden: int) -> Iterator[_Part]:
    matrices = 3 if f.gated else 2
    weights, biases = _expert_elements(f, hidden)
    yield "router", "base", f.experts * hidden
    yield "router.bias", "base", f.experts * f.router_bias
    yield "experts", "experts", f.experts * weights
    yield "experts.bias", "base", f.experts * biases
    yield "shared_expert", "linear", matrices * hidden * f.shared_intermediate
    yield "shared_expert.gate", "base", hidden * f.shared_gate


def _expert_elements(f: MoeFfn, hidden: int) -> tuple[int, int]:
    """Return the weights and the biases of one routed expert."""
    widths = 2 if f.gated else 1
    return (widths + 1) * hidden * f.intermediate, (widths * f.intermediate + hidden) * f.expert_bias


def parameters(model: LanguageModel) -> int:
    """Return all parameters: ``embedding + sum(layers * (attention + ffn + norms)) + final norm + output head``.

    Tied weights count once; buffers (a router's correction bias) and multi-token-prediction layers do not count.
    Source: the definition of the modules, checked against transformers' own counts.
    """
    return sum(row.total for row in parameter_rows(model))


def parameters_text(model: LanguageModel) -> int:
    """Return the parameters of the language model alone, without vision and other towers."""
    return parameters(model) - sum(each for _, each in model.towers)


def embedding_parameters(model: LanguageModel) -> int:
    """Return the parameters of the input embedding, ``vocabulary*hidden`` (the output head's own too, where tied)."""
    return model.vocabulary * model.hidden


def active_parameters_per_token(model: LanguageModel) -> int:
    """Return the parameters that one token is multiplied with.

    ``text parameters - input embedding - sum(layers * (experts - topk) * expert)``: the output head counts, the input
    embedding (a gather) does not unless it is the output head too; of the experts, the topk routed ones and the
    shared one count, with the whole router.
    """
    gathered = 0 if model.tied_embeddings else model.vocabulary * model.hidden
    return parameters_text(model) - gathered - sum(g.count * _idle(g.ffn, model.hidden) for g in model.layers)


def _idle(ffn: DenseFfn | MoeFfn, hidden: int) -> int:
    return (ffn.experts - ffn.topk) * sum(_expert_elements(ffn, hidden)) if isinstance(ffn, MoeFfn) else 0


def weights_bytes(model: LanguageModel) -> float:
    """Return the bytes of all weights as the checkpoint stores them, with the scales of quantised modules.

    ``sum(elements * (bits/8 + scale_bytes/block))`` over :func:`parameter_rows`.
    """
    return sum(row.bytes for row in parameter_rows(model))


def kv_elements(attention: GroupedQueryAttention | LatentAttention) -> int:
    """Return the elements that one token adds to one layer's cache: ``2*kv_heads*head_dim``, latent: ``rank + rope``.

    DeepSeek-V3: 512 + 64 = 576. Source: DeepSeek-V2 (arXiv:2405.04434), table 1.
    """
    if isinstance(attention, LatentAttention):
        return attention.kv_lora_rank + attention.rope_dim
    return 2 * attention.kv_heads * attention.head_dim


def window_of(attention: GroupedQueryAttention | LatentAttention) -> int:
    """Return the sliding window of a layer in tokens, 0 for full attention."""
    return attention.window if isinstance(attention, GroupedQueryAttention) else 0


def kv_bytes_per_token(model: LanguageModel, cache_bytes: float = 2.0) -> float:
    """Return the cache bytes that every further token takes: ``cache_bytes * sum(layers * kv_elements)``.

    Only layers of full attention count; those with a window stop growing (:func:`state_bytes_per_sequence`).
    """
    return cache_bytes * sum(g.count * kv_elements(g.attention) for g in model.layers if not window_of(g.attention))


def state_bytes_per_sequence(model: LanguageModel, cache_bytes: float = 2.0) -> float:
    """Return the cache bytes of windowed layers at full width: ``cache_bytes * sum(layers * window * kv_elements)``."""
    return cache_bytes * sum(g.count * window_of(g.attention) * kv_elements(g.attention) for g in model.layers)
