"""The shipped models: every one loads, has its published count, and is found by its names."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import ImportRefused, SpecError, UnknownNameError
from perfmodel.specs.locate import claimed_names, entries, spec_roots
from perfmodel.workloads import LanguageModel, check_model, import_model, list_models, load_model
from perfmodel.workloads.parameters import parameters
from perfmodel.workloads.spec import Quantisation

Build = Callable[..., LanguageModel]
Small = Callable[[str], dict[str, Any]]
# The published count of these includes the routers' correction biases (60 layers of 384), which are buffers here.
_BUFFERS = {"kimi-k2": 60 * 384}
# Written from the tables of papers, for the reproductions: there is no checkpoint that was counted.
_OF_PAPERS = {"hovle-2.6b", "palm-540b", "palm-540b-padded", "smallthinker-21b-a3b", "smallthinker-4b-a0.6b"}


@pytest.mark.parametrize("name", list_models())
def test_every_model_has_its_published_count(name: str) -> None:
    model = load_model(name)
    assert model.name == name == Path(model.path).stem
    assert not [finding for finding in check_model(model) if finding.level == "error"]
    if name in _OF_PAPERS:
        return
    assert model.published_parameters is not None
    assert parameters(model) == model.published_parameters - _BUFFERS.get(name, 0)
    assert model.source.startswith("https://huggingface.co/")
    assert len(model.spec_hash) == 16


def test_there_are_enough_models() -> None:
    assert len(list_models()) >= 25


def test_no_name_is_claimed_twice() -> None:
    found = entries(spec_roots("workloads")[-1], "workload")
    assert not [key for key, claims in claimed_names(found, "workloads").items() if len(claims) > 1]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("meta-llama/Llama-3.1-8B", "llama-3.1-8b"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("Qwen/Qwen3-32B", "qwen3-32b"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-v3"),
        ("MiniMaxAI/MiniMax-M2.5", "minimax-m2.5"),
        ("LLAMA 3.1 70B", "llama-3.1-70b"),
    ],
)
def test_aliases(alias: str, name: str) -> None:
    assert load_model(alias) is load_model(name)


def test_unknown_names_have_neighbours() -> None:
    with pytest.raises(UnknownNameError, match=r"no model 'llama-3\.1-9b'; nearest: llama-3\.1-8b"):
        load_model("llama-3.1-9b")
    with pytest.raises(UnknownNameError):
        load_model("")


def test_stored_formats() -> None:
    assert load_model("deepseek-v3").quantisation == Quantisation(
        linear="fp8_block", attention="fp8_block", experts="fp8_block"
    )
    assert load_model("gpt-oss-120b").quantisation == Quantisation(experts="w4a16_mxfp4")
    assert load_model("llama-2-7b").quantisation.base == "float16"


def test_a_folder_and_its_config_are_one_model(family: str, small: Small, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(small(family)))
    model = load_model(tmp_path)
    assert model == load_model(str(tmp_path / "config.json"))
    assert model.name == tmp_path.name
    assert model.published_parameters is None


def test_a_changed_file_is_read_again(small: Small, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(small("llama")))
    before = load_model(path)
    path.write_text(json.dumps(small("llama") | {"hidden_size": 128}))
    os.utime(path, ns=(1, 1))
    after = load_model(path)
    assert (before.hidden, after.hidden) == (64, 128)
    assert before.spec_hash != after.spec_hash


def test_imports_are_read_back_alike(family: str, small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "Org--Model-1"
    folder.mkdir()
    quantised = {"quant_method": "fp8", "modules_to_not_convert": ["lm_head"]}
    (folder / "config.json").write_text(json.dumps(small(family) | {"quantization_config": quantised}))
    written = tmp_path / "model-1.yaml"
    written.write_text(import_model(folder))
    back, direct = load_model(written), load_model(folder)
    assert back.name == "model-1"
    same = {"name": "", "source": "", "spec_hash": "", "path": ""}
    assert dataclasses.replace(back, **same) == dataclasses.replace(direct, **same)


def test_names_of_imports(small: Small, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(small("llama")))
    text = import_model(tmp_path, name="my: model")
    (tmp_path / "m.yaml").write_text(text)
    assert load_model(tmp_path / "m.yaml").name == "my: model"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  hidden_size: 64", "  hidden_size: big", r"config\.hidden_size: must be a whole number, not 'big'"),
        ("  hidden_size: 64\n", "", r"config\.hidden_size: is missing"),
        ("family: llama", "family: qwen2", r"config\.model_type: is 'llama', but the family is 'qwen2'"),
        ("verified: true", "verified: perhaps", "verified: must be true or false"),
        ("config:", "quantisation: {linear: fp9}\nconfig:", r"quantisation\.linear: unknown precision 'fp9'"),
        ("config:", "quantisation: {liner: fp8}\nconfig:", r"quantisation\.liner: unknown key 'liner' - did you mean"),
        ("config:", "published_parameters: {value: -3, source: x}\nconfig:", r"published_parameters\.value"),
        ("config:", "colour: red\nconfig:", "colour: unknown key 'colour'"),
    ],
)
def test_faults_of_workload_files(old: str, new: str, message: str, small: Small, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(small("llama")))
    path = tmp_path / "bad.yaml"
    path.write_text(import_model(tmp_path).replace(old, new, 1))
    with pytest.raises(SpecError, match=rf"bad\.yaml:\d+:\d+: {message}"):
        load_model(path)


def test_unknown_fields_of_workload_files(small: Small, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(small("llama")))
    path = tmp_path / "odd.yaml"
    path.write_text(import_model(tmp_path) + "  attention_chunk_size: 8192\n")
    with pytest.raises((ImportRefused, SpecError), match="attention_chunk_size"):
        load_model(path)


def test_check_finds_a_wrong_count() -> None:
    model = load_model("llama-3.1-8b")
    assert not check_model(model)
    wrong = dataclasses.replace(model, published_parameters=7_900_000_000)
    assert [finding.level for finding in check_model(wrong)] == ["error"]
    (finding,) = check_model(dataclasses.replace(model, published_parameters=None))
    assert (finding.level, finding.field) == ("warning", "published_parameters")


def test_loading_a_model_imports_nothing_heavy() -> None:
    code = "import sys; from perfmodel.workloads import load_model; load_model('deepseek-v3'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "sympy", "pydantic", "plotly", "typer"} & set(done.stdout.split())
