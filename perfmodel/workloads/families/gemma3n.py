"""Gemma 3n's language model: four residual streams, low-rank residuals, per-layer inputs, shared keys and values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfmodel.workloads.families.common import (
    MOST_LAYERS,
    attention,
    layer_count,
    skeleton,
    window_flags,
)
from perfmodel.workloads.families.fields import ConfigFields, shown
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, LinearBlock

_DEFAULTS: dict[str, Any] = {
    "vocab_size": 262400, "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 35,
    "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 32768, "tie_word_embeddings": True, "attention_bias": False, "sliding_window": 512,
    "layer_types": None, "vocab_size_per_layer_input": 262144, "hidden_size_per_layer_input": 256,
    "altup_num_inputs": 4, "num_kv_shared_layers": 15, "laurel_rank": 64, "activation_sparsity_pattern": None,
}  # fmt: skip
_ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "relu", "silu")
_IGNORED = word_set("altup_active_idx altup_coef_clip altup_correct_scale final_logit_softcapping hidden_act")


@register("gemma3n_text", "Gemma3nForCausalLM", transformers="5.23", defaults=_DEFAULTS, ignored=_IGNORED)
def read_gemma3n_text(fields: ConfigFields) -> Skeleton:
    """Return a Gemma 3n's language model.

    The low-rank residual (LAuReL) reads the normed input beside attention: a block of ``2*rank`` outputs. The matrices
    that make n residual streams (AltUp) of one and one of n count as part of the head. Omits the mixing of the streams,
    ``2*n^2*hidden`` flops a layer and token, and routing it by ``4*n*hidden``; activation sparsity skips no product.

    Source: transformers' Gemma3nTextModel; AltUp: Baykal et al. 2023; LAuReL: Menghani et al. 2024.
    """
    _check_activation(fields)
    layers, hidden = layer_count(fields), fields.whole("hidden_size")
    streams = fields.whole("altup_num_inputs", most=64)
    side, rank = fields.whole("hidden_size_per_layer_input"), fields.whole("laurel_rank")
    _check_sparsity(fields, layers)
    if hidden % fields.whole("num_attention_heads"):
        raise fields.fault("num_attention_heads", f"must divide hidden_size {hidden}")
    bias, window = fields.flag("attention_bias"), fields.whole("sliding_window")
    local, whole = (
        attention(fields, window=w, qkv_bias=bias, output_bias=bias, qk_norm="head") for w in (window, 0)
    )  # fmt: skip
    other = streams * hidden + streams**2 + streams**3 + hidden  # routing, correction, prediction, output scale
    flags, first = _windowed(fields, layers), layers - fields.whole("num_kv_shared_layers", least=0, most=layers)
    if set(flags[first:]) - set(flags[:first]):
        raise fields.fault("num_kv_shared_layers", "leaves no layer of a kind to share the keys and values of")
    made = [
        Layer(
            replace(local if flag else whole, shared_cache=index >= first), DenseFfn(width), norms=7, norm_operators=8,
            second=LinearBlock(2 * rank), side_width=side, other=other,
        )
        for index, (flag, width) in enumerate(zip(flags, _widths(fields, layers), strict=True))
    ]  # fmt: skip
    tables = fields.whole("vocab_size_per_layer_input") * layers * side
    return replace(
        skeleton(fields, made),
        extra=(("per_layer_embedding", tables), ("per_layer_norm", side)),
        head=((hidden, (streams - 1) * hidden),) * 2 if streams > 1 else (),
    )


def _check_activation(fields: ConfigFields) -> None:
    """Refuse an activation that may not be a gate's; it is ``hidden_activation`` here."""
    name = fields.word("hidden_activation")
    if name is not None and name not in _ACTIVATIONS:
        raise fields.refusal("hidden_activation", f"is not understood (understood: {', '.join(_ACTIVATIONS)})")


def _windowed(fields: ConfigFields, layers: int) -> list[bool]:
    """Return which layers have a window: as ``layer_types`` says, or four of five."""
    if fields.words("layer_types") is None:
        return [(index + 1) % 5 != 0 for index in range(layers)]
    return window_flags(fields, layers)


def _widths(fields: ConfigFields, layers: int) -> list[int]:
    """Return each layer's width: one for all, or a list."""
    if not isinstance(fields.raw("intermediate_size"), list):
        return [fields.whole("intermediate_size")] * layers
    widths = fields.wholes("intermediate_size") or []
    if len(widths) != layers or not all(0 < width <= 10**9 for width in widths):
        raise fields.fault("intermediate_size", f"must be {layers} widths, not {shown(widths)}")
    return widths


def _check_sparsity(fields: ConfigFields, layers: int) -> None:
    """Fault a sparsity pattern that is no list of shares, one a layer; a share changes no product."""
    pattern = fields.raw("activation_sparsity_pattern")
    if pattern is None:
        return
    good = isinstance(pattern, list) and len(pattern) == layers <= MOST_LAYERS
    if not good or not all(_is_share(share) for share in pattern):
        raise fields.fault("activation_sparsity_pattern", f"must be {layers} shares below 1, not {shown(pattern)}")


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
