"""Phi: Phi-1 to 2 (parallel, LayerNorm, biases), Phi-3 and 4 (of Llama's build), and Phi-3.5-MoE."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    dense_ffn,
    expert_counts,
    layer_count,
    skeleton,
    uniform,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, MoeFfn

_PHI = {"num_key_value_heads": None, "qk_layernorm": False, "tie_word_embeddings": False, "hidden_act": "gelu_new",
        "max_position_embeddings": 2048}  # fmt: skip


@register("phi", "PhiForCausalLM", transformers="5.x", defaults=_PHI, ignored=frozenset({"hidden_act"}))
def read_phi(fields: ConfigFields) -> Skeleton:
    """Return a Phi-1, 1.5 or 2: one LayerNorm for both halves of a layer, biases everywhere and on the head."""
    if fields.flag("qk_layernorm"):
        raise fields.refusal("qk_layernorm", "a phi with it is not understood")
    ffn = DenseFfn(fields.whole("intermediate_size"), gated=False, bias=True)
    layer = Layer(attention(fields, qkv_bias=True, output_bias=True), ffn, norms=2, norm_operators=1, parallel=True)
    return replace(skeleton(fields, [layer] * layer_count(fields)), lm_head_bias=True, final_norms=2)


_PHI3 = {"num_key_value_heads": None, "hidden_act": "silu", "tie_word_embeddings": False, "sliding_window": None,
         "max_position_embeddings": 4096}  # fmt: skip


@register(
    "phi3", "Phi3ForCausalLM", transformers="5.x", defaults=_PHI3,
    ignored=frozenset({"embd_layer", "full_attn_mod", "attention_bias", "lm_head_bias"}),
)  # fmt: skip
def read_phi3(fields: ConfigFields) -> Skeleton:
    """Return a Phi-3 or Phi-4: Llama's layers with a window, where one is set."""
    return uniform(fields, attention(fields, window=_window(fields)), dense_ffn(fields))


def _window(fields: ConfigFields) -> int:
    window = fields.optional_whole("sliding_window") or 0
    most = fields.optional_whole("max_position_embeddings") or 0
    return 0 if most and window >= most else window


_PHIMOE = {**_PHI3, "attention_bias": False, "lm_head_bias": False, "num_key_value_heads": 8}


@register(
    "phimoe", "PhimoeForCausalLM", transformers="5.x", defaults=_PHIMOE,
    ignored=frozenset({"input_jitter_noise", "router_jitter_noise"}),
)  # fmt: skip
def read_phimoe(fields: ConfigFields) -> Skeleton:
    """Return a Phi-3.5-MoE: LayerNorms with biases, experts in every layer."""
    check_activation(fields)
    bias = fields.flag("attention_bias")
    experts, topk = expert_counts(fields, "num_local_experts")
    ffn = MoeFfn(experts, topk, fields.whole("intermediate_size"))
    layer = Layer(attention(fields, window=_window(fields), qkv_bias=bias, output_bias=bias), ffn, norms=4)
    found = skeleton(fields, [layer] * layer_count(fields))
    return replace(found, lm_head_bias=fields.flag("lm_head_bias"), final_norms=2)
