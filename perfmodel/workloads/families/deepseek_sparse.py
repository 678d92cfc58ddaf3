"""DeepSeek-V3.2 and GLM-5: latent attention to the tokens that an indexer chooses."""

from __future__ import annotations

from perfmodel.workloads.families.common import layer_count, skeleton
from perfmodel.workloads.families.deepseek import LATENT_IGNORED, latent_attention, latent_layers, with_mtp
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.spec import Indexer

_DEFAULTS = {
    "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False, "moe_layer_freq": 1,
    "n_shared_experts": 1, "first_k_dense_replace": 3, "index_topk": 2048, "index_head_dim": 128,
}  # fmt: skip
_V32 = _DEFAULTS | {"max_position_embeddings": 163840, "q_lora_rank": 1536, "index_n_heads": 64}
_GLM = _DEFAULTS | {"max_position_embeddings": 202752, "q_lora_rank": 2048, "index_n_heads": 32}
_IGNORED = LATENT_IGNORED | word_set("indexer_rope_interleave layer_types mlp_bias")


@register("deepseek_v32", "DeepseekV32ForCausalLM", transformers="5.23", defaults=_V32, ignored=_IGNORED)
def read_deepseek_v32(fields: ConfigFields) -> Skeleton:
    """Return a DeepSeek-V3.2: an indexer in every layer."""
    mixer = latent_attention(fields, _indexer(fields))
    return with_mtp(fields, skeleton(fields, latent_layers(fields, [mixer] * layer_count(fields))))


@register("glm_moe_dsa", "GlmMoeDsaForCausalLM", transformers="5.23", defaults=_GLM, ignored=_IGNORED)
def read_glm_moe_dsa(fields: ConfigFields) -> Skeleton:
    """Return a GLM-5: layers marked shared use the choice of the last full one, and have no indexer of their own."""
    full, shared = (latent_attention(fields, _indexer(fields, shared=flag)) for flag in (False, True))
    layers = latent_layers(fields, [shared if flag else full for flag in _shares(fields)])
    return with_mtp(fields, skeleton(fields, layers))


def _indexer(fields: ConfigFields, *, shared: bool = False) -> Indexer:
    heads, dim = fields.whole("index_n_heads", most=65536), fields.whole("index_head_dim", most=65536)
    return Indexer(heads, dim, fields.whole("index_topk"), shared)


def _shares(fields: ConfigFields) -> list[bool]:
    """Return which layers share: by name, by a pattern of F and S, or every layer between those of a frequency."""
    layers = layer_count(fields)
    names = fields.words("indexer_types")
    pattern = fields.raw("index_topk_pattern")
    if names is None and isinstance(pattern, str):
        names = [{"F": "full", "S": "shared"}.get(letter, letter) for letter in pattern]
    every = fields.optional_whole("index_topk_freq") or 1
    first = fields.optional_whole("index_skip_topk_offset", least=0)
    if names is None:
        offset = 2 if first is None else first
        return [max(index - offset + 1, 0) % every != 0 for index in range(layers)]
    if len(names) != layers or set(names) - {"full", "shared"} or names[0] == "shared":
        raise fields.refusal("indexer_types", f"must name {layers} layers as full or shared, the first one full")
    return [name == "shared" for name in names]
