"""Qwen2, Qwen2.5 and Qwen3, dense: grouped-query attention whose upper layers may have a sliding window."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, dense_ffn, layer_count, skeleton, window_flags
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton, register

_DEFAULTS = {
    "num_key_value_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
}
_DEFAULTS_QWEN3 = _DEFAULTS | {"head_dim": 128, "attention_bias": False}


@register("qwen2", "Qwen2ForCausalLM", transformers="5.x main (008e5743)", defaults=_DEFAULTS)
def read_qwen2(fields: ConfigFields) -> Skeleton:
    """Return a Qwen2 or Qwen2.5: q, k and v always have biases, o never has."""
    return _layers(fields, qkv_bias=True, output_bias=False, qk_norm="none")


@register("qwen3", "Qwen3ForCausalLM", transformers="5.x main (008e5743)", defaults=_DEFAULTS_QWEN3)
def read_qwen3(fields: ConfigFields) -> Skeleton:
    """Return a Qwen3: q and k are normed per head; ``attention_bias`` biases q, k, v and o."""
    bias = fields.flag("attention_bias")
    return _layers(fields, qkv_bias=bias, output_bias=bias, qk_norm="head")


def _layers(fields: ConfigFields, *, qkv_bias: bool, output_bias: bool, qk_norm: str) -> Skeleton:
    ffn = dense_ffn(fields)
    full, windowed = (
        Layer(attention(fields, window=w, qkv_bias=qkv_bias, output_bias=output_bias, qk_norm=qk_norm), ffn)
        for w in (0, _window(fields))
    )
    return skeleton(fields, [windowed if flag else full for flag in _windowed(fields)])


def _window(fields: ConfigFields) -> int:
    """Return the window of windowed layers, or 0 where ``use_sliding_window`` is off, whatever its size says."""
    window = fields.optional_whole("sliding_window")
    return (window or 0) if fields.flag("use_sliding_window") else 0


def _windowed(fields: ConfigFields) -> list[bool]:
    """Return which layers have a window: as ``layer_types`` says, otherwise those from ``max_window_layers`` on."""
    layers, window = layer_count(fields), _window(fields)
    first = fields.optional_whole("max_window_layers", least=0)
    if fields.words("layer_types") is None:
        return [bool(window) and index >= (first or 0) for index in range(layers)]
    flags = window_flags(fields, layers)
    if any(flags) and not window:
        raise fields.refusal("layer_types", "names sliding_attention while use_sliding_window or sliding_window is off")
    return flags
