"""GPT-2 and its kin: LayerNorm with biases, plain feed-forward blocks, learned or rotary positions."""

from __future__ import annotations

from perfmodel.workloads.families.common import head_count, layer_count
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention

_TRANSFORMERS = "5.x"
_GPT2 = {"n_inner": None, "activation_function": "gelu_new", "tie_word_embeddings": True, "n_positions": 1024,
         "scale_attn_weights": True, "add_cross_attention": False}  # fmt: skip
_GPT2_IGNORED = word_set(
    """
activation_function scale_attn_weights scale_attn_by_inverse_layer_idx reorder_and_upcast_attn
summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout n_ctx
attn_pdrop multi_query attention_softmax_in_fp32 scale_attention_softmax_in_fp32
validate_runner_input pre_allocate_kv_cache inference_runner max_batch_size max_sequence_length
"""
)


def _divided(fields: ConfigFields, hidden: int, heads: int) -> int:
    if hidden % heads:
        raise fields.fault("n_head", f"{heads} heads do not divide the width {hidden}")
    return hidden // heads


def _gpt2_like(fields: ConfigFields, kv_heads: int | None) -> Skeleton:
    """Return a model of GPT-2's build: a table of positions, two LayerNorms a layer, biases everywhere, tied head."""
    if fields.flag("add_cross_attention"):
        raise fields.refusal("add_cross_attention", "cross attention is not understood")
    hidden, heads = fields.whole("n_embd", "hidden_size"), fields.whole("n_head", "num_attention_heads")
    positions = fields.whole("n_positions", "max_position_embeddings")
    mixer = GroupedQueryAttention(
        heads, kv_heads or heads, _divided(fields, hidden, heads), qkv_bias=True, output_bias=True
    )
    width = fields.optional_whole("n_inner", "intermediate_size") or 4 * hidden
    layer = Layer(mixer, DenseFfn(width, gated=False, bias=True), norms=4)
    return Skeleton(
        hidden, fields.whole("vocab_size"), (layer,) * fields.whole("n_layer", "num_hidden_layers", most=4096),
        fields.flag("tie_word_embeddings"), positions, final_norms=2, extra=(("positions", positions * hidden),),
    )  # fmt: skip


@register("gpt2", "GPT2LMHeadModel", transformers=_TRANSFORMERS, defaults=_GPT2, ignored=_GPT2_IGNORED)
def read_gpt2(fields: ConfigFields) -> Skeleton:
    """Return a GPT-2."""
    return _gpt2_like(fields, None)


@register(
    "gpt_bigcode", "GPTBigCodeForCausalLM", transformers=_TRANSFORMERS,
    defaults={**_GPT2, "multi_query": True}, ignored=_GPT2_IGNORED - {"multi_query"},
)  # fmt: skip
def read_gpt_bigcode(fields: ConfigFields) -> Skeleton:
    """Return a SantaCoder or StarCoder: GPT-2 with one key and value head for all queries."""
    kv_heads = 1 if fields.flag("multi_query") else None
    stated = fields.optional_whole("num_key_value_heads")
    if stated is not None and stated != (kv_heads or fields.whole("n_head", "num_attention_heads")):
        raise fields.fault("num_key_value_heads", f"is {stated}, which multi_query does not say")
    return _gpt2_like(fields, kv_heads)


_NEOX = {"hidden_act": "gelu", "attention_bias": True, "tie_word_embeddings": False, "use_parallel_residual": True,
         "max_position_embeddings": 2048}  # fmt: skip


@register(
    "gpt_neox", "GPTNeoXForCausalLM", transformers=_TRANSFORMERS, defaults=_NEOX,
    ignored=frozenset({"hidden_act", "rotary_emb_base", "use_parallel_residual"}),
)  # fmt: skip
def read_gpt_neox(fields: ConfigFields) -> Skeleton:
    """Return a GPT-NeoX or Pythia: two LayerNorms that run side by side, biases in feed-forward and attention."""
    hidden, heads, bias = fields.whole("hidden_size"), head_count(fields), fields.flag("attention_bias")
    mixer = GroupedQueryAttention(heads, heads, _divided(fields, hidden, heads), qkv_bias=bias, output_bias=bias)
    ffn = DenseFfn(fields.whole("intermediate_size"), gated=False, bias=True)
    layer = Layer(mixer, ffn, norms=4, parallel=fields.flag("use_parallel_residual"))
    return Skeleton(
        hidden, fields.whole("vocab_size"), (layer,) * layer_count(fields), fields.flag("tie_word_embeddings"),
        fields.optional_whole("max_position_embeddings") or 0, final_norms=2,
    )  # fmt: skip


