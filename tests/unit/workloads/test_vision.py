"""Vision-language families: towers worked by hand, defaults of parts that are left out, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import ImportRefused, SpecError
from perfmodel.workloads import LanguageModel, load_model
from perfmodel.workloads.parameters import active_parameters_per_token, parameters, parameters_text
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LatentAttention, LinearBlock, MoeFfn, Tower

TEXT: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip
VIT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 16,
    "patch_size": 4,
}  # fmt: skip
ROTARY: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "depth": 3, "num_heads": 4, "patch_size": 16, "out_hidden_size": 64,
}  # fmt: skip
LATENT: dict[str, Any] = {
    "q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
    "moe_intermediate_size": 32, "n_routed_experts": 6, "n_shared_experts": 2, "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
}  # fmt: skip
EXPERTS: dict[str, Any] = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
QWEN2_VISION = {"embed_dim": 32, "depth": 2, "num_heads": 4, "hidden_size": 64, "patch_size": 16}
CONFIGS: dict[str, dict[str, Any]] = {
    "llava": {"text_config": TEXT, "vision_config": VIT},
    "llava_next": {"text_config": TEXT, "vision_config": VIT | {"image_size": 336, "patch_size": 14}},
    "mistral3": {"text_config": TEXT, "vision_config": VIT},
    "qwen2_vl": {"text_config": TEXT, "vision_config": QWEN2_VISION},
    "qwen2_5_vl": {"text_config": TEXT, "vision_config": ROTARY | {"window_size": 128, "fullatt_block_indexes": [1]}},
    "qwen3_vl_moe": {"text_config": TEXT | EXPERTS, "vision_config": ROTARY | {"deepstack_visual_indexes": [0]}},
    "internvl": {"text_config": TEXT, "vision_config": VIT},
    "kimi_k25": {
        "text_config": TEXT | LATENT,
        "vision_config": {k: v for k, v in VIT.items() if k != "image_size"},
        "projection_hidden_size": 32,
    },
    "paligemma": {"text_config": TEXT, "vision_config": VIT, "projection_dim": 64},
    "idefics3": {"text_config": TEXT, "vision_config": VIT},
    "smolvlm": {"text_config": TEXT, "vision_config": VIT},
    "glm4v": {"text_config": TEXT, "vision_config": ROTARY | {"image_size": 64}},
    "glm4v_moe": {
        "text_config": TEXT | {"n_routed_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
        "vision_config": ROTARY | {"image_size": 64},
    },
}


@pytest.fixture(params=sorted(CONFIGS))
def family(request: pytest.FixtureRequest) -> str:
    """Each family with a vision tower in turn."""
    return str(request.param)


def load(folder: Path, family: str, text: dict[str, Any] | None = None, seen: dict[str, Any] | None = None, **top: Any):
    """Load a family's small config with changes; ``...`` takes a field out."""
    config = {"model_type": family, **CONFIGS[family]}
    config["text_config"] = config["text_config"] | (text or {})
    config["vision_config"] = config["vision_config"] | (seen or {})
    return load_values(folder, config | top)


def load_values(folder: Path, values: dict[str, Any]) -> LanguageModel:
    """Load a config as it is; ``...`` takes a field out."""
    (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))
    return load_model(folder)


def attention(tower: Tower) -> GroupedQueryAttention:
    mixer = tower.layers[0].mixer
    assert isinstance(mixer, GroupedQueryAttention)
    return mixer


def test_clip_by_hand(tmp_path: Path) -> None:
    vision, projector = load(tmp_path, "llava").towers
    layer = 4 * (32 * 32 + 32) + 2 * 32 * 48 + 48 + 32 + 4 * 32  # q, k, v and output, network, two norms
    ends = 3 * 4 * 4 * 32 + 32 + 17 * 32 + 4 * 32  # patches, class token, positions of 16 patches and it, two norms
    assert vision.parameters == 3 * layer + ends
    assert (vision.tokens, vision.output_tokens) == (17, 16)
    assert projector.parameters == 32 * 64 + 64 + 64 * 64 + 64
    assert projector.matrices == ((16, 32, 64), (16, 64, 64))


def test_the_projector_of_several_layers_features(tmp_path: Path) -> None:
    one, two = (load(tmp_path, "llava", vision_feature_layer=layer).towers[1] for layer in (-1, [-2, -1]))
    assert two.parameters - one.parameters == 32 * 64
    whole = load(tmp_path, "llava", vision_feature_select_strategy="full", multimodal_projector_bias=False).towers
    assert (whole[0].output_tokens, whole[1].parameters) == (17, 32 * 64 + 64 * 64)


