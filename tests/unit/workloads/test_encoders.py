"""Encoders and encoder-decoders: hand-worked parameter counts, what is refused, and what can be asked of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perfmodel as pm
from perfmodel.errors import ImportRefused, PlanError, SpecError
from perfmodel.plan import Plan, StepShape, choose_precisions, step_operators
from perfmodel.workloads.importers.hf import load_hf_model
from perfmodel.workloads.parameters import kv_bytes_per_token, parameters
from perfmodel.workloads.spec import GroupedQueryAttention, LanguageModel

Read = Callable[..., LanguageModel]

_BERT: dict[str, Any] = {
    "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 96, "vocab_size": 100,
    "max_position_embeddings": 32,
}  # fmt: skip
_T5: dict[str, Any] = {"d_model": 64, "num_heads": 4, "num_layers": 3, "d_ff": 96, "vocab_size": 100, "d_kv": 8}
_STACKS: dict[str, Any] = {
    "d_model": 64, "encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 96, "decoder_ffn_dim": 80, "vocab_size": 100,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "distilbert": {"dim": 64, "n_heads": 4, "n_layers": 3, "hidden_dim": 96, "vocab_size": 100},
    "electra": _BERT | {"embedding_size": 24},
    "modernbert": _BERT,
    "nomic_bert": _BERT,
    "t5": _T5,
    "mt5": _T5,
    "umt5": _T5,
    "bart": _STACKS,
    "mbart": _STACKS,
    "whisper": _STACKS,
}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a family's small config with some fields changed; ``...`` takes a field out."""

    def load(family: str, **changes: Any) -> LanguageModel:
        values = {"model_type": family, **CONFIGS[family], **changes}
        (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))
        return load_hf_model(tmp_path / "config.json")

    return load


def test_bert_base_by_hand() -> None:
    tables = (30522 + 512 + 2) * 768 + 2 * 768
    layer = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
    head = 768 * 768 + 768 + 2 * 768 + 30522
    assert parameters(pm.load_model("bert-base")) == tables + 12 * layer + head == 109_514_298


def test_t5_small_by_hand() -> None:
    attention, ffn, biases = 4 * 512 * 512, 2 * 512 * 2048, 32 * 8
    encoder = 6 * (attention + ffn + 2 * 512) + biases + 512
    decoder = 6 * (2 * attention + ffn + 3 * 512) + biases + 512
    assert parameters(pm.load_model("t5-small")) == 32128 * 512 + encoder + decoder == 60_506_624


def test_whisper_tiny_by_hand() -> None:
    attention, ffn = 4 * 384 * 384 + 3 * 384, 8 * 384 * 384 + 5 * 384  # keys have no bias
    convolutions = 3 * 80 * 384 + 384 + 3 * 384 * 384 + 384
    encoder = convolutions + 1500 * 384 + 4 * (attention + ffn + 4 * 384) + 2 * 384
    decoder = (51865 + 448) * 384 + 4 * (2 * attention + ffn + 6 * 384) + 2 * 384
    assert parameters(pm.load_model("whisper-tiny")) == encoder + decoder == 37_760_640


def test_bert_classes(read: Read) -> None:
    bare = parameters(read("bert", architectures=["BertModel"])) - (64 * 64 + 64)
    assert parameters(read("bert")) == bare + 64 * 64 + 64 + 2 * 64 + 100
    pretraining = parameters(read("bert", architectures=["BertForPreTraining"]))
    assert pretraining == parameters(read("bert")) + 64 * 64 + 64 + 2 * 64 + 2
    three = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b", "2": "c"}}
    assert parameters(read("bert", **three)) == bare + 64 * 64 + 64 + 3 * 64 + 3
    with pytest.raises(SpecError, match="num_labels: is 2, but id2label names 3"):
        read("bert", **three, num_labels=2)


