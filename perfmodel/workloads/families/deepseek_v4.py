"""DeepSeek-V4: attention to a window and to compressed entries, hyper-connections, experts in every layer."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import check_activation, expert_counts, head_count, layer_count, skeleton
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION, word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import CompressedAttention, Indexer, MoeFfn

_DEFAULTS = {
    "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False, "max_position_embeddings": 1048576,
    "num_key_value_heads": 1, "q_lora_rank": 1024, "head_dim": 512, "n_shared_experts": 1, "hc_mult": 4,
    "sliding_window": 128, "o_groups": 8, "o_lora_rank": 1024, "index_n_heads": 64, "index_head_dim": 128,
    "index_topk": 512, "qk_rope_head_dim": 64, "mlp_bias": False,
}  # fmt: skip
_IGNORED = MULTI_TOKEN_PREDICTION | word_set(
    """
num_hash_layers mlp_layer_types hc_eps hc_sinkhorn_iters compress_rope_theta norm_topk_prob intermediate_size
router_aux_loss_coef partial_rotary_factor
"""
)
_RATES = {"sliding_attention": 0, "compressed_sparse_attention": 4, "heavily_compressed_attention": 128}


@register("deepseek_v4", "DeepseekV4ForCausalLM", transformers="5.23", defaults=_DEFAULTS, ignored=_IGNORED)
def read_deepseek_v4(fields: ConfigFields) -> Skeleton:
    """Return a DeepSeek-V4: hash routing in the first layers has the same matrices, its table is a buffer."""
    check_activation(fields)
    if fields.flag("attention_bias") or fields.flag("mlp_bias") or fields.whole("num_key_value_heads") != 1:
        raise fields.refusal("attention_bias", "biases, or several key heads, are not understood in a deepseek_v4")
    experts, topk = expert_counts(fields, "n_routed_experts", "num_local_experts")
    width, streams = fields.whole("moe_intermediate_size"), fields.whole("hc_mult", most=64)
    shared = fields.whole("n_shared_experts", least=0, most=64)
    ffn = MoeFfn(experts, topk, width, shared_intermediate=shared * width)
    mixers = {rate: _mixer(fields, rate, kind) for kind, rate in _kinds(fields)}
    layers = [Layer(mixers[rate], ffn, streams=streams) for _, rate in _kinds(fields)]
    found = skeleton(fields, layers)
    collapse = streams * streams * found.hidden + streams + 1
    return replace(found, extra=(("hyper_head", collapse),), expert_format=_expert_format(fields))


def _expert_format(fields: ConfigFields) -> str | None:
    """Return the format of experts where it is not that of the other weights."""
    name = fields.word("expert_dtype")
    if name is None or name == "fp8":
        return None
    if name != "fp4":
        raise fields.refusal("expert_dtype", "only fp4 and fp8 are understood")
    return "w4a8_mxfp4_mxfp8"


def _mixer(fields: ConfigFields, rate: int, kind: str) -> CompressedAttention:
    sparse = kind == "compressed_sparse_attention"
    indexer = Indexer(
        fields.whole("index_n_heads", most=65536),
        fields.whole("index_head_dim", most=65536),
        fields.whole("index_topk"),
    )
    heads, groups = head_count(fields), fields.whole("o_groups", most=65536)
    if heads % groups:
        raise fields.fault("o_groups", f"must divide num_attention_heads {heads}, not {groups}")
    return CompressedAttention(
        heads, fields.whole("head_dim", most=65536), fields.whole("qk_rope_head_dim", most=65536),
        fields.whole("q_lora_rank"), fields.whole("sliding_window"), groups, fields.whole("o_lora_rank"),
        rate, overlapping=sparse, indexer=indexer if sparse else None,
    )  # fmt: skip


def _kinds(fields: ConfigFields) -> list[tuple[str, int]]:
    """Return the kind of each layer and how many tokens one of its entries stands for."""
    layers, names = layer_count(fields), fields.words("layer_types")
    rates = {kind: _rate(fields, kind, rate) for kind, rate in _RATES.items()}
    ratios = fields.wholes("compress_ratios")
    if names is None and ratios is not None:
        kinds = {rate: kind for kind, rate in _RATES.items()}
        names = [kinds.get(ratio, str(ratio)) for ratio in ratios]
    if names is None:
        sparse, heavy = "compressed_sparse_attention", "heavily_compressed_attention"
        names = [sparse if index >= 2 and index % 2 else heavy for index in range(layers)]
    # lists may have entries for the multi-token-prediction layers at the end
    if len(names) < layers or set(names[:layers]) - set(_RATES):
        raise fields.refusal("layer_types", f"must name {layers} layers as {', '.join(_RATES)}")
    return [(name, rates[name]) for name in names[:layers]]


def _rate(fields: ConfigFields, kind: str, usual: int) -> int:
    fields.used.update(("compress_rates", "compress_rate_csa", "compress_rate_hca"))
    short = {"compressed_sparse_attention": "compress_rate_csa", "heavily_compressed_attention": "compress_rate_hca"}
    stated = fields.source.values.get("compress_rates")
    if usual and isinstance(stated, dict):
        return ConfigFields(fields.source.nested("compress_rates"), {kind: usual}).whole(kind)
    if usual and fields.given(short[kind]):
        return fields.whole(short[kind])
    return usual
