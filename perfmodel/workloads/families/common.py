"""What the adapters share: grouped-query attention, window patterns, experts, and whole models of identical layers."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton
from perfmodel.workloads.modules import layer_parts
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LayerGroup, MoeFfn

MOST_LAYERS = 4096
_MOST_HEADS = 65536
_GATED_ACTIVATIONS = ("silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
FULL, SLIDING = "full_attention", "sliding_attention"


def layer_count(fields: ConfigFields) -> int:
    """Return the number of decoder layers."""
    return fields.whole("num_hidden_layers", most=MOST_LAYERS)


def skeleton(fields: ConfigFields, layers: Sequence[Layer]) -> Skeleton:
    """Return the whole model of these layers, with the embedding's sizes read from the config."""
    return Skeleton(
        hidden=fields.whole("hidden_size"),
        vocabulary=fields.whole("vocab_size"),
        layers=tuple(layers),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        maximum_tokens=fields.optional_whole("max_position_embeddings") or 0,
    )


def head_count(fields: ConfigFields) -> int:
    """Return the number of query heads."""
    return fields.whole("num_attention_heads", most=_MOST_HEADS)


def attention(
    fields: ConfigFields,
    *,
    window: int = 0,
    qkv_bias: bool = False,
    output_bias: bool = False,
    qk_norm: str = "none",
    sinks: bool = False,
) -> GroupedQueryAttention:
    """Return grouped-query attention; a config without ``num_key_value_heads`` (or null) has one per query head."""
    heads = head_count(fields)
    kv_heads = fields.optional_whole("num_key_value_heads", most=_MOST_HEADS) or heads
    if heads % kv_heads:
        raise fields.fault("num_key_value_heads", f"must divide num_attention_heads {heads}, not {kv_heads}")
    return GroupedQueryAttention(
        heads, kv_heads, _head_dim(fields, heads), window, qkv_bias, output_bias, qk_norm, sinks
    )


def _head_dim(fields: ConfigFields, heads: int) -> int:
    """Return ``head_dim``, or hidden/heads where a config has none."""
    stated = fields.optional_whole("head_dim", most=_MOST_HEADS)
    if stated is not None:
        return stated
    hidden = fields.whole("hidden_size")
    if hidden % heads:
        raise fields.fault("head_dim", f"is missing, and hidden_size {hidden} is no multiple of {heads} heads")
    return hidden // heads


def check_activation(fields: ConfigFields) -> None:
    """Refuse an activation that may not be the gate of a gated feed-forward block."""
    name = fields.word("hidden_act")
    if name is not None and name not in _GATED_ACTIVATIONS:
        raise fields.refusal("hidden_act", f"is not understood (understood: {', '.join(_GATED_ACTIVATIONS)})")


def dense_ffn(fields: ConfigFields, *, bias: bool = False) -> DenseFfn:
    """Return the gated feed-forward block of width ``intermediate_size``."""
    check_activation(fields)
    return DenseFfn(fields.whole("intermediate_size"), gated=True, bias=bias)


def expert_counts(fields: ConfigFields, *names: str, topk: Sequence[str] = ("num_experts_per_tok",)) -> tuple[int, int]:
    """Return (routed experts, experts a token goes to); more of the second than of the first is a fault."""
    experts = fields.whole(*names, most=_MOST_HEADS)
    chosen = fields.whole(*topk, most=_MOST_HEADS)
    if chosen > experts:
        raise fields.fault(topk[0], f"must not exceed the {experts} experts, not {chosen}")
    return experts, chosen


def window_flags(fields: ConfigFields, layers: int) -> list[bool]:
    """Return for each layer whether ``layer_types`` gives it a sliding window; raises unless it names all layers."""
    kinds = fields.words("layer_types") or []
    if len(kinds) != layers:
        raise fields.fault("layer_types", f"must name {layers} layers, not {len(kinds)}")
    odd = sorted({kind for kind in kinds if kind not in (FULL, SLIDING)})
    if odd:
        raise fields.refusal("layer_types", f"{', '.join(odd)} is not understood (understood: {FULL}, {SLIDING})")
    return [kind == SLIDING for kind in kinds]


def mtp_parameters(layer: Layer, hidden: int, modules: int) -> int:
    """Return the parameters of multi-token-prediction modules beside the embedding and head that they share.

    Each is a layer, a matrix from the state and the next token's embedding (2h to h), and three norms.
    Source: DeepSeek-V3 (2024), section 2.2.
    """
    group = LayerGroup(1, *layer)
    return modules * (sum(each for _, _, each in layer_parts(group, hidden)) + 2 * hidden * hidden + 3 * hidden)


def uniform(fields: ConfigFields, mixer: GroupedQueryAttention, ffn: DenseFfn | MoeFfn) -> Skeleton:
    """Return a model whose layers are all alike."""
    return skeleton(fields, [Layer(mixer, ffn)] * layer_count(fields))
