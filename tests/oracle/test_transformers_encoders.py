"""Encoders and encoder-decoders against transformers' own modules: parameter counts, and matrix flops by PyTorch.

Needs transformers and torch (``pip install transformers torch``); skipped where they are not installed.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from perfmodel.plan import Plan, StepShape, choose_precisions, step_operators
from perfmodel.workloads.importers.hf import load_hf_model
from perfmodel.workloads.parameters import parameters
from perfmodel.workloads.spec import LanguageModel

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

CLASSES: dict[str, tuple[str, ...]] = {
    "bert": ("BertForMaskedLM", "BertModel", "BertForPreTraining", "BertForSequenceClassification"),
    "roberta": ("RobertaForMaskedLM", "RobertaModel", "RobertaForSequenceClassification"),
    "xlm-roberta": ("XLMRobertaForMaskedLM", "XLMRobertaModel", "XLMRobertaForSequenceClassification"),
    "distilbert": ("DistilBertForMaskedLM", "DistilBertModel", "DistilBertForSequenceClassification"),
    "electra": ("ElectraForPreTraining", "ElectraForMaskedLM", "ElectraModel", "ElectraForSequenceClassification"),
    "modernbert": ("ModernBertForMaskedLM", "ModernBertModel", "ModernBertForSequenceClassification"),
    "nomic_bert": ("NomicBertForMaskedLM", "NomicBertModel", "NomicBertForSequenceClassification"),
    "t5": ("T5ForConditionalGeneration", "T5Model", "T5EncoderModel"),
    "mt5": ("MT5ForConditionalGeneration", "MT5Model", "MT5EncoderModel"),
    "umt5": ("UMT5ForConditionalGeneration", "UMT5Model", "UMT5EncoderModel"),
    "bart": ("BartForConditionalGeneration", "BartModel"),
    "mbart": ("MBartForConditionalGeneration", "MBartModel"),
    "whisper": ("WhisperForConditionalGeneration", "WhisperModel"),
}
"""What is understood of each family; the first is what a config without ``architectures`` means."""

_CASES = [(family, name) for family, names in CLASSES.items() for name in names]


def _drawn(family: str, r: random.Random) -> dict[str, Any]:
    """Return random dimensions under all the names that the families have for them."""
    heads, layers = r.choice([2, 4, 6]), r.randint(2, 7)
    hidden = heads * 16
    return {
        "hidden_size": hidden, "dim": hidden, "d_model": hidden, "num_attention_heads": heads, "n_heads": heads,
        "num_heads": heads, "encoder_attention_heads": heads, "decoder_attention_heads": r.choice([1, 2]),
        "num_hidden_layers": layers, "n_layers": layers, "num_layers": layers, "encoder_layers": layers,
        "decoder_layers": r.randint(1, 5), "num_decoder_layers": r.choice([None, 3]), "d_kv": r.choice([8, 24]),
        "intermediate_size": 8 * r.randint(3, 20), "hidden_dim": 8 * r.randint(3, 20), "d_ff": 8 * r.randint(3, 20),
        "encoder_ffn_dim": 8 * r.randint(3, 20), "decoder_ffn_dim": 8 * r.randint(3, 20),
        "vocab_size": 8 * r.randint(20, 60), "max_position_embeddings": 8 * r.randint(4, 9),
        "type_vocab_size": r.choice([1, 2, 3]), "embedding_size": r.choice([hidden, 24]), "num_mel_bins": 20,
        "max_source_positions": 12, "max_target_positions": 8 * r.randint(2, 4), "pad_token_id": 1, "bos_token_id": 0,
        "eos_token_id": 2, "decoder_start_token_id": 2, "cls_token_id": 0, "sep_token_id": 2,
        "relative_attention_num_buckets": r.choice([16, 32]), "num_labels": r.choice([1, 3]),
        "feed_forward_proj": r.choice(["relu", "gated-gelu", "gated-silu"]), "norm_bias": r.random() < 0.5,
        "attention_bias": r.random() < 0.5, "mlp_bias": r.random() < 0.5, "decoder_bias": r.random() < 0.5,
        "classifier_bias": r.random() < 0.5, "local_attention": r.choice([4, 8]),
        "tie_word_embeddings": family in ("bart", "mbart") or r.random() < 0.5,
    }  # fmt: skip


def _config(family: str, name: str, drawn: dict[str, Any]) -> Any:
    usual = transformers.AutoConfig.for_model(family)
    # names that stand for another one of the family are left to that
    known = (set(usual.to_dict()) | {"num_labels"}) - set(usual.attribute_map)
    config = transformers.AutoConfig.for_model(family, **{k: v for k, v in drawn.items() if k in known})
    config.architectures = [name]
    return config


def _read(config: Any, folder: Path, **changes: Any) -> LanguageModel:
    (folder / "config.json").write_text(json.dumps(config.to_dict() | changes, default=str))
    return load_hf_model(folder / "config.json")


def _theirs(config: Any, name: str) -> int:
    with torch.device("meta"):
        model = getattr(transformers, name)(config)
    model.tie_weights()
    return sum({id(p): p.numel() for p in model.parameters()}.values())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("family", "name"), _CASES)
def test_parameters(family: str, name: str, seed: int, tmp_path: Path) -> None:
    config = _config(family, name, _drawn(family, random.Random(f"{name}{seed}")))
    assert parameters(_read(config, tmp_path)) == _theirs(config, name)


@pytest.mark.parametrize("family", CLASSES)
def test_what_a_config_without_architectures_means(family: str, tmp_path: Path) -> None:
    name = CLASSES[family][0]
    config = _config(family, name, _drawn(family, random.Random(f"{family}silent")))
    config.architectures = None
    assert parameters(_read(config, tmp_path)) == _theirs(config, name)


@pytest.mark.parametrize("family", ["t5", "mt5", "umt5"])
def test_an_output_head_of_its_own(family: str, tmp_path: Path) -> None:
    # transformers 5 ties what these configs say is not tied, until it finds two tables in the checkpoint
    name = CLASSES[family][0]
    config = _config(family, name, _drawn(family, random.Random(f"{family}untied")))
    ours = parameters(_read(config, tmp_path, tie_word_embeddings=False))
    assert ours == _theirs(config, name) + config.vocab_size * config.d_model


def _flops(model: LanguageModel, shape: StepShape) -> float:
    steps = step_operators(model, Plan(), choose_precisions(model, frozenset({"bfloat16"}), "bfloat16"), shape)
    return sum(s.repeat * s.operator.counts().filter_flops(engine="tensor").total_flops() for s in steps)


def _forward_flops(config: Any, name: str, **inputs: Any) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    config._attn_implementation = "eager"
    model = getattr(transformers, name)(config).eval()
    with (counter := FlopCounterMode(display=False)), torch.no_grad():
        model(**inputs)
    return counter.get_total_flops()


_TOKENS = 24


@pytest.mark.parametrize(
    "name",
    ["BertForMaskedLM", "RobertaForMaskedLM", "DistilBertForMaskedLM", "ElectraForMaskedLM", "ElectraForPreTraining",
     "ModernBertForMaskedLM", "NomicBertForMaskedLM"],
)  # fmt: skip
def test_matrix_flops_of_an_encoder(name: str, tmp_path: Path) -> None:
    family = next(family for family, names in CLASSES.items() if name in names)
    # a window longer than the input, of which eager attention masks, not skips, the rest
    drawn = _drawn(family, random.Random(f"{name}flops")) | {"local_attention": 128}
    config = _config(family, name, drawn)
    ours = _flops(_read(config, tmp_path), StepShape(2, _TOKENS, _TOKENS, logits="all"))
    theirs = _forward_flops(config, name, input_ids=torch.full((2, _TOKENS), 3))
    assert ours == pytest.approx(theirs, rel=2e-3, abs=2 * 2 * _TOKENS * 64)  # some make rotations by a product


@pytest.mark.parametrize(
    "name", ["BertModel", "BertForSequenceClassification", "XLMRobertaForSequenceClassification", "DistilBertModel",
             "NomicBertForSequenceClassification", "ModernBertForSequenceClassification"],
)  # fmt: skip
def test_matrix_flops_of_what_pools(name: str, tmp_path: Path) -> None:
    family = next(family for family, names in CLASSES.items() if name in names)
    drawn = _drawn(family, random.Random(f"{name}pools")) | {"local_attention": 128}
    config = _config(family, name, drawn)
    ours = _flops(_read(config, tmp_path), StepShape(2, _TOKENS, _TOKENS))
    theirs = _forward_flops(config, name, input_ids=torch.full((2, _TOKENS), 3))
    assert ours == pytest.approx(theirs, rel=2e-3, abs=2 * 2 * _TOKENS * 64)


@pytest.mark.parametrize("family", ["t5", "mt5", "umt5", "bart", "mbart", "whisper"])
def test_matrix_flops_of_an_encoder_and_its_decoder(family: str, tmp_path: Path) -> None:
    name = CLASSES[family][0]
    config = _config(family, name, _drawn(family, random.Random(f"{family}flops")))
    # eager attention multiplies the full square
    shape = StepShape(2, 7, 7, logits="all", causal=False, source_tokens=12)
    inputs = {"input_ids": torch.full((2, 12), 3)}
    if family == "whisper":
        inputs = {"input_features": torch.zeros((2, config.num_mel_bins, 24))}
    theirs = _forward_flops(config, name, decoder_input_ids=torch.full((2, 7), 3), use_cache=False, **inputs)
    assert _flops(_read(config, tmp_path), shape) == pytest.approx(theirs, rel=1e-9)
