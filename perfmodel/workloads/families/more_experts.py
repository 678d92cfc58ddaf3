"""Further mixtures of experts: ERNIE 4.5, dots.llm1, Hunyuan, MiMo-V2-Flash, Qwen2, DBRX, GLM-4.7-Flash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    dense_ffn,
    expert_counts,
    layer_count,
    skeleton,
    window_flags,
)
from perfmodel.workloads.families.deepseek import LATENT_IGNORED, experts_of, latent_attention, latent_layers
from perfmodel.workloads.families.fields import ConfigFields, ConfigSource
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION, refuse_unknown_keys, word_set
from perfmodel.workloads.families.multimodal import part
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import GroupedQueryAttention, MoeFfn

_USUAL = {
    "num_key_value_heads": None, "head_dim": None, "hidden_act": "silu", "tie_word_embeddings": False,
    "attention_bias": False, "max_position_embeddings": 131072,
}  # fmt: skip


@register(
    "ernie4_5_moe", "Ernie4_5_MoeForCausalLM", transformers="5.23",
    defaults=_USUAL | {
        "use_bias": False, "tie_word_embeddings": True, "num_key_value_heads": 4, "moe_intermediate_size": 1536,
        "moe_k": 6, "moe_num_experts": 64, "moe_num_shared_experts": 2, "moe_layer_start_index": 1,
        "moe_layer_end_index": -1, "moe_layer_interval": 1,
    },
    ignored=MULTI_TOKEN_PREDICTION | word_set("moe_norm_min moe_use_aux_free moe_capacity moe_gate compression_ratio"),
)  # fmt: skip
def read_ernie4_5_moe(fields: ConfigFields) -> Skeleton:
    """Return an ERNIE 4.5 of experts; the correction bias of its routers is a parameter."""
    bias, layers = fields.flag("use_bias"), layer_count(fields)
    mixer = attention(fields, qkv_bias=bias, output_bias=bias)
    experts = fields.whole("moe_num_experts", "num_experts", most=65536)
    topk = fields.whole("moe_k", "num_experts_per_tok", most=65536)
    if topk > experts:
        raise fields.fault("moe_k", f"must not exceed the {experts} experts, not {topk}")
    width, shared = fields.whole("moe_intermediate_size"), fields.whole("moe_num_shared_experts", least=0, most=4096)
    if bias:
        raise fields.refusal("use_bias", "experts with biases are not understood in an ernie4_5_moe")
    sparse = MoeFfn(experts, topk, width, shared_intermediate=shared * width, router_bias=True)
    dense, first = dense_ffn(fields), fields.whole("moe_layer_start_index", least=0, most=4096)
    last, every = fields.whole("moe_layer_end_index", least=-1, most=4096), fields.whole("moe_layer_interval")
    last = layers - 1 if last == -1 else last
    routed = [first <= index <= last and (index + 1) % every == 0 for index in range(layers)]
    return skeleton(fields, [Layer(mixer, sparse if flag else dense) for flag in routed])


@register(
    "dots1", "Dots1ForCausalLM", transformers="5.23", ignored=frozenset({"max_window_layers"}),
    defaults=_USUAL | {"first_k_dense_replace": 0, "n_shared_experts": None, "sliding_window": 4096,
                       "max_window_layers": 62, "layer_types": None},
)  # fmt: skip
def read_dots1(fields: ConfigFields) -> Skeleton:
    """Return a dots.llm1: normed queries and keys, a few dense layers first, then experts with shared ones."""
    bias, layers = fields.flag("attention_bias"), layer_count(fields)
    full = attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="head")
    window = fields.optional_whole("sliding_window")
    last_full = fields.whole("max_window_layers", least=0)
    flags = [window is not None and index >= last_full for index in range(layers)]
    if fields.words("layer_types") is not None:
        flags = window_flags(fields, layers)
    local = replace(full, window=window or 0)
    first = fields.whole("first_k_dense_replace", least=0)
    dense, sparse = dense_ffn(fields), experts_of(fields)
    return skeleton(fields, [Layer(local if f else full, dense if i < first else sparse) for i, f in enumerate(flags)])


@register(
    "hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM", transformers="5.23", defaults=_USUAL,
    ignored=word_set("use_qk_norm mlp_bias attention_head_dim norm_type position_embedding_xdrope"),
)  # fmt: skip
def read_hunyuan_dense(fields: ConfigFields) -> Skeleton:
    """Return a dense Hunyuan: Llama's layers with normed queries and keys."""
    bias = fields.flag("attention_bias")
    mixer = attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="head")
    return skeleton(fields, [Layer(mixer, dense_ffn(fields))] * layer_count(fields))


