"""Hybrids of Mamba and attention: Jamba, Bamba, Falcon-H1 and Granite 4."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import (
    attention,
    check_activation,
    dense_ffn,
    expert_counts,
    layer_count,
    skeleton,
)
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.mamba import time_step_rank
from perfmodel.workloads.families.recurrences import mamba1_block, mamba2_block
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, MoeFfn, RecurrentMixer

_USUAL = {
    "num_key_value_heads": 8, "hidden_act": "silu", "tie_word_embeddings": False, "max_position_embeddings": 262144,
    "attention_bias": False, "mlp_bias": False, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_conv_bias": True,
    "mamba_proj_bias": False,
}  # fmt: skip
_JAMBA = _USUAL | {
    "num_experts": 16, "num_experts_per_tok": 2, "expert_layer_period": 2, "expert_layer_offset": 1,
    "attn_layer_period": 8, "attn_layer_offset": 4, "mamba_d_state": 16, "mamba_dt_rank": "auto",
}  # fmt: skip
_MAMBA2 = _USUAL | {"mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_head": "auto"}
_IGNORED = word_set(
    """
use_mamba_kernels use_mambapy use_associative_scan num_logits_to_keep mamba_chunk_size time_step_limit
z_loss_coefficient attn_rotary_emb layers_block_type layers_num_experts mamba_inner_layernorms
position_embedding_type time_step_min time_step_max time_step_floor
"""
)


@register("jamba", "JambaForCausalLM", transformers="5.23", defaults=_JAMBA, ignored=_IGNORED | {"layer_types"})
def read_jamba(fields: ConfigFields) -> Skeleton:
    """Return a Jamba: Mamba-1 with norms inside, attention without rotation and experts every few layers."""
    hidden = fields.whole("hidden_size")
    mamba = mamba1_block(
        hidden, hidden * fields.whole("mamba_expand", most=64), fields.whole("mamba_d_state", most=65536),
        time_step_rank(fields, "mamba_dt_rank", hidden), fields.whole("mamba_d_conv", most=64),
        conv_bias=fields.flag("mamba_conv_bias"), bias=fields.flag("mamba_proj_bias"), norms=True,
    )  # fmt: skip
    full = replace(attention(fields), rotated=False)
    experts, topk = expert_counts(fields, "num_experts", "num_local_experts")
    width = fields.whole("intermediate_size")
    dense = dense_ffn(fields)
    sparse = MoeFfn(experts, topk, width) if experts > 1 else dense
    attends, routes = (_every(fields, what, layer_count(fields)) for what in ("attn", "expert"))
    layers = zip(attends, routes, strict=True)
    return skeleton(fields, [Layer(full if a else mamba, sparse if r else dense) for a, r in layers])


def _every(fields: ConfigFields, what: str, layers: int) -> list[bool]:
    """Return which layers fall on the period and offset of ``what``."""
    period = fields.whole(f"{what}_layer_period", most=4096)
    offset = fields.whole(f"{what}_layer_offset", least=0, most=4096)
    if offset >= period:
        raise fields.fault(f"{what}_layer_offset", f"must be below the period {period}, not {offset}")
    return [index % period == offset for index in range(layers)]


def _mamba2(fields: ConfigFields, *, inner: int, out_bias: bool | None = None, norm: bool = True) -> RecurrentMixer:
    """Return a Mamba-2 block under these families' names; ``out_bias`` None is that of the projection in."""
    heads, groups = fields.whole("mamba_n_heads", most=65536), fields.whole("mamba_n_groups", most=65536)
    head_dim = inner // heads if fields.raw("mamba_d_head") == "auto" else fields.whole("mamba_d_head", most=65536)
    if heads * head_dim != inner:
        raise fields.fault("mamba_n_heads", f"{heads} heads of {head_dim} are not the {inner} of the block")
    if heads % groups:
        raise fields.fault("mamba_n_groups", f"must divide mamba_n_heads {heads}, not {groups}")
    bias, hidden = fields.flag("mamba_proj_bias"), fields.whole("hidden_size")
    block = mamba2_block(
        hidden, heads, head_dim, groups, fields.whole("mamba_d_state", most=65536),
        fields.whole("mamba_d_conv", most=64), conv_bias=fields.flag("mamba_conv_bias"), bias=bias, norm=norm,
    )  # fmt: skip
    if out_bias is None or out_bias == bias:
        return block
    return replace(block, small=block.small + (hidden if out_bias else -hidden))


