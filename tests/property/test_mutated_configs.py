"""Ten thousand damaged configs of every family: each is answered with sound numbers or refused with its file's name."""

from __future__ import annotations

import copy
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import PerfmodelError
from perfmodel.plan import Plan, StepShape, choose_precisions, step_operators
from perfmodel.specs.yaml_strict import parse_yaml
from perfmodel.workloads import LanguageModel, load_model
from perfmodel.workloads.families import ADAPTERS
from perfmodel.workloads.importers.hf import MOST_PARAMETERS
from perfmodel.workloads.library import list_models
from perfmodel.workloads.parameters import (
    active_parameters_per_token,
    kv_bytes_per_token,
    parameters,
    parameters_text,
    state_bytes_per_sequence,
    weights_bytes,
)

CHUNKS, IN_A_CHUNK = 20, 500
_SHARED = Path(__file__).resolve().parents[3] / "shared" / "hf_configs"
_JUNK: list[Any] = [
    None, True, False, 0, -1, -7, 1, 2, 3, 10**6, 10**9, 10**18, 10**40, 0.5, -0.5, 1e308, math.nan, math.inf,
    -math.inf,
    "", "4096", "auto", "full_attention", "layers", "\x00", "\u202e", "x" * 400, [], [[]], [1], [-1], [0] * 5,
    ["full_attention"], ["sliding_attention"] * 3, [None], {}, {"a": 1}, {"rope_type": 3}, [10**9] * 3, [["a"], {}],
]  # fmt: skip


def _bases() -> list[dict[str, Any]]:
    """Return one real config of every family in the library, and the shared ones where they are."""
    found: dict[str, dict[str, Any]] = {}
    for name in list_models():
        model = load_model(name)
        if model.family not in found:
            node = parse_yaml(Path(model.path).read_text(), model.path)
            found[model.family] = (node.mapping or {})["config"].plain()
    shared = [
        json.loads(path.read_text()) for path in sorted(_SHARED.glob("*_config.json")) if "quant" not in path.name
    ]
    whole = [*found.values(), *shared]
    inner = (config.get("text_config") for config in whole)
    texts = {
        text["model_type"]: text for text in inner if isinstance(text, dict) and text.get("model_type") in ADAPTERS
    }
    return [*whole, *(text for family, text in texts.items() if family not in found)]


BASES = _bases()


def _places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to every value of a config, nested ones and some entries of lists too."""
    found = [path] if path else []
    if isinstance(values, dict):
        for key, value in values.items():
            found += _places(value, (*path, key))
    elif isinstance(values, list):
        for index in range(min(len(values), 3)):
            found += _places(values[index], (*path, index))
    return found


def _mutated(r: random.Random) -> dict[str, Any]:
    config = copy.deepcopy(r.choice(BASES))
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        places = _places(config)
        if places:
            _damage(r, config, r.choice(places))
    if r.random() < 0.05:
        config[r.choice(["novelty", "mixer_kind", "text_config", "quantization_config"])] = copy.deepcopy(
            r.choice(_JUNK)
        )
    return config


def _damage(r: random.Random, config: dict[str, Any], path: tuple[Any, ...]) -> None:
    holder: Any = config
    for step in path[:-1]:
        holder = holder[step]
    key, value = path[-1], holder[path[-1]]
    kind = r.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = r.choice(
            [-value, value * 10**9, value + 0.5, value + 1, value * 2, str(value), [value], value - 1]
        )
    elif kind == 2 and isinstance(value, list):
        holder[key] = r.choice([value * 2, value[:-1], value[::-1], [*value, None]])
    elif kind == 3:
        holder[key] = {"nested": value}
    else:
        holder[key] = copy.deepcopy(r.choice(_JUNK))


def _sound(model: LanguageModel) -> None:
    """Check that an accepted model has numbers that can be."""
    total, text = parameters(model), parameters_text(model)
    assert type(total) is int
    assert 0 < text <= total <= MOST_PARAMETERS
    assert 0 < active_parameters_per_token(model) <= text
    sizes = (kv_bytes_per_token(model), state_bytes_per_sequence(model), weights_bytes(model))
    assert all(math.isfinite(size) and size >= 0 for size in sizes)
    formats = choose_precisions(model, frozenset({"bfloat16", "float16", "fp8", "fp4", "int8"}))
    shapes = [StepShape(2, 64, 64)]
    if model.generates:
        shapes.append(StepShape(decodes=3, decode_context=100))
    for shape in shapes:
        for step in step_operators(model, Plan(), formats, shape):
            counts = step.operator.counts()
            values = [*counts.flops.values(), *counts.bytes.values(), step.repeat]
            assert all(math.isfinite(value) and value >= 0 for value in values), step.name


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_configs_answer_or_refuse(chunk: int, tmp_path: Path) -> None:
    r = random.Random(f"damage {chunk}")
    path = tmp_path / "config.json"
    for _ in range(IN_A_CHUNK):
        config = _mutated(r)
        path.write_text(json.dumps(config))
        model = refusal = None
        try:
            model = load_model(path)
        except PerfmodelError as error:
            refusal = error
        if refusal is not None:
            assert str(tmp_path) in str(refusal), config
            assert refusal.exit_code == 2
        else:
            assert model is not None
            try:
                _sound(model)
            except AssertionError as error:
                raise AssertionError(f"{error}: {json.dumps(config)}") from error


def test_every_family_is_damaged() -> None:
    """Of the families, those without a model in the library are few."""
    damaged = {base.get("model_type") for base in BASES}
    assert len(set(ADAPTERS) - damaged - {"layers"}) <= 16, sorted(set(ADAPTERS) - damaged)