@register(
    "hunyuan_v1_moe", "HunYuanMoEV1ForCausalLM", transformers="5.23",
    defaults=_USUAL | {"num_experts": 1, "moe_topk": 1},
    ignored=word_set("use_qk_norm mlp_bias attention_head_dim norm_type num_shared_expert use_mixed_mlp_moe "
                     "moe_intermediate_size moe_layer_num_skipped moe_drop_tokens"),
)  # fmt: skip
def read_hunyuan_moe(fields: ConfigFields) -> Skeleton:
    """Return a Hunyuan of experts, with a shared expert of the same width."""
    check_activation(fields)
    bias = fields.flag("attention_bias")
    mixer = attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="head")
    experts, topk = (_one_for_all(fields, name) for name in ("num_experts", "moe_topk"))
    if topk > experts:
        raise fields.fault("moe_topk", f"must not exceed the {experts} experts, not {topk}")
    width = fields.whole("intermediate_size")
    ffn = MoeFfn(experts, topk, width, shared_intermediate=width)
    return skeleton(fields, [Layer(mixer, ffn)] * layer_count(fields))


def _one_for_all(fields: ConfigFields, name: str) -> int:
    """Return a number that may be given for each layer, where all have the same."""
    value = fields.raw(name)
    if isinstance(value, list):
        found = fields.wholes(name) or []
        if len(set(found)) != 1 or not 0 < found[0] <= 65536:
            raise fields.refusal(name, "layers that differ are not understood")
        return found[0]
    return fields.whole(name, most=65536)