@register("bamba", "BambaForCausalLM", transformers="5.23", defaults=_MAMBA2, ignored=_IGNORED)
def read_bamba(fields: ConfigFields) -> Skeleton:
    """Return a Bamba: Mamba-2 in all layers but ``attn_layer_indices``."""
    bias, layers = fields.flag("attention_bias"), layer_count(fields)
    full = attention(fields, qkv_bias=bias, output_bias=bias)
    mamba = _mamba2(fields, inner=fields.whole("hidden_size") * fields.whole("mamba_expand", most=64))
    ffn = dense_ffn(fields, bias=fields.flag("mlp_bias"))
    attends = set(fields.wholes("attn_layer_indices") or ())
    if any(not 0 <= index < layers for index in attends):
        raise fields.fault("attn_layer_indices", f"names a layer that is not among the {layers}")
    fields.used.add("layer_types")
    return skeleton(fields, [Layer(full if index in attends else mamba, ffn) for index in range(layers)])


_H1_IGNORED = _IGNORED | word_set(
    """
attention_in_multiplier attention_out_multiplier embedding_multiplier key_multiplier lm_head_multiplier mlp_multipliers
ssm_in_multiplier ssm_multipliers ssm_out_multiplier mamba_norm_before_gate mlp_expansion_factor mamba_use_mlp
layer_types mamba_expand
"""
)


@register(
    "falcon_h1", "FalconH1ForCausalLM", transformers="5.23", ignored=_H1_IGNORED,
    defaults=_MAMBA2 | {"mamba_d_ssm": 1024, "mamba_rms_norm": False, "projectors_bias": False},
)  # fmt: skip
def read_falcon_h1(fields: ConfigFields) -> Skeleton:
    """Return a Falcon-H1: attention and Mamba-2 side by side in every layer, their outputs added."""
    bias = fields.flag("attention_bias")
    inner = fields.optional_whole("mamba_d_ssm") or fields.whole("hidden_size") * fields.whole("mamba_expand", most=64)
    mamba = _mamba2(fields, inner=inner, out_bias=fields.flag("projectors_bias"), norm=fields.flag("mamba_rms_norm"))
    layer = Layer(
        attention(fields, qkv_bias=bias, output_bias=bias),
        dense_ffn(fields, bias=fields.flag("mlp_bias")),
        second=mamba,
    )
    return skeleton(fields, [layer] * layer_count(fields))


_GRANITE_IGNORED = _IGNORED | word_set(
    "embedding_multiplier logits_scaling residual_multiplier attention_multiplier normalization_function init_method"
)


@register(
    "granitemoehybrid", "GraniteMoeHybridForCausalLM", transformers="5.23", ignored=_GRANITE_IGNORED,
    defaults=_MAMBA2 | {"num_key_value_heads": None, "num_local_experts": 8, "num_experts_per_tok": 2,
                        "shared_intermediate_size": 1024, "max_position_embeddings": 2048},
)  # fmt: skip
def read_granitemoehybrid(fields: ConfigFields) -> Skeleton:
    """Return a Granite 4: Mamba-2 and some attention; experts beside a dense block, or the dense block alone."""
    check_activation(fields)
    bias, layers = fields.flag("attention_bias"), layer_count(fields)
    full = attention(fields, qkv_bias=bias, output_bias=bias)
    kinds = fields.words("layer_types") or ["linear_attention"] * layers
    kinds = [{"mamba": "linear_attention", "attention": "full_attention"}.get(kind, kind) for kind in kinds]
    if len(kinds) != layers or set(kinds) - {"linear_attention", "full_attention"}:
        raise fields.refusal("layer_types", f"must name {layers} layers as mamba or attention")
    mamba = None
    if "linear_attention" in kinds:
        mamba = _mamba2(fields, inner=fields.whole("hidden_size") * fields.whole("mamba_expand", most=64))
    fields.used.update(_MAMBA2)
    ffn = _granite_network(fields)
    return skeleton(fields, [Layer(mamba if kind == "linear_attention" else full, ffn) for kind in kinds])


def _granite_network(fields: ConfigFields) -> DenseFfn | MoeFfn:
    shared = fields.whole("shared_intermediate_size", least=0)
    experts = fields.whole("num_local_experts", "num_experts", least=0, most=65536)
    topk = fields.whole("num_experts_per_tok", least=0, most=65536)
    width = fields.whole("intermediate_size")
    if not experts:
        return DenseFfn(shared)
    if not 0 < topk <= experts:
        raise fields.fault("num_experts_per_tok", f"must not exceed the {experts} experts, not {topk}")
    return MoeFfn(experts, topk, width, shared_intermediate=shared)


@register(
    "granitemoeshared", "GraniteMoeSharedForCausalLM", transformers="5.23", ignored=_GRANITE_IGNORED,
    defaults=_USUAL | {"num_key_value_heads": None, "num_local_experts": 8, "num_experts_per_tok": 2,
                       "shared_intermediate_size": 0, "max_position_embeddings": 2048},
)  # fmt: skip
def read_granitemoeshared(fields: ConfigFields) -> Skeleton:
    """Return a Granite of experts with a shared dense block beside them."""
    check_activation(fields)
    bias = fields.flag("attention_bias")
    layer = Layer(attention(fields, qkv_bias=bias, output_bias=bias), _granite_network(fields))
    return skeleton(fields, [layer] * layer_count(fields))
