"""Towers as operators, against a vision transformer worked by hand."""

from __future__ import annotations

import json

import pytest

from perfmodel.cli import run
from perfmodel.ops import AttentionPrefill, Linear
from perfmodel.plan import choose_precisions
from perfmodel.plan.towers import tower_flops, tower_operators
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LanguageModel, LayerGroup, Tower

# An image of 4x4 patches of 12 pixel values each, width 8, two layers of two heads with a plain network of 16,
# and a projection of 4 merged patches (4*8 values) to a language model of width 20.
MIXER = GroupedQueryAttention(2, 2, 4, qkv_bias=True, output_bias=True, rotated=False, causal=False)
LAYERS = LayerGroup(2, MIXER, DenseFfn(16, gated=False, bias=True), norms=4)
VIT = Tower("vision", 0, 8, (LAYERS,), tokens=16, matrices=((16, 12, 8), (4, 32, 20)), output_tokens=4)
PATCHES = 2 * 16 * 12 * 8
PROJECTION = 2 * 4 * 32 * 20
LINEAR = 2 * 2 * 16 * (8 * 24 + 8 * 8 + 2 * 8 * 16)  # two layers; q, k and v, output, network
SCORES = 2 * 4 * 16 * 16 * 8  # two layers; scores and values, each 2*patches^2*width
PRECISIONS = choose_precisions(LanguageModel("", "", 8, 1, ()), frozenset({"bfloat16", "fp8"}), "fp8")


def test_flops_of_one_image() -> None:
    every, matrix = tower_flops(VIT)
    assert matrix == PATCHES + PROJECTION + LINEAR + SCORES
    assert every > matrix


def test_operators_of_several_images() -> None:
    steps = tower_operators(VIT, 3, PRECISIONS)
    products = sum(s.repeat * s.operator.counts().filter_flops(engine="tensor").total_flops() for s in steps)
    assert products == 3 * (PATCHES + PROJECTION + LINEAR + SCORES)
    (core,) = [s.operator for s in steps if isinstance(s.operator, AttentionPrefill)]
    assert (core.batch, core.q_tokens, core.kv_tokens, core.causal, core.writes_cache) == (3, 16, 16, False, False)
    assert [s.repeat for s in steps if isinstance(s.operator, Linear)] == [1, 1, 2, 2, 2, 2]
    assert all(s.name.startswith("vision_") and s.part == "tower" for s in steps)
    assert {s.name for s in steps} >= {"vision_matrix_0", "vision_qkv_proj", "vision_gate_up_proj", "vision_input_norm"}


def test_weights_are_read_once_for_all_images_and_in_sixteen_bits() -> None:
    def weights(images: int) -> float:
        steps = tower_operators(VIT, images, PRECISIONS)
        return sum(s.repeat * s.operator.counts().filter_bytes(role="weight").total_bytes() for s in steps)

    elements = 12 * 8 + 32 * 20 + 2 * (8 * 24 + 8 * 8 + 2 * 8 * 16)
    assert weights(1) == weights(7) == 2 * elements


def test_windows() -> None:
    windowed = Tower("vision", 0, 8, (LAYERS,), tokens=16, attended=4, matrices=VIT.matrices)
    assert tower_flops(windowed)[1] == PATCHES + PROJECTION + LINEAR + SCORES / 4


def test_a_projector_has_no_layers() -> None:
    assert tower_flops(Tower("projector", 0, matrices=((4, 32, 20),))) == (PROJECTION, PROJECTION)
    assert tower_operators(Tower("image_newline", 20), 1, PRECISIONS) == []


@pytest.mark.parametrize(
    "name", ["qwen3-vl-4b", "gemma-3-4b", "llava-1.5-7b", "qwen2.5-vl-7b", "mistral-small-3.1-24b"]
)
def test_a_tower_takes_about_two_flops_a_parameter_and_token_and_its_attention(name: str) -> None:
    tower = load_model(name).towers[0]
    every, matrix = tower_flops(tower)
    attention = 4 * tower.tokens**2 * tower.hidden * sum(group.count for group in tower.layers)
    assert 0.85 * 2 * tower.tokens * sum(k * n for _, k, n in tower.matrices[:1]) < matrix < every < 1.1 * matrix
    assert matrix < 2.01 * tower.tokens * tower.parameters + attention


def test_model_show_lists_towers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "show", "llava-1.5-7b", "--json"]) == 0
    vision, projector = json.loads(capsys.readouterr().out)["towers"]
    assert list(vision) == [
        "name", "parameters", "tokens_per_image", "output_tokens_per_image", "flops_per_image",
        "matmul_flops_per_image",
    ]  # fmt: skip
    assert (vision["name"], vision["tokens_per_image"], vision["output_tokens_per_image"]) == ("vision", 577, 576)
    assert projector["matmul_flops_per_image"] == 2 * 576 * (1024 * 4096 + 4096 * 4096)
    assert run(["model", "show", "llava-1.5-7b"]) == 0
    assert "tokens/image" in capsys.readouterr().out
    assert run(["model", "show", "llama-3.1-8b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["towers"] == []
