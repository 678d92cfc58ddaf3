"""Encoders alone: BERT, RoBERTa, DistilBERT, ELECTRA, ModernBERT and NomicBERT, with what their classes add on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from perfmodel.workloads.families.common import MOST_LAYERS, check_activation, window_flags
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention

_TRANSFORMERS = "5.23"
MOST = 65536
PLAIN_ACTIVATIONS = (
    "gelu",
    "gelu_new",
    "gelu_fast",
    "gelu_pytorch_tanh",
    "quick_gelu",
    "relu",
    "silu",
    "swish",
    "tanh",
)
_ENCODER_IGNORED = word_set(
    """
hidden_dropout_prob attention_probs_dropout_prob output_past directionality pooler_fc_size pooler_num_attention_heads
pooler_num_fc_layers pooler_size_per_head pooler_type
"""
)


def class_of(fields: ConfigFields, prefix: str, kinds: Sequence[str]) -> str:
    """Return which class of a family ``architectures`` means, less its prefix; where it says nothing, the first."""
    named = [name.removeprefix(prefix) for name in fields.words("architectures") or [] if name.startswith(prefix)]
    return next((kind for kind in named if kind in kinds), kinds[0])


def split_heads(fields: ConfigFields, width: int, key: str, *aliases: str) -> tuple[int, int]:
    """Return (heads, width of a head); heads that do not divide the width are a fault."""
    heads = fields.whole(key, *aliases, most=MOST)
    if width % heads:
        raise fields.fault(key, f"must divide the width {width}, not {heads}")
    return heads, width // heads


def width_of(fields: ConfigFields, key: str, *aliases: str) -> int:
    """Return the model's width."""
    return fields.whole(key, *aliases, most=16 * MOST)


def plain_activation(fields: ConfigFields, key: str) -> None:
    """Refuse an activation that may be a gate, or have parameters."""
    name = fields.word(key)
    if name is not None and name not in PLAIN_ACTIVATIONS:
        raise fields.refusal(key, f"is not understood (understood: {', '.join(PLAIN_ACTIVATIONS)})")


def _only_an_encoder(fields: ConfigFields) -> None:
    """Refuse the switches that make a decoder of an encoder, and positions other than the table's."""
    for flag in ("is_decoder", "add_cross_attention"):
        if fields.flag(flag):
            raise fields.refusal(flag, "an encoder that is used as a decoder is not understood")
    if fields.word("position_embedding_type") not in (None, "absolute"):
        raise fields.refusal("position_embedding_type", "is not understood (understood: absolute)")


def label_count(fields: ConfigFields) -> int:
    """Return how many classes a classifier has: those of ``id2label``, else ``num_labels``, else two."""
    named, stated = fields.raw("id2label"), fields.optional_whole("num_labels")
    if isinstance(named, Mapping) and named:
        if stated not in (None, len(named)):
            raise fields.fault("num_labels", f"is {stated}, but id2label names {len(named)}")
        return len(named)
    return stated or 2


def _topped(fields: ConfigFields, kind: str, found: Skeleton, width: int = 0, *, pooled: bool = False) -> Skeleton:
    """Return an encoder with what its class has above the last layer.

    A masked language model: a matrix to ``width`` (0: the model's), a norm, and the tied table with a bias. A
    classifier: two matrices. The model alone: a pooler, where the class has one. Omits activations.
    """
    hidden = found.hidden
    if kind == "ForSequenceClassification":
        labels = label_count(fields)
        top, biases = ((hidden, hidden), (hidden, labels)), hidden + labels
    elif kind in ("ForMaskedLM", "ForPreTraining"):
        return _masked_lm(kind, found, width or hidden)
    else:
        top, biases = (((hidden, hidden),), hidden) if pooled else ((), 0)
    return replace(found, head=top, extra=_with(found.extra, head_bias=biases), has_head=False, tied_embeddings=False)


def _masked_lm(kind: str, found: Skeleton, width: int) -> Skeleton:
    hidden = found.hidden
    extra = _with(found.extra, head_bias=width, head_norm=2 * width)
    if kind == "ForPreTraining":  # the pooler, and whether the second sentence follows
        extra = _with(extra, pooler=hidden * hidden + hidden + 2 * hidden + 2)
    return replace(found, head=((hidden, width),), extra=extra, lm_head_bias=True)


def _with(extra: tuple[tuple[str, int], ...], **more: int) -> tuple[tuple[str, int], ...]:
    return (*extra, *((name, count) for name, count in more.items() if count))


