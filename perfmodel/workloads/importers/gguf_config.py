"""GGUF metadata to the Hugging Face config that says the same, one function for each build of model.

Source: the ``set_gguf_parameters`` of llama.cpp's convert_hf_to_gguf.py, read backwards. What metadata leave unsaid is
taken from the tensors (biases, norms of queries and keys, a head of its own) and checked by their exact number. Keys
that were not read and may change the arithmetic are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perfmodel.errors import ImportRefused, SpecError
from perfmodel.workloads.families.fields import shown
from perfmodel.workloads.families.known_keys import listed, says_nothing, word_set
from perfmodel.workloads.importers.gguf_weights import GgufModel

Config = dict[str, Any]

# Keys that change no count of parameters, flops or bytes.
_HARMLESS = word_set(
    """
vocab_size rope.dimension_count rope.dimension_sections rope.freq_base rope.freq_base_swa rope.scale_linear
rope.scaling.type rope.scaling.factor rope.scaling.alpha rope.scaling.attn_factor rope.scaling.original_context_length
rope.scaling.finetuned rope.scaling.yarn_log_multiplier rope.scaling.yarn_ext_factor rope.scaling.yarn_attn_factor
rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow attention.layer_norm_epsilon attention.layer_norm_rms_epsilon
attention.scale attention.output_scale attention.clamp_kqv attention.max_alibi_bias attention.temperature_length
attention.temperature_scale logit_scale embedding_scale residual_scale attn_logit_softcapping final_logit_softcapping
router_logit_softcapping expert_weights_scale expert_weights_norm expert_gating_func expert_group_count
expert_group_used_count expert_group_scale tensor_data_layout decoder_start_token_id nextn_predict_layers
"""
)
_SIGMOID = 2
"""Value of expert_gating_func of DeepSeek-V3 and its kin."""


class Metadata:
    """The keys of a file's architecture, typed; every key that is read is remembered."""

    def __init__(self, model: GgufModel) -> None:
        self.model = model
        self.prefix = f"{model.architecture}."
        self.values = model.file.metadata
        self.used: set[str] = set()

    def fault(self, key: str, message: str) -> SpecError:
        return SpecError(message, str(self.model.path), field=self.prefix + key)

    def refusal(self, message: str) -> ImportRefused:
        return ImportRefused(f"{self.model.path}: {message}")

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a whole number of 0 or more; a list with a value for each layer must have the same everywhere."""
        found = self.optional(key)
        if found is None and default is None:
            raise self.fault(key, "is missing")
        return found if found is not None else default or 0

    def optional(self, key: str) -> int | None:
        """Return a whole number, or None where the key is missing."""
        self.used.add(key)
        value = self.values.get(self.prefix + key)
        if isinstance(value, list):
            if not value or any(item != value[0] for item in value):
                raise self.refusal(f"{self.prefix}{key} = {shown(value)} differs between layers, which is not modelled")
            value = value[0]
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.fault(key, f"must be a whole number of 0 or more, not {shown(value)}")
        return value

    def raw(self, key: str) -> Any:
        """Return a value as it is, or None."""
        self.used.add(key)
        return self.values.get(self.prefix + key)

    def has(self, part: str) -> bool:
        """Say whether the first layer has a tensor, such as "attn_q.bias"."""
        return self.model.tensor(f"blk.0.{part}") is not None

    def table(self, name: str) -> tuple[int, int]:
        """Return the (width, rows) of a table that must be there."""
        tensor = self.model.tensor(name)
        if tensor is None or len(tensor.dims) != 2:
            raise self.refusal(f"has no table {name}: this is no whole language model")
        return tensor.dims[0], tensor.dims[1]

    @property
    def layers(self) -> int:
        """Return the layers, without those that predict further tokens."""
        count = self.whole("block_count") - self.whole("nextn_predict_layers", 0)
        if count < 1:
            raise self.fault("block_count", f"leaves {count} layers")
        return count

    @property
    def vocabulary(self) -> int:
        """Return the rows of the embedding, which are those of the vocabulary with its padding."""
        width, rows = self.table("token_embd.weight")
        if width != self.whole("embedding_length"):
            raise self.fault("embedding_length", f"is {self.whole('embedding_length')}, but token_embd has {width}")
        return rows

    def refuse_unread(self) -> None:
        """Refuse keys of the architecture that were not read, say something, and may change the arithmetic."""
        keys = (key.removeprefix(self.prefix) for key in self.values if key.startswith(self.prefix))
        values = {key: self.values[self.prefix + key] for key in keys if key not in self.used | _HARMLESS}
        odd = [self.prefix + key for key, value in values.items() if value and not says_nothing(value)]
        if odd:
            raise self.refusal(f"metadata not understood in a {self.model.architecture}: {listed(odd)}")


def hf_config_of(model: GgufModel) -> Config:
    """Return the Hugging Face config that says what a GGUF file's metadata and tensors say.

    Errors: :class:`ImportRefused` for an architecture or key that is not understood, or layers that differ in heads or
    widths; :class:`SpecError` for a bad value.
    """
    if model.architecture not in _BUILDS:
        supported = ", ".join(sorted(_BUILDS))
        wrong = model.architecture[:60]
        raise ImportRefused(f"{model.path}: GGUF architecture '{wrong}' is not supported (supported: {supported})")
    metadata = Metadata(model)
    config = _BUILDS[model.architecture](metadata)
    metadata.refuse_unread()
    return config


def _shape(m: Metadata, family: str) -> Config:
    """Return what every config says: widths, layers, heads, vocabulary, the longest context, tied embeddings."""
    heads = m.whole("attention.head_count")
    return {
        "model_type": family,
        "hidden_size": m.whole("embedding_length"),
        "num_hidden_layers": m.layers,
        "num_attention_heads": heads,
        "vocab_size": m.vocabulary,
        "max_position_embeddings": m.whole("context_length", 0) or None,
        "tie_word_embeddings": m.model.tied_embeddings,
    }


def _grouped(m: Metadata, family: str) -> Config:
    """Return a config of Llama's build: grouped-query attention whose heads may have a width of their own."""
    config = _shape(m, family)
    keys, values = m.optional("attention.key_length"), m.optional("attention.value_length")
    if keys != values and values is not None:
        raise m.refusal(f"keys of {keys} and values of {values} elements a head are not understood here")
    config["num_key_value_heads"] = m.optional("attention.head_count_kv") or config["num_attention_heads"]
    config["head_dim"] = keys
    config["intermediate_size"] = m.optional("feed_forward_length")
    return config


