"""GLM 4: Llama's build with biases on q, k and v; norms after the blocks in GLM-4-0414; GLM-4.5 with experts."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, dense_ffn, expert_counts, layer_count, skeleton
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import MoeFfn

_GLM = {"num_key_value_heads": 2, "head_dim": 128, "hidden_act": "silu", "tie_word_embeddings": False,
        "attention_bias": True, "max_position_embeddings": 131072}  # fmt: skip


@register("glm", "GlmForCausalLM", transformers="5.x", defaults=_GLM)
def read_glm(fields: ConfigFields) -> Skeleton:
    """Return a GLM-4-9B."""
    layer = Layer(attention(fields, qkv_bias=fields.flag("attention_bias")), dense_ffn(fields))
    return skeleton(fields, [layer] * layer_count(fields))


@register("glm4", "Glm4ForCausalLM", transformers="5.x", defaults=_GLM)
def read_glm4(fields: ConfigFields) -> Skeleton:
    """Return a GLM-4-0414: four norms a layer."""
    layer = Layer(attention(fields, qkv_bias=fields.flag("attention_bias")), dense_ffn(fields), 4, 4)
    return skeleton(fields, [layer] * layer_count(fields))


_GLM4_MOE = {"num_key_value_heads": 8, "head_dim": None, "hidden_act": "silu", "tie_word_embeddings": False,
             "attention_bias": False, "use_qk_norm": False, "n_shared_experts": 1, "n_routed_experts": 128,
             "num_experts_per_tok": 8, "first_k_dense_replace": 1, "moe_intermediate_size": 1408,
             "max_position_embeddings": 131072}  # fmt: skip


@register(
    "glm4_moe", "Glm4MoeForCausalLM", transformers="5.x", defaults=_GLM4_MOE, ignored=frozenset(MULTI_TOKEN_PREDICTION)
)
def read_glm4_moe(fields: ConfigFields) -> Skeleton:
    """Return a GLM-4.5 or 4.6: dense layers first, then experts with a shared one."""
    mixer = attention(
        fields, qkv_bias=fields.flag("attention_bias"), qk_norm="head" if fields.flag("use_qk_norm") else "none"
    )
    experts, topk = expert_counts(fields, "n_routed_experts")
    width = fields.whole("moe_intermediate_size")
    shared = fields.whole("n_shared_experts", least=0)
    dense, layers = fields.whole("first_k_dense_replace", least=0), layer_count(fields)
    sparse = Layer(mixer, MoeFfn(experts, topk, width, shared * width))
    plain = Layer(mixer, dense_ffn(fields))
    return skeleton(fields, [plain if index < dense else sparse for index in range(layers)])
