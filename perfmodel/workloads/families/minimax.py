"""MiniMax-M2: grouped-query attention normed over all heads, and experts in every layer."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, check_activation, expert_counts, uniform
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.spec import MoeFfn

_DEFAULTS = {
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 196608,
    "tie_word_embeddings": False,
    "use_qk_norm": True,
    "qk_norm_type": "per_layer",
    "shared_intermediate_size": 0,
}
_IGNORED = {  # the routing bias is a buffer; the scales of the residual stream are constants
    "use_routing_bias",
    "shared_moe_mode",
    "mlp_intermediate_size",
    "layernorm_full_attention_alpha",
    "layernorm_full_attention_beta",
    "layernorm_linear_attention_alpha",
    "layernorm_linear_attention_beta",
    "layernorm_mlp_alpha",
    "layernorm_mlp_beta",
}


@register(
    "minimax_m2",
    "MiniMaxM2ForCausalLM",
    transformers="5.x main (008e5743)",
    defaults=_DEFAULTS,
    ignored=frozenset(_IGNORED) | MULTI_TOKEN_PREDICTION,
)
def read_minimax_m2(fields: ConfigFields) -> Skeleton:
    """Return a MiniMax-M2: experts of width ``intermediate_size``; multi-token-prediction modules are not counted."""
    check_activation(fields)
    _refuse_variants(fields)
    experts, topk = expert_counts(fields, "num_local_experts", "num_experts")
    mixer = attention(fields, qk_norm="full")
    return uniform(fields, mixer, MoeFfn(experts, topk, fields.whole("intermediate_size")))


def _refuse_variants(fields: ConfigFields) -> None:
    """Refuse what transformers' class for this family does not build."""
    if not fields.flag("use_qk_norm"):
        raise fields.refusal("use_qk_norm", "a minimax_m2 without it is not understood")
    if fields.word("qk_norm_type") not in (None, "per_layer"):
        raise fields.refusal("qk_norm_type", "only 'per_layer' is understood")
    if fields.optional_whole("shared_intermediate_size", least=0):
        raise fields.refusal("shared_intermediate_size", "shared experts are not understood in a minimax_m2")
    if any(kind != 1 for kind in fields.wholes("attn_type_list") or ()):
        raise fields.refusal("attn_type_list", "layers other than 1 (softmax attention) are not understood")
