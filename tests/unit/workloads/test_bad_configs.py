"""Bad configs: each gets an error that names file and field, and never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfmodel.errors import PerfmodelError, SpecError, UnknownNameError
from perfmodel.workloads import LanguageModel, load_model
from perfmodel.workloads.parameters import kv_bytes_per_token, parameters, weights_bytes

Build = Callable[..., LanguageModel]
Small = Callable[[str], dict[str, Any]]

_REQUIRED = ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "model_type"]
_BAD: list[Any] = [None, "4096", True, -1, 0, 1.5, 10**12, float("nan"), float("inf"), [], {}, [1]]


@pytest.mark.parametrize("key", _REQUIRED)
def test_a_missing_key_is_named(family: str, key: str, build: Build) -> None:
    with pytest.raises(SpecError, match=rf"config\.json: {key}: is missing"):
        build(family, **{key: ...})


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
@pytest.mark.parametrize("value", _BAD, ids=repr)
def test_a_bad_size_is_named(key: str, value: Any, build: Build) -> None:
    with pytest.raises(SpecError, match=rf"config\.json:1:\d+: {key}: ") as caught:
        build("llama", **{key: value})
    assert caught.value.exit_code == 2


def test_impossible_combinations(build: Build) -> None:
    with pytest.raises(SpecError, match="num_key_value_heads: must divide num_attention_heads 8, not 3"):
        build("llama", num_key_value_heads=3)
    with pytest.raises(SpecError, match="num_experts_per_tok: must not exceed the 6 experts, not 7"):
        build("mixtral", num_experts_per_tok=7)
    with pytest.raises(SpecError, match="head_dim: is missing, and hidden_size 66 is no multiple of 8 heads"):
        build("llama", hidden_size=66)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("[1, 2]", "must be a JSON object"),
        ('"llama"', "must be a JSON object"),
        ("{'a': 1}", "is not JSON"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ("[" * 100_000, "nested too deeply"),
        ('{"model_type": "llama", "hidden_size": ' + "[" * 900 + "]" * 900 + "}", "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ("{}", "model_type: is missing"),
        ('{"model_type": 7}', "model_type: must be a text"),
        ('{"model_type": null}', "model_type: is missing"),
    ],
)
def test_texts_that_are_no_config(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(SpecError, match="not UTF-8"):
        load_model(tmp_path)
    with pytest.raises(SpecError, match="cannot be read"):
        load_model(tmp_path / "nothing" / "config.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match=r"folder without config\.json"):
        load_model(tmp_path / "empty")
    with pytest.raises(UnknownNameError):
        load_model("a\0b")
    for odd in ("a\0b.json", "x" * 5000, "x" * 5000 + ".json", "~nobody-here/config.json", "/dev/null/config.json"):
        with pytest.raises(PerfmodelError):
            load_model(odd)


_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.sampled_from([10**9, 10**30, -(10**30), 1e308])
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["silu", "full_attention", "sliding_attention", "fp8", "modelopt", "NVFP4", "re:(", "re:.*", "*"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = """hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads vocab_size head_dim
sliding_window use_sliding_window max_window_layers layer_types tie_word_embeddings attention_bias hidden_act dtype
torch_dtype architectures num_local_experts num_experts n_routed_experts num_experts_per_tok moe_intermediate_size
mlp_only_layers decoder_sparse_step first_k_dense_replace n_shared_experts q_lora_rank kv_lora_rank v_head_dim
quantization_config compression_config max_position_embeddings novelty model_type""".split()  # noqa: SIM905
_QUANT = """quant_method quant_algo weight_block_size modules_to_not_convert ignore config_groups kv_cache_scheme bits
group_size kv_cache_quant_algo load_in_4bit load_in_8bit exclude_modules lm_head sparsity_config""".split()  # noqa: SIM905
_METHODS = ["fp8", "modelopt", "compressed-tensors", "awq", "gptq", "bitsandbytes", "mxfp4", "fbgemm_fp8"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.sampled_from(_FIELDS), _JUNK, max_size=4),
    dropped=st.lists(st.sampled_from(_FIELDS[:-1]), max_size=2),
)
def test_mutated_configs_answer_or_refuse(
    family: str, small: Small, tmp_path: Path, changes: dict[str, Any], dropped: list[str]
) -> None:
    values = {key: value for key, value in {**small(family), **changes}.items() if key not in dropped}
    _answers_or_refuses(tmp_path, values)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(_METHODS) | _JUNK,
    changes=st.dictionaries(st.sampled_from(_QUANT), _JUNK, max_size=4),
    separate=_JUNK | st.dictionaries(st.sampled_from([*_QUANT, "quantization"]), _JUNK),
)
def test_mutated_quantisations_answer_or_refuse(
    small: Small, tmp_path: Path, method: Any, changes: dict[str, Any], separate: Any
) -> None:
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(separate))
    _answers_or_refuses(
        tmp_path, {**small("mixtral"), "quantization_config": {"quant_method": method, "bits": 4, **changes}}
    )


def _answers_or_refuses(folder: Path, values: dict[str, Any]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(values))
    refusal: PerfmodelError | None = None
    try:
        model = load_model(path)
    except PerfmodelError as error:
        refusal = error
    if refusal is not None:
        assert str(folder) in str(refusal)
        assert refusal.exit_code == 2
        return
    assert 0 < parameters(model) < 10**36
    assert weights_bytes(model) > 0
    assert kv_bytes_per_token(model) >= 0