def test_pixtral_by_hand(tmp_path: Path) -> None:
    vision, projector = load(tmp_path, "mistral3").towers
    layer = 4 * 32 * 32 + 3 * 32 * 48 + 2 * 32
    assert vision.parameters == 3 * layer + 3 * 4 * 4 * 32 + 32
    assert vision.tokens == 16
    assert attention(vision).rotated
    # a norm, four patches of 32 into one, and two matrices
    assert projector.parameters == 32 + 4 * 32 * 32 + 32 * 64 + 64 * 64
    assert projector.output_tokens == 4


def test_an_image_is_no_larger_than_the_tower_takes(tmp_path: Path) -> None:
    assert load(tmp_path, "mistral3", seen={"image_size": 400, "patch_size": 16}).towers[0].tokens == 26**2
    assert load(tmp_path, "mistral3", seen={"image_size": 4096, "patch_size": 16}).towers[0].tokens == 64**2


def test_windows_of_qwen2_5(tmp_path: Path) -> None:
    (vision,) = load(tmp_path, "qwen2_5_vl").towers
    windowed, full = vision.layers
    # windows of 128 pixels are 4x4 pairs of 2x2 patches of 16 pixels
    assert (windowed.count, windowed.mixer.window, full.count, full.mixer.window) == (2, 64, 1, 0)  # type: ignore[union-attr]
    assert (vision.tokens, vision.output_tokens) == (64**2, 32**2)
    assert windowed.ffn == DenseFfn(48, gated=True, bias=True)
    (whole,) = load(tmp_path, "qwen2_5_vl", seen={"fullatt_block_indexes": [0, 1, 2, 3]}).towers[0].layers
    assert (whole.count, whole.mixer.window) == (3, 0)  # type: ignore[union-attr]


def test_qwen2_5_by_hand(tmp_path: Path) -> None:
    (vision,) = load(tmp_path, "qwen2_5_vl").towers
    layer = 4 * (32 * 32 + 32) + 3 * 32 * 48 + 2 * 48 + 32 + 2 * 32
    merger = 32 + 128 * 128 + 128 + 128 * 64 + 64
    assert vision.parameters == 3 * layer + 3 * 2 * 16 * 16 * 32 + merger


def test_a_config_of_qwen2_may_be_flat(tmp_path: Path) -> None:
    nested = load(tmp_path, "qwen2_vl", tie_word_embeddings=True)
    flat = {"model_type": "qwen2_vl", "vision_config": QWEN2_VISION | {"in_chans": 3, "spatial_patch_size": 16}}
    flat |= TEXT | {"tie_word_embeddings": True, "max_window_layers": 2, "vision_token_id": 7}
    assert parameters(load_values(tmp_path, flat)) == parameters(nested)
    with pytest.raises(ImportRefused, match="fields not understood in a qwen2_vl: odd"):
        load_values(tmp_path, flat | {"odd": 1})


def test_tiles_of_llava_next(tmp_path: Path) -> None:
    vision, projector, newline = load(tmp_path, "llava_next").towers
    # the image as a whole and in 2x2 tiles, 24x24 patches and a class token each
    assert (vision.tokens, vision.attended) == (5 * 577, 577)
    assert (projector.matrices[0][0], projector.output_tokens) == (5 * 576, 576 + 48 * 49)
    assert newline.parameters == 64
    one = load(tmp_path, "llava_next", image_grid_pinpoints=[[336, 336]]).towers
    assert (one[0].tokens, one[1].output_tokens) == (2 * 577, 576 + 24 * 25)


def test_internvl_by_hand(tmp_path: Path) -> None:
    vision, projector = load(tmp_path, "internvl", seen={"attention_bias": True}).towers
    layer = 4 * (32 * 32 + 32) + 2 * 32 * 48 + 48 + 32 + 4 * 32 + 2 * 32
    assert vision.parameters == 3 * layer + 3 * 4 * 4 * 32 + 32 + 32 + 17 * 32
    assert projector.parameters == 2 * 128 + 128 * 64 + 64 + 64 * 64 + 64
    assert projector.output_tokens == 4
    assert attention(load(tmp_path, "internvl", seen={"use_qk_norm": True}).towers[0]).qk_norm == "full"