_GPTJ = {"n_inner": None, "tie_word_embeddings": False, "n_positions": 2048}


@register(
    "gptj", "GPTJForCausalLM", transformers=_TRANSFORMERS, defaults=_GPTJ,
    ignored=_GPT2_IGNORED | {"rotary", "rotary_dim", "gradient_checkpointing", "scale_attn_weights"},
)  # fmt: skip
def read_gptj(fields: ConfigFields) -> Skeleton:
    """Return a GPT-J: one LayerNorm for both halves of a layer, no biases in attention, a bias on the head."""
    hidden, heads = fields.whole("n_embd", "hidden_size"), fields.whole("n_head", "num_attention_heads")
    mixer = GroupedQueryAttention(heads, heads, _divided(fields, hidden, heads))
    width = fields.optional_whole("n_inner", "intermediate_size") or 4 * hidden
    layer = Layer(mixer, DenseFfn(width, gated=False, bias=True), norms=2, norm_operators=1, parallel=True)
    tied = fields.flag("tie_word_embeddings")
    return Skeleton(
        hidden, fields.whole("vocab_size"), (layer,) * fields.whole("n_layer", "num_hidden_layers", most=4096), tied,
        fields.optional_whole("n_positions", "max_position_embeddings") or 0, lm_head_bias=True, final_norms=2,
    )  # fmt: skip


_OPT = {
    "word_embed_proj_dim": None,
    "do_layer_norm_before": True,
    "enable_bias": True,
    "_remove_final_layer_norm": False,
    "layer_norm_elementwise_affine": True,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}


@register(
    "opt", "OPTForCausalLM", transformers=_TRANSFORMERS, defaults=_OPT,
    ignored=frozenset({"activation_function", "layerdrop", "activation_dropout"}),
)  # fmt: skip
def read_opt(fields: ConfigFields) -> Skeleton:
    """Return an OPT: a table of positions with two rows in reserve, biases everywhere, a tied head."""
    hidden, heads = fields.whole("hidden_size"), head_count(fields)
    projected = fields.optional_whole("word_embed_proj_dim")
    if projected not in (None, hidden):
        raise fields.refusal("word_embed_proj_dim", "embeddings of another width than the layers are not understood")
    for flag in ("do_layer_norm_before", "enable_bias", "layer_norm_elementwise_affine"):
        if not fields.flag(flag):
            raise fields.refusal(flag, "an OPT without it is not understood")
    positions = fields.whole("max_position_embeddings")
    mixer = GroupedQueryAttention(heads, heads, _divided(fields, hidden, heads), qkv_bias=True, output_bias=True)
    layer = Layer(mixer, DenseFfn(fields.whole("ffn_dim", "intermediate_size"), gated=False, bias=True), norms=4)
    return Skeleton(
        hidden, fields.whole("vocab_size"), (layer,) * layer_count(fields), fields.flag("tie_word_embeddings"),
        positions, final_norms=2, extra=(("positions", (positions + 2) * hidden),),
    )  # fmt: skip


_BLOOM_IGNORED = word_set(
    """
apply_residual_connection_post_layernorm slow_but_exact offset_alibi bias_dropout_fusion
masked_softmax_fusion skip_bias_add skip_bias_add_qkv attention_softmax_in_fp32 n_inner unk_token_id
"""
)


@register(
    "bloom", "BloomForCausalLM", transformers=_TRANSFORMERS, defaults={"tie_word_embeddings": True},
    ignored=_BLOOM_IGNORED,
)  # fmt: skip
def read_bloom(fields: ConfigFields) -> Skeleton:
    """Return a BLOOM: a LayerNorm after the embedding, linear biases on scores instead of positions, a tied head."""
    hidden = fields.whole("hidden_size", "n_embed", "n_embd")
    heads = fields.whole("n_head", "num_attention_heads")
    mixer = GroupedQueryAttention(heads, heads, _divided(fields, hidden, heads), qkv_bias=True, output_bias=True)
    layer = Layer(mixer, DenseFfn(4 * hidden, gated=False, bias=True), norms=4)
    return Skeleton(
        hidden, fields.whole("vocab_size"), (layer,) * fields.whole("n_layer", "num_hidden_layers", most=4096),
        fields.flag("tie_word_embeddings"), 0, final_norms=2, extra=(("embedding_norm", 2 * hidden),),
    )  # fmt: skip
