"""RWKV-4, RecurrentGemma (Griffin) and LFM2: recurrences and short convolutions element by element."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import attention, layer_count, skeleton
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn, RecurrentMixer


@register(
    "rwkv", "RwkvForCausalLM", transformers="5.23",
    defaults={"attention_hidden_size": None, "intermediate_size": None, "tie_word_embeddings": False},
    ignored=word_set("context_length rescale_every"),
)  # fmt: skip
def read_rwkv(fields: ConfigFields) -> Skeleton:
    """Return an RWKV-4; the channel mix's receptance, a square matrix, is counted with the time mix."""
    hidden = fields.whole("hidden_size")
    inner = fields.optional_whole("attention_hidden_size") or hidden
    width = fields.optional_whole("intermediate_size") or 4 * hidden
    # numerator, denominator and maximum of each channel; two decays; both blocks mix with the token before, as
    # convolutions of two taps do
    mixer = RecurrentMixer(
        "element", inner, 1, 3, 1, in_width=3 * inner + hidden, out_in=inner, gates=inner,
        conv_channels=2 * hidden, conv_kernel=2, small=2 * inner + 5 * hidden,
    )  # fmt: skip
    layer = Layer(mixer, DenseFfn(width, gated=False), norms=4)
    found = skeleton(fields, [layer] * layer_count(fields))
    return replace(found, final_norms=2, extra=(("first_norm", 2 * hidden),))


@register(
    "recurrent_gemma", "RecurrentGemmaForCausalLM", transformers="5.23",
    defaults={"lru_width": None, "attention_window_size": 2048, "conv1d_width": 4, "tie_word_embeddings": True,
              "block_types": ["recurrent", "recurrent", "attention"], "num_key_value_heads": None,
              "attention_bias": False},
    ignored=word_set("logits_soft_cap hidden_activation w_init_variance_scale final_w_init_variance_scale hidden_act"),
)  # fmt: skip
def read_recurrent_gemma(fields: ConfigFields) -> Skeleton:
    """Return a RecurrentGemma: gated linear recurrences, with a windowed attention in every third layer."""
    hidden, bias = fields.whole("hidden_size"), fields.flag("attention_bias")
    lru = fields.optional_whole("lru_width") or hidden
    full = attention(fields, window=fields.whole("attention_window_size"), qkv_bias=bias, output_bias=True)
    if lru % full.heads:
        raise fields.fault("lru_width", f"must be a multiple of the {full.heads} heads, not {lru}")
    kernel, block = fields.whole("conv1d_width", most=64), lru // full.heads
    small = 2 * lru + hidden + lru * (kernel + 1) + lru + 2 * lru  # biases, convolution, the decay, the gates' biases
    # the two gates are products by blocks, one a head: as wide as the recurrence, with a head's inputs
    mixer = RecurrentMixer(
        "element", lru, 1, 1, 1, in_width=2 * lru, out_in=lru, gates=2 * lru, middle=((block, lru), (block, lru)),
        conv_channels=lru, conv_kernel=kernel, small=small,
    )  # fmt: skip
    inner = fields.whole("intermediate_size")
    if inner % 2:
        raise fields.fault("intermediate_size", f"must be even, not {inner}")
    ffn = DenseFfn(inner // 2, bias=True)
    pattern, layers = fields.words("block_types") or [], layer_count(fields)
    if not pattern or set(pattern) - {"recurrent", "attention"}:
        raise fields.refusal("block_types", "must be a list of recurrent and attention")
    kinds = [pattern[index % len(pattern)] for index in range(layers)]
    return skeleton(fields, [Layer(mixer if kind == "recurrent" else full, ffn) for kind in kinds])


@register(
    "lfm2", "Lfm2ForCausalLM", transformers="5.23",
    defaults={"num_key_value_heads": 8, "max_position_embeddings": 128000, "conv_bias": False, "conv_L_cache": 3,
              "block_multiple_of": 256, "block_auto_adjust_ff_dim": True, "tie_word_embeddings": True},
    ignored=word_set("block_dim block_mlp_init_scale block_norm_eps block_out_init_scale block_use_swiglu conv_dim "
                     "conv_dim_out conv_use_xavier_init use_pos_enc num_heads full_attn_idxs tie_embedding hidden_act"),
)  # fmt: skip
def read_lfm2(fields: ConfigFields) -> Skeleton:
    """Return an LFM2: gated short convolutions, with attention in some layers."""
    hidden, layers = fields.whole("hidden_size"), layer_count(fields)
    kernel, bias = fields.whole("conv_L_cache", most=64), fields.flag("conv_bias")
    conv = RecurrentMixer(
        "element", hidden, 1, 0, 0, in_width=3 * hidden, out_in=hidden, conv_channels=hidden, conv_kernel=kernel,
        small=hidden * kernel + (3 + 1 + 1) * hidden * bias,
    )  # fmt: skip
    full = attention(fields, qk_norm="head")
    kinds, listed = fields.words("layer_types"), fields.wholes("full_attn_idxs")
    if kinds is None:
        attends = set(range(layers)) if listed is None else set(listed)
        kinds = ["full_attention" if index in attends else "conv" for index in range(layers)]
    kinds = ["conv" if kind == "short_conv" else kind for kind in kinds]
    if len(kinds) != layers or set(kinds) - {"conv", "full_attention"}:
        raise fields.refusal("layer_types", f"must name {layers} layers as conv or full_attention")
    ffn = DenseFfn(_lfm2_width(fields))
    return skeleton(fields, [Layer(full if kind == "full_attention" else conv, ffn) for kind in kinds])


def _lfm2_width(fields: ConfigFields) -> int:
    """Return the feed-forward width: two thirds of what is stated, rounded up, where it adjusts itself."""
    width = fields.whole("intermediate_size", "block_ff_dim")
    multiple, factor = fields.whole("block_multiple_of"), fields.raw("block_ffn_dim_multiplier")
    if not fields.flag("block_auto_adjust_ff_dim"):
        return width
    width = int(2 * width / 3)
    if isinstance(factor, int | float) and not isinstance(factor, bool) and 0 < factor < 1e6:
        width = int(factor * width)
    return multiple * -(-width // multiple)