def test_kimi_has_latent_attention_and_moon_vit(tmp_path: Path) -> None:
    model = load(tmp_path, "kimi_k25", text={"model_type": "kimi_k2"})
    assert all(isinstance(group.mixer, LatentAttention) for group in model.layers)
    vision, projector = model.towers
    layer = 4 * (32 * 32 + 32) + 2 * 32 * 48 + 48 + 32 + 4 * 32
    assert vision.parameters == 3 * layer + 3 * 4 * 4 * 32 + 32 + 64 * 64 * 32 + 2 * 32
    assert projector.parameters == 2 * 32 + 128 * 128 + 128 + 128 * 64 + 64
    assert vision.output_tokens * 4 == vision.tokens == 256**2


def test_experts_of_qwen3_vl(tmp_path: Path) -> None:
    model = load(tmp_path, "qwen3_vl_moe", text={"mlp_only_layers": [0]})
    assert [type(group.ffn) for group in model.layers] == [DenseFfn, MoeFfn]
    assert not model.tied_embeddings  # what text_config says, true by default, does not count


def test_who_ties_embeddings(tmp_path: Path) -> None:
    assert load(tmp_path, "llava", text={"tie_word_embeddings": True}).tied_embeddings
    assert load(tmp_path, "llava", text={"model_type": "gemma"}).tied_embeddings  # the class default of Gemma
    assert not load(tmp_path, "llava_next", text={"tie_word_embeddings": True}).tied_embeddings
    assert load(tmp_path, "mistral3").tied_embeddings
    assert not load(tmp_path, "mistral3", tie_word_embeddings=False).tied_embeddings


def test_a_text_model_has_the_sizes_of_its_class(tmp_path: Path) -> None:
    vicuna = load_values(tmp_path, {"model_type": "llava", "text_config": {"vocab_size": 32064}})
    assert parameters(vicuna) == parameters(load_model("llava-1.5-7b"))
    nothing = load_values(tmp_path, {"model_type": "mistral3", "tie_word_embeddings": False})
    assert parameters(nothing) == parameters(load_model("mistral-small-3.1-24b"))


@pytest.mark.parametrize("part", ["text_config", "vision_config"])
def test_unknown_fields_are_refused(family: str, part: str, tmp_path: Path) -> None:
    where = {"text": {"odd": 3}} if part == "text_config" else {"seen": {"odd": 3}}
    with pytest.raises(ImportRefused, match=rf"fields not understood in a {family}: {part}\.odd"):
        load(tmp_path, family, **where)
    with pytest.raises(ImportRefused, match=f"fields not understood in a {family}: odd"):
        load(tmp_path, family, odd=3)


@pytest.mark.parametrize("value", ["x", -1, 0, 1.5, True, [], {}, float("nan")], ids=repr)
def test_bad_sizes_are_named(family: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"text_config\.hidden_size: must be"):
        load(tmp_path, family, text={"hidden_size": value})
    with pytest.raises(SpecError, match=r"vision_config\.(hidden_size|embed_dim): must be"):
        load(tmp_path, family, seen={"embed_dim" if family == "qwen2_vl" else "hidden_size": value})


