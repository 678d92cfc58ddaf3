"""Real configs against transformers' own counts, where the shared folder is there."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.errors import ImportRefused
from perfmodel.workloads import load_model
from perfmodel.workloads.families import ADAPTERS
from perfmodel.workloads.parameters import embedding_parameters, kv_bytes_per_token, parameters, parameters_text
from perfmodel.workloads.spec import Quantisation

_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "hf_configs"
_TRUTH = _FOLDER / "truth.csv"
_ROWS = list(csv.DictReader(_TRUTH.read_text().splitlines())) if _TRUTH.is_file() else []
_SUPPORTED = [row for row in _ROWS if row["model_type"] in ADAPTERS]
_REFUSED = [row for row in _ROWS if row["model_type"] not in ADAPTERS]

pytestmark = pytest.mark.skipif(not _ROWS, reason="the shared configs are not there")


@pytest.mark.parametrize("row", _SUPPORTED, ids=lambda row: row["file"])
def test_counts_are_exact(row: dict[str, str]) -> None:
    model = load_model(_FOLDER / row["file"])
    counted = parameters_text(model) if row["scope"] == "text" else parameters(model)
    assert counted == int(row["parameters"])
    assert embedding_parameters(model) == int(row["embedding_parameters"])
    assert model.tied_embeddings == (row["tied"] == "True")
    assert model.family == row["model_type"]


def test_another_family_is_refused_by_name_with_its_fields(tmp_path: Path) -> None:
    config = json.loads((_FOLDER / "zai-org--GLM-5_config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "glm_moe_dsb", "index_foo": 3}))
    with pytest.raises(ImportRefused, match="model_type 'glm_moe_dsb' is not supported") as caught:
        load_model(tmp_path)
    assert "fields not understood: " in str(caught.value)
    assert "index_foo" in str(caught.value)


def test_all_families_are_supported() -> None:
    assert not _REFUSED


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("meta-llama--Meta-Llama-3.1-8B", 131_072),
        ("deepseek-ai--DeepSeek-V3", 70_272),
        ("Qwen--Qwen3-8B", 36 * 2 * 8 * 128 * 2),
        ("Qwen--Qwen3-0.6B", 28 * 2 * 8 * 128 * 2),
        ("openai--gpt-oss-20b", 12 * 2 * 8 * 64 * 2),
        ("MiniMaxAI--MiniMax-M2.5", 62 * 2 * 8 * 128 * 2),
        ("deepseek-ai--DeepSeek-V3.2", 61 * (512 + 64 + 128) * 2),  # latent rows and the indexer's keys
        ("zai-org--GLM-5", 78 * (512 + 64 + 128) * 2),
        ("Qwen--Qwen3.5-27B", 16 * 2 * 4 * 256 * 2),  # one layer in four has full attention
        ("nvidia--Nemotron-H-56B-Base-8K", 10 * 2 * 8 * 128 * 2),
        ("nvidia--Gemma-4-31B-IT-NVFP4", 10 * 2 * 4 * 512 * 2),  # global layers alone
        # 21 layers with an entry of 512 and a key of 128 for 4 tokens, 20 with one of 512 for 128
        ("deepseek-ai--DeepSeek-V4-Flash", 21 * (512 + 128) // 4 * 2 + 20 * 512 // 128 * 2),
    ],
)
def test_cache_sizes(file: str, expected: int) -> None:
    assert kv_bytes_per_token(load_model(_FOLDER / f"{file}_config.json")) == expected


_BLOCK_FP8 = Quantisation(linear="fp8_block", attention="fp8_block", experts="fp8_block")
_STORED = {
    "MiniMaxAI--MiniMax-M2.5": _BLOCK_FP8,
    "Qwen--Qwen3-235B-A22B-FP8": _BLOCK_FP8,
    "Qwen--Qwen3-32B-FP8": _BLOCK_FP8,
    "deepseek-ai--DeepSeek-V3": _BLOCK_FP8,
    "deepseek-ai--DeepSeek-V3.2": _BLOCK_FP8,
    "deepseek-ai--DeepSeek-V4-Flash": replace(_BLOCK_FP8, experts="w4a8_mxfp4_mxfp8"),
    "nvidia--Gemma-4-31B-IT-NVFP4": Quantisation(linear="nvfp4", experts="nvfp4", kv="fp8"),
    "nvidia--Llama-3.1-70B-Instruct-FP8": Quantisation(linear="fp8", attention="fp8", experts="fp8", kv="fp8"),
    "nvidia--Qwen3-235B-A22B-NVFP4": Quantisation(linear="nvfp4", attention="nvfp4", experts="nvfp4", kv="fp8"),
    "openai--gpt-oss-20b": Quantisation(experts="w4a16_mxfp4"),
}


@pytest.mark.parametrize("row", _SUPPORTED, ids=lambda row: row["file"])
def test_stored_formats(row: dict[str, str]) -> None:
    expected = _STORED.get(row["file"].removesuffix("_config.json"), Quantisation())
    assert load_model(_FOLDER / row["file"]).quantisation == expected
