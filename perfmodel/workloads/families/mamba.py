"""Mamba, Falcon-Mamba and Mamba-2: state-space blocks alone, without attention or feed-forward networks."""

from __future__ import annotations

from perfmodel.workloads.families.common import layer_count, skeleton
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.recurrences import mamba1_block, mamba2_block
from perfmodel.workloads.families.registry import Layer, Skeleton, register

_DEFAULTS = {
    "state_size": 16, "expand": 2, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True,
    "time_step_rank": "auto", "tie_word_embeddings": True,
}  # fmt: skip
_MAMBA2 = _DEFAULTS | {"num_heads": 128, "head_dim": 64, "state_size": 128, "n_groups": 8, "tie_word_embeddings": False}
MAMBA_IGNORED = word_set(
    """
hidden_act residual_in_fp32 time_step_scale time_step_min time_step_max time_step_init_scheme time_step_floor
time_step_limit rescale_prenorm_residual use_mambapy use_falcon_mambapy use_associative_scan mixer_rms_eps chunk_size
rms_norm d_model n_layer ssm_cfg layer_types fused_add_norm pad_vocab_size_multiple conv_state
"""
)


@register("mamba", "MambaForCausalLM", transformers="5.23", defaults=_DEFAULTS, ignored=MAMBA_IGNORED)
@register("falcon_mamba", "FalconMambaForCausalLM", transformers="5.23", defaults=_DEFAULTS, ignored=MAMBA_IGNORED)
def read_mamba(fields: ConfigFields) -> Skeleton:
    """Return a Mamba-1; Falcon-Mamba's norms of time step, B and C have no gains."""
    hidden, state = fields.whole("hidden_size"), fields.whole("state_size", most=65536)
    expand = fields.whole("expand", most=64)
    inner = fields.optional_whole("intermediate_size") or hidden * expand
    block = mamba1_block(
        hidden, inner, state, time_step_rank(fields, "time_step_rank", hidden), fields.whole("conv_kernel", most=64),
        conv_bias=fields.flag("use_conv_bias"), bias=fields.flag("use_bias"),
    )  # fmt: skip
    return skeleton(fields, [Layer(block, None, 1, 1)] * layer_count(fields))


def time_step_rank(fields: ConfigFields, key: str, hidden: int) -> int:
    """Return the rank of the time step's projection; "auto" is a sixteenth of the width."""
    if fields.raw(key) == "auto":
        return -(-hidden // 16)
    return fields.whole(key)


@register("mamba2", "Mamba2ForCausalLM", transformers="5.23", defaults=_MAMBA2, ignored=MAMBA_IGNORED)
def read_mamba2(fields: ConfigFields) -> Skeleton:
    """Return a Mamba-2, whose heads make up ``expand`` times the width."""
    hidden, heads = fields.whole("hidden_size"), fields.whole("num_heads", most=65536)
    head_dim, groups = fields.whole("head_dim", most=65536), fields.whole("n_groups", most=65536)
    expand = fields.whole("expand", most=64)
    if heads * head_dim != expand * hidden:
        raise fields.fault("num_heads", f"{heads} heads of {head_dim} are not {expand} times the width {hidden}")
    if heads % groups:
        raise fields.fault("n_groups", f"must divide num_heads {heads}, not {groups}")
    fields.used.add("time_step_rank")
    block = mamba2_block(
        hidden, heads, head_dim, groups, fields.whole("state_size", most=65536), fields.whole("conv_kernel", most=64),
        conv_bias=fields.flag("use_conv_bias"), bias=fields.flag("use_bias"),
    )  # fmt: skip
    return skeleton(fields, [Layer(block, None, 1, 1)] * layer_count(fields))
