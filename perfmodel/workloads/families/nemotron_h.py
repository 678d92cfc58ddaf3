"""Nemotron-H and Nemotron 3: layers of one block each, by a pattern: Mamba-2, attention, feed-forward or experts."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import attention, expert_counts, skeleton
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import MULTI_TOKEN_PREDICTION, word_set
from perfmodel.workloads.families.recurrences import mamba2_block
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, MoeFfn, RecurrentMixer

_DEFAULTS = {
    "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 4096, "tie_word_embeddings": False,
    "attention_bias": False, "mlp_bias": False, "use_bias": False, "use_conv_bias": True, "ssm_state_size": 128,
    "mamba_num_heads": 128, "mamba_head_dim": 64, "n_groups": 8, "conv_kernel": 4, "intermediate_size": 21504,
    "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 7688,
    "moe_shared_expert_intermediate_size": 7688, "mamba_ssm_cache_dtype": "float32",
}  # fmt: skip
_IGNORED = MULTI_TOKEN_PREDICTION | word_set(
    """
expand chunk_size time_step_floor time_step_max time_step_min time_step_limit time_step_rank mamba_hidden_act
mlp_hidden_act rescale_prenorm_residual residual_in_fp32 use_mamba_kernels num_logits_to_keep hidden_dropout
moe_shared_expert_overlap mtp_layers_block_type mtp_hybrid_override_pattern num_hidden_layers mamba_proj_bias
attention_head_dim mamba_chunk_size mamba_dt_init_floor mamba_dt_limit mamba_dt_max mamba_dt_min sliding_window
"""
)
_LETTERS = {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"}
_NAMES = {"mamba": "linear_attention", "attention": "full_attention"}
_CACHE_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}


@register("nemotron_h", "NemotronHForCausalLM", transformers="5.23", defaults=_DEFAULTS, ignored=_IGNORED)
def read_nemotron_h(fields: ConfigFields) -> Skeleton:
    """Return a Nemotron-H: one norm and one block a layer; attention has no rotation and never a bias."""
    mixer = replace(attention(fields), rotated=False)
    bias = fields.flag("mlp_bias")
    fields.flag("attention_bias")
    if fields.optional_whole("sliding_window"):
        raise fields.refusal("sliding_window", "a window is not understood in a nemotron_h")
    blocks = {
        "linear_attention": lambda: Layer(_mamba(fields), None, 1, 1),
        "full_attention": lambda: Layer(mixer, None, 1, 1),
        "mlp": lambda: Layer(None, DenseFfn(fields.whole("intermediate_size"), gated=False, bias=bias), 1, 1),
        "moe": lambda: Layer(None, _experts(fields, bias=bias), 1, 1),
    }
    pattern = _pattern(fields)
    made = {kind: blocks[kind]() for kind in dict.fromkeys(pattern)}
    _read_all(fields)
    return skeleton(fields, [made[kind] for kind in pattern])


def _read_all(fields: ConfigFields) -> None:
    """Mark what belongs to kinds of blocks that this model does not have."""
    fields.used.update(_DEFAULTS)
    fields.used.update(("moe_latent_size", "num_local_experts", "layers_block_type", "layer_types"))


def _pattern(fields: ConfigFields) -> list[str]:
    names = fields.words("layers_block_type") or fields.words("layer_types")
    text = fields.word("hybrid_override_pattern")
    if names is None and text is not None:
        names = [_LETTERS.get(letter, letter) for letter in text]
    if not names:
        raise fields.fault("hybrid_override_pattern", "is missing, and layers_block_type too")
    names = [_NAMES.get(name, name) for name in names]
    if odd := sorted(set(names) - set(_LETTERS.values())):
        known = ", ".join(f"{letter} {name}" for letter, name in _LETTERS.items())
        raise fields.refusal(
            "hybrid_override_pattern", f"{', '.join(odd)[:60]} is not understood (understood: {known})"
        )
    if len(names) > 4096:
        raise fields.fault("hybrid_override_pattern", f"must name at most 4096 layers, not {len(names)}")
    return names


def _mamba(fields: ConfigFields) -> RecurrentMixer:
    stored = fields.word("mamba_ssm_cache_dtype") or "float32"
    if stored not in _CACHE_BYTES:
        raise fields.refusal("mamba_ssm_cache_dtype", f"is not understood (understood: {', '.join(_CACHE_BYTES)})")
    heads, groups = fields.whole("mamba_num_heads", most=65536), fields.whole("n_groups", "mamba_n_groups", most=65536)
    if heads % groups:
        raise fields.fault("n_groups", f"must divide mamba_num_heads {heads}, not {groups}")
    return mamba2_block(
        fields.whole("hidden_size"), heads, fields.whole("mamba_head_dim", most=65536), groups,
        fields.whole("ssm_state_size", most=65536), fields.whole("conv_kernel", "mamba_d_conv", most=64),
        conv_bias=fields.flag("use_conv_bias"), bias=fields.flag("use_bias"), state_element_bytes=_CACHE_BYTES[stored],
    )  # fmt: skip


def _experts(fields: ConfigFields, *, bias: bool) -> MoeFfn:
    if bias:
        raise fields.refusal("mlp_bias", "experts with biases are not understood in a nemotron_h")
    experts, topk = expert_counts(fields, "n_routed_experts", "num_local_experts")
    shared = fields.whole("moe_shared_expert_intermediate_size", least=0)
    return MoeFfn(
        experts, topk, fields.whole("moe_intermediate_size"), shared_intermediate=shared, gated=False,
        latent=fields.optional_whole("moe_latent_size") or 0,
    )  # fmt: skip
