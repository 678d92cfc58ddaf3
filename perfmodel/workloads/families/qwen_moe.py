"""Qwen3 mixtures of experts: Qwen3's attention, experts in some or all layers, no shared expert."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, dense_ffn, expert_counts, layer_count, skeleton
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import MoeFfn

_DEFAULTS = {
    "num_key_value_heads": 4,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "decoder_sparse_step": 1,
    "mlp_only_layers": None,
}


@register(
    "qwen3_moe",
    "Qwen3MoeForCausalLM",
    transformers="5.x main (008e5743)",
    defaults=_DEFAULTS,
    ignored=frozenset({"max_window_layers"}),
)
def read_qwen3_moe(fields: ConfigFields) -> Skeleton:
    """Return a Qwen3-MoE: experts where ``(layer+1) % decoder_sparse_step`` is 0 and ``mlp_only_layers`` is silent."""
    _refuse_windows(fields)
    bias = fields.flag("attention_bias")
    mixer = attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="head")
    experts, topk = expert_counts(fields, "num_experts", "num_local_experts")
    dense = Layer(mixer, dense_ffn(fields))
    sparse = Layer(mixer, MoeFfn(experts, topk, fields.whole("moe_intermediate_size")))
    return skeleton(fields, [sparse if flag else dense for flag in _sparse(fields)])


def _sparse(fields: ConfigFields) -> list[bool]:
    layers, step = layer_count(fields), fields.whole("decoder_sparse_step")
    only_dense = fields.wholes("mlp_only_layers") or []
    if any(not 0 <= index < layers for index in only_dense):
        raise fields.fault("mlp_only_layers", f"names a layer that is not among the {layers}")
    dense = frozenset(only_dense)
    return [index not in dense and (index + 1) % step == 0 for index in range(layers)]


def _refuse_windows(fields: ConfigFields) -> None:
    """Refuse a window: releases of transformers disagree on which layers it covers in this family."""
    fields.optional_whole("sliding_window")
    if fields.flag("use_sliding_window"):
        raise fields.refusal("use_sliding_window", "which layers of a qwen3_moe it covers is not understood")
    if any(kind != "full_attention" for kind in fields.words("layer_types") or ()):
        raise fields.refusal("layer_types", "layers other than full_attention are not understood in a qwen3_moe")
