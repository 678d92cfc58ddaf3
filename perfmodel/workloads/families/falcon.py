"""Falcon: parallel layers, one or a few key and value heads, plain feed-forward blocks without biases."""

from __future__ import annotations

from perfmodel.workloads.families.common import head_count, layer_count
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention

_DEFAULTS = {
    "num_kv_heads": None, "alibi": False, "new_decoder_architecture": False, "multi_query": True, "parallel_attn": True,
    "bias": False, "ffn_hidden_size": None, "num_ln_in_parallel_attn": None, "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}  # fmt: skip


@register(
    "falcon", "FalconForCausalLM", transformers="5.x", defaults=_DEFAULTS,
    ignored=frozenset(
        {"activation", "apply_residual_connection_post_layernorm", "rotary", "alibi", "multi_query"}
    ),
)  # fmt: skip
def read_falcon(fields: ConfigFields) -> Skeleton:
    """Return a Falcon: the new architecture (40B, 180B) has grouped heads and a norm for each half of a layer."""
    hidden, heads, bias = fields.whole("hidden_size"), head_count(fields), fields.flag("bias")
    new, parallel = fields.flag("new_decoder_architecture"), fields.flag("parallel_attn")
    few = fields.optional_whole("num_kv_heads", "n_head_kv")
    kv = (few or heads) if new else 1 if fields.flag("multi_query") else heads
    if hidden % heads:
        raise fields.fault("num_attention_heads", f"{heads} heads do not divide the width {hidden}")
    norms = fields.optional_whole("num_ln_in_parallel_attn") or (2 if new else 1)
    running = norms if parallel else 2
    mixer = GroupedQueryAttention(heads, kv, hidden // heads, qkv_bias=bias, output_bias=bias)
    width = fields.optional_whole("ffn_hidden_size") or 4 * hidden
    layer = Layer(mixer, DenseFfn(width, gated=False, bias=bias), 2 * running, running, parallel)
    return Skeleton(
        hidden, fields.whole("vocab_size"), (layer,) * layer_count(fields), fields.flag("tie_word_embeddings"),
        fields.optional_whole("max_position_embeddings") or 0, final_norms=2,
    )  # fmt: skip
