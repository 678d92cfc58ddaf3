"""What each family's adapter makes of the fields that switch its arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perfmodel.errors import ImportRefused, SpecError
from perfmodel.workloads import LanguageModel
from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.registry import ADAPTERS, Skeleton, register
from perfmodel.workloads.parameters import parameters
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LatentAttention, MoeFfn

Build = Callable[..., LanguageModel]


def grouped(model: LanguageModel) -> list[GroupedQueryAttention]:
    found = [group.mixer for group in model.layers]
    assert all(isinstance(a, GroupedQueryAttention) for a in found)
    return [a for a in found if isinstance(a, GroupedQueryAttention)]


def test_a_family_registers_once() -> None:
    def read(fields: ConfigFields) -> Skeleton:
        raise AssertionError

    with pytest.raises(ValueError, match="registered twice"):
        register("llama", "LlamaForCausalLM", transformers="")(read)


def test_every_adapter_says_whose_defaults_it_has() -> None:
    assert all(adapter.transformers and adapter.defaults for adapter in ADAPTERS.values())


def test_llama_biases(build: Build) -> None:
    model = build("llama", attention_bias=True, mlp_bias=True)
    # q, k, v: 64+16+16; o: 64; gate, up: 2*96; down: 64
    assert parameters(model) - parameters(build("llama")) == 4 * (96 + 64 + 192 + 64)


def test_kv_heads_default_to_heads_where_the_class_does(build: Build) -> None:
    assert grouped(build("llama", num_key_value_heads=...))[0].kv_heads == 8
    assert grouped(build("mixtral", num_key_value_heads=...))[0].kv_heads == 8
    assert grouped(build("qwen2", num_key_value_heads=None))[0].kv_heads == 8
    with pytest.raises(SpecError, match="num_key_value_heads: must divide"):
        build("qwen2", num_key_value_heads=...)  # the class default is 32


def test_mistral_without_a_window_field_has_the_class_default(build: Build) -> None:
    assert grouped(build("mistral", sliding_window=...))[0].window == 4096
    assert grouped(build("mistral", sliding_window=None))[0].window == 0


def test_qwen2_has_qkv_bias_and_qwen3_head_norms(build: Build) -> None:
    (qwen2,), (qwen3,) = grouped(build("qwen2")), grouped(build("qwen3"))
    assert (qwen2.qkv_bias, qwen2.output_bias, qwen2.qk_norm) == (True, False, "none")
    assert (qwen3.qkv_bias, qwen3.output_bias, qwen3.qk_norm) == (False, False, "head")


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_qwen_windows_need_their_switch(family: str, build: Build) -> None:
    off = build(family, sliding_window=16, max_window_layers=1, use_sliding_window=False)
    on = build(family, sliding_window=16, max_window_layers=1, use_sliding_window=True)
    assert [(g.count, a.window) for g, a in zip(off.layers, grouped(off), strict=True)] == [(4, 0)]
    assert [(g.count, a.window) for g, a in zip(on.layers, grouped(on), strict=True)] == [(1, 0), (3, 16)]


def test_qwen_layer_types_win(build: Build) -> None:
    kinds = ["sliding_attention", "full_attention"] * 2
    model = build("qwen3", sliding_window=16, use_sliding_window=True, layer_types=kinds)
    assert [group.count for group in model.layers] == [2, 2]
    with pytest.raises(ImportRefused, match="layer_types"):
        build("qwen3", layer_types=kinds)
    with pytest.raises(ImportRefused, match="linear_attention is not understood"):
        build("qwen3", layer_types=["linear_attention"] * 4)
    with pytest.raises(SpecError, match="must name 4 layers, not 3"):
        build("qwen3", layer_types=["full_attention"] * 3)


def test_qwen3_moe_dense_layers(build: Build) -> None:
    def kinds(**changes: Any) -> list[tuple[int, type]]:
        return [(group.count, type(group.ffn)) for group in build("qwen3_moe", **changes).layers]

    assert kinds() == [(4, MoeFfn)]
    assert kinds(mlp_only_layers=[0, 2]) == [(2, DenseFfn), (2, MoeFfn)]
    assert kinds(decoder_sparse_step=2) == [(2, DenseFfn), (2, MoeFfn)]
    assert kinds(decoder_sparse_step=3) == [(3, DenseFfn), (1, MoeFfn)]
    with pytest.raises(SpecError, match="mlp_only_layers"):
        kinds(mlp_only_layers=[4])


def test_gpt_oss_windows_alternate_by_default(build: Build) -> None:
    model = build("gpt_oss", num_hidden_layers=5)
    assert [(g.count, a.window) for g, a in zip(model.layers, grouped(model), strict=True)] == [(3, 128), (2, 0)]
    assert all(a.sinks and a.qkv_bias and a.output_bias for a in grouped(model))


def test_minimax_norms_all_heads(build: Build) -> None:
    assert [a.qk_norm for a in grouped(build("minimax_m2"))] == ["full"]
    same = build("minimax_m2", use_mtp=True, num_mtp_modules=3, mtp_transformer_layers=1, use_routing_bias=True)
    assert parameters(same) == parameters(build("minimax_m2"))


def test_deepseek_layers(build: Build) -> None:
    model = build("deepseek_v3", num_nextn_predict_layers=1)
    assert [(group.count, type(group.ffn)) for group in model.layers] == [(1, DenseFfn), (3, MoeFfn)]
    sparse = model.layers[1].ffn
    assert isinstance(sparse, MoeFfn)
    assert sparse.shared_intermediate == 2 * 32


def test_deepseek_without_a_query_rank(build: Build) -> None:
    direct = build("deepseek_v2", q_lora_rank=None).layers[0].mixer
    ranked = build("deepseek_v2", q_lora_rank=...).layers[0].mixer
    assert isinstance(direct, LatentAttention)
    assert isinstance(ranked, LatentAttention)
    assert (direct.q_lora_rank, ranked.q_lora_rank) == (0, 1536)


@pytest.mark.parametrize(
    ("family", "changes", "field"),
    [
        ("llama", {"vision_config": {"depth": 3}}, "vision_config"),
        ("llama", {"attention_chunk_size": 8192}, "attention_chunk_size"),
        ("llama", {"sliding_window": 512}, "sliding_window"),
        ("llama", {"hidden_size_per_layer_input": 256}, "hidden_size_per_layer_input"),
        ("llama", {"is_encoder_decoder": True}, "is_encoder_decoder"),
        ("llama", {"architectures": ["LlamaForSequenceClassification"]}, "architectures"),
        ("llama", {"hidden_act": "relu2"}, "hidden_act"),
        ("llama", {"torch_dtype": "float8_e4m3fn"}, "torch_dtype"),
        ("qwen3_moe", {"shared_expert_intermediate_size": 64}, "shared_expert_intermediate_size"),
        ("qwen3_moe", {"use_sliding_window": True}, "use_sliding_window"),
        ("gpt_oss", {"sliding_window": None}, "sliding_window"),
        ("minimax_m2", {"shared_intermediate_size": 64}, "shared_intermediate_size"),
        ("minimax_m2", {"qk_norm_type": "per_head"}, "qk_norm_type"),
        ("minimax_m2", {"attn_type_list": [1, 0, 1, 1]}, "attn_type_list"),
        ("deepseek_v3", {"moe_layer_freq": 2}, "moe_layer_freq"),
        ("deepseek_v3", {"index_topk": 2048, "index_n_heads": 64}, "index_topk, index_n_heads"),
    ],
)
def test_other_arithmetic_is_refused_by_name(family: str, changes: dict[str, Any], field: str, build: Build) -> None:
    with pytest.raises(ImportRefused, match=field) as caught:
        build(family, **changes)
    assert "config.json" in str(caught.value)
    assert caught.value.exit_code == 2


def test_fields_that_say_nothing_are_harmless(family: str, build: Build) -> None:
    plain = parameters(build(family))
    assert parameters(build(family, novelty=None, index_heads=False, pruned_heads={}, bos_token_id=7)) == plain


def test_unknown_families_are_refused_with_their_fields(build: Build) -> None:
    with pytest.raises(ImportRefused, match=r"model_type 'llama9' is not supported .*not understood: novel_size"):
        build("llama", model_type="llama9", novel_size=3)


def test_aliases_must_agree(build: Build) -> None:
    assert parameters(build("gpt_oss", experts_per_token=2)) == parameters(build("gpt_oss"))
    with pytest.raises(SpecError, match="experts_per_token: is 3, but num_experts_per_tok is 2"):
        build("gpt_oss", experts_per_token=3)
