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

from perfmodel.ops import Linear
from perfmodel.plan import Plan, StepShape, choose_precisions, step_operators
from perfmodel.workloads.families import ADAPTERS
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


def _delta(r: random.Random) -> dict[str, Any]:
    keys = r.choice([1, 2])
    layers = r.randint(3, 7)
    return {
        "linear_num_key_heads": keys, "linear_num_value_heads": keys * r.choice([1, 3]), "linear_key_head_dim": 8,
        "linear_value_head_dim": r.choice([8, 16]), "linear_conv_kernel_dim": r.choice([3, 4]),
        "num_hidden_layers": layers,
        "layer_types": [r.choice(["linear_attention", "full_attention"]) for _ in range(layers)],
        "shared_expert_intermediate_size": 24,
    }  # fmt: skip


def _and(make: Callable[[random.Random], dict[str, Any]], *more: Callable[[random.Random], dict[str, Any]]) -> Any:
    """Return what several make, the later over the earlier."""

    def both(r: random.Random) -> dict[str, Any]:
        found = make(r)
        for other in more:
            found |= other(r)
        return found

    return both


def _latent(r: random.Random) -> dict[str, Any]:
    return {
        "q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 12,
        "index_n_heads": 2, "index_head_dim": 8, "index_topk": 5, "first_k_dense_replace": r.choice([0, 1, 2]),
        "n_shared_experts": r.choice([1, 2]), "num_key_value_heads": 4, "num_attention_heads": 4,
    }  # fmt: skip


def _v4(r: random.Random) -> dict[str, Any]:
    layers = r.randint(3, 6)
    kinds = ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"]
    return {
        "head_dim": 32, "q_lora_rank": 24, "o_groups": 2, "o_lora_rank": 12, "num_attention_heads": 4, "hc_mult": 3,
        "index_n_heads": 2, "index_head_dim": 16, "index_topk": 3, "sliding_window": 8, "num_key_value_heads": 1,
        "num_hidden_layers": layers, "layer_types": [r.choice(kinds) for _ in range(layers)], "hidden_size": 48,
        "tie_word_embeddings": False,
    }  # fmt: skip


def _mamba2(r: random.Random) -> dict[str, Any]:
    heads, dim = 4, r.choice([8, 16])
    return {
        "hidden_size": heads * dim // 2, "num_heads": heads, "head_dim": dim, "mamba_n_heads": heads,
        "mamba_d_head": dim, "state_size": 8, "mamba_d_state": 8, "mamba_d_ssm": heads * dim, "expand": 2,
        "n_groups": r.choice([1, 2]), "mamba_n_groups": r.choice([1, 2]), "conv_kernel": 3, "mamba_d_conv": 3,
        "use_bias": r.random() < 0.5, "use_conv_bias": r.random() < 0.5, "mamba_proj_bias": r.random() < 0.5,
        "mamba_conv_bias": r.random() < 0.5, "num_attention_heads": 4, "num_key_value_heads": 2, "chunk_size": 4,
        "projectors_bias": r.random() < 0.5, "mamba_rms_norm": r.random() < 0.5, "mamba_chunk_size": 4,
    }  # fmt: skip


def _pattern(r: random.Random) -> dict[str, Any]:
    layers = r.randint(4, 8)
    heads = 4
    return {
        "layers_block_type": [r.choice(["linear_attention", "full_attention", "mlp", "moe"]) for _ in range(layers)],
        "hidden_size": 32, "mamba_num_heads": heads, "mamba_head_dim": 8, "n_groups": 2, "ssm_state_size": 8,
        "conv_kernel": 3, "moe_shared_expert_intermediate_size": 40, "head_dim": 16, "n_routed_experts": 4,
        "moe_latent_size": r.choice([None, 16]), "use_bias": r.random() < 0.5, "use_conv_bias": r.random() < 0.5,
        "num_hidden_layers": None, "chunk_size": 4, "mlp_bias": False, "tie_word_embeddings": False,
    }  # fmt: skip


def _gemma4(r: random.Random) -> dict[str, Any]:
    layers, shared = r.choice([6, 12]), r.choice([0, 2])
    kinds = ["full_attention" if (i + 1) % 3 == 0 else "sliding_attention" for i in range(layers)]
    return {
        "head_dim": 8, "global_head_dim": 16, "num_global_key_value_heads": r.choice([None, 1]), "layer_types": kinds,
        "attention_k_eq_v": r.random() < 0.5, "num_kv_shared_layers": shared, "num_hidden_layers": layers,
        "hidden_size_per_layer_input": r.choice([0, 8]), "vocab_size_per_layer_input": 96, "sliding_window": 8,
        "enable_moe_block": r.random() < 0.5, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 24,
        "use_double_wide_mlp": r.random() < 0.5, "tie_word_embeddings": True,
    }  # fmt: skip


