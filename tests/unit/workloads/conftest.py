"""Small configs of every supported family, and a way to load them from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from perfmodel.workloads import LanguageModel, load_model

_DENSE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "tie_word_embeddings": False,
}
_LATENT: dict[str, Any] = {
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "moe_intermediate_size": 32,
    "n_routed_experts": 6,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
}
_EXPERTS: dict[str, Any] = {"num_local_experts": 6, "num_experts_per_tok": 2}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": _DENSE,
    "mistral": _DENSE | {"sliding_window": None},
    "qwen2": _DENSE,
    "qwen3": _DENSE | {"head_dim": 8},
    "mixtral": _DENSE | _EXPERTS,
    "qwen3_moe": _DENSE | {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "minimax_m2": _DENSE | _EXPERTS | {"head_dim": 8},
    "gpt_oss": _DENSE | _EXPERTS | {"head_dim": 8},
    "deepseek_v2": _DENSE | _LATENT,
    "deepseek_v3": _DENSE | _LATENT,
    "kimi_k2": _DENSE | _LATENT,
}
for _family, _config in list(CONFIGS.items()):
    CONFIGS[_family] = {"model_type": _family, **_config}

Build = Callable[..., LanguageModel]


def write(folder: Path, values: Mapping[str, Any]) -> Path:
    """Write a config.json into a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture(params=sorted(CONFIGS))
def family(request: pytest.FixtureRequest) -> str:
    """Every supported family in turn."""
    return str(request.param)


@pytest.fixture
def small() -> Callable[[str], dict[str, Any]]:
    """A small config of a family, to be changed at will."""
    return lambda family: json.loads(json.dumps(CONFIGS[family]))


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Load a family's small config with some fields changed; ``...`` takes a field out."""

    def load(family: str, separate: Mapping[str, Any] | None = None, **changes: Any) -> LanguageModel:
        values = {key: value for key, value in (CONFIGS[family] | changes).items() if value is not ...}
        path = write(tmp_path / "model", values)
        other = path.with_name("hf_quant_config.json")
        other.unlink(missing_ok=True)
        if separate is not None:
            other.write_text(json.dumps(separate))
        return load_model(path)

    return load