def _biased(m: Metadata, family: str) -> Config:
    """Return a config of Llama's build with its biases, as the tensors have them."""
    biases = {"attention_bias": m.has("attn_q.bias") or m.has("attn_qkv.bias"), "mlp_bias": m.has("ffn_up.bias")}
    return _grouped(m, family) | {key: True for key, there in biases.items() if there}


def _experts(m: Metadata, count: str = "num_local_experts") -> Config:
    return {count: m.whole("expert_count"), "num_experts_per_tok": m.whole("expert_used_count")}


def _windows(m: Metadata, config: Config, default: int | None = None) -> Config:
    """Return a config with its window, and with which layers have it where the file says so."""
    window, pattern = m.whole("attention.sliding_window", default), m.raw("attention.sliding_window_pattern")
    config["sliding_window"] = window
    if isinstance(pattern, list):
        config["layer_types"] = ["sliding_attention" if flag else "full_attention" for flag in pattern]
    elif pattern is not None:
        config["sliding_window_pattern"] = m.whole("attention.sliding_window_pattern")
    return config


def _llama(m: Metadata) -> Config:
    """Return a Llama; Mixtral and Mistral are of this architecture too, told by their experts and their window."""
    config = _biased(m, "llama")
    window = m.whole("attention.sliding_window", 0) or None
    if m.whole("expert_count", 0):
        return config | _experts(m) | {"model_type": "mixtral", "sliding_window": window}
    m.whole("expert_used_count", 0)
    return config | {"model_type": "mistral", "sliding_window": window} if window else config


def _qwen3_moe(m: Metadata) -> Config:
    config = _grouped(m, "qwen3_moe") | _experts(m, "num_experts")
    width = m.whole("expert_feed_forward_length")
    # the width of dense layers, of which there are none
    config["intermediate_size"] = config["intermediate_size"] or width
    return config | {"moe_intermediate_size": width}


def _phi3(m: Metadata) -> Config:
    return _grouped(m, "phi3") | {"sliding_window": m.whole("attention.sliding_window", 0) or None}


def _starcoder2(m: Metadata) -> Config:
    return _grouped(m, "starcoder2") | {"use_bias": m.has("attn_q.bias"), "sliding_window": None}


def _gpt2(m: Metadata) -> Config:
    _, positions = m.table("position_embd.weight")
    shape = _shape(m, "gpt2")
    m.optional("attention.head_count_kv")
    return {
        "model_type": "gpt2",
        "n_embd": shape["hidden_size"],
        "n_layer": shape["num_hidden_layers"],
        "n_head": shape["num_attention_heads"],
        "n_inner": m.whole("feed_forward_length"),
        "n_positions": positions,
        "vocab_size": shape["vocab_size"],
        "tie_word_embeddings": shape["tie_word_embeddings"],
    }


def _gpt_neox(m: Metadata) -> Config:
    m.optional("attention.head_count_kv")
    return _shape(m, "gpt_neox") | {
        "intermediate_size": m.whole("feed_forward_length"),
        "attention_bias": m.has("attn_qkv.bias"),
        "use_parallel_residual": bool(m.raw("use_parallel_residual")),
    }