def test_an_untied_head_has_both_biases(read: Read) -> None:
    assert parameters(read("bert", tie_word_embeddings=False)) == parameters(read("bert")) + 100 * 64 + 100
    assert parameters(read("distilbert", tie_word_embeddings=False)) == parameters(read("distilbert")) + 100 * 64


def test_modernbert_alternates(read: Read) -> None:
    model = read("modernbert", num_hidden_layers=7, local_attention=16)
    mixers = [group.mixer for group in model.layers]
    assert [group.count for group in model.layers] == [3, 4]
    assert all(isinstance(m, GroupedQueryAttention) and not m.causal for m in mixers)
    assert [m.window for m in mixers if isinstance(m, GroupedQueryAttention)] == [0, 17]
    with pytest.raises(SpecError, match="layer_types: must name 3 layers, not 1"):
        read("modernbert", layer_types=["full_attention"])


def test_t5_has_an_own_head_where_the_config_says_so(read: Read) -> None:
    assert parameters(read("t5", tie_word_embeddings=False)) == parameters(read("t5")) + 100 * 64
    assert parameters(read("t5", num_decoder_layers=1)) < parameters(read("t5"))


def test_umt5_has_a_table_in_every_layer(read: Read) -> None:
    assert parameters(read("umt5")) == parameters(read("mt5")) + 2 * 2 * 32 * 4


def test_the_encoder_of_a_t5_alone(read: Read) -> None:
    model = read("t5", architectures=["T5EncoderModel"])
    assert model.encoder is None
    assert not model.generates
    assert kv_bytes_per_token(model) == 0
    assert kv_bytes_per_token(read("t5")) == 3 * 2 * 4 * 8 * 2.0


@pytest.mark.parametrize("family", CONFIGS)
def test_unknown_fields_are_refused(family: str, read: Read) -> None:
    with pytest.raises(ImportRefused, match=r"new_trick"):
        read(family, new_trick=3)
    with pytest.raises(ImportRefused, match=r"architectures"):
        read(family, architectures=["SomethingElse"])


@pytest.mark.parametrize(
    ("family", "changes", "what"),
    [
        ("bert", {"is_decoder": True}, "is_decoder"),
        ("bert", {"add_cross_attention": True}, "add_cross_attention"),
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ("bert", {"hidden_act": "swiglu"}, "hidden_act"),
        ("modernbert", {"layer_types": ["linear_attention"] * 3}, "layer_types"),
        ("t5", {"feed_forward_proj": "gated-swiglu"}, "feed_forward_proj"),
        ("t5", {"feed_forward_proj": "gated"}, "feed_forward_proj"),
        ("bart", {"normalize_before": True}, "normalize_before"),
        ("mbart", {"add_final_layer_norm": False}, "add_final_layer_norm"),
        ("bart", {"tie_word_embeddings": False}, "tie_word_embeddings"),
        ("whisper", {"activation_function": "glu"}, "activation_function"),
    ],
)
def test_what_changes_the_arithmetic_is_refused(family: str, changes: dict[str, Any], what: str, read: Read) -> None:
    with pytest.raises(ImportRefused, match=what):
        read(family, **changes)


