"""Models of Llama's build under other names: Seed-OSS, SmolLM3, ERNIE 4.5, Arcee, Helium, Baichuan."""

from __future__ import annotations

from perfmodel.workloads.families.common import attention, dense_ffn, uniform
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Skeleton, register
from perfmodel.workloads.spec import DenseFfn

_USUAL = {"num_key_value_heads": None, "head_dim": None, "hidden_act": "silu", "tie_word_embeddings": False,
          "attention_bias": False, "mlp_bias": False, "max_position_embeddings": 2048}  # fmt: skip


@register(
    "seed_oss", "SeedOssForCausalLM", transformers="5.x", ignored=frozenset({"residual_dropout"}),
    defaults=_USUAL | {"attention_bias": True, "attention_out_bias": False, "head_dim": 128, "num_key_value_heads": 8},
)  # fmt: skip
def read_seed_oss(fields: ConfigFields) -> Skeleton:
    """Return a Seed-OSS: biases on q, k and v, and on the output apart."""
    mixer = attention(fields, qkv_bias=fields.flag("attention_bias"), output_bias=fields.flag("attention_out_bias"))
    return uniform(fields, mixer, dense_ffn(fields, bias=fields.flag("mlp_bias")))


@register(
    "smollm3", "SmolLM3ForCausalLM", transformers="5.x",
    defaults=_USUAL | {"num_key_value_heads": 4, "tie_word_embeddings": True, "use_sliding_window": False,
                       "layer_types": None},
    ignored=frozenset({"no_rope_layers", "no_rope_layer_interval", "sliding_window", "max_window_layers"}),
)  # fmt: skip
def read_smollm3(fields: ConfigFields) -> Skeleton:
    """Return a SmolLM3: some layers without rotation, which changes no count."""
    if fields.flag("use_sliding_window") or any(kind != "full_attention" for kind in fields.words("layer_types") or ()):
        raise fields.refusal("use_sliding_window", "a smollm3 with windows is not understood")
    bias = fields.flag("attention_bias")
    return uniform(
        fields, attention(fields, qkv_bias=bias, output_bias=bias), dense_ffn(fields, bias=fields.flag("mlp_bias"))
    )


@register(
    "ernie4_5", "Ernie4_5ForCausalLM", transformers="5.x",
    defaults=_USUAL | {"use_bias": False, "tie_word_embeddings": True, "head_dim": 128, "num_key_value_heads": 2},
)  # fmt: skip
def read_ernie4_5(fields: ConfigFields) -> Skeleton:
    """Return an ERNIE 4.5 without experts: ``use_bias`` biases all of its matrices."""
    bias = fields.flag("use_bias")
    return uniform(fields, attention(fields, qkv_bias=bias, output_bias=bias), dense_ffn(fields, bias=bias))


@register(
    "arcee",
    "ArceeForCausalLM",
    transformers="5.x",
    defaults=_USUAL | {"hidden_act": "relu2"},
    ignored=frozenset({"hidden_act"}),
)
def read_arcee(fields: ConfigFields) -> Skeleton:
    """Return an Arcee (AFM): squared ReLU without a gate."""
    bias = fields.flag("attention_bias")
    ffn = DenseFfn(fields.whole("intermediate_size"), gated=False, bias=fields.flag("mlp_bias"))
    return uniform(fields, attention(fields, qkv_bias=bias, output_bias=bias), ffn)


@register(
    "helium", "HeliumForCausalLM", transformers="5.x", defaults=_USUAL | {"head_dim": 128, "num_key_value_heads": 20}
)
def read_helium(fields: ConfigFields) -> Skeleton:
    """Return a Helium, whose output projection never has a bias."""
    return uniform(
        fields,
        attention(fields, qkv_bias=fields.flag("attention_bias")),
        dense_ffn(fields, bias=fields.flag("mlp_bias")),
    )


@register(
    "baichuan", "BaichuanForCausalLM", transformers="remote code", defaults=_USUAL, ignored=frozenset({"z_loss_weight"})
)
def read_baichuan(fields: ConfigFields) -> Skeleton:
    """Return a Baichuan 1 or 2: q, k and v in one matrix, as many key heads as query heads."""
    return uniform(fields, attention(fields), dense_ffn(fields))