def _falcon(m: Metadata) -> Config:
    """Return a Falcon: 7B has one key head and one norm, 40B and 180B grouped heads and two, 11B grouped heads and one.

    The converter writes one key head where the config's ``multi_query`` says so.
    """
    config = _shape(m, "falcon")
    heads, kv_heads = config["num_attention_heads"], m.whole("attention.head_count_kv", 1)
    two = m.has("attn_norm_2.weight")
    return config | {
        "num_kv_heads": kv_heads,
        "new_decoder_architecture": two or 1 < kv_heads < heads,
        "num_ln_in_parallel_attn": 2 if two else 1,
        "multi_query": kv_heads == 1,
        "bias": m.has("attn_qkv.bias"),
        "ffn_hidden_size": m.whole("feed_forward_length", 4 * config["hidden_size"]),
    }


def _deepseek2(m: Metadata) -> Config:
    """Return a DeepSeek-V2 or V3 or a Kimi K2; files with one key head give the widths of keys and values apart."""
    third = m.raw("expert_gating_func") == _SIGMOID
    rotated = m.whole("rope.dimension_count")
    keys, values = m.whole("attention.key_length"), m.whole("attention.value_length")
    m.optional("attention.head_count_kv")
    return _shape(m, "deepseek_v3" if third else "deepseek_v2") | {
        "intermediate_size": m.whole("feed_forward_length"),
        "q_lora_rank": m.optional("attention.q_lora_rank"),
        "kv_lora_rank": m.whole("attention.kv_lora_rank"),
        "qk_rope_head_dim": rotated,
        "qk_nope_head_dim": m.whole("attention.key_length_mla", keys) - rotated,
        "v_head_dim": m.whole("attention.value_length_mla", values),
        **_shared_experts(m),
    }


def _shared_experts(m: Metadata) -> Config:
    """Return routed and shared experts that stand in all layers but the first ones."""
    width, shared = m.whole("expert_feed_forward_length"), m.whole("expert_shared_count", 0)
    if m.whole("expert_shared_feed_forward_length", 0) not in (0, shared * width):
        raise m.refusal("shared experts of another width than the routed ones are not understood")
    return _experts(m, "n_routed_experts") | {
        "moe_intermediate_size": width,
        "n_shared_experts": shared,
        "first_k_dense_replace": m.whole("leading_dense_block_count", 0),
    }


def _glm4_moe(m: Metadata) -> Config:
    config = _grouped(m, "glm4_moe") | _shared_experts(m)
    return config | {"attention_bias": m.has("attn_q.bias"), "use_qk_norm": m.has("attn_q_norm.weight")}


def _cohere(m: Metadata) -> Config:
    return _biased(m, "cohere") | {"use_qk_norm": m.has("attn_q_norm.weight")}


def _olmoe(m: Metadata) -> Config:
    return _biased(m, "olmoe") | _experts(m, "num_experts")


def _granite_moe(m: Metadata) -> Config:
    return _biased(m, "granitemoe") | _experts(m)


def _seed_oss(m: Metadata) -> Config:
    return _biased(m, "seed_oss") | {"attention_bias": m.has("attn_q.bias"), "attention_out_bias": False}


def _glm(m: Metadata, family: str) -> Config:
    return _grouped(m, family) | {"attention_bias": m.has("attn_q.bias") or m.has("attn_qkv.bias")}


def _gpt_oss(m: Metadata) -> Config:
    config = _windows(m, _grouped(m, "gpt_oss")) | _experts(m)
    if config.pop("sliding_window_pattern", 2) != 2:
        raise m.refusal("windows in other than every second layer are not understood in a gpt-oss")
    config["intermediate_size"] = m.whole("expert_feed_forward_length", config["intermediate_size"])
    return config | {"attention_bias": m.has("attn_q.bias")}


_BUILDS: dict[str, Callable[[Metadata], Config]] = {
    "llama": _llama,
    "qwen2": lambda m: _grouped(m, "qwen2"),
    "qwen3": lambda m: _biased(m, "qwen3"),
    "qwen3moe": _qwen3_moe,
    "gemma": lambda m: _grouped(m, "gemma"),
    "gemma2": lambda m: _windows(m, _grouped(m, "gemma2"), 4096),  # as llama.cpp has it where a file is silent
    "gemma3": lambda m: _windows(m, _grouped(m, "gemma3_text")),
    "phi3": _phi3,
    "starcoder2": _starcoder2,
    "gpt2": _gpt2,
    "gptneox": _gpt_neox,
    "falcon": _falcon,
    "deepseek2": _deepseek2,
    "command-r": _cohere,
    "cohere2": lambda m: _windows(m, _biased(m, "cohere2")),
    "olmo": lambda m: _biased(m, "olmo"),
    "olmo2": lambda m: _biased(m, "olmo2"),
    "olmoe": _olmoe,
    "granite": lambda m: _biased(m, "granite"),
    "granitemoe": _granite_moe,
    "glm4": lambda m: _glm(m, "glm4"),
    "chatglm": lambda m: _glm(m, "glm"),
    "glm4moe": _glm4_moe,
    "gpt-oss": _gpt_oss,
    "smollm3": lambda m: _biased(m, "smollm3"),
    "seed_oss": _seed_oss,
    "arcee": lambda m: _biased(m, "arcee"),
}
