"""Parameter counts of every family against transformers' own modules, on the meta device with random dimensions.

Needs transformers and torch (``pip install transformers torch``); skipped where they are not installed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfmodel.plan import Plan, StepShape, choose_precisions, step_operators
from perfmodel.workloads.importers.hf import load_hf_model
from perfmodel.workloads.parameters import parameters

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow


def _base(r: random.Random) -> dict[str, Any]:
    """Return dimensions that every family understands under these names."""
    kv = r.choice([1, 2, 4])
    heads = kv * r.choice([1, 2, 4])
    return {
        "hidden_size": heads * 16, "num_attention_heads": heads, "num_key_value_heads": kv,
        "num_hidden_layers": r.randint(2, 7), "intermediate_size": 8 * r.randint(3, 20),
        "vocab_size": 8 * r.randint(20, 60), "max_position_embeddings": 16 * r.randint(4, 9),
        "tie_word_embeddings": r.random() < 0.5, "pad_token_id": 0,
    }  # fmt: skip


def _gpt2(r: random.Random) -> dict[str, Any]:
    heads = r.choice([2, 4, 8])
    return {"n_embd": heads * 16, "n_head": heads, "n_layer": r.randint(2, 5), "n_positions": 8 * r.randint(4, 9),
            "vocab_size": 8 * r.randint(20, 60), "n_inner": r.choice([None, 96]), "rotary_dim": 8}  # fmt: skip


def _with(*flags: str, **choices: list[Any]) -> Callable[[random.Random], dict[str, Any]]:
    """Return the base with flags thrown and values chosen."""

    def make(r: random.Random) -> dict[str, Any]:
        found = _base(r) | {flag: r.random() < 0.5 for flag in flags}
        return found | {name: r.choice(values) for name, values in choices.items()}

    return make


def _experts(*flags: str, **choices: list[Any]) -> Callable[[random.Random], dict[str, Any]]:
    def make(r: random.Random) -> dict[str, Any]:
        count = r.choice([4, 8])
        return _with(*flags, **choices)(r) | {
            "num_experts": count, "num_local_experts": count, "n_routed_experts": count, "num_experts_per_tok": 2,
            "moe_intermediate_size": 8 * r.randint(2, 9), "n_group": 1, "topk_group": 1,
        }  # fmt: skip

    return make


def _opt(r: random.Random) -> dict[str, Any]:
    base = _base(r)
    return base | {"ffn_dim": base["intermediate_size"], "word_embed_proj_dim": base["hidden_size"]}


def _bloom(r: random.Random) -> dict[str, Any]:
    heads = r.choice([2, 4])
    return {"hidden_size": heads * 16, "n_head": heads, "n_layer": r.randint(2, 5), "vocab_size": 8 * r.randint(20, 60)}


def _falcon(r: random.Random) -> dict[str, Any]:
    base = _with("new_decoder_architecture", "multi_query", "bias", "alibi")(r)
    parallel = r.random() < 0.7 or base["new_decoder_architecture"]
    kv = base.pop("num_key_value_heads")
    return base | {"num_kv_heads": kv, "parallel_attn": parallel}


FAMILIES: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "llama": _with("attention_bias", "mlp_bias", head_dim=[None, 24]),
    "mistral": _with(head_dim=[None, 24], sliding_window=[None, 32]),
    "mixtral": _experts(),
    "qwen2": _base,
    "qwen3": _with("attention_bias", head_dim=[16, 24]),
    "qwen3_moe": _experts("attention_bias", head_dim=[16, 24]),
    "gpt_oss": _experts(head_dim=[16, 24]),
    "gpt2": _gpt2,
    "gpt_bigcode": _gpt2,
    "gptj": _gpt2,
    "gpt_neox": _with("attention_bias", "use_parallel_residual"),
    "opt": _opt,
    "bloom": _bloom,
    "falcon": _falcon,
    "phi": _base,
    "phi3": _with(sliding_window=[None, 32]),
    "phimoe": _experts("attention_bias", "lm_head_bias"),
    "gemma": _with("attention_bias", head_dim=[16, 32]),
    "gemma2": _with("attention_bias", head_dim=[16, 32]),
    "gemma3_text": _with("attention_bias", head_dim=[16, 32]),
    "cohere": _with("attention_bias", "use_qk_norm"),
    "cohere2": _with("attention_bias"),
    "olmo": _with("attention_bias"),
    "olmo2": _with("attention_bias"),
    "olmoe": _experts("attention_bias"),
    "starcoder2": _with("use_bias"),
    "stablelm": _with("use_qkv_bias", "use_parallel_residual"),
    "nemotron": _with("attention_bias", "mlp_bias", head_dim=[16, 24]),
    "granite": _with("attention_bias", "mlp_bias"),
    "granitemoe": _experts("attention_bias"),
    "glm": _with("attention_bias", head_dim=[16, 32]),
    "glm4": _with("attention_bias", head_dim=[16, 32]),
    "glm4_moe": _experts("attention_bias", "use_qk_norm", head_dim=[16, 32], first_k_dense_replace=[0, 1]),
    "seed_oss": _with("attention_bias", "attention_out_bias", "mlp_bias", head_dim=[16, 24]),
    "smollm3": _with("attention_bias", "mlp_bias"),
    "ernie4_5": _with("use_bias", head_dim=[16, 24]),
    "arcee": _with("attention_bias", "mlp_bias", head_dim=[16, 24]),
    "helium": _with("attention_bias", "mlp_bias", head_dim=[16, 24]),
}


def _vision(family: str, r: random.Random) -> dict[str, Any]:
    """Return a small model with a vision tower."""
    text = _base(r) | {
        "num_experts_per_tok": 1, "num_local_experts": 4, "intermediate_size_mlp": 96, "head_dim": 16,
        "interleave_moe_layer_step": r.choice([1, 2]), "tie_word_embeddings": family == "gemma3",
    }  # fmt: skip
    width = 16 * r.randint(2, 4)
    vision = {
        "hidden_size": width, "num_attention_heads": 2, "num_heads": 2, "num_hidden_layers": 3, "depth": 3,
        "intermediate_size": 4 * width if family == "llama4" else 8 * r.randint(3, 9), "image_size": 16,
        "patch_size": 4, "vision_use_head": r.random() < 0.5,
        "out_hidden_size": text["hidden_size"], "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1],
        "projector_input_dim": 48, "projector_output_dim": 40, "vision_output_dim": 40,
    }  # fmt: skip
    usual = transformers.AutoConfig.for_model(family)
    parts = {"text_config": (text, usual.text_config), "vision_config": (vision, usual.vision_config)}
    return {
        name: {k: v for k, v in drawn.items() if k in {*config.to_dict(), *config.attribute_map}}
        for name, (drawn, config) in parts.items()
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", ["gemma3", "llama4", "qwen3_vl"])
def test_parameters_with_a_vision_tower(family: str, seed: int, tmp_path: Path) -> None:
    drawn = _vision(family, random.Random(f"{family}{seed}"))
    config = transformers.AutoConfig.for_model(family, **drawn)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    with torch.device("meta"):
        model = transformers.AutoModelForImageTextToText.from_config(config)
    model.tie_weights()
    theirs = sum({id(p): p.numel() for p in model.parameters()}.values())
    assert parameters(load_hf_model(tmp_path / "config.json")) == theirs


def _theirs(config: Any) -> int:
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    return sum({id(p): p.numel() for p in model.parameters()}.values())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", FAMILIES)
def test_parameters(family: str, seed: int, tmp_path: Path) -> None:
    usual = transformers.AutoConfig.for_model(family)
    drawn = FAMILIES[family](random.Random(f"{family}{seed}"))
    known = {*usual.to_dict(), *usual.attribute_map}
    config = transformers.AutoConfig.for_model(family, **{k: v for k, v in drawn.items() if k in known})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    assert parameters(load_hf_model(tmp_path / "config.json")) == _theirs(config)


def _forward_flops(config: Any, sequences: int, tokens: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    ids = torch.ones((sequences, tokens), dtype=torch.long)
    with (counter := FlopCounterMode(display=False)), torch.no_grad():
        model(input_ids=ids, use_cache=False)
    return counter.get_total_flops()


_ROUTED = {name for name, make in FAMILIES.items() if "num_experts_per_tok" in make(random.Random(0))}
"""Families of experts, whose products depend on the routing."""


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - _ROUTED))
def test_matrix_flops_of_a_forward_pass(family: str, tmp_path: Path) -> None:
    drawn = FAMILIES[family](random.Random(f"{family}flops"))
    usual = transformers.AutoConfig.for_model(family)
    known = {*usual.to_dict(), *usual.attribute_map}
    config = transformers.AutoConfig.for_model(family, **{k: v for k, v in drawn.items() if k in known})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    model = load_hf_model(tmp_path / "config.json")
    # eager attention multiplies the full square
    shape = StepShape(prefills=2, new_tokens=24, prefill_context=24, logits="all", causal=False)
    steps = step_operators(model, Plan(), choose_precisions(model, frozenset({"bfloat16"}), "bfloat16"), shape)
    ours = sum(s.repeat * s.operator.counts().filter_flops(engine="tensor").total_flops() for s in steps)
    rotary = 2 * 2 * 24 * 64  # some modules make their rotation table by a product
    assert ours == pytest.approx(_forward_flops(config, 2, 24), rel=2e-3, abs=rotary)
