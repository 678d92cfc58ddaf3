"""Models with vision towers against transformers' own: parameters with random dimensions, and each tower's products.

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
from perfmodel.plan.towers import tower_flops
from perfmodel.workloads import LanguageModel
from perfmodel.workloads.families import llava, vision, vision_native
from perfmodel.workloads.importers.hf import load_hf_model
from perfmodel.workloads.parameters import parameters

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

Config = dict[str, Any]


def _text(r: random.Random, **more: Any) -> Config:
    kv = r.choice([1, 2])
    heads = kv * r.choice([2, 4])
    return {
        "hidden_size": heads * 16, "num_attention_heads": heads, "num_key_value_heads": kv,
        "num_hidden_layers": r.randint(2, 4), "intermediate_size": 8 * r.randint(3, 20),
        "vocab_size": 8 * r.randint(20, 60), "max_position_embeddings": 128, "pad_token_id": 0,
    } | more  # fmt: skip


def _moe(r: random.Random, **more: Any) -> Config:
    return _text(r) | {"num_experts_per_tok": 2, "moe_intermediate_size": 8 * r.randint(2, 6)} | more


def _vit(r: random.Random, **more: Any) -> Config:
    heads = r.choice([2, 3])
    return {
        "hidden_size": heads * 16, "num_attention_heads": heads, "num_hidden_layers": r.randint(2, 4),
        "intermediate_size": 8 * r.randint(3, 9), "image_size": 24, "patch_size": 4,
    } | more  # fmt: skip


def _rotary(r: random.Random, **more: Any) -> Config:
    """Return a ViT with the names of Qwen's and GLM's."""
    found = _vit(r)
    found["num_heads"], found["depth"] = found.pop("num_attention_heads"), found.pop("num_hidden_layers")
    return {k: v for k, v in found.items() if k != "image_size"} | {"spatial_merge_size": r.choice([2, 3])} | more


_TEXTS = ["llama", "mistral", "qwen2"]


def _llava(r: random.Random) -> Config:
    text = r.choice(_TEXTS)
    kind = r.choice(["clip_vision_model", "siglip_vision_model", "pixtral"])
    head = {"vision_use_head": r.random() < 0.5} if kind == "siglip_vision_model" else {}
    return {
        "text_config": _text(r, model_type=text, tie_word_embeddings=r.random() < 0.5),
        "vision_config": _vit(r, model_type=kind) | head, "multimodal_projector_bias": r.random() < 0.5,
        "tie_word_embeddings": r.random() < 0.5, "vision_feature_layer": r.choice([-2, [-2, -1], -1]),
        "vision_feature_select_strategy": "full" if kind == "pixtral" else "default",
    }  # fmt: skip


def _mistral3(r: random.Random) -> Config:
    return {
        "text_config": _text(r, model_type="mistral", head_dim=r.choice([16, 24])), "vision_config": _vit(r),
        "multimodal_projector_bias": r.random() < 0.5, "spatial_merge_size": r.choice([2, 3]),
        "tie_word_embeddings": r.random() < 0.5,
    }  # fmt: skip


def _qwen2_vl(r: random.Random) -> Config:
    width = 16 * r.choice([2, 3])
    seen = {"depth": 3, "embed_dim": width, "num_heads": 2, "mlp_ratio": r.choice([2, 3]), "patch_size": 4,
            "spatial_merge_size": r.choice([2, 3])}  # fmt: skip
    text = _text(r)
    return {"text_config": text, "vision_config": seen | {"hidden_size": text["hidden_size"]},
            "tie_word_embeddings": r.random() < 0.5}  # fmt: skip


def _qwen25_vl(r: random.Random) -> Config:
    text = _text(r, use_sliding_window=r.random() < 0.5, sliding_window=8, max_window_layers=1)
    seen = _rotary(r, out_hidden_size=text["hidden_size"], window_size=24, fullatt_block_indexes=[1, 7])
    return {"text_config": text, "vision_config": seen, "tie_word_embeddings": r.random() < 0.5}


def _qwen3_vl_moe(r: random.Random) -> Config:
    text = _moe(
        r,
        num_experts=4,
        head_dim=r.choice([16, 24]),
        mlp_only_layers=r.choice([[], [1]]),
        attention_bias=r.random() < 0.5,
    )
    seen = _rotary(r, out_hidden_size=text["hidden_size"], num_position_embeddings=16, deepstack_visual_indexes=[0, 1])
    return {"text_config": text, "vision_config": seen, "tie_word_embeddings": r.random() < 0.5}


def _internvl(r: random.Random) -> Config:
    seen = _vit(
        r, attention_bias=r.random() < 0.5, use_qk_norm=r.random() < 0.5,
        norm_type=r.choice(["rms_norm", "layer_norm"]),
        use_mask_token=r.random() < 0.5, use_absolute_position_embeddings=r.random() < 0.5, image_size=[24, 16],
        use_mean_pooling=r.random() < 0.5, patch_size=r.choice([4, [4, 8]]),
    )  # fmt: skip
    return {"text_config": _text(r, model_type=r.choice(["llama", "qwen2"])), "vision_config": seen,
            "downsample_ratio": r.choice([0.5, 0.25]), "tie_word_embeddings": r.random() < 0.5}  # fmt: skip


def _kimi(r: random.Random) -> Config:
    text = _moe(
        r, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=12,
        first_k_dense_replace=r.choice([0, 1]), n_shared_experts=r.choice([1, 2]), num_key_value_heads=4,
        num_attention_heads=4, n_routed_experts=4, n_group=1, topk_group=1,
    )  # fmt: skip
    seen = _vit(r, pos_emb_height=8, pos_emb_width=6, merge_kernel_size=r.choice([[2, 2], [1, 2]]))
    del seen["image_size"]
    return {"text_config": text, "vision_config": seen, "projection_hidden_size": seen["hidden_size"],
            "tie_word_embeddings": r.random() < 0.5}  # fmt: skip


def _paligemma(r: random.Random) -> Config:
    text = _text(r, model_type=r.choice(["gemma", "gemma2"]), head_dim=16)
    seen = _vit(r, model_type="siglip_vision_model", vision_use_head=r.random() < 0.5)
    return {"text_config": text, "vision_config": seen, "projection_dim": text["hidden_size"]}


def _idefics3(r: random.Random) -> Config:
    return {"text_config": _text(r, model_type="llama"), "vision_config": _vit(r), "scale_factor": r.choice([2, 3]),
            "tie_word_embeddings": r.random() < 0.5}  # fmt: skip


def _glm4v(r: random.Random) -> Config:
    text = _text(r)
    seen = _rotary(r, out_hidden_size=text["hidden_size"], image_size=24, attention_bias=r.random() < 0.5)
    return {"text_config": text, "vision_config": seen, "tie_word_embeddings": r.random() < 0.5}


def _glm4v_moe(r: random.Random) -> Config:
    text = _moe(
        r, first_k_dense_replace=r.choice([0, 1]), attention_bias=r.random() < 0.5, n_shared_experts=r.choice([1, 2]),
        n_routed_experts=4, n_group=1, topk_group=1,
    )  # fmt: skip
    return _glm4v(r) | {"text_config": text}


FAMILIES: dict[str, Callable[[random.Random], Config]] = {
    "llava": _llava,
    "llava_next": _llava,
    "mistral3": _mistral3,
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen25_vl,
    "qwen3_vl_moe": _qwen3_vl_moe,
    "internvl": _internvl,
    "kimi_k25": _kimi,
    "paligemma": _paligemma,
    "idefics3": _idefics3,
    "smolvlm": _idefics3,
    "glm4v": _glm4v,
    "glm4v_moe": _glm4v_moe,
}


def _theirs(config: Any, auto: Any) -> int:
    with torch.device("meta"):
        model = auto.from_config(config)
    model.tie_weights()
    return sum({id(p): p.numel() for p in model.parameters()}.values())


def _ours(folder: Path, values: Config) -> LanguageModel:
    (folder / "config.json").write_text(json.dumps(values, default=str))
    return load_hf_model(folder / "config.json")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", FAMILIES)
def test_parameters(family: str, seed: int, tmp_path: Path) -> None:
    drawn = FAMILIES[family](random.Random(f"{family}{seed}"))
    config = transformers.AutoConfig.for_model(family, **json.loads(json.dumps(drawn)))
    theirs = _theirs(config, transformers.AutoModelForImageTextToText)
    assert parameters(_ours(tmp_path, config.to_dict())) == theirs
    # the config as it was drawn, with all that it leaves out
    assert parameters(_ours(tmp_path, {"model_type": family} | drawn)) == theirs


@pytest.mark.parametrize("part", ["text_config", "vision_config", "both"])
@pytest.mark.parametrize("family", FAMILIES)
def test_parts_that_are_left_out_have_the_defaults_of_the_class(family: str, part: str, tmp_path: Path) -> None:
    left = {"text_config", "vision_config"} if part == "both" else {part}
    drawn = {k: v for k, v in FAMILIES[family](random.Random(family)).items() if k not in left}
    drawn.pop("vision_feature_layer", None)
    config = transformers.AutoConfig.for_model(family, **json.loads(json.dumps(drawn)))
    theirs = _theirs(config, transformers.AutoModelForImageTextToText)
    assert parameters(_ours(tmp_path, {"model_type": family} | drawn)) == theirs


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2"])
def test_a_text_model_without_sizes_has_those_of_its_class(kind: str, tmp_path: Path) -> None:
    drawn = {"text_config": {"model_type": kind}}
    theirs = _theirs(
        transformers.LlavaConfig(**json.loads(json.dumps(drawn))), transformers.AutoModelForImageTextToText
    )
    assert parameters(_ours(tmp_path, {"model_type": "llava"} | drawn)) == theirs


def test_an_expert_text_model_without_sizes_has_those_of_its_class(tmp_path: Path) -> None:
    drawn = {"text_config": {"model_type": "qwen3_moe"}}
    config = transformers.InternVLConfig(**json.loads(json.dumps(drawn)))
    theirs = _theirs(config, transformers.AutoModelForImageTextToText)
    assert parameters(_ours(tmp_path, {"model_type": "internvl"} | drawn)) == theirs


def _gemma3n(r: random.Random) -> Config:
    layers = r.choice([5, 10])
    return _text(r, num_hidden_layers=layers, head_dim=16) | {
        "intermediate_size": r.choice([48, [8 * (3 + index % 3) for index in range(layers)]]),
        "vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 8, "altup_num_inputs": r.choice([2, 4]),
        "num_kv_shared_layers": 0 if layers == 5 else 5, "laurel_rank": r.choice([4, 12]), "sliding_window": 64,
        "attention_bias": r.random() < 0.5, "activation_sparsity_pattern": [0.0] * layers,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_parameters_of_gemma_3n(seed: int, tmp_path: Path) -> None:
    config = transformers.Gemma3nTextConfig(**_gemma3n(random.Random(seed)))
    assert parameters(_ours(tmp_path, config.to_dict())) == _theirs(config, transformers.AutoModelForCausalLM)


def test_a_gemma_3n_that_says_nothing(tmp_path: Path) -> None:
    theirs = _theirs(transformers.Gemma3nTextConfig(), transformers.AutoModelForCausalLM)
    assert parameters(_ours(tmp_path, {"model_type": "gemma3n_text"})) == theirs


def _counted(run: Callable[[], Any]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with (counter := FlopCounterMode(display=False)), torch.no_grad():
        run()
    return counter.get_total_flops()


def test_matrix_flops_of_gemma_3n(tmp_path: Path) -> None:
    config = transformers.Gemma3nTextConfig(**_gemma3n(random.Random(7)))
    ours = _ours(tmp_path, config.to_dict())
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    theirs = _counted(lambda: model(input_ids=torch.ones((2, 24), dtype=torch.long), use_cache=False))
    shape = StepShape(prefills=2, new_tokens=24, prefill_context=24, logits="all", causal=False)
    steps = step_operators(ours, Plan(), choose_precisions(ours, frozenset({"bfloat16"}), "bfloat16"), shape)
    counted = sum(s.repeat * s.operator.counts().filter_flops(engine="tensor").total_flops() for s in steps)
    n, hidden = config.altup_num_inputs, config.hidden_size
    mixing = 2 * n * n * hidden + 4 * n * hidden + 2 * n**3 + 2 * n * n  # what the adapter omits of the streams
    rotary = 2 * 2 * 24 * 64
    assert counted + config.num_hidden_layers * 48 * mixing == pytest.approx(theirs, abs=rotary)


# The towers' products: the smallest image that fills whole windows and merged patches.


def _flops(model: LanguageModel) -> float:
    return sum(tower_flops(tower)[1] for tower in model.towers)


def _eager(model: Any) -> Any:
    model.eval()
    model.set_attn_implementation("eager")
    return model


@pytest.fixture
def small_image(monkeypatch: pytest.MonkeyPatch) -> int:
    """An image of 48 pixels a side instead of the usual one."""
    monkeypatch.setattr(vision, "USUAL_IMAGE", 48)
    monkeypatch.setattr(vision_native, "USUAL_IMAGE", 48)
    monkeypatch.setattr(llava, "USUAL_IMAGE", 48)
    return 48


_GRID = {"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "glm4v", "glm4v_moe", "kimi_k25"}
_SMALL: dict[str, Callable[[random.Random], Config]] = FAMILIES | {
    "gemma3": lambda r: {
        "text_config": _text(r, head_dim=16), "mm_tokens_per_image": 9,
        "vision_config": _vit(r, vision_use_head=r.random() < 0.5),
    },
    "llama4": lambda r: {
        "text_config": _text(r, intermediate_size_mlp=96, head_dim=16, num_local_experts=2),
        "vision_config": _vit(r, projector_input_dim=24, projector_output_dim=24, vision_output_dim=24,
                              hidden_size=32, num_attention_heads=2, intermediate_size=128),
    },
    "qwen3_vl": lambda r: _qwen3_vl_moe(r) | {"text_config": _text(r, head_dim=16)},
    "gemma4": lambda r: {
        "text_config": _text(r, head_dim=8, global_head_dim=16, hidden_size_per_layer_input=0, num_hidden_layers=6),
        "vision_config": {k: v for k, v in _vit(r, head_dim=16, num_key_value_heads=1, position_embedding_size=16,
                                                pooling_kernel_size=3).items() if k != "image_size"},
        "vision_soft_tokens_per_image": 4, "audio_config": None,
    },
    "llava_next": lambda r: _llava(r) | {
        "vision_config": _vit(r, model_type="clip_vision_model"), "vision_feature_select_strategy": "default",
        "image_grid_pinpoints": [[24, 48], [48, 24], [48, 48], [72, 24]],
    },
}  # fmt: skip


@pytest.mark.usefixtures("small_image")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", _SMALL)
def test_matrix_flops_of_a_tower(family: str, seed: int, tmp_path: Path) -> None:
    drawn = _SMALL[family](random.Random(f"{family}{seed}"))
    seen = drawn["vision_config"]
    if "spatial_merge_size" in seen:
        seen["spatial_merge_size"], seen["patch_size"] = 2, 4
    if family == "qwen2_5_vl":
        seen |= {"window_size": 24}
    if family == "kimi_k25":
        seen |= {"merge_kernel_size": [2, 2], "pos_emb_width": 8}
    if family == "qwen3_vl":
        seen["num_position_embeddings"] = 16
    if family == "internvl":
        seen |= {"image_size": [24, 24], "patch_size": [4, 4]}
        drawn["downsample_ratio"] = 0.5
    if "vision_feature_layer" in drawn:
        drawn["vision_feature_layer"] = -2
    config = transformers.AutoConfig.for_model(family, **json.loads(json.dumps(drawn)))
    ours = _ours(tmp_path, config.to_dict())
    model = _eager(transformers.AutoModelForImageTextToText.from_config(config))
    theirs = _counted(lambda: _drive(family, model, config, ours))
    assert _flops(ours) + _omitted(config, ours) == theirs


def _omitted(config: Any, ours: LanguageModel) -> float:
    """Return the products that a tower omits: the attention of SigLIP's pooling, Gemma 4's averages by a product."""
    tower = ours.towers[0]
    if config.model_type == "gemma4":
        return 2.0 * tower.tokens * tower.output_tokens * tower.hidden
    return 4.0 * tower.tokens * tower.hidden if getattr(config.vision_config, "vision_use_head", False) else 0.0


def _drive(family: str, model: Any, config: Any, ours: LanguageModel) -> Any:
    seen = config.vision_config
    if family == "llama4":
        features = model.get_image_features(torch.zeros(1, 3, seen.image_size, seen.image_size)).last_hidden_state
        return model.multi_modal_projector(features.view(-1, features.size(-1)))
    inner = model.model
    if family in _GRID:
        side = int(ours.towers[0].tokens ** 0.5)
        pixels = torch.zeros(side * side, *(
            (3, seen.patch_size, seen.patch_size) if family == "kimi_k25"
            else (3 * seen.temporal_patch_size * seen.patch_size**2,)
        ))  # fmt: skip
        return inner.get_image_features(pixels, torch.tensor([[1, side, side]]))
    stated = getattr(seen, "image_size", 0)
    size = stated if isinstance(stated, int) else stated[0]
    pixels = torch.zeros(1, 3, size, size)
    if family == "mistral3":
        side = int(ours.towers[0].tokens ** 0.5) * seen.patch_size
        return inner.get_image_features(torch.zeros(1, 3, side, side), torch.tensor([[side, side]]))
    if family == "gemma4":
        places = torch.tensor([[[x, y] for y in range(6) for x in range(6)]])
        return inner.get_image_features(torch.zeros(1, 36, 3 * seen.patch_size**2), places)
    if family == "llava_next":
        tiles = inner.get_image_features(torch.zeros(1, 5, 3, size, size), torch.tensor([[48, 48]]))
        assert tiles.pooler_output[0].shape[0] == ours.towers[1].output_tokens
        return tiles
    if family in ("smolvlm", "idefics3"):
        return inner.get_image_features(pixels[None] + 1)
    return inner.get_image_features(pixels)
