"""Qwen3-Next and Qwen3.5: three gated delta nets to one full attention with an output gate, dense or with experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    dense_ffn,
    expert_counts,
    layer_count,
    mtp_parameters,
    skeleton,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION, refuse_unknown_keys, word_set
from perfmodel.workloads.families.multimodal import TOKENS, part, vision_part
from perfmodel.workloads.families.recurrences import gated_delta_net
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.families.vision import qwen3_tower
from perfmodel.workloads.spec import DenseFfn, MoeFfn, RecurrentMixer

_DEFAULTS = {
    "num_key_value_heads": 4, "head_dim": 256, "hidden_act": "silu", "max_position_embeddings": 32768,
    "tie_word_embeddings": False, "attention_bias": False, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
    "full_attention_interval": 4,
}  # fmt: skip
_EXPERTS = {"moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_key_value_heads": 2,
            "decoder_sparse_step": 1, "mlp_only_layers": None}  # fmt: skip
_NEXT = _DEFAULTS | _EXPERTS | {"num_experts": 512, "num_experts_per_tok": 10}
_MOE = _DEFAULTS | _EXPERTS | {"num_experts": 256, "num_experts_per_tok": 8}
_IGNORED = MULTI_TOKEN_PREDICTION | word_set(
    """
mtp_use_dedicated_embeddings mamba_ssm_dtype attn_output_gate output_router_logits intermediate_size mlp_only_layers
"""
)


@register("qwen3_next", "Qwen3NextForCausalLM", transformers="5.23", defaults=_NEXT, ignored=_IGNORED)
def read_qwen3_next(fields: ConfigFields) -> Skeleton:
    """Return a Qwen3-Next: experts where ``(layer+1) % decoder_sparse_step`` is 0 and ``mlp_only_layers`` is silent."""
    layers = layer_count(fields)
    step, dense = fields.whole("decoder_sparse_step"), set(fields.wholes("mlp_only_layers") or ())
    experts = _experts(fields)
    sparse = [index not in dense and (index + 1) % step == 0 for index in range(layers)]
    plain = None if all(sparse) else dense_ffn(fields)
    return _hybrid(fields, [experts if flag or plain is None else plain for flag in sparse])


@register("qwen3_5_text", "Qwen3_5ForCausalLM", transformers="5.23", defaults=_DEFAULTS, ignored=_IGNORED)
def read_qwen3_5_text(fields: ConfigFields) -> Skeleton:
    """Return the language model of a dense Qwen3.5."""
    return _hybrid(fields, [dense_ffn(fields)] * layer_count(fields))


@register("qwen3_5_moe_text", "Qwen3_5MoeForCausalLM", transformers="5.23", defaults=_MOE, ignored=_IGNORED)
def read_qwen3_5_moe_text(fields: ConfigFields) -> Skeleton:
    """Return the language model of a Qwen3.5 with experts in every layer."""
    return _hybrid(fields, [_experts(fields)] * layer_count(fields))


@register(
    "qwen3_5", ("Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"), transformers="5.23", ignored=TOKENS,
    defaults={"tie_word_embeddings": False},
)  # fmt: skip
def read_qwen3_5(fields: ConfigFields) -> Skeleton:
    """Return a dense Qwen3.5 with its vision tower."""
    text = part(fields, "text_config", _DEFAULTS)
    return _with_vision(fields, text, read_qwen3_5_text(text))


@register(
    "qwen3_5_moe", ("Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeForCausalLM"), transformers="5.23", ignored=TOKENS,
    defaults={"tie_word_embeddings": False},
)  # fmt: skip
def read_qwen3_5_moe(fields: ConfigFields) -> Skeleton:
    """Return a Qwen3.5 of experts with its vision tower."""
    text = part(fields, "text_config", _MOE)
    return _with_vision(fields, text, read_qwen3_5_moe_text(text))


def _with_vision(fields: ConfigFields, text: ConfigFields, found: Skeleton) -> Skeleton:
    refuse_unknown_keys(text, _IGNORED, "qwen3_5")
    tied = fields.flag("tie_word_embeddings") or text.flag("tie_word_embeddings")
    towers = (vision_part(fields, qwen3_tower, "qwen3_5"),) if fields.given("vision_config") else ()
    return replace(found, tied_embeddings=tied, towers=towers)


def _hybrid(fields: ConfigFields, networks: Sequence[DenseFfn | MoeFfn]) -> Skeleton:
    bias = fields.flag("attention_bias")
    full = attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="head")
    full, delta = replace(full, output_gate="element"), _delta(fields)
    kinds = linear_flags(fields, len(networks), fields.whole("full_attention_interval"))
    found = skeleton(fields, [Layer(delta if k else full, ffn) for k, ffn in zip(kinds, networks, strict=True)])
    modules = fields.optional_whole("mtp_num_hidden_layers", least=0, most=64) or 0
    # a module has full attention, whatever the layers around it have
    module = Layer(full, networks[-1])
    return replace(found, mtp_parameters=mtp_parameters(module, found.hidden, modules), mtp=module)


def _delta(fields: ConfigFields) -> RecurrentMixer:
    keys = fields.whole("linear_num_key_heads", most=65536)
    values = fields.whole("linear_num_value_heads", most=65536)
    if values % keys:
        raise fields.fault("linear_num_value_heads", f"must be a multiple of the {keys} key heads, not {values}")
    key_dim, value_dim = (fields.whole(f"linear_{what}_head_dim", most=65536) for what in ("key", "value"))
    return gated_delta_net(keys, values, key_dim, value_dim, fields.whole("linear_conv_kernel_dim", most=64))


def linear_flags(fields: ConfigFields, layers: int, every: int) -> list[bool]:
    """Return which layers have linear attention: as ``layer_types`` says, otherwise all but every n-th."""
    kinds = fields.words("layer_types")
    if kinds is None:
        return [(index + 1) % every != 0 for index in range(layers)]
    if len(kinds) != layers or set(kinds) - {"linear_attention", "full_attention"}:
        raise fields.refusal("layer_types", f"must name {layers} layers as linear_attention or full_attention")
    return [kind == "linear_attention" for kind in kinds]


def _experts(fields: ConfigFields) -> MoeFfn:
    check_activation(fields)
    experts, topk = expert_counts(fields, "num_experts", "num_local_experts")
    shared = fields.whole("shared_expert_intermediate_size", least=0)
    return MoeFfn(
        experts, topk, fields.whole("moe_intermediate_size"), shared_intermediate=shared, shared_gate=shared > 0
    )