@pytest.mark.parametrize(
    ("family", "changes", "what"),
    [
        ("bert", {"num_attention_heads": 5}, "num_attention_heads: must divide the width 64, not 5"),
        ("bert", {"num_attention_heads": 70000}, "num_attention_heads: must be at most 65536"),
        ("bert", {"hidden_size": ...}, "hidden_size: is missing"),
        ("bert", {"num_hidden_layers": 0}, "num_hidden_layers: must be at least 1"),
        ("distilbert", {"n_heads": 3}, "n_heads: must divide"),
        ("electra", {"embedding_size": "wide"}, "embedding_size: must be a whole number"),
        ("modernbert", {"global_attn_every_n_layers": 0}, "global_attn_every_n_layers: must be at least 1"),
        ("nomic_bert", {"head_dim": 10**6}, "head_dim: must be at most 65536"),
        ("t5", {"num_heads": 10**6}, "num_heads: must be at most 65536"),
        ("t5", {"d_kv": 10**6}, "d_kv: must be at most 65536"),
        ("t5", {"is_gated_act": True}, "is_gated_act: is true, but feed_forward_proj is 'relu'"),
        ("bart", {"decoder_attention_heads": 3}, "decoder_attention_heads: must divide"),
        ("bart", {"num_hidden_layers": 5}, "num_hidden_layers: is 5, but encoder_layers is 3"),
        ("whisper", {"encoder_attention_heads": 3}, "encoder_attention_heads: must divide"),
        ("whisper", {"num_mel_bins": 1.5}, "num_mel_bins: must be a whole number"),
    ],
)
def test_bad_values_name_their_field(family: str, changes: dict[str, Any], what: str, read: Read) -> None:
    with pytest.raises(SpecError, match=what):
        read(family, **changes)


@pytest.mark.parametrize("phase", ["serve", "decode"])
def test_an_encoder_generates_nothing(phase: str) -> None:
    with pytest.raises(PlanError, match=r"bert-base is an encoder and generates nothing.*ask --phase prefill"):
        pm.estimate("bert-base", "h100-sxm", phase=phase)


def test_an_encoder_reads_without_a_mask_and_without_a_cache() -> None:
    found = pm.estimate("bert-base", "h100-sxm", phase="prefill", batch=32, input_tokens=512)
    assert found.fits
    assert found.memory.kv_bytes == 0
    assert found.tpot_s is None
    rows = {row["name"]: row for row in found.operator_rows()}
    whole = 12 * 32 * 512 * 512 * 12 * (4 * 64 + 5)  # two products and a softmax, of the full square
    assert rows["attention_prefill"]["flops"] == whole
    most = found.report()["memory"]["largest_batch"]
    assert not pm.estimate("bert-base", "h100-sxm", phase="prefill", batch=int(most) + 1, input_tokens=512).fits


def _names(model: LanguageModel, shape: StepShape) -> set[str]:
    precisions = choose_precisions(model, frozenset({"bfloat16"}), "bfloat16")
    return {step.name for step in step_operators(model, Plan(), precisions, shape)}


def test_an_encoder_runs_once_a_request() -> None:
    model = pm.load_model("whisper-tiny")
    prefill, decode = _names(model, StepShape(1, 1500, 1500)), _names(model, StepShape(decodes=1, decode_context=1500))
    assert prefill >= {"encoder_input_0", "encoder_input_1", "encoder_qkv_proj", "cross_kv_proj", "qkv_proj"}
    assert not {name for name in decode if name.startswith("encoder_")} | (decode & {"cross_kv_proj"})


def test_an_encoder_decoder_serves() -> None:
    short, long = (pm.estimate("t5-large", "h100-sxm", batch=8, input_tokens=n, output_tokens=64) for n in (64, 2048))
    assert short.ttft_s is not None and long.ttft_s is not None  # noqa: PT018
    assert short.tpot_s is not None and long.tpot_s is not None  # noqa: PT018
    assert long.ttft_s.bound > 3 * short.ttft_s.bound
    assert long.tpot_s.bound > short.tpot_s.bound
    # keys and values of 24 layers of 16 heads, of input and output tokens
    found = pm.estimate("t5-large", "h100-sxm", batch=8, input_tokens=512, output_tokens=64, static=True)
    assert found.memory.kv_bytes == 8 * (512 + 64) * 24 * 2 * 1024 * 2.0


def test_tensor_parallelism_divides_the_heads_of_both_stacks(read: Read) -> None:
    model = read("bart", encoder_attention_heads=2, decoder_attention_heads=4)
    with pytest.raises(PlanError, match="tp 4 does not divide the 2 attention heads"):
        pm.estimate(model, "h100-sxm", tp=4)