@register(
    "mimo_v2_flash", "MiMoV2FlashForCausalLM", transformers="5.23",
    defaults=_USUAL | {"num_key_value_heads": 4, "head_dim": 192, "v_head_dim": 128, "sliding_window": 129,
                       "n_routed_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 2048},
    ignored=MULTI_TOKEN_PREDICTION | word_set(
        "attention_value_scale sliding_window_size add_swa_attention_sink_bias add_full_attention_sink_bias "
        "swa_num_attention_heads swa_num_key_value_heads swa_head_dim swa_v_head_dim swa_rope_theta "
        "attention_chunk_size "
        "layernorm_epsilon rope_theta n_shared_experts moe_layer_freq hybrid_layer_pattern hybrid_block_size"),
)  # fmt: skip
def read_mimo(fields: ConfigFields) -> Skeleton:
    """Return a MiMo-V2-Flash: windows with sinks and twice the key heads, one global layer in six, then experts."""
    bias, layers = fields.flag("attention_bias"), layer_count(fields)
    full = replace(attention(fields, qkv_bias=bias), v_head_dim=fields.whole("v_head_dim", most=65536))
    size = fields.optional_whole("sliding_window_size")
    window = fields.whole("sliding_window") if size is None else size + 1
    local = replace(full, window=window, kv_heads=2 * full.kv_heads, sinks=True)
    if local.heads % local.kv_heads:
        raise fields.fault("num_key_value_heads", f"twice {full.kv_heads} must divide the {full.heads} heads")
    experts, topk = expert_counts(fields, "n_routed_experts", "num_local_experts")
    sparse, dense = MoeFfn(experts, topk, fields.whole("moe_intermediate_size")), dense_ffn(fields)
    flags = _mimo_windows(fields, layers)
    kinds = _mimo_networks(fields, layers)
    pairs = zip(flags, kinds, strict=True)
    return skeleton(fields, [Layer(local if f else full, sparse if k else dense) for f, k in pairs])


def _mimo_windows(fields: ConfigFields, layers: int) -> list[bool]:
    pattern = fields.wholes("hybrid_layer_pattern")
    if fields.words("layer_types") is not None:
        return window_flags(fields, layers)
    if pattern is not None:
        _check_length(fields, "hybrid_layer_pattern", pattern, layers)
        return [flag == 1 for flag in pattern]
    return [index != 0 and (index + 1) % 6 != 0 for index in range(layers)]


def _mimo_networks(fields: ConfigFields, layers: int) -> list[bool]:
    kinds, flags = fields.words("mlp_layer_types"), fields.raw("moe_layer_freq")
    if kinds is not None:
        _check_length(fields, "mlp_layer_types", kinds, layers)
        return [kind == "sparse" for kind in kinds]
    if isinstance(flags, list):
        found = fields.wholes("moe_layer_freq") or []
        _check_length(fields, "moe_layer_freq", found, layers)
        return [flag == 1 for flag in found]
    return [index > 0 for index in range(layers)]


def _check_length(fields: ConfigFields, key: str, found: Sequence[object], layers: int) -> None:
    if len(found) != layers:
        raise fields.fault(key, f"must have an entry for each of {layers} layers, not {len(found)}")


@register(
    "qwen2_moe", "Qwen2MoeForCausalLM", transformers="5.23", ignored=frozenset({"max_window_layers", "sliding_window"}),
    defaults=_USUAL | {"num_key_value_heads": 16, "moe_intermediate_size": 1408, "qkv_bias": True,
                       "shared_expert_intermediate_size": 5632, "num_experts": 60, "num_experts_per_tok": 4,
                       "decoder_sparse_step": 1, "mlp_only_layers": None, "use_sliding_window": False},
)  # fmt: skip
def read_qwen2_moe(fields: ConfigFields) -> Skeleton:
    """Return a Qwen1.5 or Qwen2 of experts: a shared expert with a gate of its own."""
    if fields.flag("use_sliding_window"):
        raise fields.refusal("use_sliding_window", "windows are not understood in a qwen2_moe")
    fields.used.add("layer_types")
    mixer, layers = attention(fields, qkv_bias=fields.flag("qkv_bias")), layer_count(fields)
    experts, topk = expert_counts(fields, "num_experts", "num_local_experts")
    shared = fields.whole("shared_expert_intermediate_size", least=0)
    sparse = MoeFfn(
        experts, topk, fields.whole("moe_intermediate_size"), shared_intermediate=shared, shared_gate=shared > 0
    )
    dense, only, step = (
        dense_ffn(fields),
        set(fields.wholes("mlp_only_layers") or ()),
        fields.whole("decoder_sparse_step"),
    )
    routed = [index not in only and (index + 1) % step == 0 for index in range(layers)]
    return skeleton(fields, [Layer(mixer, sparse if flag else dense) for flag in routed])


_DBRX_ATTENTION = word_set("attn_pdrop clip_qkv rope_theta hidden_size model_type")
_DBRX_FFN = word_set("ffn_act_fn moe_jitter_eps moe_loss_weight moe_normalize_expert_weights hidden_size model_type "
                     "uniform_expert_assignment")  # fmt: skip


@register(
    "dbrx", "DbrxForCausalLM", transformers="5.23",
    defaults={"d_model": 2048, "n_heads": 16, "n_layers": 24, "max_seq_len": 2048, "vocab_size": 32000,
              "tie_word_embeddings": False},
    ignored=word_set("emb_pdrop resid_pdrop num_key_value_heads"),
)  # fmt: skip
def read_dbrx(fields: ConfigFields) -> Skeleton:
    """Return a DBRX: LayerNorms without biases, sixteen fine-grained experts."""
    hidden, heads = fields.whole("d_model", "hidden_size"), fields.whole("n_heads", "num_attention_heads", most=65536)
    inner = part(fields, "attn_config", {"kv_n_heads": 1}) if fields.given("attn_config") else None
    kv_heads = inner.whole("kv_n_heads", most=65536) if inner else 1
    if hidden % heads or heads % kv_heads:
        raise fields.fault("n_heads", f"must divide d_model {hidden}, and be a multiple of the {kv_heads} key heads")
    usual = {"moe_num_experts": 4, "moe_top_k": 1, "ffn_hidden_size": 3584}
    ffn = part(fields, "ffn_config", usual) if fields.given("ffn_config") else ConfigFields(ConfigSource("", {}), usual)
    experts, topk = ffn.whole("moe_num_experts", most=65536), ffn.whole("moe_top_k", most=65536)
    if topk > experts:
        raise ffn.fault("moe_top_k", f"must not exceed the {experts} experts, not {topk}")
    mixer = GroupedQueryAttention(heads, kv_heads, hidden // heads)
    layer = Layer(mixer, MoeFfn(experts, topk, ffn.whole("ffn_hidden_size")))
    for read, ignored in ((inner, _DBRX_ATTENTION), (ffn, _DBRX_FFN)):
        if read is not None:
            refuse_unknown_keys(read, ignored, "dbrx")
    fields.used.update(("attn_config", "ffn_config"))
    count = fields.whole("n_layers", "num_hidden_layers", most=4096)
    return Skeleton(
        hidden, fields.whole("vocab_size"), (layer,) * count, fields.flag("tie_word_embeddings"),
        fields.whole("max_seq_len", "max_position_embeddings"),
    )  # fmt: skip


@register(
    "glm4_moe_lite", "Glm4MoeLiteForCausalLM", transformers="5.23", ignored=LATENT_IGNORED,
    defaults={"hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False, "q_lora_rank": 768,
              "kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
              "n_shared_experts": 1, "first_k_dense_replace": 1, "max_position_embeddings": 202752,
              "moe_layer_freq": 1},
)  # fmt: skip
def read_glm4_moe_lite(fields: ConfigFields) -> Skeleton:
    """Return a GLM-4.7-Flash: latent attention, one dense layer, then experts with a shared one."""
    return skeleton(fields, latent_layers(fields, [latent_attention(fields)] * layer_count(fields)))
