"""Encoder-decoders: T5, mT5 and UMT5, BART and mBART, Whisper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perfmodel.workloads.families.common import MOST_LAYERS
from perfmodel.workloads.families.encoders import MOST, class_of, plain_activation, split_heads, width_of
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import CrossAttention, DenseFfn, Encoder, GroupedQueryAttention, LayerGroup

_TRANSFORMERS = "5.23"
_T5_KINDS = ("ForConditionalGeneration", "WithLMHeadModel", "Model", "EncoderModel")
_BART_KINDS = ("ForConditionalGeneration", "Model")
_T5_ACTIVATIONS = ("relu", "gelu", "gelu_new", "silu", "swish")
_STACK_IGNORED = word_set("is_encoder_decoder encoder_layerdrop decoder_layerdrop activation_dropout scale_embedding")


def _names(prefix: str, kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(prefix + kind for kind in kinds)


_T5: dict[str, Any] = {
    "d_kv": 64, "num_decoder_layers": None, "relative_attention_num_buckets": 32, "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
}  # fmt: skip
_T5_IGNORED = word_set(
    "is_encoder_decoder n_positions output_past relative_attention_max_distance dropout_rate scale_decoder_outputs"
)


def _t5_like(fields: ConfigFields, prefix: str, *, table_in_every_layer: bool) -> Skeleton:
    """Return a T5: norms before the blocks, no biases, and a learned bias on the scores by distance instead.

    Each stack has one table of ``buckets*heads``, or each of its layers. Where ``tie_word_embeddings`` is false the
    checkpoint has an output head of its own (T5 1.1, Flan-T5, mT5). Source: Raffel et al. 2019, section 2.1.
    """
    hidden = width_of(fields, "d_model", "hidden_size")
    heads, head_dim = fields.whole("num_heads", "num_attention_heads", most=MOST), _head_dim(fields)
    layers = fields.whole("num_layers", "num_hidden_layers", most=MOST_LAYERS)
    decoder_layers = fields.optional_whole("num_decoder_layers", most=MOST_LAYERS) or layers
    ffn, table = _t5_ffn(fields), fields.whole("relative_attention_num_buckets", most=MOST) * heads
    within, once = (table, 0) if table_in_every_layer else (0, table)
    kind, tied, vocabulary = class_of(fields, prefix, _T5_KINDS), _tied(fields), fields.whole("vocab_size")
    both = GroupedQueryAttention(heads, heads, head_dim, rotated=False, causal=False)
    tables = (("relative_position_embedding", once),) if once else ()
    if kind == "EncoderModel":
        layer = Layer(both, ffn, other=within)
        return Skeleton(
            hidden, vocabulary, (layer,) * layers, False, extra=tables, generates=False, has_head=False
        )  # fmt: skip
    encoder = Encoder(
        hidden, (LayerGroup(layers, both, ffn, other=within),), extra=(*tables, ("final_norm", hidden))
    )  # fmt: skip
    cross = CrossAttention(heads, heads, head_dim, hidden)
    one_way = GroupedQueryAttention(heads, heads, head_dim, rotated=False)
    layer = Layer(one_way, ffn, norms=3, norm_operators=3, cross=cross, other=within)
    has_head = kind != "Model"
    return Skeleton(
        hidden, vocabulary, (layer,) * decoder_layers, tied and has_head, extra=tables, encoder=encoder,
        has_head=has_head,
    )  # fmt: skip


def _head_dim(fields: ConfigFields) -> int:
    return fields.whole("d_kv", "head_dim", most=MOST)


def _tied(fields: ConfigFields) -> bool:
    return fields.flag("tie_word_embeddings")


def _t5_ffn(fields: ConfigFields) -> DenseFfn:
    """Return the feed-forward block: ``feed_forward_proj`` is an activation, or "gated-" and one."""
    name = fields.word("feed_forward_proj") or ""
    gated, activation = name.startswith("gated-"), name.removeprefix("gated-")
    if activation not in _T5_ACTIVATIONS:
        words = ", ".join(_T5_ACTIVATIONS)
        raise fields.refusal("feed_forward_proj", f"is not understood (understood: {words}, and gated- with one)")
    if fields.given("is_gated_act") and fields.flag("is_gated_act") != gated:
        raise fields.fault("is_gated_act", f"is {str(not gated).lower()}, but feed_forward_proj is '{name}'")
    if fields.given("dense_act_fn") and fields.word("dense_act_fn") not in _T5_ACTIVATIONS:
        raise fields.refusal("dense_act_fn", f"is not understood (understood: {', '.join(_T5_ACTIVATIONS)})")
    return DenseFfn(fields.whole("d_ff"), gated=gated)


@register("t5", _names("T5", _T5_KINDS), transformers=_TRANSFORMERS, defaults=_T5, ignored=_T5_IGNORED)
def read_t5(fields: ConfigFields) -> Skeleton:
    """Return a T5, T5 1.1, Flan-T5 or UL2."""
    return _t5_like(fields, "T5", table_in_every_layer=False)


_GATED = _T5 | {"feed_forward_proj": "gated-gelu"}


@register(
    "mt5",
    (*_names("MT5", _T5_KINDS), "T5ForConditionalGeneration"),
    transformers=_TRANSFORMERS,
    defaults=_GATED,
    ignored=_T5_IGNORED,
)
def read_mt5(fields: ConfigFields) -> Skeleton:
    """Return an mT5."""
    return _t5_like(fields, "MT5", table_in_every_layer=False)


@register("umt5", _names("UMT5", _T5_KINDS), transformers=_TRANSFORMERS, defaults=_GATED, ignored=_T5_IGNORED)
def read_umt5(fields: ConfigFields) -> Skeleton:
    """Return a UMT5, whose layers have a table of biases each."""
    return _t5_like(fields, "UMT5", table_in_every_layer=True)


_BART: dict[str, Any] = {
    "activation_function": "gelu", "max_position_embeddings": 1024, "tie_word_embeddings": True,
}  # fmt: skip
_BART_IGNORED = _STACK_IGNORED | word_set("classif_dropout output_past extra_pos_embeddings save_step")
_BART_SWITCHES = {
    "normalize_embedding": (True, True),
    "static_position_embeddings": (False, False),
    "add_bias_logits": (False, False),
    "normalize_before": (False, True),
    "add_final_layer_norm": (False, True),
}
"""What the first BART code could switch: what BART and what mBART have."""


def _stacks(fields: ConfigFields, hidden: int, *, biased_keys: bool) -> tuple[LayerGroup, Sequence[Layer]]:
    """Return (the encoder's layers, the decoder's): LayerNorms, biases everywhere but, if so, on the keys."""
    plain_activation(fields, "activation_function")
    layers = fields.whole("encoder_layers", "num_hidden_layers", most=MOST_LAYERS)
    heads, head_dim = split_heads(fields, hidden, "encoder_attention_heads", "num_attention_heads")
    other = 0 if biased_keys else 2 * hidden
    both = GroupedQueryAttention(
        heads, heads, head_dim, qkv_bias=biased_keys, output_bias=True, rotated=False, causal=False
    )  # fmt: skip
    reading = LayerGroup(layers, both, _biased_ffn(fields, "encoder_ffn_dim"), norms=4, other=other)
    heads, head_dim = split_heads(fields, hidden, "decoder_attention_heads")
    one_way = GroupedQueryAttention(heads, heads, head_dim, qkv_bias=biased_keys, output_bias=True, rotated=False)
    cross = CrossAttention(heads, heads, head_dim, hidden, bias=(4 if biased_keys else 3) * hidden)
    layer = Layer(
        one_way, _biased_ffn(fields, "decoder_ffn_dim"), norms=6, norm_operators=3, cross=cross, other=other
    )  # fmt: skip
    return reading, (layer,) * fields.whole("decoder_layers", most=MOST_LAYERS)


def _biased_ffn(fields: ConfigFields, key: str) -> DenseFfn:
    return DenseFfn(fields.whole(key), gated=False, bias=True)


def _bart_like(prefix: str, *, pre_norm: bool) -> Callable[[ConfigFields], Skeleton]:
    def read(fields: ConfigFields) -> Skeleton:
        """Return a BART or, with norms before the blocks and after the last, an mBART.

        Both stacks have a table of positions with two rows in reserve and a norm of the embedding. Source: Lewis et
        al. 2019, section 2. Omits the bias of the logits, a buffer of zeros.
        """
        for name, usual in _BART_SWITCHES.items():
            if fields.given(name) and fields.flag(name) != usual[pre_norm]:
                raise fields.refusal(name, f"only {str(usual[pre_norm]).lower()} is understood")
        if not _tied(fields):
            raise fields.refusal("tie_word_embeddings", "stacks with tables of their own are not understood")
        hidden, positions = width_of(fields, "d_model", "hidden_size"), fields.whole("max_position_embeddings")
        reading, layers = _stacks(fields, hidden, biased_keys=True)
        tables = (("position_embedding", (positions + 2) * hidden), ("embedding_norm", 2 * hidden))
        after = (("final_norm", 2 * hidden),) if pre_norm else ()
        has_head = class_of(fields, prefix, _BART_KINDS) != "Model"
        return Skeleton(
            hidden, fields.whole("vocab_size"), tuple(layers), has_head, positions, final_norms=2 * pre_norm,
            extra=tables, encoder=Encoder(hidden, (reading,), extra=(*tables, *after)), has_head=has_head,
        )  # fmt: skip

    return read


for _type, _prefix, _pre_norm in (("bart", "Bart", False), ("mbart", "MBart", True)):
    register(
        _type, _names(_prefix, _BART_KINDS), transformers=_TRANSFORMERS, defaults=_BART, ignored=_BART_IGNORED
    )(_bart_like(_prefix, pre_norm=_pre_norm))  # fmt: skip


@register(
    "whisper", _names("Whisper", _BART_KINDS), transformers=_TRANSFORMERS,
    defaults={"activation_function": "gelu", "num_mel_bins": 80, "max_source_positions": 1500,
              "max_target_positions": 448, "tie_word_embeddings": True},
    ignored=_STACK_IGNORED | word_set(
        """
        use_weighted_layer_sum classifier_proj_size apply_spec_augment mask_time_prob mask_time_length
        mask_time_min_masks mask_feature_prob mask_feature_length mask_feature_min_masks median_filter_width
        forced_decoder_ids
        """
    ),
)  # fmt: skip
def read_whisper(fields: ConfigFields) -> Skeleton:
    """Return a Whisper: its encoder reads sound behind two convolutions of three taps, the second with a stride of two.

    An input token is a position of the encoder, 20 ms of sound; the runtime fills every recording up to 30 s, which
    are 1500. Keys have no bias. Source: Radford et al. 2022, section 2.2.
    """
    hidden, mels = width_of(fields, "d_model", "hidden_size"), fields.whole("num_mel_bins", most=MOST)
    sources, targets = fields.whole("max_source_positions"), fields.whole("max_target_positions")
    reading, layers = _stacks(fields, hidden, biased_keys=False)
    encoder = Encoder(
        hidden, (reading,), matrices=((2, 3 * mels, hidden), (1, 3 * hidden, hidden)),
        extra=(("conv_bias", 2 * hidden), ("position_embedding", sources * hidden), ("final_norm", 2 * hidden)),
    )  # fmt: skip
    has_head = class_of(fields, "Whisper", _BART_KINDS) != "Model"
    return Skeleton(
        hidden, fields.whole("vocab_size"), tuple(layers), _tied(fields) and has_head, sources, final_norms=2,
        extra=(("position_embedding", targets * hidden),), encoder=encoder, has_head=has_head,
    )  # fmt: skip