def _names(prefix: str, kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(prefix + kind for kind in kinds)


_USUAL = ("ForMaskedLM", "Model", "ForSequenceClassification")
_BERT: dict[str, Any] = {
    "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2, "tie_word_embeddings": True,
}  # fmt: skip


def _tables(width: int, positions: int, types: int) -> tuple[tuple[str, int], ...]:
    """Return the tables beside that of the words, and the norm of their sum."""
    return _with((), position_embedding=positions * width, token_type_embedding=types * width, embedding_norm=2 * width)


def _post_norm(fields: ConfigFields, width: int = 0, reserved: int = 0) -> Skeleton:
    """Return a BERT without what is above its last layer: learned positions, norms after the blocks, biases everywhere.

    Its tables are of ``width`` (0: the model's); ``reserved`` rows of that of positions are for padding. Source: Devlin
    et al. 2018, section 3.
    """
    _only_an_encoder(fields)
    plain_activation(fields, "hidden_act")
    hidden, rows = width_of(fields, "hidden_size"), fields.whole("max_position_embeddings")
    ffn = DenseFfn(fields.whole("intermediate_size"), gated=False, bias=True)
    layer = Layer(_biased_attention(fields, hidden, "num_attention_heads"), ffn, norms=4)
    tables = _tables(width or hidden, rows, fields.whole("type_vocab_size", least=0))
    found = _encoder(fields, hidden, (layer,) * fields.whole("num_hidden_layers", most=MOST_LAYERS), tables)
    return replace(found, maximum_tokens=max(rows - reserved, 1))


def _biased_attention(fields: ConfigFields, hidden: int, key: str, *aliases: str) -> GroupedQueryAttention:
    heads, head_dim = split_heads(fields, hidden, key, *aliases)
    return GroupedQueryAttention(heads, heads, head_dim, qkv_bias=True, output_bias=True, rotated=False, causal=False)


def _encoder(
    fields: ConfigFields, hidden: int, layers: tuple[Layer, ...], tables: tuple[tuple[str, int], ...]
) -> Skeleton:
    """Return an encoder with the tied table, or one of its own, above it."""
    tied = fields.flag("tie_word_embeddings")
    return Skeleton(hidden, fields.whole("vocab_size"), layers, tied, final_norms=0, extra=tables, generates=False)


def _spare_bias(found: Skeleton) -> Skeleton:
    """Return a model whose class has the head's bias twice unless it is tied, as BERT's and RoBERTa's have."""
    if not found.has_head or found.tied_embeddings:
        return found
    return replace(found, extra=_with(found.extra, spare_head_bias=found.vocabulary))


_BERT_KINDS = (*_USUAL, "ForPreTraining")


@register("bert", _names("Bert", _BERT_KINDS), transformers=_TRANSFORMERS, defaults=_BERT, ignored=_ENCODER_IGNORED)
def read_bert(fields: ConfigFields) -> Skeleton:
    """Return a BERT."""
    return _spare_bias(_topped(fields, class_of(fields, "Bert", _BERT_KINDS), _post_norm(fields), pooled=True))


def _roberta(prefix: str) -> Callable[[ConfigFields], Skeleton]:
    def read(fields: ConfigFields) -> Skeleton:
        """Return a RoBERTa: a BERT whose first positions are those of padding."""
        found = _post_norm(fields, reserved=2)
        return _spare_bias(_topped(fields, class_of(fields, prefix, _USUAL), found, pooled=True))

    return read


for _type, _prefix in (("roberta", "Roberta"), ("xlm-roberta", "XLMRoberta")):
    register(
        _type, _names(_prefix, _USUAL), transformers=_TRANSFORMERS, defaults=_BERT, ignored=_ENCODER_IGNORED
    )(_roberta(_prefix))  # fmt: skip


@register(
    "distilbert", _names("DistilBert", _USUAL), transformers=_TRANSFORMERS,
    defaults={"activation": "gelu", "max_position_embeddings": 512, "tie_word_embeddings": True},
    ignored=word_set("sinusoidal_pos_embds qa_dropout seq_classif_dropout tie_weights_ output_past"),
)  # fmt: skip
def read_distilbert(fields: ConfigFields) -> Skeleton:
    """Return a DistilBERT: a BERT without token types and without a pooler."""
    plain_activation(fields, "activation")
    hidden, rows = width_of(fields, "dim", "hidden_size"), fields.whole("max_position_embeddings")
    mixer = _biased_attention(fields, hidden, "n_heads", "num_attention_heads")
    layer = Layer(mixer, DenseFfn(fields.whole("hidden_dim"), gated=False, bias=True), norms=4)
    layers = (layer,) * fields.whole("n_layers", "num_hidden_layers", most=MOST_LAYERS)
    found = replace(_encoder(fields, hidden, layers, _tables(hidden, rows, 0)), maximum_tokens=rows)
    return _topped(fields, class_of(fields, "DistilBert", _USUAL), found)


_ELECTRA_KINDS = ("ForPreTraining", *_USUAL)


@register(
    "electra", _names("Electra", _ELECTRA_KINDS), transformers=_TRANSFORMERS,
    defaults=_BERT | {"embedding_size": 128},
    ignored=_ENCODER_IGNORED | word_set("summary_type summary_use_proj summary_activation summary_last_dropout"),
)  # fmt: skip
def read_electra(fields: ConfigFields) -> Skeleton:
    """Return an ELECTRA: a BERT behind a narrower embedding; without ``architectures``, the discriminator.

    Source: Clark et al. 2020, section 3.
    """
    kind, width = class_of(fields, "Electra", _ELECTRA_KINDS), width_of(fields, "embedding_size")
    found = _post_norm(fields, width)
    hidden = found.hidden
    if width != hidden:
        found = replace(found, embedding_width=width, extra=_with(found.extra, embedding_proj_bias=hidden))
    if kind == "ForPreTraining":  # was a token replaced: a yes or no at each
        top, extra = ((hidden, hidden), (hidden, 1)), _with(found.extra, head_bias=hidden + 1)
        return replace(found, head=top, extra=extra, has_head=False, tied_embeddings=False)
    return _topped(fields, kind, found, width)


@register(
    "modernbert", _names("ModernBert", _USUAL), transformers=_TRANSFORMERS,
    defaults={"hidden_activation": "gelu", "max_position_embeddings": 8192, "norm_bias": False, "mlp_bias": False,
              "attention_bias": False, "layer_types": None, "global_attn_every_n_layers": 3, "local_attention": 128,
              "decoder_bias": True, "classifier_bias": False, "tie_word_embeddings": True},
    ignored=word_set(
        """
        initializer_cutoff_factor embedding_dropout mlp_dropout classifier_pooling classifier_activation
        deterministic_flash_attn sparse_prediction sparse_pred_ignore_index reference_compile repad_logits_with_grad
        global_rope_theta local_rope_theta
        """
    ),
)  # fmt: skip
def read_modernbert(fields: ConfigFields) -> Skeleton:
    """Return a ModernBERT: rotated, gated, and all but one layer in three attend to a window around the token.

    The window has ``local_attention//2`` tokens on each side. The first layer has no norm of its own, as the
    embedding's serves for it. Source: Warner et al. 2024, section 2.
    """
    _only_an_encoder(fields)
    hidden, bias, norms = width_of(fields, "hidden_size"), fields.flag("attention_bias"), 1 + fields.flag("norm_bias")
    heads, head_dim = split_heads(fields, hidden, "num_attention_heads")
    layers = fields.whole("num_hidden_layers", most=MOST_LAYERS)
    every, around = fields.whole("global_attn_every_n_layers", most=MOST), fields.whole("local_attention", least=2)
    local = [index % every != 0 for index in range(layers)]
    if fields.words("layer_types") is not None:
        local = window_flags(fields, layers)
    plain_activation(fields, "hidden_activation")
    wide = GroupedQueryAttention(heads, heads, head_dim, qkv_bias=bias, output_bias=bias, causal=False)
    near = replace(wide, window=2 * (around // 2) + 1)
    ffn = DenseFfn(fields.whole("intermediate_size"), gated=True, bias=fields.flag("mlp_bias"))
    stack = tuple(Layer(near if is_local else wide, ffn, norms=2 * norms) for is_local in local)
    found = replace(
        _encoder(fields, hidden, stack, ()), final_norms=norms, maximum_tokens=fields.whole("max_position_embeddings")
    )
    return _modern_head(fields, class_of(fields, "ModernBert", _USUAL), found, norms)


def _modern_head(fields: ConfigFields, kind: str, found: Skeleton, norms: int) -> Skeleton:
    """Return a ModernBERT with the matrix and the norm that its heads begin with."""
    hidden, biased = found.hidden, fields.flag("classifier_bias")
    decoder_bias = fields.flag("decoder_bias")
    if kind == "Model":
        return replace(found, has_head=False, tied_embeddings=False)
    extra = _with((), head_bias=hidden * biased, head_norm=norms * hidden)
    if kind == "ForMaskedLM":
        return replace(found, head=((hidden, hidden),), extra=extra, lm_head_bias=decoder_bias)
    labels = label_count(fields)
    top = ((hidden, hidden), (hidden, labels))
    extra = _with(extra, classifier_bias=labels)
    return replace(found, head=top, extra=extra, has_head=False, tied_embeddings=False)


@register(
    "nomic_bert", _names("NomicBert", _USUAL), transformers=_TRANSFORMERS,
    defaults={"hidden_act": "silu", "max_position_embeddings": 2048, "type_vocab_size": 2, "head_dim": None,
              "tie_word_embeddings": True},
    ignored=_ENCODER_IGNORED,
)  # fmt: skip
def read_nomic_bert(fields: ConfigFields) -> Skeleton:
    """Return a NomicBERT: a BERT that is rotated and gated, without biases and without a table of positions."""
    check_activation(fields)
    hidden = width_of(fields, "hidden_size")
    heads, head_dim = split_heads(fields, hidden, "num_attention_heads")
    head_dim = fields.optional_whole("head_dim", most=MOST) or head_dim
    ffn = DenseFfn(fields.whole("intermediate_size"), gated=True)
    layer = Layer(GroupedQueryAttention(heads, heads, head_dim, causal=False), ffn, norms=4)
    layers = (layer,) * fields.whole("num_hidden_layers", most=MOST_LAYERS)
    found = _encoder(fields, hidden, layers, _tables(hidden, 0, fields.whole("type_vocab_size", least=0)))
    found = replace(found, maximum_tokens=fields.whole("max_position_embeddings"))
    return _spare_bias(_topped(fields, class_of(fields, "NomicBert", _USUAL), found))
