"""Models written out layer by layer, and the way to them from a config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import InputError, PerfmodelError, SpecError
from perfmodel.workloads import load_model
from perfmodel.workloads.importers.layers_yaml import layers_config, pattern
from perfmodel.workloads.library import import_model, list_models
from perfmodel.workloads.parameters import kv_bytes_per_token, parameters, parameters_text, state_bytes_per_sequence
from perfmodel.workloads.spec import LanguageModel

_HEAD = (
    "schema: workload/1\nname: mine\nfamily: layers\nsource: made up\nverified: false\nconfig:\n  model_type: layers\n"
)
_FFN = "ffn: {kind: dense, intermediate: 96}"
_LOCAL = f"{{mixer: {{kind: grouped_query, heads: 4, kv_heads: 2, head_dim: 16, window: 8}}, {_FFN}}}"
_GLOBAL = f"{{mixer: {{kind: grouped_query, heads: 4, kv_heads: 2, head_dim: 16}}, {_FFN}}}"


def _write(folder: Path, blocks: dict[str, str], order: str, **more: Any) -> Path:
    lines = "".join(f"    {name}: {text}\n" for name, text in blocks.items())
    rest = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in more.items())
    path = folder / "mine.yaml"
    path.write_text(
        f"{_HEAD}  hidden_size: 64\n  vocab_size: 100\n  pattern: {json.dumps(order)}\n{rest}  blocks:\n{lines}"
    )
    return path


def _model(folder: Path, blocks: dict[str, str], order: str, **more: Any) -> LanguageModel:
    return load_model(_write(folder, blocks, order, **more))


def test_a_pattern_of_windows_and_full_attention(tmp_path: Path) -> None:
    model = _model(tmp_path, {"local": _LOCAL, "whole": _GLOBAL}, "2*(3*local whole)")
    assert [(g.count, getattr(g.mixer, "window", None)) for g in model.layers] == [(6, 8), (2, 0)]
    layer = 64 * (4 + 2 * 2) * 16 + 4 * 16 * 64 + 3 * 64 * 96 + 2 * 64
    assert parameters(model) == 8 * layer + 2 * 100 * 64 + 64
    assert kv_bytes_per_token(model) == 2 * 2 * 2 * 2 * 16
    assert state_bytes_per_sequence(model) == 6 * 8 * 2 * 2 * 2 * 16


def test_a_product_key_memory(tmp_path: Path) -> None:
    block = "{ffn: {kind: memory, keys: 10, heads: 2, key_dim: 8, topk: 3}, norms: 1, norm_operators: 1}"
    model = _model(tmp_path, {"memory": block}, "memory", tie_word_embeddings=True)
    # queries 64 -> 2*8, two tables of 10 sub-keys of 4 for each head, 100 values of 64
    assert parameters(model) == 64 * 16 + 2 * 2 * 10 * 4 + 100 * 64 + 64 + 100 * 64 + 64


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("", "pattern: is missing"),
        ("3*(local", "lacks a closing bracket"),
        ("local)", "a closing bracket too many"),
        ("3*", "ends with a"),
        ("0*local", "must come to 1 to 4096 layers"),
        ("9999999*local", "must come to 1 to 4096 layers"),
        ("local + local", "is not understood from '. local'"),
        ("local other", "names 'other', which is none of the blocks"),
        ("(" * 40 + "local" + ")" * 40, "must come to 1 to 4096 layers"),
    ],
)
def test_patterns_that_cannot_be(order: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said):
        _model(tmp_path, {"local": _LOCAL}, order)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{}", "mixer: is missing, and ffn too"),
        ("{ffn: {kind: dens, intermediate: 9}}", "kind: must be one of dense, experts, memory, linear, not 'dens'"),
        ("{ffn: {kind: dense}}", "intermediate: is missing"),
        ("{ffn: {kind: dense, intermediate: -3}}", "intermediate: must be at least 0"),
        ("{ffn: {kind: dense, intermediate: .nan}}", "intermediate: must be a whole number"),
        ("{ffn: {kind: dense, intermediate: 9, width: 3}}", "width: is not understood here"),
        ("{ffn: {kind: experts, experts: 4, topk: 5, intermediate: 8}}", "topk: must not exceed the 4 experts, not 5"),
        ("{mixer: {kind: grouped_query, heads: 4, kv_heads: 3, head_dim: 8}}", "kv_heads: must divide heads 4, not 3"),
        (
            "{mixer: {kind: grouped_query, heads: 4, kv_heads: 4, head_dim: 8, qk_norm: all}}",
            "must be one of none, head",
        ),
        ("{ffn: {kind: dense, intermediate: 9}, share: 1.5}", "share: must be between 0 and 1, not 1.5"),
        ("{ffn: {kind: dense, intermediate: 9}, colour: 1}", "colour: is not understood here"),
        ("3", "blocks.local: must be an object"),
    ],
)
def test_blocks_that_cannot_be(block: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said):
        _model(tmp_path, {"local": block}, "local")


@pytest.mark.parametrize("name", list_models())
def test_every_decoder_can_be_written_out(name: str, tmp_path: Path) -> None:
    model = load_model(name)
    if model.encoder is not None or model.head:
        pytest.skip("an encoder has no layers of its own to write out")
    from perfmodel.workloads.families import Layer, Skeleton

    layers = tuple(Layer(*(getattr(g, field) for field in Layer._fields)) for g in model.layers for _ in range(g.count))
    skeleton = Skeleton(
        model.hidden, model.vocabulary, layers, model.tied_embeddings, model.maximum_tokens, model.lm_head_bias,
        model.final_norms, model.extra, has_head=model.has_head, generates=model.generates,
        embedding_width=model.embedding_width,
    )  # fmt: skip
    (tmp_path / "it.yaml").write_text(_HEAD + "\n".join(list(layers_config(skeleton))[1:]) + "\n")
    again = load_model(tmp_path / "it.yaml")
    assert again.layers == model.layers
    assert parameters(again) == parameters_text(model)


def test_pattern_is_short() -> None:
    assert pattern(["a"] * 5) == "5*a"
    assert pattern(["a", "a", "a", "b"] * 3) == "3*(3*a b)"
    assert pattern(["one", "two", "one", "two", "three"]) == "2*(one two) three"
    assert pattern(["a"]) == "a"


_NEW = {
    "model_type": "llama_ng", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 100,
    "num_key_value_heads": 2, "intermediate_size": 96, "sky_hooks": 7, "rms_norm_eps": 1e-6,
}  # fmt: skip


def test_an_unknown_family_has_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(_NEW))
    with pytest.raises(PerfmodelError, match=r"'llama_ng' is not supported.*sky_hooks.*`perfmodel model import --as"):
        load_model(tmp_path)
    text = import_model(tmp_path, family="llama")
    assert "sky_hooks: 7" in text
    assert "NOT counted" in text
    (tmp_path / "mine.yaml").write_text(text)
    model = load_model(tmp_path / "mine.yaml")
    (tmp_path / "config.json").write_text(
        json.dumps({k: v for k, v in _NEW.items() if k != "sky_hooks"} | {"model_type": "llama"})
    )
    assert parameters(model) == parameters(load_model(tmp_path))
    assert not model.verified


def test_import_as_an_unknown_family(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(_NEW))
    with pytest.raises(InputError, match="unknown family 'lama'"):
        import_model(tmp_path, family="lama")
    with pytest.raises(SpecError, match="kv_lora_rank: is missing"):
        import_model(tmp_path, family="deepseek_v3")
