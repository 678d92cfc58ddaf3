"""DeepSeek V2 and V3 and Kimi K2: latent attention, some dense layers first, then experts with shared ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perfmodel.workloads.families.common import (
    dense_ffn,
    expert_counts,
    head_count,
    layer_count,
    mtp_parameters,
    skeleton,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import Indexer, LatentAttention, MoeFfn

_DEFAULTS = {
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "attention_bias": False,
    "q_lora_rank": 1536,
    "moe_layer_freq": 1,
}
_DEFAULTS_V2 = _DEFAULTS | {"max_position_embeddings": 2048, "first_k_dense_replace": 0, "n_shared_experts": 2}
_DEFAULTS_V3 = _DEFAULTS | {"max_position_embeddings": 4096, "first_k_dense_replace": 3, "n_shared_experts": 1}
# Latent attention takes its dimensions from qk_*, v_head_dim and the ranks; these are derived or unused.
LATENT_IGNORED = frozenset({"num_key_value_heads", "head_dim", "qk_head_dim"}) | MULTI_TOKEN_PREDICTION
_ROUTED = ("n_routed_experts", "num_local_experts", "num_experts")


@register(
    "deepseek_v2",
    "DeepseekV2ForCausalLM",
    transformers="5.x main (008e5743)",
    defaults=_DEFAULTS_V2,
    ignored=LATENT_IGNORED,
)
@register(
    "kimi_k2",
    "DeepseekV3ForCausalLM",
    transformers="5.x main (001f85b3): the model's own code reuses DeepseekV3Config",
    defaults=_DEFAULTS_V3,
    ignored=LATENT_IGNORED,
)
@register(
    "deepseek_v3",
    "DeepseekV3ForCausalLM",
    transformers="5.x main (001f85b3)",
    defaults=_DEFAULTS_V3,
    ignored=LATENT_IGNORED,
)
def read_deepseek(fields: ConfigFields) -> Skeleton:
    """Return a DeepSeek: the router's correction bias is a buffer, multi-token-prediction layers are not counted."""
    return with_mtp(fields, skeleton(fields, latent_layers(fields, [latent_attention(fields)] * layer_count(fields))))


def with_mtp(fields: ConfigFields, found: Skeleton) -> Skeleton:
    """Return the model with what its multi-token-prediction modules hold, each like the last layer."""
    modules = fields.optional_whole("num_nextn_predict_layers", least=0, most=64) or 0
    return replace(found, mtp_parameters=mtp_parameters(found.layers[-1], found.hidden, modules), mtp=found.layers[-1])


def latent_layers(fields: ConfigFields, mixers: Sequence[LatentAttention]) -> list[Layer]:
    """Return layers of these mixers: the first ones with a dense network, the others with experts."""
    if fields.whole("moe_layer_freq") != 1:
        raise fields.refusal("moe_layer_freq", "only 1 is understood (transformers' class does not read it)")
    dense, sparse = dense_ffn(fields), experts_of(fields)
    kinds = fields.words("mlp_layer_types")
    if kinds is None:
        first = fields.whole("first_k_dense_replace", least=0)
        kinds = ["dense" if index < first else "sparse" for index in range(len(mixers))]
    if len(kinds) != len(mixers) or set(kinds) - {"dense", "sparse"}:
        raise fields.refusal("mlp_layer_types", f"must name {len(mixers)} layers as dense or sparse")
    fields.used.add("first_k_dense_replace")
    return [Layer(mixer, dense if kind == "dense" else sparse) for mixer, kind in zip(mixers, kinds, strict=True)]


def latent_attention(fields: ConfigFields, indexer: Indexer | None = None) -> LatentAttention:
    """Return multi-head latent attention as DeepSeek's configs describe it."""
    return LatentAttention(
        heads=head_count(fields),
        q_lora_rank=fields.optional_whole("q_lora_rank") or 0,
        kv_lora_rank=fields.whole("kv_lora_rank"),
        nope_dim=fields.whole("qk_nope_head_dim"),
        rope_dim=fields.whole("qk_rope_head_dim"),
        v_dim=fields.whole("v_head_dim"),
        bias=fields.flag("attention_bias"),
        indexer=indexer,
    )


def experts_of(fields: ConfigFields) -> MoeFfn:
    """Return routed experts with ``n_shared_experts`` of the same width beside them."""
    experts, topk = expert_counts(fields, *_ROUTED)
    width = fields.whole("moe_intermediate_size")
    shared = fields.optional_whole("n_shared_experts", least=0, most=4096) or 0
    return MoeFfn(experts, topk, width, shared_intermediate=shared * width)