@pytest.mark.parametrize("value", [3, "x", [1]], ids=repr)
def test_parts_must_be_objects(family: str, value: Any, tmp_path: Path) -> None:
    for part in ("text_config", "vision_config"):
        with pytest.raises(SpecError, match=f"{part}: must be an object"):
            load_values(tmp_path, {"model_type": family, **CONFIGS[family], part: value})


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("llava", {"seen": {"num_attention_heads": 5}}, r"num_attention_heads: must divide the width 32"),
        ("llava", {"vision_feature_layer": []}, "vision_feature_layer: must be whole numbers"),
        ("llava", {"vision_feature_layer": "last"}, "vision_feature_layer: must be a whole number"),
        ("llava", {"vision_feature_select_strategy": "some"}, "vision_feature_select_strategy: must be"),
        ("llava_next", {"image_grid_pinpoints": [[336]]}, "image_grid_pinpoints: must be a list of two whole numbers"),
        ("mistral3", {"seen": {"image_size": 2}}, r"vision_config\.image_size: must be at least 4"),
        ("qwen2_vl", {"seen": {"in_channels": 3, "in_chans": 4}}, r"in_chans: is 4, but in_channels is 3"),
        ("qwen2_vl", {"text": {"head_dim": 8}}, r"text_config\.head_dim: must be hidden_size 64 / 4 heads"),
        ("qwen2_5_vl", {"seen": {"window_size": 16}}, r"vision_config\.window_size: must be at least 2 patches of 16"),
        ("qwen2_5_vl", {"seen": {"num_heads": 3}}, r"vision_config\.num_heads: must divide the width 32"),
        ("internvl", {"downsample_ratio": 0}, "downsample_ratio: must be a number"),
        ("internvl", {"seen": {"patch_size": [4, 4, 4]}}, r"vision_config\.patch_size: must be a whole number or two"),
        ("internvl", {"seen": {"patch_size": 17}}, r"vision_config\.patch_size: must not exceed image_size"),
        ("internvl", {"seen": {"image_size": [16, 0]}}, r"vision_config\.image_size: must be between 1 and"),
        ("kimi_k25", {"seen": {"num_attention_heads": 5}}, r"num_attention_heads: must divide the width"),
        ("kimi_k25", {"seen": {"vt_hidden_size": 48}}, r"vision_config\.vt_hidden_size: is 48, but hidden_size is 32"),
    ],
)  # fmt: skip
def test_impossible_values(family: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=message):
        load(tmp_path, family, **changes)


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("llava", {"text": {"model_type": "opt"}}, r"text_config\.model_type = 'opt': is not understood in a llava"),
        ("llava", {"seen": {"model_type": "dinov2"}}, "vision_config.model_type = dinov2: is not understood"),
        ("internvl", {"seen": {"norm_type": "odd"}}, r"vision_config\.norm_type = 'odd': is not understood"),
        ("glm4v_moe", {"text": {"use_qk_norm": True}}, r"text_config\.use_qk_norm = True"),
    ],
)
def test_what_is_refused(family: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match=message):
        load(tmp_path, family, **changes)


GEMMA3N: dict[str, Any] = TEXT | {
    "model_type": "gemma3n_text", "head_dim": 16, "num_hidden_layers": 10, "num_kv_shared_layers": 5,
    "vocab_size_per_layer_input": 90, "hidden_size_per_layer_input": 8, "altup_num_inputs": 3, "laurel_rank": 5,
    "sliding_window": 32,
}  # fmt: skip


def test_gemma_3n_by_hand(tmp_path: Path) -> None:
    model = load_values(tmp_path, GEMMA3N)
    own = 64 * (64 + 2 * 32) + 64 * 64 + 2 * 16  # q, k, v, output; two norms of heads
    shared = 64 * 64 + 64 * 64 + 16
    rest = (
        3 * 64 * 96 + 2 * 64 * 5 + 2 * 64 * 8 + 7 * 64
    )  # network, low-rank residual, input gate and projection, norms
    mixing = 3 * 64 + 9 + 27 + 64  # AltUp: routing, correction, prediction, scale
    ends = 100 * 64 + 64 + 90 * 10 * 8 + 64 * 10 * 8 + 8 + 2 * 2 * 64 * 64  # tables, norms, side inputs, AltUp's ends
    assert parameters(model) == 5 * own + 5 * shared + 10 * (rest + mixing) + ends
    assert active_parameters_per_token(model) == parameters_text(model) - 90 * 10 * 8
    assert [group.count for group in model.layers] == [4, 1, 4, 1]
    assert all(group.second == LinearBlock(10) for group in model.layers)
    assert [group.mixer.shared_cache for group in model.layers] == [False, False, True, True]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intermediate_size": [96] * 9}, "intermediate_size: must be 10 widths"),
        ({"intermediate_size": [96] * 9 + [0]}, "intermediate_size: must be 10 widths"),
        ({"activation_sparsity_pattern": [0.5] * 9}, "activation_sparsity_pattern: must be 10 shares"),
        ({"activation_sparsity_pattern": [0.5] * 9 + [1.0]}, "activation_sparsity_pattern: must be 10 shares"),
        ({"num_kv_shared_layers": 10}, "num_kv_shared_layers: leaves no layer"),
        ({"num_attention_heads": 6, "num_key_value_heads": 2}, "num_attention_heads: must divide hidden_size 64"),
        ({"laurel_rank": 0}, "laurel_rank: must be at least 1"),
    ],
)
def test_impossible_gemma_3n(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=message):
        load_values(tmp_path, GEMMA3N | changes)


def test_gemma_3n_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="fields not understood in a gemma3n_text: odd"):
        load_values(tmp_path, GEMMA3N | {"odd": 1})
    with pytest.raises(ImportRefused, match="hidden_activation = 'tanh'"):
        load_values(tmp_path, GEMMA3N | {"hidden_activation": "tanh"})