def _windowed(r: random.Random) -> dict[str, Any]:
    layers = r.randint(3, 6)
    return {
        "num_hidden_layers": layers, "sliding_window": 8, "v_head_dim": r.choice([8, 24]), "head_dim": 16,
        "layer_types": [r.choice(["sliding_attention", "full_attention"]) for _ in range(layers)],
        "mlp_layer_types": [r.choice(["dense", "sparse"]) for _ in range(layers)], "num_key_value_heads": 1,
        "num_attention_heads": 4, "n_shared_experts": 1,
    }  # fmt: skip


def _jamba(r: random.Random) -> dict[str, Any]:
    return {
        "mamba_d_state": 4, "mamba_d_conv": 3, "mamba_expand": 2, "mamba_dt_rank": r.choice(["auto", 5]),
        "expert_layer_period": 2, "expert_layer_offset": 1, "attn_layer_period": 3, "attn_layer_offset": 1,
        "num_hidden_layers": 6, "use_mamba_kernels": False, "state_size": 4, "conv_kernel": 3, "expand": 2,
        "time_step_rank": r.choice(["auto", 5]), "use_bias": r.random() < 0.5, "use_conv_bias": r.random() < 0.5,
    }  # fmt: skip


def _ernie(r: random.Random) -> dict[str, Any]:
    return {"moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 2, "moe_layer_start_index": r.choice([0, 1]),
            "use_bias": False, "moe_layer_interval": r.choice([1, 2]), "pad_token_id": 0}  # fmt: skip


def _fixed(**values: Any) -> Callable[[random.Random], dict[str, Any]]:
    return lambda r: dict(values)


def _linear_layers(r: random.Random) -> dict[str, Any]:
    layers = r.randint(3, 6)
    return {
        "num_hidden_layers": layers, "linear_num_heads": 2, "linear_head_dim": 8, "linear_conv_kernel_dim": 3,
        "layer_types": [r.choice(["linear_attention", "full_attention"]) for _ in range(layers)], "head_dim": 16,
        "mlp_layer_types": None, "q_lora_rank": r.choice([None, 24]), "tie_word_embeddings": False,
    }  # fmt: skip


def _short_conv(r: random.Random) -> dict[str, Any]:
    layers = r.randint(3, 6)
    return {
        "num_hidden_layers": layers, "layer_types": [r.choice(["conv", "full_attention"]) for _ in range(layers)],
        "conv_bias": r.random() < 0.5, "conv_L_cache": 3, "block_multiple_of": 16, "intermediate_size": 96,
    }  # fmt: skip


FAMILIES |= {
    "deepseek_v2": _and(_experts(), _latent, _fixed(q_lora_rank=None, topk_method="greedy")),
    "deepseek_v3": _and(_experts("attention_bias"), _latent),
    "minimax_m2": _experts(head_dim=[16, 24]),
    "llama4_text": _and(_experts("attention_bias"), _fixed(intermediate_size_mlp=96, interleave_moe_layer_step=2)),
    "deepseek_v32": _and(_experts(), _latent),
    "glm_moe_dsa": _and(_experts(), _latent),
    "deepseek_v4": _and(_experts(), _v4),
    "qwen3_next": _and(_experts("attention_bias", head_dim=[16, 24]), _delta),
    "qwen3_5_text": _and(_with("attention_bias", head_dim=[16, 24]), _delta),
    "qwen3_5_moe_text": _and(_experts("attention_bias", head_dim=[16, 24]), _delta),
    "nemotron_h": _and(_experts(), _pattern),
    "gemma4_text": _and(_with("attention_bias"), _gemma4),
    "mamba": _and(_base, _jamba),
    "falcon_mamba": _and(_base, _jamba),
    "mamba2": _and(_base, _mamba2),
    "jamba": _and(_experts(), _jamba),
    "bamba": _and(_with("attention_bias", "mlp_bias"), _mamba2, _fixed(attn_layer_indices=[1], num_hidden_layers=4)),
    "falcon_h1": _and(_with("attention_bias", "mlp_bias"), _mamba2),
    "granitemoehybrid": _and(_experts("attention_bias"), _mamba2, _fixed(
        layer_types=["linear_attention", "full_attention", "linear_attention"], num_hidden_layers=3,
        shared_intermediate_size=24)),
    "granitemoeshared": _and(_experts("attention_bias"), _fixed(shared_intermediate_size=24)),
    "minimax": _and(_experts(), _linear_layers),
    "kimi_linear": _and(_experts(), _latent, _linear_layers),
    "rwkv": _with(attention_hidden_size=[None, 48], intermediate_size=[None, 40]),
    "recurrent_gemma": _with("attention_bias", lru_width=[None], intermediate_size=[96]),
    "lfm2": _and(_base, _short_conv),
    "ernie4_5_moe": _and(_experts(), _ernie),
    "dots1": _and(_experts("attention_bias"), _windowed),
    "hunyuan_v1_dense": _with("attention_bias", head_dim=[16, 24]),
    "hunyuan_v1_moe": _and(_experts("attention_bias", head_dim=[16, 24]), _fixed(moe_topk=2)),
    "mimo_v2_flash": _and(_experts("attention_bias"), _windowed),
    "qwen2_moe": _and(_experts("qkv_bias"), _fixed(shared_expert_intermediate_size=24, layer_types=None)),
    "exaone4": _and(_base, _windowed),
    "olmo3": _and(_with("attention_bias"), _windowed),
    "apertus": _with("attention_bias"),
    "bitnet": _with("attention_bias"),
    "minicpm3": _and(_with("mlp_bias"), _latent),
    "internlm3": _with(attention_bias=[True], mlp_bias=[True], head_dim=[16, 24]),
    "cwm": _and(_with("mlp_bias"), _windowed),
    "vaultgemma": _and(_with("attention_bias"), _windowed),
    "glm4_moe_lite": _and(_experts("attention_bias"), _latent),
    "dbrx": _fixed(d_model=64, n_heads=4, n_layers=3, vocab_size=160, attn_config={"kv_n_heads": 2, "rope_theta": 1e4},
                   ffn_config={"ffn_hidden_size": 40, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 64}),
}  # fmt: skip


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
@pytest.mark.parametrize("family", ["gemma3", "llama4", "qwen3_vl", "qwen3_5", "qwen3_5_moe"])
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


