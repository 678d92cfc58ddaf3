"""Config keys that change no count of parameters, flops or bytes, and the keys that the adapters read."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.families.fields import ConfigFields


def word_set(*texts: str) -> frozenset[str]:
    """Return the words of texts, parted by blanks."""
    return frozenset(word for text in texts for word in text.split())


_TOKENS = """
bos_token_id eos_token_id pad_token_id sep_token_id cls_token_id mask_token_id eod_token_id
unk_token_id decoder_start_token_id
forced_bos_token_id forced_eos_token_id image_token_id video_token_id tokenizer_class prefix suffix bad_words_ids
begin_suppress_tokens suppress_tokens
"""
_TRAINING = """
attention_dropout hidden_dropout resid_pdrop embd_pdrop attn_pdrop dropout classifier_dropout initializer_range
initializer_factor router_aux_loss_coef output_router_logits router_jitter_noise router_z_loss_coef aux_loss_alpha
seq_aux pretraining_tp use_cache gradient_checkpointing problem_type finetuning_task task_specific_params
id2label label2id num_labels init_std chunk_size_feed_forward torchscript use_bfloat16 tf_legacy_loss
"""
_POSITIONS = """
rope_theta rope_scaling rope_parameters rope_type rope_interleave rope_local_base_freq rotary_dim rotary_emb_base
partial_rotary_factor rope_percent rotary_pct original_max_position_embeddings initial_context_length
max_sequence_length max_seq_len model_max_length max_model_len seq_length rope_ratio
"""
_ELEMENTWISE = """
rms_norm_eps norm_eps layer_norm_eps layer_norm_epsilon norm_topk_prob routed_scaling_factor scoring_func topk_method
n_group topk_group moe_renormalize swiglu_limit swiglu_alpha
"""
_FILES = """
_name_or_path architectures auto_map model_type transformers_version transformers.js_config torch_dtype dtype
quantization_config compression_config unsloth_version unsloth_fixed is_decoder return_dict return_dict_in_generate
output_attentions output_hidden_states use_return_dict ep_size tp_size hidden_act_dtype
"""
_GENERATION = """
do_sample temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size num_beams
num_beam_groups num_return_sequences max_length min_length early_stopping diversity_penalty output_scores
encoder_no_repeat_ngram_size exponential_decay_length_penalty remove_invalid_values renormalize_logits
"""

IRRELEVANT: frozenset[str] = word_set(_TOKENS, _TRAINING, _POSITIONS, _ELEMENTWISE, _FILES, _GENERATION)
"""Keys of any family that change no count (or that the importer itself reads: model_type, dtype, quantisation)."""

MULTI_TOKEN_PREDICTION: frozenset[str] = frozenset(
    {"num_nextn_predict_layers", "num_mtp_modules", "use_mtp", "mtp_transformer_layers", "mtp_num_hidden_layers"}
)
"""Keys of multi-token-prediction modules, which are never counted."""

COMMON: frozenset[str] = word_set(
    """
vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim hidden_act
max_position_embeddings tie_word_embeddings attention_bias mlp_bias sliding_window use_sliding_window max_window_layers
layer_types moe_intermediate_size num_experts num_local_experts n_routed_experts n_shared_experts num_experts_per_tok
experts_per_token decoder_sparse_step mlp_only_layers first_k_dense_replace moe_layer_freq q_lora_rank kv_lora_rank
qk_nope_head_dim qk_rope_head_dim v_head_dim qk_head_dim
"""
)
"""Keys that some adapter reads: left out when the fields that make an unknown family special are listed."""


def says_nothing(value: object) -> bool:
    """Say whether a value switches nothing on: null, false, or an empty list, object or text."""
    return value is None or value is False or (isinstance(value, list | dict | str) and not value)


_MOST_NAMED = 12


def odd_keys(values: object, known: frozenset[str] | set[str]) -> list[str]:
    """Return the keys of a config that are not known and say something."""
    items = values.items() if isinstance(values, dict) else ()
    return [
        str(key) for key, value in items if key not in known and not key.startswith("_") and not says_nothing(value)
    ]


def listed(names: Sequence[str]) -> str:
    """Return names for a message, the first dozen of many."""
    shown = ", ".join(name[:60] for name in names[:_MOST_NAMED])
    return f"{shown} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else shown


def refuse_unknown_keys(fields: ConfigFields, ignored: frozenset[str], family: str) -> None:
    """Refuse a config, or a part of one, with keys that were not read and may change a count."""
    odd = odd_keys(fields.source.values, IRRELEVANT | ignored | fields.used)
    if odd:
        text = listed([f"{fields.source.prefix}{key}" for key in odd])
        raise fields.source.refusal(f"fields not understood in a {family}: {text}")
