"""Dense families of local and global layers, and Apertus: EXAONE 4, OLMo 3."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import attention, dense_ffn, layer_count, skeleton, uniform, window_flags
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention

_USUAL = {
    "num_key_value_heads": None, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
    "max_position_embeddings": 2048, "sliding_window": 4096, "layer_types": None,
}  # fmt: skip


@register(
    "exaone4", "Exaone4ForCausalLM", transformers="5.23",
    defaults=_USUAL | {"sliding_window_pattern": 4}, ignored=frozenset({"attention_bias"}),
)  # fmt: skip
def read_exaone4(fields: ConfigFields) -> Skeleton:
    """Return an EXAONE 4: norms after the blocks, normed queries and keys, one global layer in four or all."""
    mixer, pattern = attention(fields, qk_norm="head"), fields.raw("sliding_window_pattern")
    every = len(pattern) if isinstance(pattern, str) and pattern else 4
    if not isinstance(pattern, str):
        every = fields.optional_whole("sliding_window_pattern", least=0) or 0
    return _local_and_global(fields, mixer, every)


@register("olmo3", "Olmo3ForCausalLM", transformers="5.23", defaults=_USUAL)
def read_olmo3(fields: ConfigFields) -> Skeleton:
    """Return an OLMo 3: OLMo 2's norms, three windows to one global layer."""
    bias = fields.flag("attention_bias")
    return _local_and_global(fields, attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="full"), 4)


def _local_and_global(fields: ConfigFields, mixer: GroupedQueryAttention, every: int) -> Skeleton:
    """Return layers with a window but every n-th (``every`` 0: none with a window)."""
    layers, window = layer_count(fields), fields.optional_whole("sliding_window")
    flags = [bool(every) and window is not None and (index + 1) % every != 0 for index in range(layers)]
    if fields.words("layer_types") is not None:
        flags = window_flags(fields, layers)
    local, ffn = replace(mixer, window=window or 0), dense_ffn(fields)
    return skeleton(fields, [Layer(local if flag else mixer, ffn) for flag in flags])


@register(
    "apertus", "ApertusForCausalLM", transformers="5.23", defaults=_USUAL | {"hidden_act": "xielu"},
    ignored=frozenset({"hidden_act", "mlp_bias", "qk_norm", "post_norm"}),
)  # fmt: skip
def read_apertus(fields: ConfigFields) -> Skeleton:
    """Return an Apertus: xIELU, whose two numbers are parameters, without a gate."""
    bias = fields.flag("attention_bias")
    mixer = attention(fields, qkv_bias=bias, output_bias=bias, qk_norm="head")
    found = uniform(fields, mixer, DenseFfn(fields.whole("intermediate_size"), gated=False))
    return replace(found, layers=tuple(layer._replace(other=2) for layer in found.layers))