def _forward_flops(config: Any, sequences: int, tokens: int) -> dict[str, int]:
    """Return PyTorch's flops of a forward pass by operator (mm and addmm are linear layers)."""
    from torch.utils.flop_counter import FlopCounterMode

    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    ids = torch.ones((sequences, tokens), dtype=torch.long)
    with (counter := FlopCounterMode(display=False)), torch.no_grad():
        model(input_ids=ids, use_cache=False)
    return {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}


_ROUTED = {name for name, make in FAMILIES.items() if "num_experts_per_tok" in make(random.Random(0))} | {"dbrx"}
"""Families of experts, whose products depend on the routing."""
_RECURRENT = {
    "mamba",
    "falcon_mamba",
    "mamba2",
    "bamba",
    "falcon_h1",
    "rwkv",
    "recurrent_gemma",
    "lfm2",
    "qwen3_5_text",
}
"""Families with convolutions and scans, which PyTorch's reference code does by other products than kernels."""


_LINEAR = ("aten.mm", "aten.addmm", "aten.baddbmm")


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - _ROUTED))
def test_matrix_flops_of_a_forward_pass(family: str, tmp_path: Path) -> None:
    drawn = FAMILIES[family](random.Random(f"{family}flops")) | {"enable_moe_block": False}
    if "sliding_window" in drawn:
        drawn["sliding_window"] = 64  # longer than the input, of which eager attention masks, not skips, the rest
    usual = transformers.AutoConfig.for_model(family)
    known = {*usual.to_dict(), *usual.attribute_map}
    config = transformers.AutoConfig.for_model(family, **{k: v for k, v in drawn.items() if k in known})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    model = load_hf_model(tmp_path / "config.json")
    # eager attention multiplies the full square
    shape = StepShape(prefills=2, new_tokens=24, prefill_context=24, logits="all", causal=False)
    steps = step_operators(model, Plan(), choose_precisions(model, frozenset({"bfloat16"}), "bfloat16"), shape)
    theirs, only_linear = _forward_flops(config, 2, 24), family in _RECURRENT
    counted = sum(n for op, n in theirs.items() if not only_linear or op in _LINEAR)
    ours = sum(
        s.repeat * s.operator.counts().filter_flops(engine="tensor").total_flops()
        for s in steps
        if not only_linear or isinstance(s.operator, Linear)
    )
    rotary = 2 * 2 * 24 * 64  # some modules make their rotation table by a product
    assert ours == pytest.approx(counted, rel=2e-3, abs=rotary)


_WITHOUT_A_CLASS = {"baichuan", "kimi_k2", "minimax_text_01", "nemotron-nas", "layers"}
"""Families whose modules are in no release of transformers, and our own."""


def test_every_family_has_an_oracle() -> None:
    texts = "".join(path.read_text() for path in Path(__file__).parent.glob("test_transformers*.py"))
    assert {name for name in ADAPTERS if f'"{name}"' not in texts} == set()
    assert not {name for name in _WITHOUT_A_CLASS if name in FAMILIES}
