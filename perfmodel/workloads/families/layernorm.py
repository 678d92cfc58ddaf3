"""StarCoder2, StableLM and Nemotron: LayerNorm with biases in models that are otherwise of Llama's build."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.workloads.families.common import attention, dense_ffn, layer_count, skeleton
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import DenseFfn

_STARCODER2 = {"num_key_value_heads": 2, "use_bias": True, "tie_word_embeddings": True, "sliding_window": None,
               "hidden_act": "gelu_pytorch_tanh", "max_position_embeddings": 4096, "norm_type": "layer_norm",
               "mlp_type": "default"}  # fmt: skip


@register(
    "starcoder2", "Starcoder2ForCausalLM", transformers="5.x", defaults=_STARCODER2,
    ignored=frozenset({"hidden_act", "activation_function", "norm_epsilon", "residual_dropout", "embedding_dropout",
                       "mlp_type", "norm_type"}),
)  # fmt: skip
def read_starcoder2(fields: ConfigFields) -> Skeleton:
    """Return a StarCoder2: biases everywhere, plain feed-forward blocks, a window where one is set."""
    bias, window = fields.flag("use_bias"), fields.optional_whole("sliding_window") or 0
    most = fields.optional_whole("max_position_embeddings") or 0
    mixer = attention(fields, window=0 if most and window >= most else window, qkv_bias=bias, output_bias=bias)
    layer = Layer(mixer, DenseFfn(fields.whole("intermediate_size"), gated=False, bias=bias), norms=4)
    return replace(skeleton(fields, [layer] * layer_count(fields)), final_norms=2)


_STABLELM = {"num_key_value_heads": 32, "hidden_act": "silu", "tie_word_embeddings": False, "use_qkv_bias": False,
             "qk_layernorm": False, "use_parallel_residual": False, "max_position_embeddings": 4096}  # fmt: skip


@register("stablelm", "StableLmForCausalLM", transformers="5.x", defaults=_STABLELM)
def read_stablelm(fields: ConfigFields) -> Skeleton:
    """Return a StableLM 2 or StableLM 3B: gated feed-forward blocks, biases on q, k and v where set."""
    if fields.flag("qk_layernorm"):
        raise fields.refusal("qk_layernorm", "norms of each head's own are not understood")
    parallel = fields.flag("use_parallel_residual")
    norms = 1 if parallel else 2
    layer = Layer(
        attention(fields, qkv_bias=fields.flag("use_qkv_bias")), dense_ffn(fields), 2 * norms, norms, parallel
    )
    return replace(skeleton(fields, [layer] * layer_count(fields)), final_norms=2)


_NEMOTRON = {"num_key_value_heads": None, "head_dim": None, "hidden_act": "relu2", "tie_word_embeddings": False,
             "attention_bias": False, "mlp_bias": False, "max_position_embeddings": 4096}  # fmt: skip


@register(
    "nemotron", "NemotronForCausalLM", transformers="5.x", defaults=_NEMOTRON,
    ignored=frozenset({"hidden_act", "norm_eps"}),
)  # fmt: skip
def read_nemotron(fields: ConfigFields) -> Skeleton:
    """Return a Nemotron-3 or 4, or Minitron: squared ReLU without a gate."""
    bias = fields.flag("attention_bias")
    ffn = DenseFfn(fields.whole("intermediate_size"), gated=False, bias=fields.flag("mlp_bias"))
    layer = Layer(attention(fields, qkv_bias=bias, output_bias=bias), ffn, norms=4)
    return replace(skeleton(fields, [layer] * layer_count(fields)), final_norms=2)
